/* Statistics against NumPy and SciPy: tests/golden-stats/golden.json, made by make_golden.py, which
 * also says where the ranges for bootstraps come from. */
#include "common/stats.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const double tolerance = 1e-12;

typedef struct numbers {
    size_t n;
    double *v;
} numbers;

static numbers numbers_of(const json_t *array)
{
    assert_true(json_is_array(array));
    numbers r = {json_array_size(array), malloc(json_array_size(array) * sizeof(double) + 1)};
    assert_non_null(r.v);
    for (size_t i = 0; i < r.n; i++)
        r.v[i] = json_number_value(json_array_get(array, i));
    return r;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static int setup(void **state)
{
    json_error_t error;
    *state = json_load_file(ORTHO_SOURCE_DIR "/tests/golden-stats/golden.json", 0, &error);
    return *state == NULL;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

static void assert_close(const char *set, const char *what, double got, double wanted)
{
    if (!(fabs(got - wanted) <= tolerance * fmax(1.0, fabs(wanted))))
        fail_msg("%s of %s: %.17g, wanted %.17g", what, set, got, wanted);
}

static void assert_within(const char *set, const char *end, double got, const json_t *bootstrap)
{
    numbers range = numbers_of(json_object_get(bootstrap, end));
    assert_int_equal(range.n, 2);
    double slack = tolerance * fmax(1.0, fabs(got));
    if (!(got >= range.v[0] - slack && got <= range.v[1] + slack))
        fail_msg("bootstrap %s of %s: %.17g, wanted %.17g to %.17g", end, set, got, range.v[0],
                 range.v[1]);
    free(range.v);
}

static void test_point_statistics(void **state)
{
    json_t *sets = json_object_get(*state, "sets"), *set;
    numbers p = numbers_of(json_object_get(*state, "probabilities"));
    const char *name;
    assert_true(json_object_size(sets) >= 10);
    json_object_foreach(sets, name, set)
    {
        numbers x = numbers_of(json_object_get(set, "samples"));
        numbers q = numbers_of(json_object_get(set, "quantiles"));
        assert_int_equal(q.n, p.n);
        for (size_t i = 0; i < p.n; i++)
            assert_close(name, "a quantile", ortho_quantile(x.v, x.n, p.v[i]), q.v[i]);
        assert_close(name, "median", ortho_median(x.v, x.n), number(set, "median"));
        assert_close(name, "MAD", ortho_mad(x.v, x.n), number(set, "mad"));
        assert_int_equal(ortho_outliers(x.v, x.n), (size_t)number(set, "outliers"));
        free(q.v);
        free(x.v);
    }
    free(p.v);
}

static void test_order_intervals(void **state)
{
    json_t *sets = json_object_get(*state, "sets"), *set;
    double confidence = number(*state, "confidence");
    const char *name;
    int compared = 0;
    json_object_foreach(sets, name, set)
    {
        json_t *wanted = json_object_get(set, "order_ci");
        if (wanted == NULL)
            continue; /* too few samples for this confidence: test_stats.c */
        numbers x = numbers_of(json_object_get(set, "samples")), ends = numbers_of(wanted);
        ortho_interval ci = ortho_order_median(x.v, x.n, confidence);
        assert_close(name, "order CI, low", ci.lo, ends.v[0]);
        assert_close(name, "order CI, high", ci.hi, ends.v[1]);
        compared++;
        free(ends.v);
        free(x.v);
    }
    assert_true(compared >= 5);
}

/* Over the samples 0 .. n-1, in an order that is not sorted, an interval's ends are its ranks. */
static void test_order_ranks(void **state)
{
    json_t *rows = json_object_get(*state, "order_ranks"), *row;
    size_t index;
    assert_true(json_array_size(rows) > 50);
    json_array_foreach(rows, index, row)
    {
        size_t n = (size_t)number(row, "n");
        double *x = malloc(n * sizeof *x), rank = number(row, "rank");
        assert_non_null(x);
        for (size_t i = 0; i < n; i++)
            x[i] = (double)(n % 7919 == 0 ? i : (i * 7919) % n); /* 7919 is prime: a permutation */
        ortho_interval ci = ortho_order_median(x, n, number(row, "confidence"));
        assert_true(ci.lo == fmax(rank, 0.0));
        assert_true(ci.hi == (double)(n - 1) - fmax(rank, 0.0));
        free(x);
    }
}

static void test_bootstrap_of_median(void **state)
{
    json_t *sets = json_object_get(*state, "sets"), *set;
    int resamples = (int)number(*state, "resamples");
    double confidence = number(*state, "confidence");
    const char *name;
    json_object_foreach(sets, name, set)
    {
        json_t *wanted = json_object_get(set, "bootstrap");
        if (wanted == NULL)
            continue;
        numbers x = numbers_of(json_object_get(set, "samples"));
        for (uint64_t seed = 1; seed <= 10; seed++) {
            ortho_interval ci = ortho_bootstrap_median(x.v, x.n, confidence, resamples, seed);
            assert_within(name, "lo", ci.lo, wanted);
            assert_within(name, "hi", ci.hi, wanted);
        }
        free(x.v);
    }
}

static void test_bootstrap_of_ratio(void **state)
{
    json_t *sets = json_object_get(*state, "sets"), *ratio;
    int resamples = (int)number(*state, "resamples");
    double confidence = number(*state, "confidence");
    size_t index;
    json_array_foreach(json_object_get(*state, "ratios"), index, ratio)
    {
        const char *name = json_string_value(json_object_get(ratio, "a"));
        const char *under = json_string_value(json_object_get(ratio, "b"));
        numbers a = numbers_of(json_object_get(json_object_get(sets, name), "samples"));
        numbers b = numbers_of(json_object_get(json_object_get(sets, under), "samples"));
        json_t *wanted = json_object_get(ratio, "bootstrap");
        for (uint64_t seed = 1; seed <= 10; seed++) {
            ortho_interval ci =
                ortho_bootstrap_ratio(a.v, a.n, b.v, b.n, confidence, resamples, seed);
            assert_within(name, "lo", ci.lo, wanted);
            assert_within(name, "hi", ci.hi, wanted);
        }
        free(b.v);
        free(a.v);
    }
    assert_true(index >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_point_statistics),   cmocka_unit_test(test_order_intervals),
        cmocka_unit_test(test_order_ranks),        cmocka_unit_test(test_bootstrap_of_median),
        cmocka_unit_test(test_bootstrap_of_ratio),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
