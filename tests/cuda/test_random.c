/*
 * Random shapes of `fused` on a GPU, in every form, against the fp64 reference: what
 * tests/unit/test_random.c does on the CPU. A failure says which ORTHO_RANDOM_SEED and
 * ORTHO_RANDOM_CASE repeat it alone.
 */
#include "lib/device.h"
#include "testing.h"
#include "tests/unit/random_runs.h"
#include "variants/table.h"

#include <omp.h>

enum { CASES = 1000, MANY_CASES = 200, WEIGHTS = 4 << 20 };

static void *take(size_t bytes)
{
    void *memory = NULL;
    cuda_ok(cudaMalloc(&memory, bytes > 0 ? bytes : 1));
    return memory;
}

static void drop(void *memory)
{
    cuda_ok(cudaFree(memory));
}

static void copy(void *to, const void *from, size_t bytes)
{
    cuda_ok(cudaMemcpy(to, from, bytes, cudaMemcpyDefault));
}

/*
 * Of a row: a warp has up to four images of a panel of up to 32, adds them and then adds the panel
 * to what it has: 5 roundings for 32 images; a step of Ortho adds 4 products, over 32 lanes, to
 * that sum, and a warp has at most one of 1024 entries; 8 warps; alpha. Each of at most half a unit
 * of the sum of |w x|. (mma16-direct adds a warp's images and segments one by one: up to 17 and 256
 * roundings of 8192 columns that all have entries. Few linears have rows of so many, and errors of
 * either sign take off from one another; what nibbles lose, below, is allowed far more.)
 */
static double roundings(int64_t k)
{
    return 5.0 * (double)(k / 4096 + 2) + (double)(k / 1024 + 3) + 8 + 8 + 1;
}

/*
 * What stands beside a weight: products with (c + q + 8) x and with -(c + 8) x are added apart,
 * each in four instructions that cut the sum off behind 24 bits, 2^-23 of it: of 1/4, 2/4, 3/4 and
 * all of sum |(c + 15) x|, 5 half units. Both are cut towards 0, so that the errors of one take off
 * from the other's; two sides are added, and the difference is taken: 2 half units more. c is 128
 * with bf16 digits, and with fp16 1024 and 64 for every second column: 559 on average, where
 * columns of 1024 may have more of x than the others; 4 x 1039 is 7.4 x 559.
 */
static const double lost[] = {
    [ORTHO_F32] = 7 * 143, [ORTHO_F16] = 4 * 1039, [ORTHO_BF16] = 7 * 143};

/* Weights rounded to fp16 before they are multiplied (wide.cu) are off by at most 2^-11 of them,
 * twice that where there is an entry. That is more than `lost` allows, but many such errors are
 * added up, which take off from one another: linears of which that isn't so are left to other
 * kernels. */
static void run_cases(bool many, int cases)
{
    ortho_account account = {0};
    ortho_gpu *gpu = NULL;
    const ortho_variant *v = ortho_variant_find("fused", ORTHO_CUDA);
    const ortho_gemm_problem any = {.n = 8, .k = 128, .m = 8, .group = 128, .dtype = ORTHO_F16};
    assert_non_null(v);
    ok(ortho_gpu_open(&account, &gpu));
    random_side side = {.gemm = v->gemm,
                        .services = ortho_gpu_services(gpu, omp_get_max_threads()),
                        .take = take,
                        .drop = drop,
                        .copy = copy,
                        .roundings = roundings,
                        .most = WEIGHTS,
                        .many = many,
                        .no_chains = !has_all_ways()};
    memcpy(side.lost, lost, sizeof lost);
    if (v->gemm->supports(&any, &side.services) == ORTHO_E_UNSUPPORTED) {
        print_message("skipped: %s\n", ortho_last_message());
        ortho_gpu_close(gpu);
        skip();
    }
    random_cases_run(&side, cases);
    for (int p = 0; p < ORTHO_PURPOSES; p++)
        assert_int_equal(ortho_account_current(&account, (ortho_purpose)p), 0);
    ortho_gpu_close(gpu);
}

/* ORTHO_CASES: so many instead, for whoever runs this under a tool that takes its time. */
static int cases_wanted(int usual)
{
    const char *text = getenv("ORTHO_CASES");
    return text != NULL && atoi(text) > 0 ? atoi(text) : usual;
}

static void random_shapes_are_right(void **state)
{
    (void)state;
    run_cases(false, cases_wanted(CASES));
}

static void many_tokens_are_right(void **state)
{
    (void)state;
    run_cases(true, cases_wanted(MANY_CASES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_shapes_are_right),
                                       cmocka_unit_test(many_tokens_are_right)};
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, NULL, NULL);
}
