/*
 * clocks.h: what the GPU's management library told beside each sample of a case: clock, power,
 * temperature, and whether something held the clock down. A throttled sample stays, and is marked.
 */
#ifndef ORTHO_HARNESS_CLOCKS_H
#define ORTHO_HARNESS_CLOCKS_H

#include "harness/nvml.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t;

/* A row keeps at most so many readings: a picture needs no more, and documents stay small. */
#define OB_READINGS_MAX 32

/* One moment; NaN: not told. */
typedef struct ob_clock_reading {
    double s; /* seconds since the run's first reading */
    double sm_mhz, power_w, temp_c;
    bool throttled;
} ob_clock_reading;

typedef struct ob_clocks {
    ob_clock_reading *readings; /* in the order in which they were taken; malloc'd */
    size_t count, capacity;
    uint64_t throttle; /* reasons seen, all of them together */
    size_t *throttled; /* samples that a reason fell on; malloc'd */
    size_t throttled_count, throttled_capacity;
} ob_clocks;

/* Reads once, after sample number `sample`. `nvml` may be NULL: nothing is noted then. *first_ns is
 * when the run's first reading was taken, by ob_timer_now; 0, before there is one, is set. */
void ob_clocks_read(ob_clocks *clocks, ob_nvml *nvml, size_t sample, double *first_ns);

/* clocks and, where a sample was throttled, time_ns.throttled into a row that has its time. Nothing
 * where nothing was read. Of more than OB_READINGS_MAX readings the first, the last and one of each
 * equal stretch between them are written: one that was throttled, where the stretch has any. */
void ob_row_clocks_set(struct json_t *row, const ob_clocks *clocks);

void ob_clocks_clear(ob_clocks *clocks);

#endif
