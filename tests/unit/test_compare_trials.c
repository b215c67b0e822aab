/*
 * How often a comparison cries wolf, and how often it sees one: many pairs of results of made-up
 * machines whose processes differ and whose samples remember their neighbours.
 */
#include "tests/unit/comparison_files.h"

#include "common/stats.h"
#include "reports/compare/effect.h"
#include "reports/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Pairs of which some case is called so. */
typedef struct called {
    int faster, slower, ambiguous;
} called;

static int any(const json_t *summary, const char *verdict)
{
    return json_integer_value(json_object_get(summary, verdict)) > 0;
}

static called trials(const machine *m, double slowdown, int pairs, int cases, uint64_t seed)
{
    ortho_random g = ortho_random_seeded(seed);
    ortho_compare_options options = usual_options(200);
    called found = {0};
    for (int i = 0; i < pairs; i++) {
        options.seed = (uint64_t)i + 1;
        json_t *a = made_up_side(m, 1e5, cases, &g);
        json_t *b = made_up_side(m, 1e5 * slowdown, cases, &g);
        json_t *out = compared(a, b, &options);
        assert_non_null(out);
        const json_t *summary = json_object_get(out, "summary");
        found.faster += any(summary, "faster");
        found.slower += any(summary, "slower");
        found.ambiguous += any(summary, "ambiguous");
        json_decref(out);
    }
    return found;
}

/* 10,000 pairs of results of one program: at most 80 in which anything is called. */
static void identical_programs(void **state)
{
    static const struct {
        machine m;
        int pairs, cases;
    } all[] = {
        {{0.03, 0.01, 0.5, 0, 1, 20}, 2500, 3},      /* one process, as different as allowed */
        {{0.01, 0.02, 0.8, 0.05, 1, 20}, 1500, 3},   /* noisy, and a neighbour who interrupts */
        {{0.03, 0.01, 0.5, 0.02, 3, 12}, 2000, 2},   /* the fewest that tell their own spread */
        {{0.005, 0.01, 0.5, 0.02, 5, 12}, 2000, 2},  /* a good machine */
        {{0.05, 0.005, 0.9, 0, 5, 12}, 1000, 2},     /* a bad one */
        {{0.02, 0.01, 0.3, 0.02, 10, 10}, 1000, 2}}; /* a patient user */
    int alarms = 0, pairs = 0;
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        called c = trials(&all[i].m, 1, all[i].pairs, all[i].cases, 10 + i);
        print_message("%zu processes, %.1f %% between them: %d slower, %d faster of %d\n",
                      all[i].m.processes, 100 * all[i].m.between, c.slower, c.faster, all[i].pairs);
        alarms += c.slower + c.faster;
        pairs += all[i].pairs;
    }
    assert_int_equal(pairs, 10000);
    assert_true(alarms <= 80);
}

/* Sixty cases are sixty chances: one in four such pairs would be called without a correction. */
static void many_cases(void **state)
{
    static const machine m = {0.05, 0.005, 0, 0, 5, 8};
    (void)state;
    called c = trials(&m, 1, 100, 60, 31);
    print_message("sixty cases: %d slower, %d faster of 100\n", c.slower, c.faster);
    assert_true(c.slower + c.faster <= 4);
}

/* 3 % slower, five processes a side, half a percent between them. */
static void a_planted_slowdown(void **state)
{
    static const machine m = {0.005, 0.01, 0.5, 0.01, 5, 40};
    (void)state;
    called slower = trials(&m, 1.03, 400, 1, 77), faster = trials(&m, 1 / 1.03, 100, 1, 78);
    print_message("3 %% slower: found in %d of 400\n", slower.slower);
    assert_true(slower.slower >= 380 && slower.faster == 0);
    assert_true(faster.faster >= 95 && faster.slower == 0);
}

/* One process a side proves little: what two processes may differ by is no slowdown. */
static void one_process_proves_little(void **state)
{
    static const machine m = {0, 0.001, 0, 0, 1, 40};
    (void)state;
    called little = trials(&m, 1.06, 20, 1, 5), much = trials(&m, 1.25, 20, 1, 5);
    assert_true(little.slower == 0 && little.ambiguous == 20);
    assert_int_equal(much.slower, 20);
}

/* Its definition, word by word: blocks that may wrap around, a copy, its median. */
static double brute_variance(const double *x, size_t n, size_t length, int resamples, uint64_t seed)
{
    enum { MOST = 64 };
    double drawn[MOST], logs[400], mean = 0, squares = 0;
    ortho_random g = ortho_random_seeded(seed);
    for (int i = 0; i < resamples; i++) {
        for (size_t at = 0; at < n;) {
            size_t from = ortho_random_below(&g, n);
            for (size_t j = 0; j < length && at < n; j++)
                drawn[at++] = x[(from + j) % n];
        }
        mean += (logs[i] = log(ortho_median(drawn, n))) / resamples;
    }
    for (int i = 0; i < resamples; i++)
        squares += (logs[i] - mean) * (logs[i] - mean);
    return squares / (resamples - 1);
}

static void resamples_are_what_they_are_called(void **state)
{
    enum { RESAMPLES = 400, SEED = 3 };
    static const size_t sizes[] = {1, 2, 12, 13};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int rising = 0; rising < 2; rising++) { /* else neighbours are unlike: no blocks */
            double x[16];
            size_t n = sizes[s], most = n / 3 > 0 ? n / 3 : 1;
            for (size_t i = 0; i < n; i++)
                x[i] = 100 + (double)(rising || i % 2 == 0 ? i : 40 - i);
            ortho_effect_side side = {x, &n, 1};
            ortho_effect_options options = {0.03, 0.95, RESAMPLES, SEED};
            ortho_effect effect;
            assert_int_equal(ortho_effect_measure(&side, &side, &options, &effect), ORTHO_OK);
            double wanted = brute_variance(x, n, rising ? most : 1, RESAMPLES, SEED);
            if (!(fabs(effect.within_a - wanted) <= 1e-9 * wanted + 1e-20))
                fail_msg("%zu samples: %g, wanted %g", n, effect.within_a, wanted);
        }
}

/* What a variant is known to move by weighs on it alone, and on its mean. */
static void a_variant_that_moves(void **state)
{
    static const machine m = {0, 0.001, 0, 0, 1, 40};
    (void)state;
    ortho_random g = ortho_random_seeded(9);
    for (int known = 0; known < 3; known++) {
        json_t *spreads = json_pack("{s:f}", known < 2 ? "gemm/csr/cpu" : "gemm/coo/cpu",
                                    known == 0 ? 0.001 : 0.06);
        ortho_compare_options options = usual_options(200);
        options.spread = 0.005;
        options.spreads = spreads;
        json_t *a = made_up_side(&m, 1e5, 1, &g), *b = made_up_side(&m, 1.09e5, 1, &g);
        json_array_insert_new(json_object_get(a, "results"), 0,
                              made_up_row("coo", 9, timed_case(&m, 1e5, &g)));
        json_array_insert_new(json_object_get(b, "results"), 0,
                              made_up_row("coo", 9, timed_case(&m, 1e5, &g)));
        json_t *out = compared(a, b, &options);
        assert_int_equal(any(json_object_get(out, "summary"), "slower"), known != 1);
        const json_t *one = json_array_get(json_object_get(out, "cases"), 1);
        assert_true(ortho_model_number(one, "time.spread") == (known == 1 ? 0.06 : 0.005));
        const json_t *group = json_array_get(json_object_get(out, "groups"), 1);
        assert_true((ortho_model_number(group, "hi") > 1.2) == (known == 1));
        json_decref(out);
        json_decref(spreads);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identical_programs),
        cmocka_unit_test(many_cases),
        cmocka_unit_test(a_planted_slowdown),
        cmocka_unit_test(one_process_proves_little),
        cmocka_unit_test(resamples_are_what_they_are_called),
        cmocka_unit_test(a_variant_that_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
