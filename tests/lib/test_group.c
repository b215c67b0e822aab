/*
 * Linears that share x, through the public API: a group gives what its layers give alone, and each
 * mistake has a message that names the layer and leaves every y as it was. And who serves a layer:
 * the variant that was asked for, or words about those that could.
 */
#include "testing.h"

enum { K = 72, LAYERS = ORTHO_GROUP_MAX, WIDEST = 96, MOST_M = 700 };

static ortho_layer *layers[LAYERS];

static int64_t n_of(int i)
{
    return 1 + (i * 37) % WIDEST;
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < LAYERS; i++) {
        float *w = random_floats(n_of(i) * K, (unsigned)i + 1);
        layers[i] = sieved(w, n_of(i), K, options_of(0.01 * (i + 1), ORTHO_RULE_OUTLIER, 32));
        must(ortho_layer_set_alpha(layers[i], (float)(i % 3) - 0.5f));
        free(w);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < LAYERS; i++)
        ortho_layer_free(layers[i]);
    return 0;
}

static void must_allocate(const void *p)
{
    assert_non_null(p);
}

/* ---- results --------------------------------------------------------------------------------- */

/* [m, K] activations of a dtype, exact in each of them. */
static void *activations(ortho_dtype dtype, int64_t m)
{
    unsigned seed = 5;
    float *wide = malloc((size_t)(m * K) * sizeof *wide);
    uint16_t *half = malloc((size_t)(m * K) * sizeof *half);
    must_allocate(wide), must_allocate(half);
    for (int64_t i = 0; i < m * K; i++) {
        uint32_t bits;
        wide[i] = (float)(1 + (i + seed) % 2) * (random_float(&seed) < 0.0f ? -0.5f : 0.5f);
        memcpy(&bits, &wide[i], sizeof bits);
        half[i] = (uint16_t)(bits >> 16);
        if (dtype == ORTHO_F16) /* +-0.5 and +-1 */
            half[i] = (uint16_t)((bits >> 31 << 15) | (fabsf(wide[i]) < 0.75f ? 0x3800 : 0x3c00));
    }
    free(dtype == ORTHO_F32 ? (void *)half : (void *)wide);
    return dtype == ORTHO_F32 ? (void *)wide : (void *)half;
}

static void check_group(int count, int64_t m, ortho_dtype dtype)
{
    const size_t element = dtype == ORTHO_F32 ? 4 : 2;
    void *x = activations(dtype, m), *y[LAYERS], *alone = malloc((size_t)(m * WIDEST) * element);
    must_allocate(alone);
    for (int i = 0; i < count; i++) {
        y[i] = malloc((size_t)(m * n_of(i)) * element + 1);
        must_allocate(y[i]);
        memset(y[i], 0xff, (size_t)(m * n_of(i)) * element + 1);
    }
    must(ortho_group_forward((const ortho_layer *const *)layers, count, x, m, dtype, y, NULL));
    for (int i = 0; i < count; i++) {
        const size_t bytes = (size_t)(m * n_of(i)) * element;
        must(ortho_layer_forward(layers[i], x, m, dtype, alone, NULL));
        assert_memory_equal(y[i], alone, bytes);
        assert_int_equal(((unsigned char *)y[i])[bytes], 0xff);
        free(y[i]);
    }
    free(alone);
    free(x);
}

static void test_a_group_is_its_layers(void **state)
{
    (void)state;
    const int64_t tokens[] = {1, 3, 65, MOST_M};
    for (size_t t = 0; t < COUNT(tokens); t++)
        for (int dtype = ORTHO_F32; dtype <= ORTHO_BF16; dtype++)
            for (int count = 1; count <= LAYERS; count += tokens[t] < 65 ? 1 : 7)
                check_group(count, tokens[t], (ortho_dtype)dtype);
}

/* Outputs that touch don't overlap. */
static void test_a_layer_often(void **state)
{
    (void)state;
    const ortho_layer *same[] = {layers[3], layers[3], layers[3]};
    const size_t n = (size_t)n_of(3);
    float *x = activations(ORTHO_F32, 1), out[3 * WIDEST];
    void *y[] = {out + n, out, out + 2 * n};
    for (size_t i = 0; i < 3 * n; i++)
        out[i] = (float)(i / n);
    must(ortho_group_forward(same, 3, x, 1, ORTHO_F32, y, NULL));
    assert_memory_equal(out, out + n, 2 * n * sizeof *out);
    free(x);
}

static void test_no_token(void **state)
{
    (void)state;
    must(
        ortho_group_forward((const ortho_layer *const *)layers, 3, NULL, 0, ORTHO_F32, NULL, NULL));
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void test_arguments(void **state)
{
    (void)state;
    float *w = random_floats(4 * (K + 1), 9), room[3 * WIDEST + K], before[COUNT(room)];
    ortho_layer *other = sieved(w, 4, K + 1, options_of(0.1, ORTHO_RULE_OUTLIER, 32));
    const ortho_layer *good[] = {layers[0], layers[1], layers[2]};
    const ortho_layer *odd[] = {layers[0], other}, *gap[] = {layers[0], layers[1], NULL};
    const ortho_layer *none[] = {NULL, layers[1]};
    float *x = room + 3 * WIDEST;
    void *apart[] = {room, room + WIDEST, room + 2 * WIDEST};
    void *closer[] = {room + 2 * WIDEST, room, room + n_of(1) - 1};
    void *on_x[] = {room, x + K - 1, room + 2 * WIDEST}, *holes[] = {room, NULL, room};
    const struct {
        const ortho_layer *const *layers;
        int32_t count;
        const void *x;
        int64_t m;
        ortho_dtype dtype;
        void *const *y;
        void *stream;
        ortho_status wanted;
        const char *part;
    } calls[] = {
        {NULL, 3, x, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "layers is NULL"},
        {good, 0, x, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "count is 0; it must be 1 to 8"},
        {good, -1, x, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "count is -1"},
        {good, 9, x, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "count is 9"},
        {gap, 3, x, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "layer 2: the layer is NULL"},
        {none, 2, x, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "layer 0: the layer is NULL"},
        {odd, 2, x, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "layer 1 has k = 73 and"},
        {good, 3, x, -1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "m is -1"},
        {good, 3, x, INT64_MAX / 2, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "layer 0: m is "},
        {good, 3, x, 1, ORTHO_F64, apart, NULL, ORTHO_E_UNSUPPORTED, "F64"},
        {good, 3, x, 1, ORTHO_F32, apart, x, ORTHO_E_UNSUPPORTED, "stream"},
        {good, 3, NULL, 1, ORTHO_F32, apart, NULL, ORTHO_E_ARGUMENT, "x is NULL"},
        {good, 3, x, 1, ORTHO_F32, NULL, NULL, ORTHO_E_ARGUMENT, "y is NULL"},
        {good, 3, x, 1, ORTHO_F32, holes, NULL, ORTHO_E_ARGUMENT, "y[1] is NULL"},
        {good, 3, x, 1, ORTHO_F32, on_x, NULL, ORTHO_E_ARGUMENT, "layer 1: x and y overlap"},
        {good, 3, x, 1, ORTHO_F32, closer, NULL, ORTHO_E_ARGUMENT, "y[1] and y[2] overlap"},
    };
    memset(room, 0x5a, sizeof room);
    memcpy(before, room, sizeof room);
    for (size_t i = 0; i < COUNT(calls); i++) {
        refused(ortho_group_forward(calls[i].layers, calls[i].count, calls[i].x, calls[i].m,
                                    calls[i].dtype, calls[i].y, calls[i].stream),
                calls[i].wanted, calls[i].part);
        assert_memory_equal(room, before, sizeof room);
    }
    ortho_layer_free(other);
    free(w);
}

/* ---- a variant by name ----------------------------------------------------------------------- */

static void served_by(ortho_layer *layer, const char *name)
{
    ortho_layer_info info = {.size = sizeof info};
    must(ortho_layer_inspect(layer, &info));
    assert_string_equal(info.variant, name);
}

static void test_a_variant_by_name(void **state)
{
    (void)state;
    const char *const names[] = {"csr", "block-csr", "warp-per-row"};
    float *w = random_floats(40 * K, 4), *x = activations(ORTHO_F32, MOST_M);
    float *y = malloc(sizeof *y * 40 * MOST_M), *wanted = malloc(sizeof *y * 40 * MOST_M);
    must_allocate(y), must_allocate(wanted);
    ortho_sieve_options o = options_of(0.05, ORTHO_RULE_OUTLIER, 32);
    ortho_layer *chosen = sieved(w, 40, K, o);
    ortho_split s = exported(chosen);
    must(ortho_layer_forward(chosen, x, MOST_M, ORTHO_F32, wanted, NULL));
    for (size_t i = 0; i < COUNT(names); i++) {
        ortho_layer_options served = on_cpu;
        ortho_layer *copy = NULL;
        o.variant = served.variant = names[i];
        ortho_layer *layer = sieved(w, 40, K, o);
        must(ortho_layer_from_split(&s, &served, &copy));
        served_by(layer, names[i]);
        served_by(copy, names[i]);
        ortho_split back = exported(layer);
        assert_same_split(&s, &back);
        must(ortho_layer_forward(layer, x, MOST_M, ORTHO_F32, y, NULL));
        for (int j = 0; j < 40 * MOST_M; j++)
            assert_true(fabsf(y[j] - wanted[j]) < 1e-4f);
        split_free(&back);
        ortho_layer_free(copy);
        ortho_layer_free(layer);
    }
    split_free(&s);
    ortho_layer_free(chosen);
    free(wanted);
    free(y);
    free(x);
    free(w);
}

static void test_names_that_serve_nobody(void **state)
{
    (void)state;
    const struct {
        const char *name, *part;
    } bad[] = {
        {"", "none of that name"},
        {"warp_per_row", "none of that name; these serve it: "},
        {"no-such", "\"no-such\" for a layer of 2 x 72 on the CPU"},
        {"reference", "isn't one that serves layers; these serve it: "},
        {"memcpy", "isn't one that serves layers"},
    };
    float w[2 * K] = {1, 2, 3};
    const ortho_matrix matrix = matrix_of(w, 2, K);
    ortho_sieve_options o = options_of(0.1, ORTHO_RULE_OUTLIER, 32);
    ortho_layer *layer = NULL;
    for (size_t i = 0; i < COUNT(bad); i++) {
        o.variant = bad[i].name;
        refused(ortho_layer_sieve(&matrix, NULL, &o, &layer), ORTHO_E_UNSUPPORTED, bad[i].part);
        assert_non_null(strstr(ortho_last_message(), "csr"));
        assert_null(layer);
    }
    ortho_checkpoint_options c = {.size = sizeof c, .sieve = &o};
    o.variant = "csr";
    refused(ortho_checkpoint_sieve("synthetic", "never-made", &c, NULL), ORTHO_E_ARGUMENT,
            "variant is \"csr\"");
}

/* A caller compiled before the field was there: what lies behind its struct isn't read. */
static void test_older_callers(void **state)
{
    (void)state;
    float w[2 * K] = {1, 2, 3};
    const char *const wild = (const char *)(uintptr_t)0x40;
    ortho_sieve_options o = options_of(0.1, ORTHO_RULE_OUTLIER, 32);
    ortho_layer_options served = on_cpu;
    o.size = offsetof(ortho_sieve_options, variant), o.variant = wild;
    served.size = offsetof(ortho_layer_options, variant), served.variant = wild;
    ortho_layer *layer = sieved(w, 2, K, o), *copy = NULL;
    ortho_split s = exported(layer);
    must(ortho_layer_from_split(&s, &served, &copy));
    split_free(&s);
    ortho_layer_free(copy);
    ortho_layer_free(layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_is_its_layers),
        cmocka_unit_test(test_a_layer_often),
        cmocka_unit_test(test_no_token),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_a_variant_by_name),
        cmocka_unit_test(test_names_that_serve_nobody),
        cmocka_unit_test(test_older_callers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
