/*
 * results.h: rows of the results document (docs/RESULTS.md). Every setter leaves a key out rather
 * than fill it with what wasn't measured.
 */
#ifndef ORTHO_HARNESS_RESULTS_H
#define ORTHO_HARNESS_RESULTS_H

#include "harness/divergence.h"
#include "harness/plan.h"
#include "harness/sampler.h"
#include "harness/verify.h"
#include "kernels/quality.h"

struct json_t;

/* What names a case: key to synthetic. The caller owns the row. */
struct json_t *ob_row_new(const ob_case *c, const ob_options *options, bool synthetic);

/* status and, unless it is ok, the reason. */
void ob_row_status(struct json_t *row, const char *status, const char *reason);

typedef struct ob_row_verified {
    const char *before, *after; /* pass, fail, n/a; NULL: not reached */
    const ob_verdict *verdict;  /* NULL: no figures */
    int copies;                 /* how many outputs the words in `checked` hold for */
} ob_row_verified;

void ob_row_verified_set(struct json_t *row, const ob_row_verified *verified);

typedef struct ob_row_time {
    const ob_sampler_lane *lane;
    int64_t launches, copies;
    uint64_t seed; /* of the bootstrap */
    bool flushed;  /* the cache was flushed before each sample */
} ob_row_time;

/* Median, bootstrap CI, MAD, outliers, samples; *ci gets the interval. */
void ob_row_time_set(struct json_t *row, const ob_row_time *time, ob_interval *ci);

void ob_row_cost_set(struct json_t *row, const ortho_cost *cost);
void ob_row_floor_set(struct json_t *row, double floor_ns, const char *of);
void ob_row_speedup_set(struct json_t *row, const char *over, const ob_sampler_lane *baseline,
                        const ob_sampler_lane *lane, uint64_t seed);

/* Tokens a second of a pass of m tokens, from the row's time. */
void ob_row_tokens_set(struct json_t *row, int64_t m);

/* A sink that lists kernels in the row. */
ortho_kernel_sink ob_row_kernels(struct json_t *row);

/* Peaks in bytes; host, device 0: not measured. */
void ob_row_peaks_set(struct json_t *row, const size_t peak[3], size_t host, size_t device);

void ob_row_divergence_set(struct json_t *row, const ob_divergence *divergence);

/* `four_bit`: the source's weights were 4-bit already, only the counts stand. */
void ob_row_quality_set(struct json_t *row, const ortho_quality *quality, bool four_bit);

#endif
