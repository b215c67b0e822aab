/* clock.h: seconds for progress, rates and pauses. What is measured as a result has the harness's
 * timer. */
#ifndef ORTHO_COMMON_CLOCK_H
#define ORTHO_COMMON_CLOCK_H

#include <time.h>

/* Of CLOCK_MONOTONIC: since some point in the past. */
static inline double ortho_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
