/* spmm.c: CSR as a building block, prefetching, the choice of level. */
#include "kernels/spmm.h"

#include "kernels/cpu.h"

#include <string.h>

#define LINE 64

const ortho_spmm_kernels *ortho_spmm_pick(void)
{
#if defined(__x86_64__)
    switch (ortho_cpu_detect()) {
    case ORTHO_CPU_AVX512:
        return &ortho_spmm_kernels_avx512;
    case ORTHO_CPU_AVX2:
        return &ortho_spmm_kernels_avx2;
    case ORTHO_CPU_PORTABLE:
        break;
    }
#endif
    return &ortho_spmm_kernels_portable;
}

static void *keep(const ortho_services *services, const void *from, size_t bytes)
{
    void *copy = services->alloc(services->ctx, bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    if (copy != NULL && bytes > 0)
        memcpy(copy, from, bytes);
    return copy;
}

ortho_status ortho_csr_prepare(ortho_csr *csr, const ortho_split *split,
                               const ortho_services *services)
{
    size_t nnz = (size_t)split->nnz;
    ortho_csr made = {.n = split->n, .k = split->k, .nnz = split->nnz};
    made.row_ptr = keep(services, split->row_ptr, ((size_t)split->n + 1) * sizeof(int32_t));
    made.col = keep(services, split->col, nnz * ortho_split_col_bytes(split->k));
    made.val = keep(services, split->val, nnz * sizeof(uint16_t));
    if (made.row_ptr == NULL || made.col == NULL || made.val == NULL) {
        ortho_csr_release(&made, services);
        return ORTHO_E_MEMORY;
    }
    *csr = made;
    return ORTHO_OK;
}

void ortho_csr_release(ortho_csr *csr, const ortho_services *services)
{
    services->free(services->ctx, csr->val);
    services->free(services->ctx, csr->col);
    services->free(services->ctx, csr->row_ptr);
    *csr = (ortho_csr){0};
}

void ortho_csr_export(const ortho_csr *csr, ortho_split *out)
{
    size_t nnz = (size_t)csr->nnz;
    memcpy(out->row_ptr, csr->row_ptr, ((size_t)csr->n + 1) * sizeof(int32_t));
    memcpy(out->col, csr->col, nnz * ortho_split_col_bytes(csr->k));
    memcpy(out->val, csr->val, nnz * sizeof(uint16_t));
}

size_t ortho_csr_bytes(const ortho_csr *csr)
{
    return ((size_t)csr->n + 1) * sizeof(int32_t) +
           (size_t)csr->nnz * (ortho_split_col_bytes(csr->k) + sizeof(uint16_t));
}

/* Lines of elements [begin, end) of an array. */
static void prefetch_range(const void *array, size_t element, int64_t begin, int64_t end)
{
    const char *at = (const char *)array + (size_t)begin * element;
    const char *stop = (const char *)array + (size_t)end * element;
    for (; at < stop; at += LINE)
        __builtin_prefetch(at, 0, 3);
}

/* How far the pointers run ahead of the entries, in pointers: four lines. */
#define POINTERS_AHEAD 64

/* The loops below branch on pointers. A pointer that is still in DRAM would hold back every
 * misprediction, and with it the stream of Base, for as long as the line takes: 64 lone entries
 * cost 2 % of the time so. */
static void prefetch_pointers(const int32_t *pointers, int64_t from, int64_t count)
{
    int64_t at = from + POINTERS_AHEAD;
    __builtin_prefetch(pointers + (at < count ? at : count - 1), 0, 3);
}

void ortho_csr_prefetch(const ortho_csr *csr, int64_t block)
{
    int64_t row = block * ORTHO_BASE_ROWS;
    prefetch_pointers(csr->row_ptr, row, csr->n + 1);
    int64_t last = row + ORTHO_BASE_ROWS < csr->n ? row + ORTHO_BASE_ROWS : csr->n;
    int64_t begin = csr->row_ptr[row], end = csr->row_ptr[last];
    prefetch_range(csr->col, ortho_split_col_bytes(csr->k), begin, end);
    prefetch_range(csr->val, sizeof(uint16_t), begin, end);
}

void ortho_bcsr_prefetch(const ortho_bcsr *bcsr, int64_t block)
{
    int64_t tiles = (bcsr->k + bcsr->tile_cols - 1) / bcsr->tile_cols;
    int64_t blocks = (bcsr->n + bcsr->block_rows - 1) / bcsr->block_rows;
    prefetch_pointers(bcsr->bucket_ptr, block * tiles, blocks * tiles + 1);
    int64_t begin = bcsr->bucket_ptr[block * tiles], end = bcsr->bucket_ptr[(block + 1) * tiles];
    prefetch_range(bcsr->row, sizeof(uint16_t), begin, end);
    prefetch_range(bcsr->col, sizeof(uint16_t), begin, end);
    prefetch_range(bcsr->val, sizeof(uint16_t), begin, end);
}
