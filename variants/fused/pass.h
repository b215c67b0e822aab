/*
 * pass.h: one thread's way through the weights of one linear, for up to 16 tokens; private to
 * variants/fused. gemm.c and chain.c stand on it.
 *
 * Inside of a parallel region each thread begins a worker, loads tokens, runs its blocks. Threads
 * get blocks by the bytes that they hold, Base and entries alike: a row that is full of entries
 * costs its share. A block is one thread's, in one order: y is the same whatever their number.
 */
#ifndef ORTHO_VARIANTS_FUSED_PASS_H
#define ORTHO_VARIANTS_FUSED_PASS_H

#include "variants/fused/levels.h"
#include "variants/tuned.h"

/* A variant's state. */
typedef struct ortho_fused_state {
    ortho_fused_packed packed;
    const ortho_fused_level *level;
    const ortho_spmm_kernels *spmm;
    ortho_dtype dtype; /* the problem's, for costs */
    int threads;       /* for which workspaces are sized */
    int trips;         /* vectors of 16 entries that a row is taken for */
    bool straight;     /* no padding between segments: x padded is x as it is */
    bool int8;         /* x is rounded to int8 for Base */
    ortho_tuned tuned; /* what was measured of linears like this one */
} ortho_fused_state;

/* One thread's view of a call. */
typedef struct ortho_fused_worker {
    const ortho_fused_state *st;
    const ortho_gemm_call *call;
    int thread, threads;
    float scale;                         /* of y; 1 unless the caller sets another */
    float *sums;                         /* [tokens][all rows] */
    ortho_fused_x x[ORTHO_FUSED_TOKENS]; /* tokens of this pass */
    float *transposed;                   /* x as [k][16]; NULL with few tokens */
    float *entries; /* what Ortho adds to a job: [rows][16], or [tokens][rows] with few tokens */
} ortho_fused_worker;

/* Bytes for a call with m tokens. */
int64_t ortho_fused_workspace(const ortho_fused_state *st, int64_t m);

/* For the calling thread, one of `threads` <= st->threads. The call must outlive the worker. With
 * one token x is this thread's own; with more they share it. */
ortho_fused_worker ortho_fused_worker_begin(const ortho_fused_state *st,
                                            const ortho_gemm_call *call, int threads);

/* Prepares tokens [first, first + tokens) of the call's x: of more than one this thread's share, so
 * that a barrier has to follow. */
void ortho_fused_load(const ortho_fused_worker *w, int64_t first, int tokens);

/* y of these tokens and of this thread's rows. */
void ortho_fused_run(const ortho_fused_worker *w, int64_t first, int tokens);

/* Does x prepared for one linear serve another one? */
static inline bool ortho_fused_same_x(const ortho_fused_state *a, const ortho_fused_state *b)
{
    return a->packed.k == b->packed.k && a->packed.group == b->packed.group &&
           a->level == b->level && a->int8 == b->int8;
}

#endif
