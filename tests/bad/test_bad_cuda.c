/*
 * The same on a GPU: each defect that only CUDA makes possible is caught, for the reason that it
 * was made for, gets no time, and the exit code says so. Without a GPU: skipped (77).
 */
#include "caught.h"
#include "harness/memory.h"

static const bad defects[] = {
    {"cuda_gemm_not", NULL, 1, BEFORE},
    {"cuda_gemm_not", NULL, 40, BEFORE},
    {"cuda_gemm_row", "y[token 0, row 12] is", 1, BEFORE},
    {"cuda_gemm_row", "y[token 0, row 12] is", 40, BEFORE},
    {"cuda_gemm_element", "y[token 4, row 1] is", 8, BEFORE},
    {"cuda_gemm_element", "signed sum of its 2000 tokens", 2000, BEFORE},
    {"cuda_gemm_short", "not written, or wrong", 1, BEFORE},
    {"cuda_gemm_short", "not written, or wrong", 40, BEFORE},
    {"cuda_gemm_half", "off by", 1, BEFORE},
    {"cuda_gemm_bounds", "beyond a buffer", 1, BEFORE},
    {"cuda_gemm_before", "before a buffer", 1, BEFORE},
    {"cuda_gemm_workspace", "beyond a buffer of 16 bytes", 1, BEFORE},
    {"cuda_gemm_weights", "beyond a buffer of 15360 bytes", 1, BEFORE},
    {"cuda_gemm_input", "changed its input x", 1, BEFORE},
    {"cuda_gemm_stale", "not written, or wrong", 1, BEFORE},
    {"cuda_gemm_second", "y[token 0, row 0] is", 1, BEFORE},
    {"cuda_gemm_later", "y[token 0, row 0] is", 1, AFTER},
    {"cuda_gemm_nothing", "not written, or wrong", 1, BEFORE},
    {"cuda_gemm_error", "without a message", 1, BEFORE},
    {"cuda_gemm_sync", "recording launches", 1, TIMED},
    {"cuda_gemm_alloc", "recording launches", 1, TIMED},
    {"cuda_gemm_pool", "allocates or frees device memory", 1, TIMED},
    {"cuda_gemm_host", "", 1, TIMED}, /* refused by CUDA or by us, as its version has it */
    {"cuda_gemm_default", "recording launches", 1, TIMED},
    {"cuda_gemm_own", "", 1, ANYWHERE}, /* a race: it may be seen at once */
    {"cuda_gemm_cheat", "put nothing on the stream", 1, TIMED},
    {"cuda_gemm_launch", "multiply: invalid", 1, BEFORE},
    {"cuda_gemm_unchecked", "not written, or wrong", 1, BEFORE},
    {"cuda_sieve_not", NULL, 1, BEFORE},
    {"cuda_sieve_few", "row", 1, BEFORE},
    {"cuda_sieve_entry", "W - Base is", 1, BEFORE},
    {"cuda_sieve_bounds", "beyond a buffer", 1, BEFORE},
    {"cuda_sieve_input", "changed its input W", 1, BEFORE},
    {"cuda_sieve_later", "row 0", 1, AFTER},
    {"cuda_sieve_nothing", "the weight is", 1, BEFORE},
    {"cuda_sieve_sync", "recording launches", 1, TIMED},
    {"cuda_sieve_alloc", "recording launches", 1, TIMED},
    {"cuda_sieve_default", "recording launches", 1, TIMED},
};

/* With alpha = 0 and a NaN in Ortho. */
static const bad killed[] = {
    {"cuda_gemm_mute", NULL, 1, BEFORE},
    {"cuda_gemm_mute", NULL, 40, BEFORE},
    {"cuda_gemm_leak", "not written, or wrong", 1, BEFORE},
    {"cuda_gemm_leak", "not written, or wrong", 40, BEFORE},
};

/* No kernel runs on a device after this one. */
static const bad fault = {"cuda_gemm_fault", "cudaErrorIllegalAddress", 1, BEFORE};

static void check(const bad *b, double alpha)
{
    char path[512];
    ob_options o;
    json_t *results = NULL;
    bad_options(b, BAD_DIR, path, &o);
    o.backend = OB_BACKEND_CUDA;
    o.dtype = ORTHO_F32;
    o.alpha = alpha;
    int code = ob_session_run(&o, NULL, &results);
    print_message("%s: %d\n", b->file, code);
    if (results == NULL)
        fail_msg("%s: no results: %s", b->file, ortho_last_message());
    expect_caught(b, code, bad_row(results));
    json_decref(results);
}

static void each_defect_is_caught(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++)
        check(&defects[i], 1);
}

static void the_kill_switch_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof killed / sizeof *killed; i++)
        check(&killed[i], 0);
}

static void a_fault_is_told(void **state)
{
    (void)state;
    check(&fault, 1);
}

int main(int argc, char **argv)
{
    char why[256];
    const ob_backend *cuda = ob_backend_find(ORTHO_CUDA);
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return ob_memory_child(argc, argv);
    if (!cuda->available(why)) {
        printf("skipped: %s\n", why);
        return OB_EXIT_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_defect_is_caught), cmocka_unit_test(the_kill_switch_is_checked),
        cmocka_unit_test(a_fault_is_told), /* last */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
