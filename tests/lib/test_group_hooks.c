/*
 * What the library hands to a variant that runs groups and chains, and what it does without one.
 * The variants are this test's own.
 */
#include "noting_variants.h"

#include "lib/choice.h"

enum { N = 24, K = 40, MOST_M = 700, COUNT_OF = 3 };

/* ---- layers ---------------------------------------------------------------------------------- */

static ortho_layer *layer_by(const char *variant, unsigned seed, int threads)
{
    float *w = random_floats(N * K, seed);
    ortho_sieve_options o = options_of(0.05, ORTHO_RULE_OUTLIER, 32);
    o.variant = variant;
    o.threads = threads;
    ortho_layer *layer = sieved(w, N, K, o);
    free(w);
    return layer;
}

/* Three layers of these variants, a y for each, and x. */
typedef struct fixture {
    ortho_layer *layer[COUNT_OF];
    float *x, *wanted;
    void *y[COUNT_OF];
} fixture;

static const size_t y_bytes = sizeof(float) * MOST_M * N;

static fixture open_layers(const char *a, const char *b, const char *c)
{
    const char *const names[] = {a, b, c};
    fixture f = {.x = random_floats(MOST_M * K, 9), .wanted = malloc(y_bytes)};
    assert_non_null(f.wanted);
    for (int i = 0; i < COUNT_OF; i++) {
        f.layer[i] = layer_by(names[i], (unsigned)i + 1, 2);
        must(ortho_layer_set_alpha(f.layer[i], (float)i));
        f.y[i] = malloc(y_bytes);
        assert_non_null(f.y[i]);
        memset(f.y[i], 0xff, y_bytes);
    }
    memset(&notes, 0, sizeof notes);
    return f;
}

static void close_layers(fixture *f)
{
    for (int i = 0; i < COUNT_OF; i++) {
        free(f->y[i]);
        ortho_layer_free(f->layer[i]);
    }
    free(f->wanted);
    free(f->x);
}

static ortho_status forward(fixture *f, int count, int64_t m)
{
    return ortho_group_forward((const ortho_layer *const *)f->layer, count, f->x, m, ORTHO_F32,
                               f->y, NULL);
}

static void must_be_right(fixture *f, int count, int64_t m)
{
    for (int i = 0; i < count; i++) {
        must(ortho_layer_forward(f->layer[i], f->x, m, ORTHO_F32, f->wanted, NULL));
        assert_memory_equal(f->y[i], f->wanted, (size_t)(m * N) * sizeof(float));
    }
}

static void must_be_untouched(const fixture *f)
{
    for (int i = 0; i < COUNT_OF; i++)
        for (size_t j = 0; j < y_bytes; j += 97)
            assert_int_equal(((unsigned char *)f->y[i])[j], 0xff);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void test_one_call_for_a_piece(void **state)
{
    (void)state;
    fixture f = open_layers("csr", "csr", "csr");
    must(forward(&f, 3, MOST_M));
    assert_int_equal(notes.runs, 0);
    assert_int_equal(notes.group_runs, 2);
    for (int piece = 0; piece < 2; piece++) {
        const ortho_gemm_call *calls = notes.call[piece];
        assert_int_equal(notes.count[piece], 3);
        for (int i = 0; i < 3; i++) {
            assert_ptr_equal(calls[i].x, f.x + piece * 512 * K);
            assert_ptr_equal(calls[i].y, (float *)f.y[i] + piece * 512 * N);
            assert_int_equal(calls[i].m, piece == 0 ? 512 : MOST_M - 512);
            assert_int_equal(calls[i].threads, 2);
            assert_true(calls[i].alpha == (float)i && calls[i].dtype == ORTHO_F32);
            assert_true(aligned(calls[i].workspace) && calls[i].stream == NULL);
            for (int j = 0; j < i; j++)
                assert_ptr_not_equal(calls[i].workspace, calls[j].workspace);
        }
    }
    must_be_right(&f, 3, MOST_M);
    close_layers(&f);
}

static void in_turn(fixture *f, int count, int64_t m)
{
    must(forward(f, count, m));
    assert_int_equal(notes.group_runs, 0);
    must_be_right(f, count, m);
    close_layers(f);
}

static void test_in_turn_where_they_differ(void **state)
{
    (void)state;
    fixture f = open_layers("csr", "another", "csr"); /* the same hook, but other variants */
    in_turn(&f, 3, 2);
    f = open_layers("csr", "csr", "another");
    in_turn(&f, 3, 600);
    f = open_layers("block-csr", "block-csr", "block-csr");
    in_turn(&f, 3, 600);
    f = open_layers("csr", "csr", "csr");
    in_turn(&f, 1, 2);
    f = open_layers("csr", "csr", "csr");
    ortho_layer_free(f.layer[1]);
    f.layer[1] = layer_by("csr", 2, 1); /* another number of threads */
    in_turn(&f, 3, 2);
}

/* The library's own choice: csr up to 64 tokens, block-csr beyond. */
static void test_what_serves_depends_on_m(void **state)
{
    (void)state;
    fixture f = open_layers(NULL, NULL, NULL);
    must(forward(&f, 3, 64));
    assert_int_equal(notes.group_runs, 1);
    must(forward(&f, 3, 65));
    assert_int_equal(notes.group_runs, 1);
    must_be_right(&f, 3, 65);
    close_layers(&f);
}

static void test_failures(void **state)
{
    (void)state;
    fixture f = open_layers("csr", "csr", "csr");
    notes.fail_group = 2;
    refused(forward(&f, 3, MOST_M), ORTHO_E_DEVICE, "this group is to fail");
    assert_int_equal(notes.group_runs, 2);
    close_layers(&f);
    f = open_layers("block-csr", "block-csr", "block-csr");
    notes.fail_run = 2;
    refused(forward(&f, 3, 2), ORTHO_E_DEVICE, "layer 1: run 2 is to fail");
    assert_int_equal(notes.runs, 2);
    close_layers(&f);
}

static void test_no_memory_no_output(void **state)
{
    (void)state;
    const char *const names[] = {"csr", "block-csr"};
    for (int i = 0; i < 2; i++) {
        fixture f = open_layers(names[i], names[i], names[i]);
        notes.starve = 3;
        refused(forward(&f, 3, 2), ORTHO_E_MEMORY, "layer 2: no memory for a workspace");
        assert_int_equal(notes.runs + notes.group_runs, 0);
        must_be_untouched(&f);
        must(forward(&f, 3, 2));
        must_be_right(&f, 3, 2);
        close_layers(&f);
    }
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* Layers are N x K, so a step takes the last K of the outputs of the two before it. */
static const ortho_pass_step *steps_of(const fixture *f, ortho_pass_step steps[COUNT_OF])
{
    steps[0] = (ortho_pass_step){f->layer[0], -1, 0.3f};
    steps[1] = (ortho_pass_step){f->layer[1], -1, 1.0f};
    steps[2] = (ortho_pass_step){f->layer[2], 2 * N - K, -2.0f};
    return steps;
}

static void assert_pass_is_right(const ortho_pass *pass, fixture *f)
{
    const float scale[COUNT_OF] = {0.3f, 1.0f, -2.0f};
    float y[COUNT_OF * N], wanted[COUNT_OF * N];
    must(ortho_pass_forward(pass, f->x, y, NULL));
    for (int i = 0; i < COUNT_OF; i++) {
        float *to = wanted + i * N;
        must(ortho_layer_forward(f->layer[i], i < 2 ? f->x : to - K, 1, ORTHO_F32, to, NULL));
        for (int j = 0; j < N; j++)
            to[j] *= scale[i];
    }
    assert_memory_equal(y, wanted, sizeof wanted);
}

/* Whole or in turn, and what it holds. */
static void assert_inspected(const ortho_pass *pass, const char *variant, size_t bytes)
{
    ortho_pass_info info = {.size = sizeof info, .variant = "?"};
    must(ortho_pass_inspect(pass, &info));
    assert_int_equal(info.bytes, bytes);
    if (variant == NULL)
        assert_null(info.variant);
    else
        assert_string_equal(info.variant, variant);
}

static void test_a_chain(void **state)
{
    (void)state;
    fixture f = open_layers("csr", "csr", "csr");
    ortho_pass_step steps[COUNT_OF];
    ortho_pass *pass = NULL;
    must(ortho_pass_create(steps_of(&f, steps), COUNT_OF, ORTHO_F32, &pass));
    assert_inspected(pass, "csr", COUNT_OF * sizeof(ortho_chain_step));
    assert_int_equal(notes.prepares, 1);
    assert_int_equal(notes.threads, 2);
    memset(steps, 0, sizeof steps);
    for (int round = 0; round < 2; round++) {
        must(ortho_layer_set_alpha(f.layer[1], 5.0f * (float)round));
        must(ortho_pass_forward(pass, f.x, f.y[0], NULL));
        assert_ptr_equal(notes.x, f.x);
        assert_ptr_equal(notes.y, f.y[0]);
        assert_int_equal(notes.steps, COUNT_OF);
        assert_true(notes.alpha[0] == 0.0f && notes.alpha[1] == 5.0f * (float)round &&
                    notes.alpha[2] == 2.0f);
        assert_pass_is_right(pass, &f);
    }
    assert_int_equal(notes.chain_runs, 4);
    notes.fail_chain = 5;
    refused(ortho_pass_forward(pass, f.x, f.y[0], NULL), ORTHO_E_DEVICE, "this chain is to fail");
    assert_pass_is_right(pass, &f);
    assert_int_equal(notes.releases, 0);
    ortho_pass_free(pass);
    assert_int_equal(notes.releases, 1);
    close_layers(&f);
}

/* What a pass of these layers does without a chain: the CPU takes its steps in turn. */
static void in_turn_pass(fixture *f)
{
    ortho_pass_step steps[COUNT_OF];
    ortho_pass *pass = NULL;
    must(ortho_pass_create(steps_of(f, steps), COUNT_OF, ORTHO_F32, &pass));
    assert_pass_is_right(pass, f);
    assert_inspected(pass, NULL, 0);
    ortho_pass_free(pass);
    assert_int_equal(notes.chain_runs + notes.releases, 0);
    close_layers(f);
}

static void test_steps_in_turn(void **state)
{
    (void)state;
    fixture f = open_layers("block-csr", "block-csr", "block-csr");
    in_turn_pass(&f);
    f = open_layers("csr", "csr", "another");
    in_turn_pass(&f);
    assert_int_equal(notes.prepares, 0);
    f = open_layers("csr", "csr", "csr");
    notes.prepare_chain = ORTHO_E_UNSUPPORTED;
    in_turn_pass(&f);
    assert_int_equal(notes.prepares, 1);
}

/* In turn, a layer computes in the pass's dtype unless a factor makes that round twice. */
static void test_dtypes_in_turn(void **state)
{
    (void)state;
    const struct {
        ortho_dtype dtype;
        float scale;
        ortho_dtype computed;
    } cases[] = {
        {ORTHO_F32, 1.0f, ORTHO_F32},    {ORTHO_F32, 0.3f, ORTHO_F32},
        {ORTHO_F16, 1.0f, ORTHO_F16},    {ORTHO_F16, 0.5f, ORTHO_F32},
        {ORTHO_F16, 0.3f, ORTHO_F32},    {ORTHO_BF16, 1.0f, ORTHO_BF16},
        {ORTHO_BF16, -4.0f, ORTHO_BF16}, {ORTHO_BF16, 0x1p-20f, ORTHO_BF16},
        {ORTHO_BF16, 0.0f, ORTHO_F32},   {ORTHO_BF16, 0.3f, ORTHO_F32},
    };
    fixture f = open_layers("block-csr", "block-csr", "block-csr");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const ortho_pass_step step = {f.layer[1], -1, cases[i].scale};
        uint16_t x[2 * K] = {0};
        ortho_pass *pass = NULL;
        must(ortho_pass_create(&step, 1, cases[i].dtype, &pass));
        must(ortho_pass_forward(pass, x, f.y[0], NULL));
        assert_int_equal(notes.dtype, cases[i].computed);
        ortho_pass_free(pass);
    }
    close_layers(&f);
}

static void test_a_pass_that_fails(void **state)
{
    (void)state;
    ortho_pass_step steps[COUNT_OF];
    ortho_pass *pass = NULL;
    fixture f = open_layers("csr", "csr", "csr");
    notes.prepare_chain = ORTHO_E_MEMORY;
    refused(ortho_pass_create(steps_of(&f, steps), COUNT_OF, ORTHO_F32, &pass), ORTHO_E_MEMORY,
            "a pass by csr: no chain of these");
    assert_null(pass);
    assert_int_equal(notes.releases, 0);
    close_layers(&f);
    f = open_layers("block-csr", "block-csr", "block-csr");
    must(ortho_pass_create(steps_of(&f, steps), COUNT_OF, ORTHO_F32, &pass));
    notes.fail_run = 2;
    refused(ortho_pass_forward(pass, f.x, f.y[0], NULL), ORTHO_E_DEVICE, "step 1: run 2 is to");
    notes.starve = 3;
    refused(ortho_pass_forward(pass, f.x, f.y[0], NULL), ORTHO_E_MEMORY, "step 2: no memory");
    ortho_pass_free(pass);
    close_layers(&f);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    float w[2 * K] = {1, 2, 3};
    char names[256];
    const ortho_matrix matrix = matrix_of(w, 2, K);
    ortho_sieve_options o = options_of(0.1, ORTHO_RULE_OUTLIER, 32);
    ortho_layer *layer = NULL;
    o.variant = "refusing";
    refused(ortho_layer_sieve(&matrix, NULL, &o, &layer), ORTHO_E_UNSUPPORTED,
            "\"refusing\" for a layer of 2 x 40 on the CPU: no BF16 here; these serve it: another, "
            "block-csr, csr");
    o.variant = "trusted";
    refused(ortho_layer_sieve(&matrix, NULL, &o, &layer), ORTHO_E_UNSUPPORTED,
            "isn't one that serves layers; these serve it: another, block-csr, csr");
    ortho_choice_chains(ORTHO_CPU, names);
    assert_string_equal(names, "another, csr");
    ortho_choice_chains(ORTHO_CUDA, names);
    assert_string_equal(names, "none");
}

static int setup(void **state)
{
    (void)state;
    fill_variants();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_call_for_a_piece),
        cmocka_unit_test(test_in_turn_where_they_differ),
        cmocka_unit_test(test_what_serves_depends_on_m),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_no_memory_no_output),
        cmocka_unit_test(test_a_chain),
        cmocka_unit_test(test_steps_in_turn),
        cmocka_unit_test(test_dtypes_in_turn),
        cmocka_unit_test(test_a_pass_that_fails),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
