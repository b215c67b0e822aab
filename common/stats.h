/*
 * stats.h: statistics of samples as pure functions: no globals, no clocks, no domain.
 *
 * Samples are finite, in any order and any unit; they are read, never changed. Where there is no
 * sample to answer from, or no memory for a copy, the answer is NaN.
 */
#ifndef ORTHO_COMMON_STATS_H
#define ORTHO_COMMON_STATS_H

#include <stddef.h>
#include <stdint.h>

typedef struct ortho_interval {
    double lo, hi;
} ortho_interval;

/* Linear-interpolation quantile (NumPy's default); p is clamped to 0..1. */
double ortho_quantile(const double *samples, size_t n, double p);
double ortho_median(const double *samples, size_t n);

/* Median absolute deviation, unscaled (scipy.stats.median_abs_deviation, scale=1). */
double ortho_mad(const double *samples, size_t n);

/* How many samples lie farther than 3.5 scaled MADs (1.4826 * MAD) from the median. They are
 * counted, never dropped. */
size_t ortho_outliers(const double *samples, size_t n);

/* Percentile bootstrap CI of the median: `resamples` draws with a xoshiro256** seeded by `seed`.
 * Fewer than 2 samples give {median, median}. */
ortho_interval ortho_bootstrap_median(const double *samples, size_t n, double confidence,
                                      int resamples, uint64_t seed);

/* Percentile bootstrap CI of median(a) / median(b), sides resampled apart; one sample a side is
 * enough. Medians of b must not be 0. */
ortho_interval ortho_bootstrap_ratio(const double *a, size_t na, const double *b, size_t nb,
                                     double confidence, int resamples, uint64_t seed);

/* Distribution-free CI of the median from order statistics (binomial), for large n and for the stop
 * rule: cheap, no randomness. Where so few samples can't reach the confidence (fewer than 6 for
 * 95 %), the smallest and the largest sample. */
ortho_interval ortho_order_median(const double *samples, size_t n, double confidence);

/* Samples from which the order statistics reach 95 %. */
#define ORTHO_ORDER_SAMPLES 6

#endif
