/* The bootstrap over processes: against one made by brute force, and the claim that matters: how
 * often the interval holds what further processes would show. */
#include "common/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { MOST = 14, EACH = 15 };

/* A generator of its own (splitmix64), not the one under test. */
static double uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2.0 * log(uniform(state)));
    return radius * cos(6.283185307179586 * uniform(state));
}

static void what_lacks_gives_nan(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3};
    const size_t two[] = {2, 1}, hole[] = {3, 0};
    ortho_processes none = {.samples = x, .counts = two, .count = 0};
    ortho_processes holed = {.samples = x, .counts = hole, .count = 2};
    ortho_processes whole = {.samples = x, .counts = two, .count = 2};
    ortho_processes single = {.samples = x, .counts = hole, .count = 1};
    assert_true(isnan(ortho_processes_median(&none)));
    assert_true(isnan(ortho_processes_median(&holed)));
    assert_true(isnan(ortho_bootstrap_processes(&none, 0.95, 100, 1).lo));
    assert_true(isnan(ortho_bootstrap_processes(&holed, 0.95, 100, 1).hi));
    assert_true(isnan(ortho_bootstrap_processes(&whole, 0.95, 0, 1).hi));
    assert_true(isnan(ortho_processes_ratio(&whole, &single)));
    assert_true(isnan(ortho_processes_ratio(&whole, &holed)));
    assert_true(isnan(ortho_bootstrap_processes_ratio(&whole, &single, 0.95, 100, 1).lo));
    assert_true(isnan(ortho_bootstrap_processes_ratio(&holed, &whole, 0.95, 100, 1).lo));
}

/* A process with many samples weighs no more than one with few. */
static void each_process_weighs_the_same(void **state)
{
    (void)state;
    const double x[] = {10, 12, 11, 20, 30, 31, 30, 30, 29, 30, 30};
    const size_t counts[] = {3, 1, 7};
    ortho_processes p = {.samples = x, .counts = counts, .count = 3};
    assert_true(ortho_processes_median(&p) == 20);
    p.count = 2;
    assert_true(ortho_processes_median(&p) == 15.5);
    p.count = 1;
    ortho_interval nested = ortho_bootstrap_processes(&p, 0.95, 4000, 1);
    ortho_interval flat = ortho_bootstrap_median(x, 3, 0.95, 4000, 1);
    assert_true(nested.lo == flat.lo && nested.hi == flat.hi);
}

/* What is slow as a whole in one process is slow on both sides of its ratio. */
static void a_common_factor_cancels(void **state)
{
    (void)state;
    static const double factor[] = {1, 1.5, 0.7, 2, 1.1};
    double a[5 * 3], b[5 * 2];
    size_t three[] = {3, 3, 3, 3, 3}, two[] = {2, 2, 2, 2, 2};
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 3; j++)
            a[3 * i + j] = 6 * factor[i];
        for (size_t j = 0; j < 2; j++)
            b[2 * i + j] = 2 * factor[i];
    }
    ortho_processes top = {.samples = a, .counts = three, .count = 5};
    ortho_processes bottom = {.samples = b, .counts = two, .count = 5};
    assert_true(fabs(ortho_processes_ratio(&top, &bottom) - 3) < 1e-12);
    ortho_interval ci = ortho_bootstrap_processes_ratio(&top, &bottom, 0.95, 500, 3);
    assert_true(fabs(ci.lo - 3) < 1e-12 && fabs(ci.hi - 3) < 1e-12);
    ci = ortho_bootstrap_processes(&top, 0.95, 500, 3);
    assert_true(ci.hi - ci.lo > 2); /* while the times themselves move */
}

enum { RESAMPLES = 40000 };

/* The definition, word by word: draw processes, draw samples of each, median, median. */
static void brute_force(const ortho_processes *p, double *medians, uint64_t *random)
{
    double over[MOST], drawn[64];
    for (int r = 0; r < RESAMPLES; r++) {
        for (size_t i = 0; i < p->count; i++) {
            size_t which = (size_t)(uniform(random) * (double)p->count), from = 0;
            for (size_t j = 0; j < which; j++)
                from += p->counts[j];
            for (size_t j = 0; j < p->counts[which]; j++)
                drawn[j] = p->samples[from + (size_t)(uniform(random) * (double)p->counts[which])];
            over[i] = ortho_quantile(drawn, p->counts[which], 0.5);
        }
        medians[r] = ortho_quantile(over, p->count, 0.5);
    }
}

/* Whether `value` is the quantile p: medians of few samples are discrete, so its share is bounded
 * from both sides. */
static void is_quantile(const double *medians, double value, double p)
{
    double below = 0, upto = 0;
    for (int r = 0; r < RESAMPLES; r++) {
        below += medians[r] < value - 1e-9;
        upto += medians[r] <= value + 1e-9;
    }
    if (below / RESAMPLES > p + 0.006 || upto / RESAMPLES < p - 0.006)
        fail_msg("%g: %g below, %g up to it; wanted %g", value, below / RESAMPLES, upto / RESAMPLES,
                 p);
}

static void it_agrees_with_brute_force(void **state)
{
    (void)state;
    uint64_t random = 5;
    double *medians = malloc(RESAMPLES * sizeof *medians);
    assert_non_null(medians);
    for (size_t count = 10; count <= MOST; count++) { /* fewer are widened */
        double x[MOST * 40];
        size_t counts[MOST], n = 0;
        for (size_t i = 0; i < count; i++) {
            double offset = 100 + 3 * normal(&random);
            counts[i] = 1 + 6 * (i % 4);
            for (size_t j = 0; j < counts[i]; j++)
                x[n++] = offset + 4 * normal(&random);
        }
        ortho_processes p = {.samples = x, .counts = counts, .count = count};
        ortho_interval ours = ortho_bootstrap_processes(&p, 0.8, RESAMPLES, 9);
        brute_force(&p, medians, &random);
        is_quantile(medians, ours.lo, 0.1);
        is_quantile(medians, ours.hi, 0.9);
    }
    free(medians);
}

/* Times of `count` processes, each off by its own offset; the truth is 1. */
static void simulate(size_t count, uint64_t *random, double *x, size_t *counts)
{
    for (size_t i = 0; i < count; i++) {
        double offset = 1 + 0.05 * normal(random);
        counts[i] = EACH;
        for (size_t j = 0; j < EACH; j++)
            x[i * EACH + j] = offset * (1 + 0.01 * normal(random));
    }
}

typedef struct shares {
    double nested, flat; /* of experiments whose interval holds the truth */
    double wider;        /* of those where the nested one is the wider */
} shares;

static shares coverage(size_t count)
{
    enum { EXPERIMENTS = 1000 };
    shares s = {0};
    uint64_t random = 70 + count;
    double x[MOST * EACH];
    size_t counts[MOST];
    for (int e = 0; e < EXPERIMENTS; e++) {
        simulate(count, &random, x, counts);
        ortho_processes p = {.samples = x, .counts = counts, .count = count};
        ortho_interval two = ortho_bootstrap_processes(&p, 0.95, 400, (uint64_t)e);
        ortho_interval one = ortho_bootstrap_median(x, count * EACH, 0.95, 400, (uint64_t)e);
        s.nested += (two.lo <= 1 && 1 <= two.hi) / (double)EXPERIMENTS;
        s.flat += (one.lo <= 1 && 1 <= one.hi) / (double)EXPERIMENTS;
        s.wider += (two.hi - two.lo > one.hi - one.lo) / (double)EXPERIMENTS;
    }
    print_message("%zu processes: two levels cover %.3f, one level %.3f; wider in %.3f\n", count,
                  s.nested, s.flat, s.wider);
    return s;
}

/* The smallest and the largest of P independent medians hold the true one with a probability of
 * 1 - 2^(1-P): what 95 % were asked of must hold 95 %, however few the processes. */
static void intervals_cover_what_processes_show(void **state)
{
    (void)state;
    const size_t counts[] = {2, 3, 4, 5, 6, 9, 10};
    for (size_t i = 0; i < COUNT(counts); i++) {
        shares s = coverage(counts[i]);
        assert_true(s.nested > 0.93 && s.nested < 0.99);
        assert_true(s.flat < 0.85);
        assert_true(s.wider > 0.95);
    }
}

static void cover_ratios(size_t processes)
{
    enum { EXPERIMENTS = 500, COUNTED = 8 };
    uint64_t random = 17;
    int held = 0;
    for (int e = 0; e < EXPERIMENTS; e++) {
        double a[COUNTED * EACH], b[COUNTED * EACH];
        size_t counts[COUNTED];
        for (size_t i = 0; i < processes; i++) {
            double both = exp(0.3 * normal(&random)), own = 1 + 0.02 * normal(&random);
            counts[i] = EACH;
            for (size_t j = 0; j < EACH; j++) {
                a[i * EACH + j] = 2 * both * own * (1 + 0.01 * normal(&random));
                b[i * EACH + j] = both * (1 + 0.01 * normal(&random));
            }
        }
        ortho_processes top = {.samples = a, .counts = counts, .count = processes};
        ortho_processes bottom = {.samples = b, .counts = counts, .count = processes};
        ortho_interval ci = ortho_bootstrap_processes_ratio(&top, &bottom, 0.95, 400, (uint64_t)e);
        assert_true(processes < COUNTED || ci.hi - ci.lo < 0.2); /* unpaired it would be near 1 */
        held += ci.lo <= 2 && 2 <= ci.hi;
    }
    print_message("ratios: %d of %d held\n", held, EXPERIMENTS);
    assert_true(held >= 0.92 * EXPERIMENTS && held <= 0.995 * EXPERIMENTS);
}

static void ratios_of_processes_are_covered(void **state)
{
    (void)state;
    cover_ratios(8);
    cover_ratios(3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lacks_gives_nan),
        cmocka_unit_test(each_process_weighs_the_same),
        cmocka_unit_test(a_common_factor_cancels),
        cmocka_unit_test(it_agrees_with_brute_force),
        cmocka_unit_test(intervals_cover_what_processes_show),
        cmocka_unit_test(ratios_of_processes_are_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
