/*
 * pass_groups.h: which linears of a pass share x, and what feeds what when one token goes through
 * all of them. Sizes and names alone: no weights, no variant.
 */
#ifndef ORTHO_HARNESS_PASS_GROUPS_H
#define ORTHO_HARNESS_PASS_GROUPS_H

#include "datasets/datasets.h"

#include <ortho/variant.h>

/* Consecutive linears, by their place in the plan. */
typedef struct ob_linears {
    int first, count; /* 1 .. ORTHO_GROUP_MAX */
} ob_linears;

/* Groups of linears of one layer and one k whose roles share x: q, k and v; gate and up. A linear
 * alone is a group of one. `out` has room for `count`; returns how many there are. */
int ob_pass_groups(const ortho_slice *const *linears, int count, ob_linears *out);

/* Where each linear of a chain takes its x from, as ortho_chain_step.x_at: the last k outputs of
 * the group before it, or, where that has fewer, the chain's own x (-1). `out` [count]. */
void ob_pass_links(const ortho_slice *const *linears, const ob_linears *groups, int group_count,
                   int64_t *out);

#endif
