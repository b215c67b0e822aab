/*
 * counters.h: hardware counters of what runs on the GPU, through CUPTI's range profiler. Mechanism
 * only: it knows no variant and no group (counter_groups.h). One object holds one set of metrics;
 * sets that the hardware can't count at once take several passes, and each pass launches again.
 *
 * A process that counts isn't timed, and one that is traced (activity.h) isn't counted: the harness
 * gives each a child of its own.
 */
#ifndef ORTHO_HARNESS_COUNTERS_H
#define ORTHO_HARNESS_COUNTERS_H

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ob_counters ob_counters;

typedef enum ob_range_mode {
    OB_RANGE_KERNELS = 0, /* one range a kernel (CUPTI: auto range, user replay) */
    OB_RANGE_OPERATION    /* all that a launch enqueues is one range: adds about 11 us of elapsed
                             time and some foreign L2 sectors, so it serves several kernels */
} ob_range_mode;

/* Why a counter has no value, and CUPTI's code for it. */
typedef struct ob_counter_value {
    double value;
    int code;           /* CUptiResult; 0: the value stands */
    const char *reason; /* static storage; NULL where the value stands */
} ob_counter_value;

/* What is counted: `before` (flush a cache, poison; may be NULL) outside the range, then `launch`,
 * which enqueues on the device and doesn't wait. Both are called once a pass. */
typedef struct ob_counted {
    void *ctx;
    ortho_status (*before)(void *ctx);
    ortho_status (*launch)(void *ctx);
} ob_counted;

/* Metrics that this chip hasn't got are left out of the set and get their reason in every value;
 * the names must outlive the object. UNSUPPORTED, with words that say the cure, where counting is
 * impossible: no CUPTI, no permission, another profiler at work. */
ortho_status ob_counters_open(const char *const *metrics, int count, ob_counters **out);
void ob_counters_close(ob_counters *counters); /* NULL is allowed */

size_t ob_counters_passes(const ob_counters *counters);

/* Counts. values is [ranges_max][count]; *ranges says how many ranges there were: kernels in their
 * order, or 1. More kernels than ranges_max: only the first are told, and *ranges is what there
 * were. */
ortho_status ob_counters_measure(ob_counters *counters, ob_range_mode mode,
                                 const ob_counted *counted, int ranges_max,
                                 ob_counter_value *values, int *ranges);

/* Whether this process can count at all, without counting: false with one line that says why, and
 * one that says the cure (may be empty). */
bool ob_counters_available(char why[256], char cure[256]);

#endif
