#include "lib/arrays.h"

#include "common/error.h"

#include <stdlib.h>

static size_t padded(uint64_t bytes)
{
    return (size_t)((bytes + 63) / 64 * 64);
}

ortho_status ortho_arrays_new(const ortho_layer_facts *f, ortho_split *out)
{
    size_t offset[ORTHO_PARTS], bytes = 64;
    for (int p = 0; p < ORTHO_PARTS; p++) {
        offset[p] = bytes - 64;
        bytes += padded(ortho_part_bytes(f, (ortho_part)p));
    }
    char *at = aligned_alloc(64, bytes);
    if (at == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the %zu bytes of a layer", bytes);
    *out = (ortho_split){.n = f->n, .k = f->k, .nnz = f->nnz, .group = f->group};
    out->row_ptr = (int32_t *)(void *)(at + offset[ORTHO_PART_ROW_PTR]);
    out->scale = (uint16_t *)(void *)(at + offset[ORTHO_PART_SCALE]);
    out->val = (uint16_t *)(void *)(at + offset[ORTHO_PART_VAL]);
    out->col = at + offset[ORTHO_PART_COL];
    out->q = (uint8_t *)at + offset[ORTHO_PART_Q];
    return ORTHO_OK;
}

void ortho_arrays_free(ortho_split *split)
{
    free(split->row_ptr); /* the first of them: the allocation's begin */
    *split = (ortho_split){0};
}

void *ortho_arrays_part(const ortho_split *s, ortho_part part)
{
    switch (part) {
    case ORTHO_PART_ROW_PTR:
        return s->row_ptr;
    case ORTHO_PART_SCALE:
        return s->scale;
    case ORTHO_PART_VAL:
        return s->val;
    case ORTHO_PART_COL:
        return s->col;
    default:
        return s->q;
    }
}
