/*
 * clocks.h: what the GPU's management library told beside each sample of a case: clock, power,
 * temperature, and whether something held the clock down. A throttled sample stays, and is marked.
 */
#ifndef ORTHO_HARNESS_CLOCKS_H
#define ORTHO_HARNESS_CLOCKS_H

#include "harness/nvml.h"

#include <stddef.h>
#include <stdint.h>

struct json_t;

typedef struct ob_clocks {
    double *sm_mhz; /* one a reading; malloc'd */
    size_t count, capacity;
    double power_w, temp_c; /* the most; NaN or 0: not told */
    uint64_t throttle;      /* reasons seen, all of them together */
    size_t *throttled;      /* samples that a reason fell on; malloc'd */
    size_t throttled_count, throttled_capacity;
} ob_clocks;

/* Reads once, after sample number `sample`. `nvml` may be NULL: nothing is noted then. */
void ob_clocks_read(ob_clocks *clocks, ob_nvml *nvml, size_t sample);

/* clocks and, where a sample was throttled, time_ns.throttled into a row that has its time. Nothing
 * where nothing was read. */
void ob_row_clocks_set(struct json_t *row, const ob_clocks *clocks);

void ob_clocks_clear(ob_clocks *clocks);

#endif
