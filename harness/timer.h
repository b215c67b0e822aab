/*
 * timer.h: the clock, and the proof that it is one. Mechanism only: it knows nothing of weights.
 */
#ifndef ORTHO_HARNESS_TIMER_H
#define ORTHO_HARNESS_TIMER_H

#include <ortho/ortho.h>

typedef struct ob_timer {
    const char *name;     /* of the clock; static storage */
    double resolution_ns; /* the smallest step seen between two readings that differ */
    double overhead_ns;   /* median cost of a start/stop pair around nothing */
} ob_timer;

/* Nanoseconds of CLOCK_MONOTONIC_RAW, which no one adjusts. */
double ob_timer_now(void);

/* Measures resolution and overhead. INTERNAL when the clock doesn't tick, runs backwards, or
 * disagrees with a sleep of known length: nothing may be timed with it then. */
ortho_status ob_timer_calibrate(ob_timer *out);

/* An elapsed time with the overhead of one start/stop pair taken off, never below 0. */
double ob_timer_elapsed(const ob_timer *timer, double start, double stop);

#endif
