/*
 * A layer whose batch classes are served by different variants. The library's table has no such
 * case today, so this test puts its own choice in the place of lib/choice.c (the linker takes ours
 * and leaves the archive's).
 */
#include "lib/choice.h"

#include "common/error.h"
#include "testing.h"
#include "variants/table.h"

enum { N = 40, K = 96, MOST = 4, M = 9 };

static bool second_refused;

int64_t ortho_batch_class_tokens(int batch_class)
{
    return batch_class == 0 ? MOST : INT64_MAX;
}

ortho_status ortho_choose(const ortho_gemm_problem *problem, ortho_backend backend, int batch_class,
                          const ortho_services *services, const ortho_variant **out)
{
    (void)problem, (void)backend, (void)services;
    if (batch_class == 1 && second_refused)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "refused for the test");
    *out = ortho_variant_find(batch_class == 0 ? "csr" : "block-csr", ORTHO_CPU);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_serve),
        cmocka_unit_test(test_second_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
