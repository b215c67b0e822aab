/*
 * sieve.h: the streaming sieve on the GPU, as building blocks; kernels/sieve.h is the definition.
 * Kinds of passes over W, none of which keeps anything of its size:
 *
 *   statistics  H by columns, fp32 over a few rows and double beyond, in a fixed order; and in the
 *               same read what needs no H: scales and q (rules with one candidate), or the rows'
 *               squares
 *   selection   a histogram of a sample of the keys brackets the cut; one read counts what is above
 *               the bracket, row by row, lists what is in it, and stages the columns of both; the
 *               cut is then picked out of the list. Where the bracket misses (ties!) or the matrix
 *               is small, exact digit-by-digit histograms over all of W take over, on the device
 *   fit         outlier rule: 16 scales a group are tried: 5 instructions a weight and candidate
 *
 * and emission, which is the variant's own: from the stage, or from another read of W. Reads of W:
 * residual and legacy 2 (statistics with quantisation, selection; 3 where a group is a long row),
 * outlier 4 (statistics, magnitudes, fit, scores), emission's not counted, and an eighth to a
 * thirty-second each for a sample. Each kernel starts while the one before it ends
 * (ortho_sieve_launch).
 */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_H
#define ORTHO_KERNELS_CUDA_SIEVE_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads of W, by rule (outlier, residual, legacy), for ortho_sieve_hooks.w_reads: emission reads
 * EMITS times. */
#define ORTHO_CUDA_SIEVE_W_READS(EMITS)                                                            \
    {                                                                                              \
        4 + (EMITS), 2 + (EMITS), 3 + (EMITS)                                                      \
    }

/* One selection's state in device memory. Ties go by position, row * k + col, which fits 32 bits:
 * an entry is selected when its key is above cut_key, or equal to it at a position <= cut_at. */
typedef struct ortho_cuda_selection {
    uint32_t cut_key, cut_at;
    uint32_t lo, hi;    /* the bracket: keys in [lo, hi) are undecided */
    uint32_t shift;     /* a bracketed key's bin: (key - lo) >> shift */
    uint32_t listed;    /* how many bracketed keys were found */
    uint32_t finalists; /* those of them in the bin of the cut */
    uint32_t staged;    /* columns in the stage */
    uint32_t missed;    /* 1: the sample gave no bracket */
    uint32_t exact;     /* 1: digits decided, and what is staged is of no use */
    uint64_t above;     /* keys >= hi */
} ortho_cuda_selection;

/* A row's candidates in the stage: columns in order, a superset of what is selected. */
typedef struct ortho_cuda_staged_row {
    uint32_t at, count; /* count UINT32_MAX: not there, the row must be walked */
} ortho_cuda_staged_row;

/* Everything that the kernels need, by value. Device pointers. */
typedef struct ortho_cuda_sieve_view {
    const void *w;
    int64_t n, k, stride, group, groups, nnz;
    uint32_t cols, q_stride; /* k, and the bytes of a row of q, in 32 bits */
    int32_t tiles;           /* of 256 columns */
    int32_t group_shift;     /* a column's group: column >> this */
    int32_t group_lanes; /* of 8 columns: 4, 8, 16, or 32 for more than 128 columns and for a row */
    int32_t stripes;     /* of rows, in the statistics */
    int32_t rule;        /* ortho_rule */
    uint32_t sample_step; /* one eight of columns of so many is sampled */
    int32_t whole;        /* rows come in whole eights, at addresses of 16-byte words */
    int32_t has_weight;   /* weight was given, not measured */
    uint32_t list_size, stage_size;
    float *weight;      /* [tiles * 256]: H, 1/H under LEGACY; 0 beyond k */
    float *root;        /* [tiles * 256]: its square root, in 22 bits: see sieve_fit.cu */
    float *reach;       /* [tiles * 256]: an error |e| below this is below the scores' bracket */
    float *column_sums; /* [stripes, tiles * 256] */
    float *row_squares; /* [n, tiles]; outlier, else NULL */
    float *inverse_rms; /* [n]: 1 / (rms * 2^60), known once the fit has run; outlier, else NULL */
    uint32_t *bracket;  /* [4096], zero between kernels */
    uint64_t
        *list[2]; /* [list_size], magnitudes' and scores': key << 32 | ~position; reports first */
    uint64_t *finalists;             /* [1024], of the same */
    uint16_t *stage;                 /* [stage_size] columns, row by row, the rows in any order */
    ortho_cuda_staged_row *staged;   /* [n] */
    ortho_cuda_selection *selection; /* [2]: magnitudes, scores */
    uint32_t *counters;              /* arrivals of blocks; each back at 0 when its kernel ends */
    uint32_t *bad_row;               /* the least row that can't be sieved; UINT32_MAX: none */
    uint8_t *q;                      /* [n, (k+1)/2] */
    uint16_t *scale;                 /* [n, groups] fp16 */
    int32_t *row_ptr;                /* [n+1] */
} ortho_cuda_sieve_view;

/* The part of a variant's state that is the same for all. */
typedef struct ortho_cuda_sieve {
    ortho_cuda_sieve_view view;
    ortho_dtype dtype;
    void *working; /* one allocation, purpose WORKING */
    const void *last_w;
} ortho_cuda_sieve;

/* Checks the problem, allocates q, scale, row_ptr (OUTPUT) and the working memory. */
ortho_status ortho_cuda_sieve_prepare(ortho_cuda_sieve *sieve, const ortho_sieve_problem *problem,
                                      const ortho_services *services);
void ortho_cuda_sieve_release(ortho_cuda_sieve *sieve, const ortho_services *services);

/* Enqueues everything up to emission: q, scale and row_ptr are final then. */
ortho_status ortho_cuda_sieve_run(ortho_cuda_sieve *sieve, const ortho_sieve_problem *problem,
                                  const ortho_services *services);

/* Waits for the run; NONFINITE, naming row and column, where W can't be sieved. Then copies q,
 * scale and row_ptr into a split of the same sizes. */
ortho_status ortho_cuda_sieve_export(const ortho_cuda_sieve *sieve, ortho_split *out,
                                     const ortho_services *services);

/* NONFINITE for a row of a device W that can't be sieved: reads it again, and names the weight that
 * is to blame as the CPU does. */
ortho_status ortho_cuda_sieve_explain(const ortho_matrix *w, int64_t row,
                                      const ortho_services *services);

/* Reports the kernels that come before emission. */
void ortho_cuda_sieve_kernels(const ortho_cuda_sieve *sieve, const ortho_kernel_sink *sink);

#ifdef __cplusplus
}
#endif
#endif
