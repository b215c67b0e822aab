/* split.h: the canonical split as an object: allocation, checks, sizes, and conversions to COO and
 * block-CSR. */
#ifndef ORTHO_KERNELS_SPLIT_H
#define ORTHO_KERNELS_SPLIT_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Allocates all five arrays (row_ptr zeroed). Free with ortho_split_free. */
ortho_status ortho_split_alloc(int64_t n, int64_t k, int64_t group, int64_t nnz,
                               const ortho_services *, ortho_purpose, ortho_split *out);
void ortho_split_free(ortho_split *, const ortho_services *);

/* The arrays of a split. */
typedef enum ortho_split_array {
    ORTHO_SPLIT_ROW_PTR = 0,
    ORTHO_SPLIT_SCALE,
    ORTHO_SPLIT_VAL,
    ORTHO_SPLIT_COL,
    ORTHO_SPLIT_Q
} ortho_split_array;

/* The first thing that is wrong with a split. */
typedef struct ortho_split_fault {
    ortho_split_array array;
    int64_t row;    /* -1: of no row */
    int64_t index;  /* of the array's element (of q: the byte) */
    char what[120]; /* "column 9 after 9" */
} ortho_split_fault;

/* Looks for a broken invariant of ortho.h in a split whose sizes are sane: true when there is one.
 * Reads each array once, and no element outside of them whatever they hold: a sound split of a
 * hostile file costs less than reading it. */
bool ortho_split_find_fault(const ortho_split *, ortho_split_fault *out);

/* Checks sizes and every invariant; FORMAT names the row and what is wrong with it. */
ortho_status ortho_split_check(const ortho_split *);

/* Bytes of q + scale; of row_ptr + col + val. */
size_t ortho_split_base_bytes(const ortho_split *);
size_t ortho_split_ortho_bytes(const ortho_split *);

/* COO: row [nnz], col [nnz], val [nnz], sorted by (row, col). 32-bit indices. */
typedef struct ortho_coo {
    int64_t n, k, nnz;
    int32_t *row, *col;
    uint16_t *val;
} ortho_coo;

/* Block-CSR: buckets of (row block x column tile), row blocks outermost; within a bucket entries
 * are sorted by (row, column) with 16-bit local coordinates. */
typedef struct ortho_bcsr {
    int64_t n, k, nnz;
    int32_t block_rows, tile_cols; /* <= 65536 */
    int32_t *bucket_ptr;           /* [blocks * tiles + 1] */
    uint16_t *row, *col;           /* [nnz] local */
    uint16_t *val;                 /* [nnz] fp16 */
} ortho_bcsr;

ortho_status ortho_coo_from_csr(const ortho_split *, const ortho_services *, ortho_purpose,
                                ortho_coo *out);
void ortho_coo_free(ortho_coo *, const ortho_services *);
ortho_status ortho_bcsr_from_csr(const ortho_split *, int32_t block_rows, int32_t tile_cols,
                                 const ortho_services *, ortho_purpose, ortho_bcsr *out);
void ortho_bcsr_free(ortho_bcsr *, const ortho_services *);
/* Back: fill row_ptr, col, val of a split whose arrays have these sizes. */
ortho_status ortho_csr_from_coo(const ortho_coo *, ortho_split *out);
ortho_status ortho_csr_from_bcsr(const ortho_bcsr *, ortho_split *out);

#ifdef __cplusplus
}
#endif

#endif
