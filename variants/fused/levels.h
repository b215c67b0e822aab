/* levels.h: what a SIMD level brings to `fused` on the CPU; private to variants/fused. */
#ifndef ORTHO_VARIANTS_FUSED_LEVELS_H
#define ORTHO_VARIANTS_FUSED_LEVELS_H

#include "variants/fused/digits.h"

#define ORTHO_FUSED_TOKENS 16 /* most tokens of one pass over the weights */

/* One block on its way through one thread. */
typedef struct ortho_fused_job {
    const ortho_fused_packed *packed;
    int64_t block;
    const ortho_fused_x *x; /* [tokens] */
    int tokens;             /* 1 .. ORTHO_FUSED_TOKENS */
    float *sum;             /* [tokens][stride]: 16 rows of each token are written */
    int64_t stride;
} ortho_fused_job;

typedef struct ortho_fused_level {
    /* Digits and ranges of one token from its padded x. */
    void (*digits)(const ortho_fused_packed *packed, const ortho_fused_x *x);
    /* sum = x . Base, for the rows of a block. */
    void (*block)(const ortho_fused_job *job);
} ortho_fused_level;

extern const ortho_fused_level ortho_fused_level_portable;
extern const ortho_fused_level ortho_fused_level_avx2;
extern const ortho_fused_level ortho_fused_level_avx512;

/* Weights asked of the memory ahead of their use, in bytes. */
#define ORTHO_FUSED_AHEAD 2048

#endif
