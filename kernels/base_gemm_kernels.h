/*
 * base_gemm_kernels.h: what a SIMD level brings to the Base GEMM; private to kernels/base_gemm*.
 *
 * The order. A 32-bit word of q holds 8 consecutive weights. A level with L lanes loads L words,
 * and shifting all of them right by 4 * s leaves weight 8 * lane + s at the bottom of each lane:
 * decoding needs no shuffle of nibbles if the activations are stored in that order instead. Within
 * a block of 8 * L columns, column c stands at (c % 8) * L + c / 8. Activations and dequantised
 * panels share the order, so that every dot product is one of straight vectors. L = 1 leaves the
 * natural order.
 */
#ifndef ORTHO_KERNELS_BASE_GEMM_KERNELS_H
#define ORTHO_KERNELS_BASE_GEMM_KERNELS_H

#include "kernels/base_gemm.h"

#define ORTHO_BASE_PAD   128  /* x and panels are padded with 0 to a multiple of this */
#define ORTHO_BASE_PANEL 1024 /* columns of a dequantised panel: 4 rows of them take 16 KiB */
#define ORTHO_BASE_QUAD  4    /* rows of a panel */

/* sum[r * stride + t] += panel row r . x row t, for 4 rows and `tokens` tokens. */
typedef struct ortho_base_tile {
    const float *panel; /* [4][ORTHO_BASE_PANEL] */
    const float *x;     /* [tokens][x_stride], starting at the panel's first column */
    int64_t x_stride;
    int64_t columns; /* a multiple of ORTHO_BASE_PAD */
    float *sum;      /* [4][stride] */
    int stride;
    int tokens; /* 1 .. the level's max_tokens */
} ortho_base_tile;

typedef struct ortho_base_kernels {
    int lanes;      /* L: 1, 8 or 16 */
    int max_tokens; /* of a tile */
    /* Converts n elements of x to float, and float to y. */
    void (*load)(ortho_dtype dtype, const void *from, int64_t n, float *to);
    void (*store)(ortho_dtype dtype, const float *from, int64_t n, void *to);
    /* Can `row_sums` and `dequantise` serve this base's group? Else the general code does. */
    bool (*fits)(const ortho_base *base);
    /* One token: sum[r] = Base row . x for rows [row, row + rows), rows <= ORTHO_BASE_ROWS. x in
     * the order, padded. */
    void (*row_sums)(const ortho_base *base, const float *x, int64_t row, int rows, float *sum);
    /* Columns [first, first + columns) of one row, in the order, scaled; 0 beyond k. */
    void (*dequantise)(const ortho_base *base, int64_t row, int64_t first, int64_t columns,
                       float *to);
    void (*tile)(const ortho_base_tile *tile);
} ortho_base_kernels;

extern const ortho_base_kernels ortho_base_kernels_portable;
extern const ortho_base_kernels ortho_base_kernels_avx2;
extern const ortho_base_kernels ortho_base_kernels_avx512;

/* `dequantise` for any group and any lanes, one weight at a time. */
void ortho_base_dequantise_any(const ortho_base *base, int64_t row, int64_t first, int64_t columns,
                               float *to);

/* A vector level's scales: `per_block` groups share a block of 8 * lanes columns, or
 * `blocks_per_group` blocks share a group. */
typedef struct ortho_base_scales {
    int per_block;
    int64_t blocks_per_group;
} ortho_base_scales;

/* False when groups and blocks don't nest. */
static inline bool ortho_base_nest(const ortho_base *base, int lanes, ortho_base_scales *out)
{
    int block = 8 * lanes;
    if (base->group >= base->k)
        *out = (ortho_base_scales){1, INT64_MAX};
    else if (base->group % block == 0)
        *out = (ortho_base_scales){1, base->group / block};
    else if (block % base->group == 0 && base->group >= 32)
        *out = (ortho_base_scales){(int)(block / base->group), 1};
    else
        return false;
    return true;
}

#endif
