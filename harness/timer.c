/*
 * The clock is read through the vDSO, so a reading costs tens of nanoseconds: small against the
 * samples of 2 ms and more, and subtracted all the same.
 */
#include "harness/timer.h"

#include "common/error.h"

#include <stdlib.h>
#include <time.h>

enum { READINGS = 512, SPINS = 1000000 };

double ob_timer_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The next reading that differs from `from`; `from` itself when the clock stands still. */
static double next_tick(double from)
{
    for (int i = 0; i < SPINS; i++) {
        double now = ob_timer_now();
        if (now != from)
            return now;
    }
    return from;
}

/* A sleep of 2 ms must read as 2 ms at least, and not as a minute. */
static ortho_status check_against_sleep(void)
{
    struct timespec nap = {.tv_sec = 0, .tv_nsec = 2000000};
    double start = ob_timer_now();
    while (nanosleep(&nap, &nap) != 0) {
    }
    double slept = ob_timer_now() - start;
    if (slept < 1.9e6 || slept > 60e9)
        return ortho_fail(ORTHO_E_INTERNAL,
                          "the clock read %.0f ns over a sleep of 2 ms: it can't be trusted",
                          slept);
    return ORTHO_OK;
}

ortho_status ob_timer_calibrate(ob_timer *out)
{
    double overhead[READINGS], resolution = 1e18;
    for (int i = 0; i < READINGS; i++) {
        double start = ob_timer_now();
        double stop = ob_timer_now();
        if (stop < start)
            return ortho_fail(ORTHO_E_INTERNAL, "the clock ran backwards by %.0f ns", start - stop);
        overhead[i] = stop - start;
        double tick = next_tick(stop);
        if (tick == stop)
            return ortho_fail(ORTHO_E_INTERNAL, "the clock doesn't tick: %d readings of %.0f ns",
                              SPINS, stop);
        resolution = tick - stop < resolution ? tick - stop : resolution;
    }
    ortho_status status = check_against_sleep();
    if (status != ORTHO_OK)
        return status;
    qsort(overhead, READINGS, sizeof overhead[0], ascending);
    *out = (ob_timer){.name = "CLOCK_MONOTONIC_RAW",
                      .resolution_ns = resolution,
                      .overhead_ns = overhead[READINGS / 2]};
    return ORTHO_OK;
}

double ob_timer_elapsed(const ob_timer *timer, double start, double stop)
{
    double elapsed = stop - start - timer->overhead_ns;
    return elapsed > 0 ? elapsed : 0;
}
