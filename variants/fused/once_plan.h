/*
 * once_plan.h: how a launch of once.cu is dealt: tiles of y to clusters, and what is to be unpacked
 * to warps, in the order in which it is wanted.
 */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_PLAN_H
#define ORTHO_VARIANTS_FUSED_ONCE_PLAN_H

#include "variants/fused/state.h"

namespace ortho_fused
{

constexpr int ONCE_CLUSTER = 2;  /* blocks that have the same rows */
constexpr int ONCE_TOKENS = 128; /* of a block's tile */
constexpr int TASK_IMAGES = 4;   /* of a unit: what a warp unpacks at once */
static_assert(WINDOW_IMAGES % TASK_IMAGES == 0, "or a task would have columns of two windows");

/* A tile of a cluster: a number of rows each, and tokens of both blocks. */
struct once_tile {
    int row, pair;
};

/* A unit in the order of rows, from the launch's first, and a chunk of its images. */
struct once_task {
    int unit, chunk;
};

/* Rows of W that a launch multiplies, and all tokens. */
struct once_plan {
    int first, units;           /* of rows */
    int row_tiles, token_pairs; /* of tiles */
    int side;                   /* rows of tiles that are taken side by side */
    int chunks;                 /* tasks of a unit */
    int group_units;            /* whose tasks are taken chunk by chunk: what clusters begin with */

    ORTHO_FUSED_SHARED int tiles() const
    {
        return row_tiles * token_pairs;
    }
    /* In the order in which clusters take them. */
    ORTHO_FUSED_SHARED once_tile tile(int i) const
    {
        const int first_row = i / (side * token_pairs) * side, inside = i - first_row * token_pairs,
                  rows = smaller(side, row_tiles - first_row);
        return {first_row + inside % rows, inside / rows};
    }
    ORTHO_FUSED_SHARED int tasks() const
    {
        return units * chunks;
    }
    ORTHO_FUSED_SHARED once_task task(int i) const
    {
        const int group = i / (group_units * chunks), inside = i - group * group_units * chunks,
                  here = smaller(group_units, units - group * group_units), chunk = inside / here;
        return {group * group_units + inside - chunk * here, chunk};
    }
};

/* Tiles of so many rows: of a whole linear, and of each launch but the last, whose weights have
 * room in a workspace. */
int once_row_tiles(const shape &s, int rows);
int once_launch_tiles(const shape &s, int rows);
/* Words of a half of the counters, and bytes of both. */
int once_words(const shape &s, int rows);
size_t once_counter_bytes(int words);
/* Bytes of a workspace: counters, where no set of them is free; and all weights of a launch. */
size_t once_bytes(const shape &s, int rows);
int once_chunks(const shape &s);
int once_token_pairs(int64_t tokens);
/* Row tile number `tile` and those behind it. */
once_plan once_plan_of(const shape &s, int rows, int64_t tokens, int multiprocessors, int tile);
/* Counters that are ready for a launch: those of the set that belongs to a workspace, or may from
 * now on; NULL: there are more workspaces than sets. */
once_counters *once_counters_of(once_sets *sets, const void *workspace);

} // namespace ortho_fused

#endif
