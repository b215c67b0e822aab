/* Pinned threads stand on one processor each, and have their freedom back afterwards. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_SET */
#include "harness/affinity.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static cpu_set_t allowed(void)
{
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    return set;
}

static void pinned_then_free(void **state)
{
    (void)state;
    cpu_set_t before = allowed();
    ob_affinity *pinned = ob_affinity_pin(1);
    assert_non_null(pinned);
    cpu_set_t during = allowed();
    assert_int_equal(CPU_COUNT(&during), 1);
    ob_affinity_release(pinned);
    cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&before, &after));
}

static void more_threads_than_processors(void **state)
{
    (void)state;
    cpu_set_t before = allowed();
    assert_null(ob_affinity_pin(CPU_COUNT(&before) + 1));
    cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&before, &after));
    ob_affinity_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pinned_then_free),
        cmocka_unit_test(more_threads_than_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
