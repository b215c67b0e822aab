/*
 * base_gemm.h: the Base half of the dual GEMM on the CPU, Y = X * Base^T, with a place where a
 * variant patches its Ortho in. Every competitor stands on this one building block, so that a
 * difference between two of them is Ortho's.
 *
 * Rows are worked in blocks of ORTHO_BASE_ROWS. While a block's sums are still fp32 and in the L1
 * cache, the variant's patch adds alpha * X * Ortho^T to them; then they are rounded once to the
 * dtype of y. With alpha = 0 the patch isn't called at all.
 */
#ifndef ORTHO_KERNELS_BASE_GEMM_H
#define ORTHO_KERNELS_BASE_GEMM_H

#include <ortho/variant.h>

#define ORTHO_BASE_ROWS   16 /* rows of a block: what a patch sees at once */
#define ORTHO_BASE_TOKENS 64 /* most tokens that a patch sees at once */

struct ortho_base_kernels;

/* Packed weights and what a call needs to know. Lives in a variant's state. */
typedef struct ortho_base {
    int64_t n, k, group, groups; /* groups of a row */
    uint8_t *q;                  /* [n, (k+1)/2], as in the canonical split */
    uint16_t *scale;             /* [n, groups] fp16 */
    ortho_dtype dtype;           /* the problem's, for costs; a call says its own */
    int threads;                 /* for which the workspace is sized */
    const struct ortho_base_kernels *kernels;
} ortho_base;

/* One block on its way through one thread. */
typedef struct ortho_patch {
    int64_t block, row; /* row = block * ORTHO_BASE_ROWS, the first row */
    int rows;           /* 1 .. ORTHO_BASE_ROWS */
    int tokens;         /* 1 .. ORTHO_BASE_TOKENS */
    int stride;         /* 1 for one token, else a multiple of 16, >= tokens */
    const float *x;     /* [k][stride] transposed activations; 0 beyond `tokens` */
    float *sum;         /* [rows][stride]; the patch adds to it */
    float alpha;        /* never 0 */
} ortho_patch;

/* A variant's Ortho. All calls come from several threads at once, for different blocks. */
typedef struct ortho_patcher {
    const void *ctx;
    void (*patch)(const void *ctx, const ortho_patch *patch);
    /* Optional: asks the memory for what patch will read for `block`, one block ahead. */
    void (*prefetch)(const void *ctx, int64_t block);
    /* Optional: first block of thread `thread` of `threads` (thread = threads: one past the last).
     * NULL: equal shares. */
    int64_t (*cut)(const void *ctx, int thread, int threads);
} ortho_patcher;

/* Keeps a copy of the split's q and scale (purpose WEIGHTS). Any n, k, group >= 1. */
ortho_status ortho_base_prepare(ortho_base *base, const ortho_gemm_problem *problem,
                                const ortho_services *services);
void ortho_base_release(ortho_base *base, const ortho_services *services);

/* Copies q and scale back into the split's arrays. */
void ortho_base_export(const ortho_base *base, ortho_split *out);

size_t ortho_base_workspace(const ortho_base *base, int64_t m);

/* call->y = call->x * Base^T + patcher. */
ortho_status ortho_base_run(const ortho_base *base, const ortho_patcher *patcher,
                            const ortho_gemm_call *call);

int64_t ortho_base_blocks(int64_t n);

/* Token stride of the transposed activations that a call with m tokens hands to its patch. */
int ortho_base_stride(int64_t m);

/* n elements of F32, F16 or BF16 to float, and back rounded to nearest even, with this processor's
 * vector conversions. */
void ortho_base_load(ortho_dtype dtype, const void *from, int64_t n, float *to);
void ortho_base_store(ortho_dtype dtype, const float *from, int64_t n, void *to);

/* What a call must move and compute: q + scale + ortho_bytes, x read once, y written once. */
void ortho_base_cost(const ortho_base *base, int64_t m, int64_t nnz, size_t ortho_bytes,
                     ortho_cost *cost);

#endif
