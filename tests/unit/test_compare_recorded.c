/*
 * Comparisons of what an H100 gave: 44 processes of one program, one after the other
 * (tests/recorded/h100-processes.json: `run --op gemm,sieve --variant csr,warp-per-row --proj
 * k,gate
 * --case-timeout 0.6 --min-time 0.05`, facts and samples only). Twenty pairs of them aren't called;
 * with every time of one side 3 % longer, they are.
 */
#include "reports/compare/compare.h"
#include "reports/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { RUNS = 44, CASES = 8 };

static int setup(void **state)
{
    *state = json_load_file(ORTHO_SOURCE_DIR "/tests/recorded/h100-processes.json", 0, NULL);
    return *state == NULL || json_array_size(*state) != RUNS;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

/* Processes in turns, a b a b, from run `first` on. */
static json_t *pair(const json_t *runs, int first, size_t processes,
                    const ortho_compare_options *options)
{
    json_t *a[8], *b[8], *out = NULL;
    const char *files[8] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    for (size_t i = 0; i < processes; i++) {
        a[i] = json_array_get(runs, (size_t)first + 2 * i);
        b[i] = json_array_get(runs, (size_t)first + 2 * i + 1);
        assert_true(a[i] != NULL && b[i] != NULL);
    }
    ortho_compare_side left = {a, files, processes}, right = {b, files, processes};
    assert_int_equal(ortho_compare(&left, &right, options, &out), ORTHO_OK);
    return out;
}

static ortho_compare_options options_of(double spread)
{
    return (ortho_compare_options){.threshold = 0.02,
                                   .alpha = ORTHO_COMPARE_ALPHA,
                                   .confidence = ORTHO_COMPARE_CONFIDENCE,
                                   .spread = spread,
                                   .spread_from = "the test",
                                   .resamples = 500,
                                   .seed = 1};
}

static int summary(const json_t *comparison, const char *name)
{
    return (int)json_integer_value(json_object_get(json_object_get(comparison, "summary"), name));
}

static void one_program_is_not_called(void **state)
{
    static const struct {
        int first;
        size_t processes;
    } pairs[] = {{0, 1},  {2, 1},  {4, 1},  {6, 1},  {8, 1},  {10, 1}, {12, 1},
                 {14, 1}, {16, 1}, {18, 1}, {20, 1}, {22, 1}, {0, 3},  {6, 3},
                 {12, 3}, {18, 3}, {24, 5}, {0, 5},  {10, 5}, {34, 5}};
    _Static_assert(sizeof pairs / sizeof *pairs == 20, "twenty pairs");
    ortho_compare_options options = options_of(ORTHO_COMPARE_SPREAD);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        json_t *out = pair(*state, pairs[i].first, pairs[i].processes, &options);
        assert_int_equal(summary(out, "faster") + summary(out, "slower"), 0);
        assert_int_equal(summary(out, "wrong") + summary(out, "untimed") + summary(out, "refused") +
                             summary(out, "larger"),
                         0);
        assert_int_equal(summary(out, "same") + summary(out, "ambiguous"), CASES);
        if (pairs[i].processes == 5) /* they are alike within 2 %, and five a side show it */
            assert_int_equal(summary(out, "same"), CASES);
        json_decref(out);
    }
}

/* Every sample longer by a share. */
static json_t *slowed(const json_t *runs, double factor)
{
    size_t i, r, s;
    json_t *copy = json_deep_copy(runs), *run, *row, *sample;
    json_array_foreach(copy, i, run) if (i % 2 == 1)
        json_array_foreach(json_object_get(run, "results"), r, row)
            json_array_foreach(json_object_get(json_object_get(row, "time_ns"), "samples"), s,
                               sample) json_real_set(sample, factor * json_number_value(sample));
    return copy;
}

static void three_percent_are_seen(void **state)
{
    json_t *runs = slowed(*state, 1.03);
    ortho_compare_options options = options_of(ORTHO_COMPARE_SPREAD);
    for (int first = 0; first <= 30; first += 10) {
        json_t *out = pair(runs, first, 5, &options);
        assert_int_equal(summary(out, "slower"), CASES);
        assert_int_equal(ortho_comparison_read(out), ORTHO_COMPARISON_SLOWER);
        json_decref(out);
    }
    /* One process a side can't, unless it is told how much processes differ here. */
    json_t *blind = pair(runs, 0, 1, &options);
    assert_int_equal(summary(blind, "slower"), 0);
    options = options_of(0.003);
    json_t *told = pair(runs, 0, 1, &options);
    assert_true(summary(told, "slower") >= CASES - 2);
    json_decref(blind);
    json_decref(told);
    json_decref(runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_program_is_not_called),
        cmocka_unit_test(three_percent_are_seen),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
