/* int8 activations as a user of the library asks for them: who serves, what comes out of a layer, a
 * group and a pass, and who is refused. */
#include "testing.h"

enum { N = 48, K = 300, M = 3 };

typedef struct fixture {
    float *w, *x;
    ortho_split split;
    ortho_layer *exact, *rounded; /* of one split */
} fixture;

static const ortho_layer_options int8_on_cpu = {
    .size = sizeof int8_on_cpu, .device = ORTHO_DEVICE_CPU, .activations = ORTHO_ACTIVATIONS_INT8};

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->w = random_floats(N * K, 1);
    f->x = random_floats(M * K, 2);
    f->exact = sieved(f->w, N, K, options_of(0.02, ORTHO_RULE_OUTLIER, 128));
    f->split = exported(f->exact);
    must(ortho_layer_from_split(&f->split, &int8_on_cpu, &f->rounded));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    ortho_layer_free(f->rounded);
    ortho_layer_free(f->exact);
    split_free(&f->split);
    free(f->x);
    free(f->w);
    free(f);
    return 0;
}

static ortho_layer_info info_of(const ortho_layer *layer)
{
    ortho_layer_info info = {.size = sizeof info};
    must(ortho_layer_inspect(layer, &info));
    return info;
}

static void a_layer_tells_its_mode(void **state)
{
    const fixture *f = *state;
    assert_int_equal(info_of(f->exact).activations, ORTHO_ACTIVATIONS_EXACT);
    assert_int_equal(info_of(f->rounded).activations, ORTHO_ACTIVATIONS_INT8);
    assert_string_equal(info_of(f->rounded).variant, "fused");
    ortho_split back = exported(f->rounded);
    assert_same_split(&f->split, &back); /* weights are the same ones */
    split_free(&back);
}

/* Near the exact one, and not it; the layer that was sieved with the option is the same. */
static void outputs_are_rounded_ones(void **state)
{
    const fixture *f = *state;
    float exact[M * N], rounded[M * N], again[M * N];
    double error = 0, size = 0;
    ortho_sieve_options o = options_of(0.02, ORTHO_RULE_OUTLIER, 128);
    o.activations = ORTHO_ACTIVATIONS_INT8;
    ortho_layer *layer = sieved(f->w, N, K, o);
    must(ortho_layer_forward(f->exact, f->x, M, ORTHO_F32, exact, NULL));
    must(ortho_layer_forward(f->rounded, f->x, M, ORTHO_F32, rounded, NULL));
    must(ortho_layer_forward(layer, f->x, M, ORTHO_F32, again, NULL));
    assert_memory_equal(rounded, again, sizeof again);
    for (int i = 0; i < M * N; i++) {
        error += pow((double)rounded[i] - (double)exact[i], 2);
        size += pow((double)exact[i], 2);
    }
    assert_true(error < 1e-4 * size && error > 1e-7 * size);
    ortho_layer_free(layer);
}

/* As the layers alone, each in its mode. */
static void a_group_and_a_pass_take_them(void **state)
{
    const fixture *f = *state;
    const ortho_layer *layers[] = {f->rounded, f->exact, f->rounded};
    float alone[2][N], y[3][N], all[3 * N];
    void *const into[] = {y[0], y[1], y[2]};
    must(ortho_layer_forward(f->rounded, f->x, 1, ORTHO_F32, alone[0], NULL));
    must(ortho_layer_forward(f->exact, f->x, 1, ORTHO_F32, alone[1], NULL));
    must(ortho_group_forward(layers, 3, f->x, 1, ORTHO_F32, into, NULL));
    for (int i = 0; i < 3; i++)
        assert_memory_equal(y[i], alone[i % 2], sizeof y[i]);
    for (int count = 1; count <= 3; count += 2) { /* one mode alone is one launch */
        const ortho_pass_step steps[] = {
            {f->rounded, -1, 1}, {f->exact, -1, 1}, {f->rounded, -1, 1}};
        ortho_pass *pass = NULL;
        must(ortho_pass_create(steps, count, ORTHO_F32, &pass));
        must(ortho_pass_forward(pass, f->x, all, NULL));
        for (int i = 0; i < count; i++)
            assert_memory_equal(all + i * N, alone[i % 2], sizeof alone[0]);
        ortho_pass_free(pass);
    }
}

static void who_cannot_is_refused_by_name(void **state)
{
    const fixture *f = *state;
    ortho_layer *layer = NULL;
    ortho_layer_options o = int8_on_cpu;
    o.variant = "csr";
    refused(ortho_layer_from_split(&f->split, &o, &layer), ORTHO_E_UNSUPPORTED,
            "csr on the CPU takes no int8 activations, which are had on the CPU only, from: fused; "
            "these serve it: fused");
    o.variant = "fused";
    must(ortho_layer_from_split(&f->split, &o, &layer));
    ortho_layer_free(layer);
    layer = NULL;
    o.variant = NULL;
    o.device = ORTHO_DEVICE_CUDA; /* where there is none, that is the reason */
    refused(ortho_layer_from_split(&f->split, &o, &layer), ORTHO_E_UNSUPPORTED, "on the GPU");
    assert_null(layer);
}

static void what_is_no_mode_is_refused(void **state)
{
    const fixture *f = *state;
    ortho_layer *layer = NULL;
    ortho_layer_options o = int8_on_cpu;
    ortho_sieve_options s = options_of(0.02, ORTHO_RULE_OUTLIER, 128);
    ortho_checkpoint_options c = {.size = sizeof c, .sieve = &s};
    const ortho_matrix w = matrix_of(f->w, N, K);
    o.activations = 2;
    refused(ortho_layer_from_split(&f->split, &o, &layer), ORTHO_E_ARGUMENT, "activations is 2");
    s.activations = -1;
    refused(ortho_layer_sieve(&w, NULL, &s, &layer), ORTHO_E_ARGUMENT, "activations is -1");
    s.activations = ORTHO_ACTIVATIONS_INT8;
    refused(ortho_checkpoint_sieve("synthetic", "never-made", &c, NULL), ORTHO_E_ARGUMENT,
            "activations are set, but a checkpoint's sieve serves no layer");
    o.activations = 0;
    o.unused = 1; /* a later version's */
    refused(ortho_layer_from_split(&f->split, &o, &layer), ORTHO_E_UNSUPPORTED, "doesn't know");
    s.activations = 0;
    s.unused = 1;
    refused(ortho_layer_sieve(&w, NULL, &s, &layer), ORTHO_E_UNSUPPORTED, "doesn't know");
    assert_null(layer);
}

/* A caller compiled before the field was there: what lies behind its struct isn't read. */
static void an_older_caller_gets_exact_ones(void **state)
{
    const fixture *f = *state;
    ortho_layer *layer = NULL;
    ortho_layer_options o = int8_on_cpu;
    o.size = offsetof(ortho_layer_options, activations);
    must(ortho_layer_from_split(&f->split, &o, &layer));
    assert_int_equal(info_of(layer).activations, ORTHO_ACTIVATIONS_EXACT);
    ortho_layer_free(layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_tells_its_mode),
        cmocka_unit_test(outputs_are_rounded_ones),
        cmocka_unit_test(a_group_and_a_pass_take_them),
        cmocka_unit_test(who_cannot_is_refused_by_name),
        cmocka_unit_test(what_is_no_mode_is_refused),
        cmocka_unit_test(an_older_caller_gets_exact_ones),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
