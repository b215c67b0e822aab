/*
 * A layer whose batch classes are served by different variants, and one whose first choice holds
 * too much. This test puts its own choice in the place of lib/choice.c (the linker takes ours and
 * leaves the archive's).
 */
#include "lib/choice.h"

#include "common/error.h"
#include "testing.h"
#include "variants/table.h"

enum { N = 40, K = 96, MOST = 4, M = 9 };

extern const ortho_gemm_hooks ortho_csr_gemm_cpu;

static bool second_refused;

/* csr's weights and a spare buffer. */
static size_t spare_bytes;
static void *spare;
static int prepares, releases;

static ortho_status prepare_wide(void *state, const ortho_gemm_problem *problem,
                                 const ortho_services *services)
{
    prepares++;
    spare = services->alloc(services->ctx, spare_bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    return spare != NULL ? ortho_csr_gemm_cpu.prepare(state, problem, services) : ORTHO_E_MEMORY;
}

static void release_wide(void *state, const ortho_services *services)
{
    releases++;
    services->free(services->ctx, spare);
    ortho_csr_gemm_cpu.release(state, services);
}

static ortho_gemm_hooks wide_hooks;
static const ortho_variant wide = {.name = "wide", .gemm = &wide_hooks};
static bool wide_first, alone;

int64_t ortho_batch_class_tokens(int batch_class)
{
    return batch_class == 0 ? MOST : INT64_MAX;
}

ortho_status ortho_choose(const ortho_choice *choice, const ortho_variant **out)
{
    if (choice->batch_class == 1 && second_refused)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "refused for the test");
    if (wide_first && alone && choice->without != NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "nobody else");
    if (wide_first)
        *out = choice->without == &wide ? ortho_variant_find("csr", ORTHO_CPU) : &wide;
    else
        *out = ortho_variant_find(choice->batch_class == 0 ? "csr" : "block-csr", ORTHO_CPU);
    return ORTHO_OK;
}

static void test_both_serve(void **state)
{
    (void)state;
    float *w = random_floats(N * K, 1), *x = random_floats(M * K, 2);
    float few[MOST * N], many[M * N];
    ortho_layer *layer = sieved(w, N, K, options_of(0.1, ORTHO_RULE_OUTLIER, 32));
    ortho_layer_info info = {.size = sizeof info};
    assert_int_equal(ortho_layer_inspect(layer, &info), ORTHO_OK);
    assert_string_equal(info.variant, "csr");
    assert_true(info.bytes > N * K); /* two copies of half a byte a weight, and more */
    assert_int_equal(ortho_layer_forward(layer, x, MOST, ORTHO_F32, few, NULL), ORTHO_OK);
    assert_int_equal(ortho_layer_forward(layer, x, M, ORTHO_F32, many, NULL), ORTHO_OK);
    for (int i = 0; i < MOST * N; i++)
        assert_true(fabsf(few[i] - many[i]) < 1e-4f);
    ortho_layer_free(layer);
    free(x);
    free(w);
}

static void test_second_refuses(void **state)
{
    (void)state;
    float *w = random_floats(N * K, 1);
    ortho_matrix matrix = matrix_of(w, N, K);
    ortho_layer *layer = NULL;
    second_refused = true;
    assert_int_equal(ortho_layer_sieve(&matrix, NULL, NULL, &layer), ORTHO_E_UNSUPPORTED);
    assert_string_equal(ortho_last_message(), "refused for the test");
    assert_null(layer);
    free(w);
}

/* The name of the variant that serves rows x cols of weights; what it holds in bytes. */
static const char *server_of(int64_t rows, int64_t cols, size_t *bytes)
{
    float *w = random_floats(rows * cols, 1);
    ortho_layer *layer = sieved(w, rows, cols, options_of(0.01, ORTHO_RULE_OUTLIER, 128));
    ortho_layer_info info = {.size = sizeof info};
    assert_int_equal(ortho_layer_inspect(layer, &info), ORTHO_OK);
    *bytes = info.bytes;
    ortho_layer_free(layer);
    free(w);
    assert_int_equal(prepares, releases);
    return info.variant;
}

/* 2048 x 1024 at 1 %: 1,173,424 bytes of an artifact, of which csr holds 1.00. */
static void test_too_much_is_passed_over(void **state)
{
    (void)state;
    size_t bytes;
    second_refused = false;
    wide_first = true;
    wide_hooks = ortho_csr_gemm_cpu;
    wide_hooks.prepare = prepare_wide;
    wide_hooks.release = release_wide;
    spare_bytes = 40000; /* 3.4 % */
    assert_string_equal(server_of(2048, 1024, &bytes), "wide");
    assert_int_equal(prepares, 1);
    spare_bytes = 70000; /* 6.0 % */
    assert_string_equal(server_of(2048, 1024, &bytes), "csr");
    assert_true(bytes < 1173424 * 1.05);
    assert_int_equal(prepares, 2);
    assert_string_equal(server_of(1024, 1024, &bytes), "wide"); /* less than a MiB */
    alone = true;
    assert_string_equal(server_of(2048, 1024, &bytes), "wide");
    alone = wide_first = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_serve),
        cmocka_unit_test(test_second_refuses),
        cmocka_unit_test(test_too_much_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
