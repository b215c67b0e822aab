/* Lanes are sampled in turns, stop by their own rules, and an interruption keeps what there is. */
#include "harness/sampler.h"

#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct fake {
    char *order; /* what was sampled, a letter each */
    char letter;
    double ns, spread;
    int taken, fail_at;
    atomic_int *interrupt;
    int interrupt_at;
} fake;

static ortho_status take(void *ctx, double *ns, double *spent)
{
    fake *f = ctx;
    size_t used = strlen(f->order);
    if (used < 60) {
        f->order[used] = f->letter;
        f->order[used + 1] = '\0';
    }
    f->taken++;
    if (f->fail_at > 0 && f->taken == f->fail_at)
        return ortho_fail(ORTHO_E_INTERNAL, "it broke");
    if (f->interrupt_at > 0 && f->taken == f->interrupt_at)
        atomic_store(f->interrupt, 1);
    *ns = f->ns + (f->taken % 2 ? f->spread : -f->spread);
    *spent = 1e7;
    return ORTHO_OK;
}

static ob_sampler_lane lane_of(fake *f, size_t least, double timeout)
{
    return (ob_sampler_lane){
        .ctx = f,
        .sample = take,
        .rule = {.min_samples = least, .min_time = 0, .timeout = timeout, .target = 0.05}};
}

static void lanes_take_turns(void **state)
{
    char order[64] = "";
    atomic_int interrupt = 0;
    fake a = {.order = order, .letter = 'a', .ns = 100};
    fake b = {.order = order, .letter = 'b', .ns = 100};
    ob_sampler_lane lanes[2] = {lane_of(&a, 9, 100), lane_of(&b, 12, 100)};
    (void)state;
    assert_false(ob_sampler_run(lanes, 2, &interrupt));
    assert_string_equal(order, "abababababababababbbb");
    assert_int_equal(lanes[0].stop, OB_STOP_CONVERGED);
    assert_int_equal(lanes[0].count, 9);
    ob_sampler_clear(&lanes[0]);
    ob_sampler_clear(&lanes[1]);
}

static void a_wide_lane_times_out_alone(void **state)
{
    char order[64] = "";
    atomic_int interrupt = 0;
    fake a = {.order = order, .letter = 'a', .ns = 100, .spread = 50};
    fake b = {.order = order, .letter = 'b', .ns = 100};
    ob_sampler_lane lanes[2] = {lane_of(&a, 9, 0.3), lane_of(&b, 9, 0.3)};
    (void)state;
    assert_false(ob_sampler_run(lanes, 2, &interrupt));
    assert_int_equal(lanes[0].stop, OB_STOP_TIMEOUT);
    assert_true(lanes[0].count >= 29 && lanes[0].count <= 31); /* 0.3 s of 10 ms */
    assert_int_equal(lanes[1].stop, OB_STOP_CONVERGED);
    ob_sampler_clear(&lanes[0]);
    ob_sampler_clear(&lanes[1]);
}

static void a_failure_leaves_with_its_message(void **state)
{
    char order[64] = "";
    atomic_int interrupt = 0;
    fake a = {.order = order, .letter = 'a', .ns = 100, .fail_at = 3};
    fake b = {.order = order, .letter = 'b', .ns = 100};
    ob_sampler_lane lanes[2] = {lane_of(&a, 9, 1), lane_of(&b, 9, 1)};
    (void)state;
    ob_sampler_run(lanes, 2, &interrupt);
    assert_int_equal(lanes[0].status, ORTHO_E_INTERNAL);
    assert_string_equal(lanes[0].message, "it broke");
    assert_int_equal(a.taken, 3);
    assert_int_equal(lanes[1].count, 9);
    ob_sampler_clear(&lanes[0]);
    ob_sampler_clear(&lanes[1]);
}

static void an_interruption_keeps_samples(void **state)
{
    char order[64] = "";
    atomic_int interrupt = 0;
    fake a = {.order = order, .letter = 'a', .ns = 100, .interrupt = &interrupt, .interrupt_at = 4};
    ob_sampler_lane lane = lane_of(&a, 9, 1);
    (void)state;
    assert_true(ob_sampler_run(&lane, 1, &interrupt));
    assert_int_equal(lane.count, 4);
    assert_int_equal(lane.stop, OB_STOP_NO);
    ob_sampler_clear(&lane);
}

/* Samples that cost no time never reach min_time or timeout: at the cap the interval alone decides.
 */
static ortho_status instant(void *ctx, double *ns, double *spent)
{
    fake *f = ctx;
    *ns = f->ns + (f->taken++ % 2 ? f->spread : -f->spread);
    *spent = 0;
    return ORTHO_OK;
}

static ob_stop stop_at_the_cap(double spread)
{
    fake f = {.ns = 100, .spread = spread};
    ob_sampler_lane lane = lane_of(&f, 9, 1);
    atomic_int never = 0;
    lane.sample = instant;
    lane.rule.min_time = 1;
    assert_false(ob_sampler_run(&lane, 1, &never));
    ob_stop stop = lane.stop;
    ob_sampler_clear(&lane);
    return stop;
}

static void the_cap_leaves_the_verdict_to_the_interval(void **state)
{
    (void)state;
    assert_int_equal(stop_at_the_cap(0.1), OB_STOP_CONVERGED);
    assert_int_equal(stop_at_the_cap(50), OB_STOP_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_take_turns),
        cmocka_unit_test(a_wide_lane_times_out_alone),
        cmocka_unit_test(a_failure_leaves_with_its_message),
        cmocka_unit_test(an_interruption_keeps_samples),
        cmocka_unit_test(the_cap_leaves_the_verdict_to_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
