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

/* Samples that several processes took, those of one process after those of another. */
typedef struct ortho_processes {
    const double *samples;
    const size_t *counts; /* [count]: how many of `samples`, in order, each process gave */
    size_t count;
} ortho_processes;

/* The median of the processes' medians: each process weighs the same, however many samples it gave.
 * NaN where one gave none. */
double ortho_processes_median(const ortho_processes *p);

/* Percentile bootstrap CI of that median, on two levels: a resample draws processes with
 * replacement, and of each drawn process samples with replacement. So it tells how well the median
 * over processes is known, of which no number of samples of one process tells anything. With P
 * processes that can't reach beyond the smallest and the largest of them, so that it covers at most
 * 1 - 2^(1-P): 75 % for 3, 94 % for 5. So that 95 % means 95 %, fewer than ten processes' interval
 * is widened to hold Student's, of the logarithms of their medians. One process: as
 * ortho_bootstrap_median. */
ortho_interval ortho_bootstrap_processes(const ortho_processes *p, double confidence, int resamples,
                                         uint64_t seed);

/* Of two things that were timed in the same processes (a->count == b->count): the median over
 * processes of median(a) / median(b) within a process, and its interval. Processes are drawn for
 * both at once, so what makes a process slow as a whole cancels. Medians of b must not be 0. */
double ortho_processes_ratio(const ortho_processes *a, const ortho_processes *b);
ortho_interval ortho_bootstrap_processes_ratio(const ortho_processes *a, const ortho_processes *b,
                                               double confidence, int resamples, uint64_t seed);

/* Distribution-free CI of the median from order statistics (binomial), for large n and for the stop
 * rule: cheap, no randomness. Where so few samples can't reach the confidence (fewer than 6 for
 * 95 %), the smallest and the largest sample. */
ortho_interval ortho_order_median(const double *samples, size_t n, double confidence);

/* Samples from which the order statistics reach 95 %. */
#define ORTHO_ORDER_SAMPLES 6

#endif
