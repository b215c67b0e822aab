/*
 * narrow_plan.h: what a launch of narrow.cu is told: how clusters share its work, and where things
 * are in a block's shared memory.
 *
 * A cluster owns some units, all columns of them. Its blocks split the columns, image by image:
 * each has its images of all units, and x there. In the end each adds up some of the units: unit u
 * is block u % blocks's, to whom all others send their sums of it.
 */
#ifndef ORTHO_VARIANTS_FUSED_NARROW_PLAN_H
#define ORTHO_VARIANTS_FUSED_NARROW_PLAN_H

#include "variants/fused/group.cuh"
#include "variants/fused/sizes.cuh"
#include "variants/fused/state.h"

namespace ortho_fused
{

constexpr int NARROW_WARPS = 12, NARROW_THREADS = NARROW_WARPS * 32;
constexpr int QUAD_UNITS = 4;                       /* what a warp multiplies at once */
constexpr int NARROW_UNITS = 40, NARROW_BLOCKS = 4; /* of a cluster, at most */
constexpr int STEP_SEGMENTS = 16; /* that a warp of Ortho multiplies at once, of one unit */
/* Slots of a warp of Ortho; segments of one, as there is room: a row of bytes each, behind them. */
constexpr int CHUNK_SLOTS = 4, CHUNKS[] = {128, 64, 32};

ORTHO_FUSED_SHARED constexpr int chunk_bytes(int segments)
{
    return segments * (16 + 1);
}

/* Where a block's segments of a unit's rows are: the first `before[row]` of the unit's are those of
 * rows before `row`; the section's segment `from[row]` + i is number i of the unit's. */
struct unit_rows {
    uint32_t before[UNIT_ROWS], from[UNIT_ROWS];
    uint32_t count; /* of the unit */
    uint32_t section, steps, unused;
};

/* Some of a row's images, side by side. */
struct image_range {
    int first, count;
};

/* A cluster's units, in the order of the parts. */
struct unit_range {
    int first, count;
};

/* Offsets from the beginning of a block's dynamic shared memory, alike in all blocks. */
struct narrow_layout {
    int weights, x, scales, sums, chunks, start, zeros, rows, barriers, bytes;
    int unit_weights, unit_scales; /* bytes of a unit */
    int senders;                   /* warps that send sums of a unit, of all blocks */
    int quads;                     /* of the largest cluster */
};

/* A launch: clusters of so many blocks. */
struct narrow_launch {
    linear w;
    const void *x; /* [tokens, k] */
    void *y;       /* [tokens, n] */
    float alpha;   /* 0 where there are no entries */
    int tokens;
    int blocks;
    cluster_range mine;
    int base;         /* warps of Base; the others are Ortho's */
    int column_shift; /* 2 to that so many groups of warps of Base share a block's images */
    int each, extra;  /* units of a cluster; the first `extra` have one more */
    int chunk;        /* segments of a slot */
    int bringers;     /* warps that bring x: all, or those of Base */
    int quads_ahead;  /* whose weights are asked for before x */
    image_range images[NARROW_BLOCKS]; /* of each block of a cluster */
    narrow_layout at;

    ORTHO_FUSED_SHARED int ortho() const
    {
        return NARROW_WARPS - base;
    }
    /* Of the launch's clusters, from its first. */
    ORTHO_FUSED_SHARED unit_range units_of(int cluster) const
    {
        return {cluster * each + smaller(cluster, extra), each + (cluster < extra)};
    }
};

typedef group_launch<narrow_launch, GROUP_LINEARS> narrow_group;

/* Of each linear's w, alpha and blocks, which are there, all the rest but x, y and tokens: each has
 * its part of the clusters that run at once. `entries`: that are added, of each. False where a unit
 * is more than there is room for. */
bool narrow_plan(narrow_group *g, const int64_t *entries, int multiprocessors);

/* Of dynamic shared memory that a block of the group's launch has. */
int narrow_bytes(const narrow_group &g);

} // namespace ortho_fused

#endif
