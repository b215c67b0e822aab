/*
 * lanes.h: what the variants' lane models share: what a warp issues whose lanes part and meet.
 *
 * A model predicts what an instrument counts over the loop's SASS instructions: an instruction once
 * for every group of lanes that executes it together, with the lanes that are active in it, whether
 * their predicate holds or not. A loop consists of stretches of instructions that the same lanes
 * execute. Their lengths are constants beside each model, counted in nvdisasm's listing for sm_90a
 * (nvcc 13.0) over the instructions of the loop's lines; they differ by some instructions between
 * types of x and of columns, and weigh only where stretches are filled differently.
 *
 * Where lanes have parted they meet again at a BSYNC: each group issues it as it arrives, and
 * waits.
 */
#ifndef ORTHO_KERNELS_LANES_H
#define ORTHO_KERNELS_LANES_H

#include <ortho/variant.h>

#define ORTHO_WARP 32

/* A stretch of `count` instructions; none of it where no lane is active. */
static inline void ortho_lanes_issue(const ortho_lane_sink *sink, int active, double count)
{
    if (active > 0)
        sink->issue(sink->ctx, active, count);
}

/* Lanes with more than `bound` trips. */
static inline int ortho_lanes_above(const int64_t trips[ORTHO_WARP], int64_t bound)
{
    int lanes = 0;
    for (int lane = 0; lane < ORTHO_WARP; lane++)
        lanes += trips[lane] > bound;
    return lanes;
}

/* Lanes meet, those with an equal `when` at the same time; those with a negative one don't come. */
static inline void ortho_lanes_meet(const ortho_lane_sink *sink, const int64_t when[ORTHO_WARP],
                                    double count)
{
    for (int lane = 0; lane < ORTHO_WARP; lane++) {
        int group = 0;
        bool first = when[lane] >= 0;
        for (int other = 0; first && other < ORTHO_WARP; other++) {
            group += when[other] == when[lane];
            first = other >= lane || when[other] != when[lane];
        }
        if (first)
            ortho_lanes_issue(sink, group, count);
    }
}

/* `some` of `all` lanes took a branch on their own, and meet the others. */
static inline void ortho_lanes_rejoin(const ortho_lane_sink *sink, int some, int all, double count)
{
    ortho_lanes_issue(sink, some, count);
    ortho_lanes_issue(sink, all - some, count);
}

#endif
