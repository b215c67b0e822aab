/* Lane models by hand: trips of 32 lanes become a histogram of active lanes and one ratio. */
#include "harness/divergence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void equal_trips_keep_all_lanes(void **state)
{
    ob_divergence d = {{0}};
    ortho_lane_sink sink = ob_divergence_sink(&d);
    int64_t trips[32];
    double ratio = 0;
    (void)state;
    for (int i = 0; i < 32; i++)
        trips[i] = 7;
    ortho_lanes_loop(&sink, trips, 2);
    assert_true(ob_divergence_ratio(&d, &ratio));
    assert_true(ratio == 1.0);
    assert_true(d.histogram[32] == 14);
}

static void one_long_lane_holds_up_the_rest(void **state)
{
    ob_divergence d = {{0}};
    ortho_lane_sink sink = ob_divergence_sink(&d);
    int64_t trips[32] = {9};
    double ratio = 0;
    (void)state;
    for (int i = 1; i < 32; i++)
        trips[i] = 1;
    ortho_lanes_loop(&sink, trips, 1);
    assert_true(d.histogram[32] == 1 && d.histogram[1] == 8);
    assert_true(ob_divergence_ratio(&d, &ratio));
    assert_true(ratio == (32 + 8) / (32.0 * 9));
}

static void an_empty_loop_has_no_ratio(void **state)
{
    ob_divergence d = {{0}};
    ortho_lane_sink sink = ob_divergence_sink(&d);
    int64_t trips[32] = {0};
    double ratio = -1;
    (void)state;
    ortho_lanes_loop(&sink, trips, 1);
    sink.issue(sink.ctx, 33, 1);
    sink.issue(sink.ctx, -1, 1);
    assert_false(ob_divergence_ratio(&d, &ratio));
    assert_true(ratio == -1);
}

/* This build's loops count nothing, and what wasn't counted isn't zero. */
static void a_build_that_does_not_count_says_so(void **state)
{
    ob_divergence d = {{[7] = 5}};
    (void)state;
    if (ob_divergence_counts())
        skip();
    assert_int_equal(ob_divergence_exact(true, &d), ORTHO_E_UNSUPPORTED);
    assert_true(d.histogram[7] == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_trips_keep_all_lanes),
        cmocka_unit_test(one_long_lane_holds_up_the_rest),
        cmocka_unit_test(an_empty_loop_has_no_ratio),
        cmocka_unit_test(a_build_that_does_not_count_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
