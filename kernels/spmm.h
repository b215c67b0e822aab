/*
 * spmm.h: the Ortho half of the dual GEMM on the CPU: sparse rows times activations, added to sums
 * that are still fp32. Three ways, each a patch for ortho_base_run:
 *
 *   csr_scalar   one row, one token at a time, four scalar chains
 *   csr_vector   one row at a time, vectorised along its entries (gathers) for one token, along the
 *                tokens for more
 *   bcsr         buckets of row block x column tile; within one, runs of entries of the same row
 *
 * 1 % of 8192 x 3072 is 251,658 entries, 1.0 MB as CSR: 8 % of Base's bytes, about 31 a row.
 */
#ifndef ORTHO_KERNELS_SPMM_H
#define ORTHO_KERNELS_SPMM_H

#include "kernels/base_gemm.h"
#include "kernels/split.h"

/* Ortho as in the canonical split. */
typedef struct ortho_csr {
    int64_t n, k, nnz;
    int32_t *row_ptr; /* [n+1] */
    void *col;        /* [nnz] uint16_t, or uint32_t where k > 65536 */
    uint16_t *val;    /* [nnz] fp16 */
} ortho_csr;

/* A SIMD level's patches; `patch->row` and `rows` say which rows of the matrix are meant. */
typedef struct ortho_spmm_kernels {
    void (*csr_scalar)(const ortho_csr *, const ortho_patch *);
    void (*csr_vector)(const ortho_csr *, const ortho_patch *);
    void (*bcsr)(const ortho_bcsr *, const ortho_patch *); /* block_rows = ORTHO_BASE_ROWS */
} ortho_spmm_kernels;

extern const ortho_spmm_kernels ortho_spmm_kernels_portable;
extern const ortho_spmm_kernels ortho_spmm_kernels_avx2;
extern const ortho_spmm_kernels ortho_spmm_kernels_avx512;

/* The best that this processor has. */
const ortho_spmm_kernels *ortho_spmm_pick(void);

/* Keeps a copy of the split's row_ptr, col and val (purpose WEIGHTS). */
ortho_status ortho_csr_prepare(ortho_csr *csr, const ortho_split *split, const ortho_services *);
void ortho_csr_release(ortho_csr *csr, const ortho_services *);
/* Copies them back into the split's arrays. */
void ortho_csr_export(const ortho_csr *csr, ortho_split *out);
size_t ortho_csr_bytes(const ortho_csr *csr);

/* Prefetches the entries of block `block` of ORTHO_BASE_ROWS rows. */
void ortho_csr_prefetch(const ortho_csr *csr, int64_t block);
void ortho_bcsr_prefetch(const ortho_bcsr *bcsr, int64_t block);

#endif
