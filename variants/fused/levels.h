/* levels.h: what a SIMD level brings to `fused` on the CPU; private to variants/fused. */
#ifndef ORTHO_VARIANTS_FUSED_LEVELS_H
#define ORTHO_VARIANTS_FUSED_LEVELS_H

#include "variants/fused/digits.h"

#define ORTHO_FUSED_TOKENS  16 /* most tokens of one pass over the weights */
#define ORTHO_FUSED_STREAMS 4  /* blocks that a thread reads side by side */

/* Weights asked of the memory ahead of their use, in bytes of each stream. */
#define ORTHO_FUSED_AHEAD 2048

/* Blocks on their way through one thread: `block`, `block` + step, ... */
typedef struct ortho_fused_job {
    const ortho_fused_packed *packed;
    int64_t block, step;
    int blocks;             /* 1 or ORTHO_FUSED_STREAMS */
    const ortho_fused_x *x; /* [tokens] */
    int tokens;             /* 1 .. ORTHO_FUSED_TOKENS */
    float *sum;             /* [tokens][stride], from the first block's first row on */
    int64_t stride;
} ortho_fused_job;

/* Most columns of a panel, and floats of one: columns of padding that are written behind the last
 * one's included (panel.h). */
#define ORTHO_FUSED_PANEL        256
#define ORTHO_FUSED_PANEL_FLOATS ((ORTHO_FUSED_PANEL + ORTHO_FUSED_COLUMNS) * ORTHO_FUSED_ROWS)

/* One block's part of a slab. */
typedef struct ortho_fused_slab {
    int64_t block, from, to; /* segments [from, to) */
    int64_t column, columns; /* the first, in the split */
    float alpha;
    float *panel; /* [columns][16], 64-byte aligned */
} ortho_fused_slab;

/* A few tokens and the panels of one block or more. */
typedef struct ortho_fused_tile {
    const float *panels; /* [blocks][ORTHO_FUSED_PANEL_FLOATS] */
    int blocks;
    const float *x; /* [columns][tokens] */
    int64_t columns;
    int tokens;
    float *sum; /* [tokens][stride], 16 of each block */
    int64_t stride;
} ortho_fused_tile;

/* What a SIMD level brings to many tokens. */
typedef struct ortho_fused_panels {
    int64_t from; /* tokens of a call from which this is faster than `segments` */
    int blocks;   /* of a tile at most; divides 4 */
    int tokens;   /* of a tile at most */
    /* Base of the slab's block. */
    void (*unpack)(const ortho_fused_packed *packed, const ortho_fused_slab *slab);
    /* Adds alpha times the entries of the block's first `rows` rows that lie in the slab: those
     * from entry[row] on, which is moved behind them. */
    void (*patch)(const ortho_csr *ortho, const ortho_fused_slab *slab, int rows, int32_t *entry);
    /* sum += x . panels */
    void (*multiply)(const ortho_fused_tile *tile);
} ortho_fused_panels;

extern const ortho_fused_panels ortho_fused_panels_portable;
extern const ortho_fused_panels ortho_fused_panels_avx2;
extern const ortho_fused_panels ortho_fused_panels_avx512;

typedef struct ortho_fused_level {
    /* Digits and ranges of one token from its padded x. */
    void (*digits)(const ortho_fused_packed *packed, const ortho_fused_x *x);
    /* The same with x rounded to int8: one digit, or none. */
    void (*int8)(const ortho_fused_packed *packed, const ortho_fused_x *x);
    /* sum += x . Base over segments [from, to), for all rows of the job. */
    void (*segments)(const ortho_fused_job *job, int64_t from, int64_t to);
    /* A patch for one token (its sums are 0, its alpha 1) that takes each row for `trips` vectors
     * of 16 entries, if it hasn't more. NULL: as warp-per-row does it. */
    void (*rows)(const ortho_csr *ortho, const ortho_patch *patch, int trips);
    const ortho_fused_panels *panels;
} ortho_fused_level;

extern const ortho_fused_level ortho_fused_level_portable;
extern const ortho_fused_level ortho_fused_level_avx2;
extern const ortho_fused_level ortho_fused_level_avx512;

/* The sums of one token and of one of the job's blocks. */
static inline float *ortho_fused_sums(const ortho_fused_job *job, int token, int block)
{
    return job->sum + token * job->stride + block * job->step * ORTHO_FUSED_ROWS;
}

#endif
