/* stop.h: when a case has been sampled enough. Pure: no globals, no clocks. */
#ifndef ORTHO_HARNESS_STOP_H
#define ORTHO_HARNESS_STOP_H

#include "common/stats.h"

/* The stop rule: enough once `min_samples` are in, `min_time` has passed and the 95 % CI of the
 * median by order statistics exists (ORTHO_ORDER_SAMPLES) and is no wider than `target` of it, or
 * when `timeout` has passed. O(n) a call. */
typedef struct ob_stop_rule {
    size_t min_samples;
    double min_time, timeout; /* seconds */
    double target;            /* relative width (hi - lo) / median */
} ob_stop_rule;

typedef enum ob_stop { OB_STOP_NO = 0, OB_STOP_CONVERGED, OB_STOP_TIMEOUT } ob_stop;

ob_stop ob_should_stop(const ob_stop_rule *rule, const double *samples, size_t n, double elapsed);

#endif
