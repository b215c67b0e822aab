#include "harness/stop.h"

#include <math.h>
#include <stdbool.h>

static const double stop_confidence = 0.95;

static bool converged(const ob_stop_rule *rule, const double *samples, size_t n)
{
    ortho_interval ci = ortho_order_median(samples, n, stop_confidence);
    return n >= ORTHO_ORDER_SAMPLES &&
           ci.hi - ci.lo <= rule->target * fabs(ortho_median(samples, n));
}

ob_stop ob_should_stop(const ob_stop_rule *rule, const double *samples, size_t n, double elapsed)
{
    if (n >= rule->min_samples && elapsed >= rule->min_time && converged(rule, samples, n))
        return OB_STOP_CONVERGED;
    return elapsed >= rule->timeout ? OB_STOP_TIMEOUT : OB_STOP_NO;
}
