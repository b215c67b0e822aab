/*
 * What a layer computes, seen through the public API alone: the product with an identity matrix
 * shows the weights that it serves, and everything else must agree with those.
 */
#include "testing.h"

#include <pthread.h>

/* The served weights W' [n, k]: y = I * W'^T, so column j of y is row j of W'. */
static float *served_weights(const ortho_layer *layer, int64_t n, int64_t k)
{
    float *identity = calloc((size_t)(k * k), sizeof *identity);
    float *y = malloc((size_t)(k * n) * sizeof *y), *w = malloc((size_t)(n * k) * sizeof *w);
    assert_true(identity != NULL && y != NULL && w != NULL);
    for (int64_t i = 0; i < k; i++)
        identity[i * k + i] = 1.0f;
    assert_int_equal(ortho_layer_forward(layer, identity, k, ORTHO_F32, y, NULL), ORTHO_OK);
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < k; c++)
            w[r * k + c] = y[c * n + r];
    free(y);
    free(identity);
    return w;
}

/* At most 1e-5 of the sum of magnitudes away from the product in double. */
static void assert_product(const float *x, const float *w, const float *y, int64_t m, int64_t n,
                           int64_t k)
{
    for (int64_t t = 0; t < m; t++)
        for (int64_t r = 0; r < n; r++) {
            double sum = 0.0, size = 1e-12;
            for (int64_t c = 0; c < k; c++) {
                double product = (double)x[t * k + c] * (double)w[r * k + c];
                sum += product;
                size += fabs(product);
            }
            if (!(fabs(sum - (double)y[t * n + r]) <= 1e-5 * size))
                fail_msg("token %d row %d: %.9g, wanted %.9g", (int)t, (int)r, (double)y[t * n + r],
                         sum);
        }
}

typedef struct shape {
    int64_t n, k, m;
    double density;
    ortho_rule rule;
    int group;
} shape;

static const shape shapes[] = {
    {1, 1, 1, 1.0, ORTHO_RULE_RESIDUAL, 32},     {1, 1, 1, 0.0, ORTHO_RULE_OUTLIER, 0},
    {5, 33, 2, 0.1, ORTHO_RULE_OUTLIER, 32},     {64, 129, 17, 0.03, ORTHO_RULE_OUTLIER, 64},
    {37, 256, 9, 0.0, ORTHO_RULE_RESIDUAL, 128}, {40, 131, 8, 1.0, ORTHO_RULE_LEGACY, 0},
    {16, 96, 1100, 0.05, ORTHO_RULE_OUTLIER, 0},
};

static void check_shape(const shape *s)
{
    float *w = random_floats(s->n * s->k, 7), *x = random_floats(s->m * s->k, 8);
    float *y = malloc((size_t)(s->m * s->n) * sizeof *y);
    assert_non_null(y);
    ortho_layer *layer = sieved(w, s->n, s->k, options_of(s->density, s->rule, s->group));
    const float alphas[] = {1.0f, 0.0f, -0.5f};
    for (size_t i = 0; i < COUNT(alphas); i++) {
        assert_int_equal(ortho_layer_set_alpha(layer, alphas[i]), ORTHO_OK);
        float *served = served_weights(layer, s->n, s->k);
        for (int64_t j = 0; j < s->m * s->n; j++)
            y[j] = NAN;
        assert_int_equal(ortho_layer_forward(layer, x, s->m, ORTHO_F32, y, NULL), ORTHO_OK);
        assert_product(x, served, y, s->m, s->n, s->k);
        free(served);
    }
    ortho_layer_free(layer);
    free(y);
    free(x);
    free(w);
}

static void test_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++)
        check_shape(&shapes[i]);
}

/* Where alpha matters there is an entry, and there the served weight is W to fp16; elsewhere Base
 * stands within the width of its grid. */
static void test_the_split_is_of_these_weights(void **state)
{
    (void)state;
    enum { n = 48, k = 160 };
    float *w = random_floats(n * k, 3);
    ortho_layer *layer = sieved(w, n, k, options_of(0.05, ORTHO_RULE_RESIDUAL, 32));
    ortho_layer_info info = {.size = sizeof info};
    assert_int_equal(ortho_layer_inspect(layer, &info), ORTHO_OK);
    assert_int_equal(info.nnz, (int64_t)(0.05 * n * k));
    float *dual = served_weights(layer, n, k);
    assert_int_equal(ortho_layer_set_alpha(layer, 0.0f), ORTHO_OK);
    float *base = served_weights(layer, n, k);
    int64_t entries = 0;
    for (int i = 0; i < n * k; i++) {
        entries += dual[i] != base[i];
        if (dual[i] != base[i])
            assert_true(fabsf(dual[i] - w[i]) < 1e-4f);
        assert_true(fabsf(base[i] - w[i]) <= 0.5f * (0.5f / 7.0f) * 1.01f);
    }
    assert_true(entries <= info.nnz && entries > info.nnz * 9 / 10); /* a residual may be 0 */
    free(base);
    free(dual);
    ortho_layer_free(layer);
    free(w);
}

static void test_strided_and_half_weights(void **state)
{
    (void)state;
    enum { n = 9, k = 40, stride = 53 };
    unsigned seed = 5;
    uint16_t bf16[n * stride];
    float wide[n * k];
    for (int i = 0; i < n * stride; i++)
        bf16[i] = 0x7fc0; /* NaN between the rows */
    for (int r = 0; r < n; r++)
        for (int c = 0; c < k; c++) {
            float v = random_float(&seed);
            uint32_t bits;
            memcpy(&bits, &v, sizeof bits);
            bits &= 0xffff0000u;
            memcpy(&wide[r * k + c], &bits, sizeof bits);
            bf16[r * stride + c] = (uint16_t)(bits >> 16);
        }
    ortho_matrix half = {.rows = n, .cols = k, .stride = stride, .dtype = ORTHO_BF16, .data = bf16};
    ortho_sieve_options options = options_of(0.1, ORTHO_RULE_OUTLIER, 32);
    ortho_layer *a = NULL, *b = sieved(wide, n, k, options);
    assert_int_equal(ortho_layer_sieve(&half, NULL, &options, &a), ORTHO_OK);
    float *wa = served_weights(a, n, k), *wb = served_weights(b, n, k);
    assert_memory_equal(wa, wb, sizeof wide);
    free(wb);
    free(wa);
    ortho_layer_free(b);
    ortho_layer_free(a);
}

/* A half-precision forward is the fp32 one of the same activations, rounded once. */
static void test_half_activations(void **state)
{
    (void)state;
    enum { n = 21, k = 64, m = 600 };
    float *w = random_floats(n * k, 11);
    float *x = malloc(sizeof(float) * m * k), *y = malloc(sizeof(float) * m * n);
    uint16_t *x16 = malloc(2 * m * k), *y16 = malloc(2 * m * n);
    assert_true(x != NULL && y != NULL && x16 != NULL && y16 != NULL);
    unsigned seed = 12;
    for (int i = 0; i < m * k; i++) { /* a few bits: exact in bf16 */
        x[i] = floorf(random_float(&seed) * 64.0f) / 64.0f;
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        x16[i] = (uint16_t)(bits >> 16);
    }
    ortho_layer *layer = sieved(w, n, k, options_of(0.02, ORTHO_RULE_OUTLIER, 32));
    assert_int_equal(ortho_layer_forward(layer, x, m, ORTHO_F32, y, NULL), ORTHO_OK);
    assert_int_equal(ortho_layer_forward(layer, x16, m, ORTHO_BF16, y16, NULL), ORTHO_OK);
    for (int i = 0; i < m * n; i++) {
        uint32_t bits = (uint32_t)y16[i] << 16;
        float got;
        memcpy(&got, &bits, sizeof got);
        assert_true(fabsf(got - y[i]) <= fabsf(y[i]) / 256.0f);
    }
    for (int i = 0; i < m * k; i++)
        x16[i] = 0x3c00; /* 1 in fp16 */
    assert_int_equal(ortho_layer_forward(layer, x16, m, ORTHO_F16, y16, NULL), ORTHO_OK);
    for (int i = n; i < m * n; i++) /* equal tokens, equal results, across pieces too */
        assert_int_equal(y16[i], y16[i - n]);
    ortho_layer_free(layer);
    free(y16);
    free(x16);
    free(y);
    free(x);
    free(w);
}

static void test_no_token(void **state)
{
    (void)state;
    float w[6] = {1, 2, 3, 4, 5, 6}, y = 42.0f;
    ortho_layer *layer = sieved(w, 2, 3, options_of(0.0, ORTHO_RULE_RESIDUAL, 32));
    assert_int_equal(ortho_layer_forward(layer, &w, 0, ORTHO_F32, &y, NULL), ORTHO_OK);
    assert_int_equal(ortho_layer_forward(layer, NULL, 0, ORTHO_F32, NULL, NULL), ORTHO_OK);
    assert_true(y == 42.0f);
    ortho_layer_free(layer);
}

/* One copy of the weights: not much more than 4 bits each, scales, and 4 to 8 bytes an entry. */
static void test_inspect(void **state)
{
    (void)state;
    enum { n = 128, k = 512 };
    float *w = random_floats(n * k, 21);
    ortho_layer *layer = sieved(w, n, k, options_of(0.01, ORTHO_RULE_OUTLIER, 128));
    ortho_layer_info info = {.size = sizeof info};
    assert_int_equal(ortho_layer_set_alpha(layer, 0.25f), ORTHO_OK);
    assert_int_equal(ortho_layer_inspect(layer, &info), ORTHO_OK);
    assert_int_equal(info.n, n);
    assert_int_equal(info.k, k);
    assert_int_equal(info.nnz, n * k / 100);
    assert_int_equal(info.group, 128);
    assert_int_equal(info.rule, ORTHO_RULE_OUTLIER);
    assert_true(info.alpha == 0.25f);
    assert_non_null(info.variant);
    size_t base = n * (k / 2 + 2 * k / 128), entries = (size_t)info.nnz;
    assert_true(info.bytes >= base + 4 * entries);
    assert_true(info.bytes < base + base / 4 + 12 * entries + 8 * n);
    ortho_layer_free(layer);
    layer = sieved(w, n, k, options_of(0.01, ORTHO_RULE_LEGACY, 32));
    assert_int_equal(ortho_layer_inspect(layer, &info), ORTHO_OK);
    assert_int_equal(info.group, k); /* legacy scales a whole row, whatever the group */
    ortho_layer_free(layer);
    free(w);
}

enum { THREADS = 4, ROUNDS = 40, TN = 33, TK = 128, TM = 24 };

typedef struct job {
    const ortho_layer *layer;
    const float *x, *wanted;
    int64_t m;
    int wrong;
} job;

static void *forwards(void *arg)
{
    job *j = arg;
    float y[TM * TN];
    for (int i = 0; i < ROUNDS; i++) {
        int64_t m = 1 + (j->m + i) % TM;
        memset(y, 0xff, sizeof y);
        j->wrong += ortho_layer_forward(j->layer, j->x, m, ORTHO_F32, y, NULL) != ORTHO_OK;
        for (int64_t v = 0; v < m * TN; v++)
            j->wrong += !(fabsf(y[v] - j->wanted[v]) <= 1e-5f * (float)TK);
    }
    return NULL;
}

static void test_threads_share_a_layer(void **state)
{
    (void)state;
    float *w = random_floats(TN * TK, 31), *x = random_floats(TM * TK, 32), wanted[TM * TN];
    ortho_layer *layer = sieved(w, TN, TK, options_of(0.05, ORTHO_RULE_OUTLIER, 64));
    assert_int_equal(ortho_layer_forward(layer, x, TM, ORTHO_F32, wanted, NULL), ORTHO_OK);
    pthread_t thread[THREADS];
    job jobs[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.layer = layer, .x = x, .wanted = wanted, .m = 7 * i};
        assert_int_equal(pthread_create(&thread[i], NULL, forwards, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(jobs[i].wrong, 0);
    }
    ortho_layer_free(layer);
    free(x);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_the_split_is_of_these_weights),
        cmocka_unit_test(test_strided_and_half_weights),
        cmocka_unit_test(test_half_activations),
        cmocka_unit_test(test_no_token),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_threads_share_a_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
