/*
 * panel_body.h: the entries of a panel, the same loops for every level, compiled once for each. The
 * including file defines before it:
 *   static inline float decode(uint16_t)    one fp16
 */
#include "variants/fused/levels.h"

/* Entries [i, last) of one row up to the slab's end; where they end. `to` is the row's place in the
 * panel's first column. */
static inline __attribute__((always_inline)) int32_t patch_row(const ortho_csr *ortho, bool wide,
                                                               int32_t i, int32_t last,
                                                               const ortho_fused_slab *slab,
                                                               float *to)
{
    const uint16_t *narrow = ortho->col;
    const uint32_t *columns = ortho->col;
    for (; i < last; i++) {
        int64_t column = (wide ? (int64_t)columns[i] : (int64_t)narrow[i]) - slab->column;
        if (column >= slab->columns)
            break;
        to[column * ORTHO_FUSED_ROWS] += slab->alpha * decode(ortho->val[i]);
    }
    return i;
}

static inline __attribute__((always_inline)) void patch_rows(const ortho_csr *ortho, bool wide,
                                                             const ortho_fused_slab *slab, int rows,
                                                             int32_t *entry)
{
    const int32_t *pointer = ortho->row_ptr + slab->block * ORTHO_FUSED_ROWS;
    for (int r = 0; r < rows; r++)
        entry[r] = patch_row(ortho, wide, entry[r], pointer[r + 1], slab, slab->panel + r);
}

static void patch(const ortho_csr *ortho, const ortho_fused_slab *slab, int rows, int32_t *entry)
{
    if (ortho->k > 65536)
        patch_rows(ortho, true, slab, rows, entry);
    else
        patch_rows(ortho, false, slab, rows, entry);
}
