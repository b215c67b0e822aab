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

/* Activity and timing agree when they are no farther apart than this share of the timing; below
 * OB_ACTIVITY_JUDGED_NS launching weighs too much to judge. */
#define OB_ACTIVITY_TOLERANCE 0.05
#define OB_ACTIVITY_JUDGED_NS 5000.0
/* From the end of a graph's node to the start of the next at most: time that no kernel's duration
 * has, and the timing does. */
#define OB_ACTIVITY_GAP_NS 1300.0
/* A difference beyond this for each kernel is none of launching, gaps or early starts. */
#define OB_ACTIVITY_EDGE_NS 10000.0

/* What names a case: key to synthetic. The caller owns the row. */
struct json_t *ob_row_new(const ob_case *c, const ob_options *options, bool synthetic);

/* The seed of a row's bootstraps: of the run's seed and its key. */
uint64_t ob_row_seed(uint64_t seed, const char *key);

/* Whether a row's status lets it show numbers: ok or ambiguous. */
bool ob_row_stands(const struct json_t *row);

/* status and, unless it is ok, the reason. */
void ob_row_status(struct json_t *row, const char *status, const char *reason);

/* The way that the case asks for, and whether it is the one that the variant takes unasked. */
void ob_row_way_set(struct json_t *row, const char *way, bool usual);

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
void ob_row_time_set(struct json_t *row, const ob_row_time *time, ortho_interval *ci);

void ob_row_cost_set(struct json_t *row, const ortho_cost *cost);
void ob_row_floor_set(struct json_t *row, double floor_ns, const char *of);

typedef struct ob_row_speedup {
    const char *over; /* the baseline's variant */
    const ob_sampler_lane *baseline, *lane;
    uint64_t seed; /* of the bootstrap */
} ob_row_speedup;

/* key: "speedup", or "speedup_grouped": over a pass's baseline in form grouped. */
void ob_row_speedup_set(struct json_t *row, const char *key, const ob_row_speedup *speedup);

/* How a pass in form grouped made its groups: "one launch over separate weights", or "weights
 * concatenated". Not of a pass where no linears share x. */
void ob_row_grouping_set(struct json_t *row, const char *how);

/* Tokens a second of a pass of m tokens, from the row's time. */
void ob_row_tokens_set(struct json_t *row, int64_t m);

/* A sink that lists kernels in the row. */
ortho_kernel_sink ob_row_kernels(struct json_t *row);

/* Peaks in bytes; host, device 0: not measured. */
void ob_row_peaks_set(struct json_t *row, const size_t peak[3], size_t host, size_t device);

/* Parts of row.divergence: each setter fills its own and leaves the others, in any order. */
void ob_row_divergence_set(struct json_t *row, const ob_divergence *predicted);

/* What CUPTI told of a part. `status` NULL: nobody looked, the part stays as it was; "ok": the
 * figures stand, NAN for one that wasn't taken; else the figures are ignored. */
typedef struct ob_availability {
    const char *status; /* "ok" or "n/a" */
    const char *reason; /* of "n/a" */
} ob_availability;

typedef struct ob_measured {
    struct {
        ob_availability is;
        double value;             /* active lanes over 32 in the Ortho loop, 0..1 */
        const double *histogram;  /* 33 numbers of warp instructions; NULL: not taken */
        double instructions;      /* of SASS in the loop */
        double warp_instructions; /* executed in the loop */
    } loop;
    struct {
        ob_availability is;
        double value;              /* the same over all SASS of the operation, 0..1 */
        double enabled;            /* the same, predicated-off lanes out */
        double divergent_branches; /* executed branches whose lanes parted */
        double branch_efficiency;  /* uniform / (uniform + divergent), 0..1 */
    } kernel;
    const ob_divergence *exact; /* of an instrumented build; NULL: none */
} ob_measured;

/* divergence.measured, .kernel and .exact, and the difference from the prediction. */
void ob_row_measured_set(struct json_t *row, const ob_measured *measured);
/* Works out divergence.measured.difference where both are there. */
void ob_row_divergence_judge(struct json_t *row);

typedef struct ob_activity_kernel {
    const char *name;
    double ns; /* median over the launches */
    int grid[3], block[3];
    int registers;                     /* of a thread */
    int static_shared, dynamic_shared; /* bytes of a block */
} ob_activity_kernel;

typedef struct ob_activity_facts {
    ob_availability is;
    double ns; /* median over the launches of how long the operation had the GPU at work */
    double
        timer_ns; /* what the timer says in the recording's own process; 0 where it wasn't asked */
    size_t launches;
    const ob_activity_kernel *kernels; /* of one launch, in order */
    size_t kernel_count;
    double peak_device_bytes; /* of CUPTI's memory records */
    double allocator_bytes;   /* of our allocator's book, at its peak */
} ob_activity_facts;

void ob_row_activity_set(struct json_t *row, const ob_activity_facts *activity);
/* Works out how far row.activity is from the row's time, whether they agree, and why not, where
 * both are there. */
void ob_row_activity_judge(struct json_t *row);

/* row.counters. Takes the reference; NULL, or an object without a counter, leaves the key out. */
void ob_row_counters_set(struct json_t *row, struct json_t *counters);

/* By the sieve's own H and, with --held-out, by activations that it didn't see. */
typedef struct ob_quality {
    ortho_quality own;
    bool held_out;
    double held_out_h_weighted;
    int64_t tokens; /* 0: the file has a diagonal alone, the outputs are unknown */
    double output_rel_mse;
} ob_quality;

/* `four_bit`: the source's weights were 4-bit already, only the counts stand. */
void ob_row_quality_set(struct json_t *row, const ob_quality *quality, bool four_bit);

#endif
