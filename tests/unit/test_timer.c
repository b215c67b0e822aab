/* The clock ticks, its overhead is small, and elapsed time is what a sleep says. */
#include "harness/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void calibration_is_plausible(void **state)
{
    ob_timer t = {0};
    (void)state;
    assert_int_equal(ob_timer_calibrate(&t), ORTHO_OK);
    assert_string_equal(t.name, "CLOCK_MONOTONIC_RAW");
    assert_true(t.resolution_ns > 0 && t.resolution_ns < 1e6);
    assert_true(t.overhead_ns >= 0 && t.overhead_ns < 1e5);
}

static void overhead_is_taken_off_never_below_zero(void **state)
{
    ob_timer t = {.overhead_ns = 25};
    (void)state;
    assert_true(ob_timer_elapsed(&t, 1000, 1100) == 75);
    assert_true(ob_timer_elapsed(&t, 1000, 1010) == 0);
}

static void a_sleep_is_measured(void **state)
{
    struct timespec nap = {.tv_nsec = 5000000};
    (void)state;
    double start = ob_timer_now();
    nanosleep(&nap, NULL);
    assert_true(ob_timer_now() - start >= 4.9e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibration_is_plausible),
        cmocka_unit_test(overhead_is_taken_off_never_below_zero),
        cmocka_unit_test(a_sleep_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
