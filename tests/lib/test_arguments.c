/* What a caller can get wrong: each mistake has a status, a message that names it, and leaves every
 * output as it was. */
#include "testing.h"

enum { N = 6, K = 40 };

static float *weights;

static int setup(void **state)
{
    (void)state;
    weights = random_floats(N * K, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(weights);
    return 0;
}

static void assert_message(const char *part)
{
    if (strstr(ortho_last_message(), part) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", ortho_last_message(), part);
}

static void refuse_sieve(const ortho_matrix *w, const float *hessian,
                         const ortho_sieve_options *options, ortho_status wanted, const char *part)
{
    ortho_layer *const untouched = (ortho_layer *)(uintptr_t)0x40;
    ortho_layer *out = untouched;
    assert_int_equal(ortho_layer_sieve(w, hessian, options, &out), wanted);
    assert_message(part);
    assert_ptr_equal(out, untouched);
}

static void test_matrix(void **state)
{
    (void)state;
    const ortho_matrix good = matrix_of(weights, N, K);
    ortho_matrix w = good;
    refuse_sieve(NULL, NULL, NULL, ORTHO_E_ARGUMENT, "w is NULL");
    assert_int_equal(ortho_layer_sieve(&good, NULL, NULL, NULL), ORTHO_E_ARGUMENT);
    assert_message("out is NULL");
    w.data = NULL;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_ARGUMENT, "data is NULL");
    w = good, w.rows = 0;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_ARGUMENT, "0 x 40");
    w = good, w.cols = -3;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_ARGUMENT, "6 x -3");
    w = good, w.stride = K - 1;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_ARGUMENT, "stride is 39");
    w = good, w.rows = INT64_MAX;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_ARGUMENT, "too large");
    w = good, w.stride = INT64_MAX / 2;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_ARGUMENT, "too large");
    w = good, w.dtype = ORTHO_I8;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_UNSUPPORTED, "I8");
    w = good, w.dtype = (ortho_dtype)999;
    refuse_sieve(&w, NULL, NULL, ORTHO_E_UNSUPPORTED, "F32, F16 and BF16");
}

static void test_options(void **state)
{
    (void)state;
    const ortho_matrix w = matrix_of(weights, N, K);
    const ortho_sieve_options good = options_of(0.1, ORTHO_RULE_OUTLIER, 32);
    ortho_sieve_options o = good;
    o.size = 8;
    refuse_sieve(&w, NULL, &o, ORTHO_E_ARGUMENT, "size is 8");
    const double densities[] = {-0.01, 1.01, NAN, INFINITY};
    for (size_t i = 0; i < COUNT(densities); i++) {
        o = good, o.density = densities[i];
        refuse_sieve(&w, NULL, &o, ORTHO_E_ARGUMENT, "density");
    }
    o = good, o.rule = (ortho_rule)3;
    refuse_sieve(&w, NULL, &o, ORTHO_E_ARGUMENT, "rule is 3");
    o = good, o.rule = (ortho_rule)-1;
    refuse_sieve(&w, NULL, &o, ORTHO_E_ARGUMENT, "rule is -1");
    const int groups[] = {-32, 1, 33, 256};
    for (size_t i = 0; i < COUNT(groups); i++) {
        o = good, o.group = groups[i];
        refuse_sieve(&w, NULL, &o, ORTHO_E_ARGUMENT, "group");
    }
    o = good, o.threads = -1;
    refuse_sieve(&w, NULL, &o, ORTHO_E_ARGUMENT, "threads is -1");
}

/* A newer caller's longer struct is taken as long as it asks for nothing new. */
static void test_longer_options(void **state)
{
    (void)state;
    struct {
        ortho_sieve_options known;
        int32_t later[2];
    } o = {.known = options_of(0.1, ORTHO_RULE_OUTLIER, 32)};
    const ortho_matrix w = matrix_of(weights, N, K);
    ortho_layer *layer = NULL;
    o.known.size = sizeof o;
    assert_int_equal(ortho_layer_sieve(&w, NULL, &o.known, &layer), ORTHO_OK);
    ortho_layer_free(layer);
    o.later[1] = 1;
    refuse_sieve(&w, NULL, &o.known, ORTHO_E_UNSUPPORTED, "doesn't know");
}

static void test_hessian(void **state)
{
    (void)state;
    const ortho_matrix w = matrix_of(weights, N, K);
    float hessian[K];
    for (int i = 0; i < K; i++)
        hessian[i] = 1.0f;
    hessian[17] = -1.0f;
    refuse_sieve(&w, hessian, NULL, ORTHO_E_ARGUMENT, "hessian[17]");
    hessian[17] = NAN;
    refuse_sieve(&w, hessian, NULL, ORTHO_E_NONFINITE, "hessian[17]");
    hessian[17] = INFINITY;
    refuse_sieve(&w, hessian, NULL, ORTHO_E_NONFINITE, "hessian[17]");
}

static void test_weights_that_are_not_finite(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    const ortho_rule rules[] = {ORTHO_RULE_OUTLIER, ORTHO_RULE_RESIDUAL, ORTHO_RULE_LEGACY};
    for (size_t i = 0; i < COUNT(bad); i++)
        for (size_t r = 0; r < COUNT(rules); r++) {
            float w[N * K];
            memcpy(w, weights, sizeof w);
            w[4 * K + 33] = bad[i];
            ortho_matrix matrix = matrix_of(w, N, K);
            ortho_sieve_options o = options_of(0.1, rules[r], 32);
            refuse_sieve(&matrix, NULL, &o, ORTHO_E_NONFINITE, "row 4");
            assert_message("column 33");
        }
}

static void test_forward(void **state)
{
    (void)state;
    ortho_layer *layer = sieved(weights, N, K, options_of(0.1, ORTHO_RULE_OUTLIER, 32));
    float x[2 * K] = {0}, y[2 * N + 2 * K], before[COUNT(y)];
    memset(y, 0x5a, sizeof y);
    memcpy(before, y, sizeof y);
    const struct {
        const ortho_layer *layer;
        const void *x;
        int64_t m;
        ortho_dtype dtype;
        void *y, *stream;
        ortho_status wanted;
        const char *part;
    } calls[] = {
        {NULL, x, 1, ORTHO_F32, y, NULL, ORTHO_E_ARGUMENT, "layer is NULL"},
        {layer, NULL, 1, ORTHO_F32, y, NULL, ORTHO_E_ARGUMENT, "x is NULL"},
        {layer, x, 1, ORTHO_F32, NULL, NULL, ORTHO_E_ARGUMENT, "y is NULL"},
        {layer, x, -1, ORTHO_F32, y, NULL, ORTHO_E_ARGUMENT, "m is -1"},
        {layer, x, INT64_MAX / 2, ORTHO_F32, y, NULL, ORTHO_E_ARGUMENT, "memory"},
        {layer, x, 1, ORTHO_F64, y, NULL, ORTHO_E_UNSUPPORTED, "F64"},
        {layer, x, 1, (ortho_dtype)-7, y, NULL, ORTHO_E_UNSUPPORTED, "F32, F16 and BF16"},
        {layer, x, 1, ORTHO_F32, y, x, ORTHO_E_UNSUPPORTED, "stream"},
        {layer, y + N - 1, 1, ORTHO_F32, y, NULL, ORTHO_E_ARGUMENT, "overlap"},
        {layer, y, 1, ORTHO_F32, y + K - 1, NULL, ORTHO_E_ARGUMENT, "overlap"},
    };
    for (size_t i = 0; i < COUNT(calls); i++) {
        assert_int_equal(ortho_layer_forward(calls[i].layer, calls[i].x, calls[i].m, calls[i].dtype,
                                             calls[i].y, calls[i].stream),
                         calls[i].wanted);
        assert_message(calls[i].part);
        assert_memory_equal(y, before, sizeof y);
    }
    ortho_layer_free(layer);
}

static void test_alpha(void **state)
{
    (void)state;
    ortho_layer *layer = sieved(weights, N, K, options_of(0.1, ORTHO_RULE_OUTLIER, 32));
    ortho_layer_info info = {.size = sizeof info};
    assert_int_equal(ortho_layer_set_alpha(layer, 0.75f), ORTHO_OK);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(ortho_layer_set_alpha(layer, bad[i]), ORTHO_E_ARGUMENT);
        assert_message("alpha");
    }
    assert_int_equal(ortho_layer_set_alpha(NULL, 1.0f), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_layer_inspect(layer, &info), ORTHO_OK);
    assert_true(info.alpha == 0.75f);
    ortho_layer_free(layer);
}

static void test_inspect(void **state)
{
    (void)state;
    ortho_layer *layer = sieved(weights, N, K, options_of(0.1, ORTHO_RULE_OUTLIER, 32));
    ortho_layer_info info = {.size = 3, .n = -5};
    assert_int_equal(ortho_layer_inspect(layer, &info), ORTHO_E_ARGUMENT);
    assert_message("size is 3");
    assert_int_equal(info.n, -5);
    assert_int_equal(ortho_layer_inspect(layer, NULL), ORTHO_E_ARGUMENT);
    assert_int_equal(ortho_layer_inspect(NULL, &info), ORTHO_E_ARGUMENT);
    ortho_layer_free(layer);
    ortho_layer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_longer_options),
        cmocka_unit_test(test_hessian),
        cmocka_unit_test(test_weights_that_are_not_finite),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_alpha),
        cmocka_unit_test(test_inspect),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
