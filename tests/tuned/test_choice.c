/*
 * A table changes what `fused` chooses: choice.tsv, through the generator, in place of the build's.
 * It says the contrary of the thresholds of level portable, which takes panels from 5 tokens on.
 */
#include "kernels/cpu.h"
#include "tests/unit/fused_cpu.h"
#include "variants/tuned.h"

enum { ROWS = 1, PANEL = 2 };

typedef struct layer {
    ortho_split split;
    void *state;
    int64_t most; /* tokens */
} layer;

static layer layer_make(int64_t n, int64_t k, int64_t group, int threads,
                        ortho_activation_mode activations)
{
    layer l = {.split = split_make(n, k, group, 0.1 * (double)k, 7), .most = 300};
    l.state = state_make_for(&l.split, l.most, threads, activations);
    return l;
}

static void layer_free(layer *l)
{
    state_free(l->state);
    split_free(&l->split);
}

static int way_of(const layer *l, ortho_dtype dtype, int64_t m, int asked)
{
    const ortho_gemm_call call = {.dtype = dtype, .m = m, .alpha = 1, .way = asked};
    return hooks()->way(l->state, &call);
}

static void a_table_decides_near_what_was_measured(void **unused)
{
    (void)unused;
    layer l = layer_make(64, 256, 128, 2, ORTHO_ACTIVATIONS_EXACT);
    assert_int_equal(way_of(&l, ORTHO_F32, 1, 0), ROWS); /* it says panel, which takes no 1 */
    assert_int_equal(way_of(&l, ORTHO_F32, 2, 0), PANEL);
    assert_int_equal(way_of(&l, ORTHO_F32, 3, 0), PANEL);
    assert_int_equal(way_of(&l, ORTHO_F32, 6, 0), PANEL);
    assert_int_equal(way_of(&l, ORTHO_F32, 7, 0), PANEL); /* nothing near: the threshold */
    assert_int_equal(way_of(&l, ORTHO_F32, 8, 0), ROWS);
    assert_int_equal(way_of(&l, ORTHO_F32, 31, 0), ROWS);
    assert_int_equal(way_of(&l, ORTHO_F32, 32, 0), PANEL); /* 16 and 64 are as near: the more */
    assert_int_equal(way_of(&l, ORTHO_F32, 33, 0), PANEL);
    assert_int_equal(way_of(&l, ORTHO_F32, 128, 0), PANEL); /* a way that there isn't */
    assert_int_equal(way_of(&l, ORTHO_BF16, 16, 0), PANEL); /* another dtype */
    assert_int_equal(way_of(&l, ORTHO_BF16, 3, 0), ROWS);
    layer_free(&l);
}

static void another_linear_is_decided_as_without_a_table(void **unused)
{
    (void)unused;
    static const struct {
        int64_t n, k, group;
        int threads;
        ortho_activation_mode activations;
        int few, many; /* the ways of 3 and of 16 tokens */
    } cases[] = {
        {64, 256, 128, 2, ORTHO_ACTIVATIONS_EXACT, PANEL, ROWS},
        {128, 512, 128, 1, ORTHO_ACTIVATIONS_EXACT, PANEL, ROWS}, /* near */
        {32, 128, 128, 4, ORTHO_ACTIVATIONS_EXACT, PANEL, ROWS},  /* near */
        {130, 256, 128, 2, ORTHO_ACTIVATIONS_EXACT, ROWS, PANEL},
        {64, 520, 128, 2, ORTHO_ACTIVATIONS_EXACT, ROWS, PANEL},
        {64, 256, 64, 2, ORTHO_ACTIVATIONS_EXACT, ROWS, PANEL},
        {64, 256, 128, 5, ORTHO_ACTIVATIONS_EXACT, ROWS, PANEL},
        {64, 256, 128, 2, ORTHO_ACTIVATIONS_INT8, ROWS, ROWS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        layer l = layer_make(cases[i].n, cases[i].k, cases[i].group, cases[i].threads,
                             cases[i].activations);
        int few = way_of(&l, ORTHO_F32, 3, 0), many = way_of(&l, ORTHO_F32, 16, 0);
        if (few != cases[i].few || many != cases[i].many)
            fail_msg("case %zu: ways %d and %d, not %d and %d", i, few, many, cases[i].few,
                     cases[i].many);
        layer_free(&l);
    }
}

/* y of a call that asks for a way. */
static void *run_way(const layer *l, const input *in, int way)
{
    size_t bytes = hooks()->workspace(l->state, in->m, in->dtype);
    void *y = make((size_t)(in->m * l->split.n) * 4), *workspace = make(bytes);
    memset(workspace, 0xff, bytes);
    ortho_gemm_call call = call_of(in, workspace, y);
    call.way = way;
    assert_int_equal(hooks()->run(l->state, &call), ORTHO_OK);
    free(workspace);
    return y;
}

/* The ways round differently: what ran can be told by its bits. */
static void the_way_that_is_chosen_is_the_one_that_runs(void **unused)
{
    (void)unused;
    static const int64_t tokens[] = {3, 16, 40};
    layer l = layer_make(64, 256, 128, 2, ORTHO_ACTIVATIONS_EXACT);
    for (int i = 0; i < 3; i++) {
        input in = input_make(tokens[i], l.split.k, ORTHO_F32, 11);
        size_t bytes = (size_t)(in.m * l.split.n) * 4;
        void *usual = run_way(&l, &in, 0), *rows = run_way(&l, &in, ROWS),
             *panel = run_way(&l, &in, PANEL);
        bool by_rows = way_of(&l, ORTHO_F32, in.m, 0) == ROWS;
        assert_int_not_equal(memcmp(rows, panel, bytes), 0);
        assert_memory_equal(usual, by_rows ? rows : panel, bytes);
        free(panel);
        free(rows);
        free(usual);
        free(in.x);
    }
    layer_free(&l);
}

static int set_up(void **unused)
{
    (void)unused;
    char device[ORTHO_TUNED_DEVICE];
    setenv("ORTHO_CPU", "portable", 1);
    ortho_cpu_device(device, sizeof device);
    if (strcmp(device, ortho_tuned_tables[0].device) != 0) {
        print_message("the table was made on another processor: '%s', here '%s'\n",
                      ortho_tuned_tables[0].device, device);
        return -1;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_decides_near_what_was_measured),
        cmocka_unit_test(another_linear_is_decided_as_without_a_table),
        cmocka_unit_test(the_way_that_is_chosen_is_the_one_that_runs),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
