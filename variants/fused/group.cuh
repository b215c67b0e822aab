/*
 * group.cuh: launches over the same x, side by side in one grid: each has clusters of its own,
 * which do as in a grid of their own.
 */
#ifndef ORTHO_VARIANTS_FUSED_GROUP_CUH
#define ORTHO_VARIANTS_FUSED_GROUP_CUH

#include "variants/fused/layout.cuh"

namespace ortho_fused
{

constexpr int GROUP_LINEARS = 4; /* q, k and v, and one to spare: a kernel's arguments are few */

/* Clusters of a grid: so many, from this one on. */
struct cluster_range {
    int first, count;
};

/* L: what one linear's launch is told, its `mine` of type cluster_range among it. MOST: of 1 a
 * kernel knows where its arguments are, which saves registers. */
template <typename L, int MOST> struct group_launch {
    L of[MOST];
    int count;

    /* The launch that a cluster of the grid belongs to. */
    ORTHO_FUSED_SHARED const L &of_cluster(int cluster) const
    {
        int i = 0;
        while (MOST > 1 && i + 1 < count && cluster >= of[i + 1].mine.first)
            i++;
        return of[i];
    }
    int clusters() const
    {
        return of[count - 1].mine.first + of[count - 1].mine.count;
    }
};

/* What is one's of `all`, in proportion to its part of what there is to do; at least 1. `before`:
 * what those in front of it have to do. All parts together are `all`, or a few more where it is
 * hardly enough. */
inline int part_of_group(int all, int64_t before, int64_t own, int64_t total)
{
    const int part = static_cast<int>(all * (before + own) / total - all * before / total);
    return part > 0 ? part : 1;
}

} // namespace ortho_fused

#endif
