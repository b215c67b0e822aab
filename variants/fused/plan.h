/*
 * plan.h: how the rows and entries of a linear are dealt to the parts, and packed: plain code of
 * the host, tested without a GPU. layout.cuh says what the packed form is.
 */
#ifndef ORTHO_VARIANTS_FUSED_PLAN_H
#define ORTHO_VARIANTS_FUSED_PLAN_H

#include "variants/fused/layout.cuh"

#include <ortho/variant.h>

namespace ortho_fused
{

/* Weights are held once: a twentieth is what their order may cost. */
constexpr double PLAN_MOST = 1.05;

/* Host memory (purpose WORKING). */
struct plan {
    uint32_t *unit;  /* [units] the rows' unit, in the order of the parts */
    uint32_t *where; /* [units] the other way round */
    uint32_t *begin; /* [sections + 1] */
    /* The index: of no bytes where all would take more than PLAN_MOST of what the artifact does. */
    uint32_t *first; /* [windows][units][8] the row's first segment, counted from its section's */
    uint8_t *count;  /* [units][images][8] the row's entries in an image */
    uint8_t *steps;  /* [begin[sections]][STEP_BYTES] */
    size_t unit_bytes, begin_bytes, first_bytes, count_bytes, step_bytes;
};

/* Sizes for a GPU of that many multiprocessors. group: as in the split. */
shape shape_of(int64_t n, int64_t k, int64_t group, int multiprocessors);

/* Arrays for a number of steps, zeroed. */
ortho_status plan_alloc(const shape &s, size_t steps, const ortho_services *services, plan *out);

/* Deals and packs a split's entries. */
ortho_status plan_make(const shape &s, const ortho_split *split, const ortho_services *services,
                       plan *out);
void plan_free(plan *p, const ortho_services *services);

/* The entries back into row_ptr, col and val of a split, in canonical order. */
ortho_status plan_export(const shape &s, const plan &p, const ortho_services *services,
                         ortho_split *out);

} // namespace ortho_fused

#endif
