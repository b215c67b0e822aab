/* stats.h: statistics of samples as pure functions: no globals, no clocks, no domain. */
#ifndef ORTHO_HARNESS_STATS_H
#define ORTHO_HARNESS_STATS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ob_interval {
    double lo, hi;
} ob_interval;

/* Linear-interpolation quantile (NumPy's default), p in 0..1, of n >= 1 samples; NaN when n is 0.
 */
double ob_quantile(const double *samples, size_t n, double p);
double ob_median(const double *samples, size_t n);

/* Median absolute deviation, unscaled (scipy.stats.median_abs_deviation, scale=1). */
double ob_mad(const double *samples, size_t n);

/* Samples farther than 3.5 scaled MADs (1.4826 * MAD) from the median. They are counted and marked,
 * never dropped. */
size_t ob_outliers(const double *samples, size_t n);

/* Percentile bootstrap CI of the median: `resamples` draws with a xoshiro256** seeded by `seed`.
 * Fewer than 2 samples give {median, median}. */
ob_interval ob_bootstrap_median(const double *samples, size_t n, double confidence, int resamples,
                                uint64_t seed);

/* Percentile bootstrap CI of median(a) / median(b), sides resampled apart. */
ob_interval ob_bootstrap_ratio(const double *a, size_t na, const double *b, size_t nb,
                               double confidence, int resamples, uint64_t seed);

/* Distribution-free CI of the median from order statistics (binomial), for large n and for the stop
 * rule: cheap, no randomness. */
ob_interval ob_order_median(const double *samples, size_t n, double confidence);

/* The stop rule: enough once `min_samples` are in, `min_time` has passed and the CI of the median
 * is narrower than `target` of it, or when `timeout` has passed. */
typedef struct ob_stop_rule {
    size_t min_samples;
    double min_time, timeout; /* seconds */
    double target;            /* relative width (hi - lo) / median */
} ob_stop_rule;

typedef enum ob_stop { OB_STOP_NO = 0, OB_STOP_CONVERGED, OB_STOP_TIMEOUT } ob_stop;

ob_stop ob_should_stop(const ob_stop_rule *rule, const double *samples, size_t n, double elapsed);

#endif
