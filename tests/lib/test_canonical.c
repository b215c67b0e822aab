/* Layers from a canonical split and back: exact, whatever variant packed them; and what is refused.
 */
#include "testing.h"

typedef struct shape {
    int64_t n, k;
    double density;
    ortho_rule rule;
    int group;
} shape;

static const shape shapes[] = {
    {1, 1, 1.0, ORTHO_RULE_RESIDUAL, 32},   {5, 33, 0.1, ORTHO_RULE_OUTLIER, 32},
    {64, 129, 0.03, ORTHO_RULE_LEGACY, 64}, {37, 256, 0.0, ORTHO_RULE_RESIDUAL, 128},
    {16, 97, 0.2, ORTHO_RULE_OUTLIER, 0},   {2, 66001, 0.001, ORTHO_RULE_OUTLIER, 128},
};

static void test_what_goes_in_comes_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const shape *s = &shapes[i];
        float *w = random_floats(s->n * s->k, 5);
        ortho_layer *first = sieved(w, s->n, s->k, options_of(s->density, s->rule, s->group));
        ortho_layer *second = NULL;
        ortho_split a = exported(first);
        assert_int_equal(a.nnz, (int64_t)(s->density * (double)(s->n * s->k)));
        must(ortho_layer_from_split(&a, &on_cpu, &second));
        ortho_split b = exported(second);
        assert_same_split(&a, &b);
        float *x = random_floats(3 * s->k, 6);
        float y1[3 * 64], y2[3 * 64];
        must(ortho_layer_forward(first, x, 3, ORTHO_F32, y1, NULL));
        must(ortho_layer_forward(second, x, 3, ORTHO_F32, y2, NULL));
        assert_memory_equal(y1, y2, (size_t)(3 * s->n) * sizeof(float));
        free(x);
        split_free(&b);
        split_free(&a);
        ortho_layer_free(second);
        ortho_layer_free(first);
        free(w);
    }
}

static void refuse(const ortho_split *s, ortho_status wanted, const char *part)
{
    ortho_layer *const untouched = (ortho_layer *)(uintptr_t)0x40;
    ortho_layer *out = untouched;
    refused(ortho_layer_from_split(s, &on_cpu, &out), wanted, part);
    assert_ptr_equal(out, untouched);
}

static void test_a_split_that_is_none(void **state)
{
    (void)state;
    float *w = random_floats(6 * 41, 7);
    ortho_layer *layer = sieved(w, 6, 41, options_of(0.2, ORTHO_RULE_OUTLIER, 32));
    ortho_split good = exported(layer), s = good;
    uint16_t *col = good.col;
    refuse(NULL, ORTHO_E_ARGUMENT, "split is NULL");
    refused(ortho_layer_from_split(&good, NULL, NULL), ORTHO_E_ARGUMENT, "out is NULL");
    s.val = NULL;
    refuse(&s, ORTHO_E_ARGUMENT, "split.val is NULL");
    s = good, s.q = NULL;
    refuse(&s, ORTHO_E_ARGUMENT, "split.q is NULL");
    s = good, s.n = 0;
    refuse(&s, ORTHO_E_FORMAT, "0 x 41");
    s = good, s.k = (int64_t)1 << 40;
    refuse(&s, ORTHO_E_FORMAT, "no split");
    good.row_ptr[3] = (int32_t)good.nnz + 1;
    refuse(&good, ORTHO_E_FORMAT, "row_ptr falls");
    must(ortho_layer_export(layer, &good));
    col[good.row_ptr[2]] = 41;
    refuse(&good, ORTHO_E_FORMAT, "row 2: column 41");
    must(ortho_layer_export(layer, &good));
    good.val[0] = 0x7c00;
    refuse(&good, ORTHO_E_FORMAT, "isn't finite");
    split_free(&good);
    ortho_layer_free(layer);
    free(w);
}

static void test_options(void **state)
{
    (void)state;
    float w[4] = {1, 2, 3, 4};
    ortho_layer *layer = sieved(w, 2, 2, options_of(0.5, ORTHO_RULE_RESIDUAL, 0)), *out = NULL;
    ortho_split s = exported(layer);
    struct {
        ortho_layer_options known;
        int64_t later;
    } o = {.known = on_cpu};
    o.known.size = 8;
    refused(ortho_layer_from_split(&s, &o.known, &out), ORTHO_E_ARGUMENT, "size is 8");
    o.known.size = sizeof o;
    must(ortho_layer_from_split(&s, &o.known, &out));
    ortho_layer_free(out);
    o.later = 1;
    refused(ortho_layer_from_split(&s, &o.known, &out), ORTHO_E_UNSUPPORTED, "doesn't know");
    o.later = 0, o.known.threads = -2;
    refused(ortho_layer_from_split(&s, &o.known, &out), ORTHO_E_ARGUMENT, "threads is -2");
    o.known.threads = 0, o.known.device = 3;
    refused(ortho_layer_from_split(&s, &o.known, &out), ORTHO_E_ARGUMENT, "device is 3");
    o.known.device = ORTHO_DEVICE_CUDA; /* there is one, or a reason why not */
    out = NULL;
    if (ortho_layer_from_split(&s, &o.known, &out) != ORTHO_OK) {
        refused(ortho_layer_from_split(&s, &o.known, &out), ORTHO_E_UNSUPPORTED, "on the GPU: ");
        assert_null(out);
    }
    ortho_layer_free(out);
    split_free(&s);
    ortho_layer_free(layer);
}

static void test_export_wants_the_layers_sizes(void **state)
{
    (void)state;
    float w[12] = {1, 2, 3};
    ortho_layer *layer = sieved(w, 3, 4, options_of(0.5, ORTHO_RULE_RESIDUAL, 0));
    ortho_split good = exported(layer), s = good;
    refused(ortho_layer_export(NULL, &s), ORTHO_E_ARGUMENT, "layer is NULL");
    refused(ortho_layer_export(layer, NULL), ORTHO_E_ARGUMENT, "out is NULL");
    s.nnz++;
    refused(ortho_layer_export(layer, &s), ORTHO_E_ARGUMENT, "7 entries");
    s = good, s.group = 2;
    refused(ortho_layer_export(layer, &s), ORTHO_E_ARGUMENT, "group 2");
    s = good, s.row_ptr = NULL;
    refused(ortho_layer_export(layer, &s), ORTHO_E_ARGUMENT, "split.row_ptr is NULL");
    split_free(&good);
    ortho_layer_free(layer);
}

/* A caller compiled before a field was added: what it has is served, what it lacks is 0. */
static void test_older_structs(void **state)
{
    (void)state;
    float w[64];
    for (int i = 0; i < 64; i++)
        w[i] = (float)(i % 7) - 3.0f;
    const ortho_matrix matrix = matrix_of(w, 2, 32);
    ortho_sieve_options o = options_of(0.5, ORTHO_RULE_RESIDUAL, 32);
    ortho_layer_info info = {.size = offsetof(ortho_layer_info, device), .device = 77};
    ortho_layer *layer = NULL;
    o.size = offsetof(ortho_sieve_options, device);
    o.device = 99; /* behind what it says it has */
    must(ortho_layer_sieve(&matrix, NULL, &o, &layer));
    must(ortho_layer_inspect(layer, &info));
    assert_int_equal(info.n, 2);
    assert_int_equal(info.device, 77);
    assert_int_equal(info.size, offsetof(ortho_layer_info, device));
    struct {
        ortho_layer_info known;
        int64_t later;
    } more = {.known.size = sizeof more, .later = 5};
    must(ortho_layer_inspect(layer, &more.known));
    assert_int_equal(more.known.device, ORTHO_DEVICE_CPU);
    assert_int_equal(more.known.size, sizeof more);
    assert_int_equal(more.later, 0);
    ortho_layer_free(layer);
}

static void test_version(void **state)
{
    (void)state;
    must(ortho_check_version(ORTHO_VERSION));
    refused(ortho_check_version(ORTHO_VERSION + 1), ORTHO_E_UNSUPPORTED, "newer");
    refused(ortho_check_version(ORTHO_VERSION + 100), ORTHO_E_UNSUPPORTED, "0.2.0");
    refused(ortho_check_version(ORTHO_VERSION - 100), ORTHO_E_UNSUPPORTED, "compile again");
    refused(ortho_check_version(ORTHO_VERSION + 10000), ORTHO_E_UNSUPPORTED, "1.1.0");
    refused(ortho_check_version(-1), ORTHO_E_UNSUPPORTED, "compile again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out),
        cmocka_unit_test(test_a_split_that_is_none),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_export_wants_the_layers_sizes),
        cmocka_unit_test(test_older_structs),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
