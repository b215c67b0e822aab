/* Statistics at their edges, the stop rule, and the one claim that matters of a confidence
 * interval: how often it holds the truth. */
#include "common/stats.h"
#include "harness/stop.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A generator of its own (splitmix64), not the one under test. */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double lognormal(uint64_t *state)
{
    double radius = sqrt(-2.0 * log(uniform(state)));
    return exp(radius * cos(6.283185307179586 * uniform(state)));
}

static void test_nothing_in_gives_nan(void **state)
{
    (void)state;
    double x = 1.0;
    assert_true(isnan(ortho_quantile(&x, 0, 0.5)));
    assert_true(isnan(ortho_median(&x, 0)));
    assert_true(isnan(ortho_mad(&x, 0)));
    assert_int_equal(ortho_outliers(&x, 0), 0);
    assert_true(isnan(ortho_order_median(&x, 0, 0.95).lo));
    assert_true(isnan(ortho_bootstrap_median(&x, 0, 0.95, 100, 1).lo));
    assert_true(isnan(ortho_bootstrap_ratio(&x, 0, &x, 1, 0.95, 100, 1).lo));
    assert_true(isnan(ortho_bootstrap_ratio(&x, 1, &x, 0, 0.95, 100, 1).hi));
}

static void test_one_sample(void **state)
{
    (void)state;
    double x = 6.0, y = 1.5;
    ortho_interval ci = ortho_bootstrap_median(&x, 1, 0.95, 100, 1);
    assert_true(ci.lo == 6.0 && ci.hi == 6.0);
    ci = ortho_bootstrap_ratio(&x, 1, &y, 1, 0.95, 100, 1);
    assert_true(ci.lo == 4.0 && ci.hi == 4.0);
    ci = ortho_order_median(&x, 1, 0.95);
    assert_true(ci.lo == 6.0 && ci.hi == 6.0);
}

static void test_too_few_for_the_confidence(void **state)
{
    (void)state;
    const double x[] = {4, 1, 5, 2, 3};
    ortho_interval ci = ortho_order_median(x, COUNT(x), 0.95);
    assert_true(ci.lo == 1.0 && ci.hi == 5.0);
}

static void test_samples_are_not_changed(void **state)
{
    (void)state;
    const double before[] = {4, 1, 5, 2, 3, 9, 0, 7};
    double x[COUNT(before)];
    memcpy(x, before, sizeof x);
    ob_stop_rule rule = {.min_samples = 1, .timeout = 1.0, .target = 1.0};
    ortho_quantile(x, COUNT(x), 0.3);
    ortho_mad(x, COUNT(x));
    ortho_order_median(x, COUNT(x), 0.95);
    ortho_bootstrap_median(x, COUNT(x), 0.95, 50, 3);
    ob_should_stop(&rule, x, COUNT(x), 0.5);
    assert_memory_equal(x, before, sizeof x);
}

static void test_quantile_is_clamped(void **state)
{
    (void)state;
    const double x[] = {2, 1, 3};
    assert_true(ortho_quantile(x, COUNT(x), -1.0) == 1.0);
    assert_true(ortho_quantile(x, COUNT(x), 2.0) == 3.0);
}

/* The limit is 3.5 * 1.4826 = 5.1891 MADs. */
static void test_outliers_at_their_limit(void **state)
{
    (void)state;
    const double x[] = {-5.2, -1, -1, 0, 1, 1, 5.18};
    assert_true(ortho_mad(x, COUNT(x)) == 1.0);
    assert_int_equal(ortho_outliers(x, COUNT(x)), 1);
}

/* Selection against a full sort, over many sizes with many ties. */
static void test_selection_agrees_with_a_sort(void **state)
{
    (void)state;
    uint64_t random = 7;
    double x[200];
    for (size_t n = 1; n <= COUNT(x); n++) {
        for (size_t i = 0; i < n; i++)
            x[i] = floor(uniform(&random) * (n % 3 == 0 ? 5.0 : 1e6));
        assert_true(ortho_median(x, n) == ortho_quantile(x, n, 0.5));
    }
}

static void test_the_seed_decides(void **state)
{
    (void)state;
    uint64_t random = 3;
    double x[50];
    for (size_t i = 0; i < COUNT(x); i++)
        x[i] = lognormal(&random);
    ortho_interval a = ortho_bootstrap_median(x, COUNT(x), 0.95, 200, 11);
    ortho_interval b = ortho_bootstrap_median(x, COUNT(x), 0.95, 200, 11);
    assert_true(a.lo == b.lo && a.hi == b.hi);
    int moved = 0;
    for (uint64_t seed = 12; seed < 20; seed++) {
        b = ortho_bootstrap_median(x, COUNT(x), 0.95, 200, seed);
        moved += a.lo != b.lo || a.hi != b.hi;
    }
    assert_true(moved > 0);
}

/* 2000 experiments each: how often does the 95 % interval hold the true median, 1? */
static void coverage(size_t n, uint64_t seed, double *bootstrap, double *order)
{
    const int experiments = 2000;
    double x[128];
    int by_bootstrap = 0, by_order = 0;
    assert_true(n <= COUNT(x));
    for (int e = 0; e < experiments; e++) {
        for (size_t i = 0; i < n; i++)
            x[i] = lognormal(&seed);
        ortho_interval ci = ortho_bootstrap_median(x, n, 0.95, 1000, (uint64_t)e);
        by_bootstrap += ci.lo <= 1.0 && 1.0 <= ci.hi;
        ci = ortho_order_median(x, n, 0.95);
        by_order += ci.lo <= 1.0 && 1.0 <= ci.hi;
    }
    *bootstrap = (double)by_bootstrap / experiments;
    *order = (double)by_order / experiments;
}

static void test_intervals_cover_the_median(void **state)
{
    (void)state;
    const size_t sizes[] = {20, 41, 100};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        double bootstrap, order;
        coverage(sizes[i], 1000 + i, &bootstrap, &order);
        print_message("n = %zu: bootstrap %.4f, order statistics %.4f\n", sizes[i], bootstrap,
                      order);
        assert_true(bootstrap >= 0.93 && bootstrap <= 0.97);
        assert_true(order >= 0.94); /* at least what was asked, less noise: it can't be cut finer */
    }
}

static void test_stop_rule(void **state)
{
    (void)state;
    double tight[20], wide[20];
    for (size_t i = 0; i < COUNT(tight); i++) {
        tight[i] = 100.0 + 0.01 * (double)i;
        wide[i] = 100.0 + 10.0 * (double)i;
    }
    const ob_stop_rule rule = {.min_samples = 10, .min_time = 0.2, .timeout = 5.0, .target = 0.02};
    assert_int_equal(ob_should_stop(&rule, tight, 20, 1.0), OB_STOP_CONVERGED);
    assert_int_equal(ob_should_stop(&rule, wide, 20, 1.0), OB_STOP_NO);
    assert_int_equal(ob_should_stop(&rule, tight, 9, 1.0), OB_STOP_NO);
    assert_int_equal(ob_should_stop(&rule, tight, 20, 0.1), OB_STOP_NO);
    assert_int_equal(ob_should_stop(&rule, wide, 20, 5.0), OB_STOP_TIMEOUT);
    assert_int_equal(ob_should_stop(&rule, tight, 0, 5.0), OB_STOP_TIMEOUT);
    assert_int_equal(ob_should_stop(&rule, tight, 20, 6.0), OB_STOP_CONVERGED);
}

/* A few equal samples look infinitely precise; no 95 % interval exists below 6 of them. */
static void test_stop_rule_wants_an_interval(void **state)
{
    (void)state;
    const double same[6] = {1, 1, 1, 1, 1, 1};
    const ob_stop_rule rule = {.min_samples = 1, .timeout = 5.0, .target = 0.02};
    assert_int_equal(ob_should_stop(&rule, same, 0, 1.0), OB_STOP_NO);
    assert_int_equal(ob_should_stop(&rule, same, 5, 1.0), OB_STOP_NO);
    assert_int_equal(ob_should_stop(&rule, same, 6, 1.0), OB_STOP_CONVERGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_in_gives_nan),
        cmocka_unit_test(test_one_sample),
        cmocka_unit_test(test_too_few_for_the_confidence),
        cmocka_unit_test(test_samples_are_not_changed),
        cmocka_unit_test(test_quantile_is_clamped),
        cmocka_unit_test(test_outliers_at_their_limit),
        cmocka_unit_test(test_selection_agrees_with_a_sort),
        cmocka_unit_test(test_the_seed_decides),
        cmocka_unit_test(test_intervals_cover_the_median),
        cmocka_unit_test(test_stop_rule),
        cmocka_unit_test(test_stop_rule_wants_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
