/*
 * select.h: the exact top `need` of n*k keys that are computed on demand, never stored.
 *
 * The keys' 31 bits are settled from the top by histograms (11, 10, 10 bits), a pass over the
 * matrix each. While counting the first, a thread that has seen `need` keys above some bin stops
 * counting below it: of a small share few keys are ever counted. Once the undecided bin's
 * population is small, its entries are gathered and sorted instead. Ties go by row, then column.
 */
#ifndef ORTHO_KERNELS_SELECT_H
#define ORTHO_KERNELS_SELECT_H

#include "kernels/quant.h"

#include <ortho/variant.h>

/* What was selected: keys > key, and keys == key up to and including position (row, col). */
typedef struct ortho_cut {
    uint32_t key;
    int64_t row, col;
} ortho_cut;

/* Where keys come from. Called from several threads at once, for different rows. */
typedef struct ortho_keys {
    void *ctx;
    /* Once for every row, before its first keys. */
    void (*prepare)(void *ctx, int64_t row);
    /* Keys of `count` <= 128 columns from col (a multiple of 128) on; key 0 for the padding. */
    void (*keys)(void *ctx, int64_t row, int64_t col, int count, uint32_t *keys);
    /* After all rows were prepared: anything but OK stops the selection. */
    ortho_status (*check)(void *ctx);
} ortho_keys;

typedef struct ortho_select_problem {
    int64_t n, k, need; /* 0 <= need <= n * k < 2^32 */
    const ortho_quant_ops *ops;
    const ortho_services *services;
    int threads;
    int32_t *row_count; /* [n] out: selected entries a row; NULL: not wanted */
} ortho_select_problem;

ortho_status ortho_select(const ortho_select_problem *problem, const ortho_keys *keys,
                          ortho_cut *out);

/* Columns of [col, col + count) before the returned split are selected by key >= *bound, those from
 * there on by key > *bound. */
int ortho_cut_bound(const ortho_cut *cut, int64_t row, int64_t col, uint32_t *bound);

/* Indices of a chunk's selected keys. */
int ortho_cut_collect(const ortho_cut *cut, int64_t row, int64_t col, int count,
                      const ortho_quant_ops *ops, const uint32_t *keys, uint8_t *index);

#endif
