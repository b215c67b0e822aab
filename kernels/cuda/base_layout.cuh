/*
 * base_layout.cuh: where a weight lies in the packed Base. Units of 8 rows x 128 columns, ordered
 * [row block][column block]; a unit's scales are [groups of a unit][8 rows] fp16. base_gemm.cu
 * tells why, base_pack.cu packs and unpacks.
 */
#ifndef ORTHO_KERNELS_CUDA_BASE_LAYOUT_CUH
#define ORTHO_KERNELS_CUDA_BASE_LAYOUT_CUH

#include "kernels/cuda/base_gemm.h"

namespace
{

constexpr int ROWS = 8, COLUMNS = 128; /* of a unit */
constexpr int WARPS_MAX = 16;          /* of a block that multiplies */

/* First of the eight columns in word w of lane t of a quad: a group's columns are dealt to the
 * quad's lanes in one run each, so that no k-step crosses a group. `groups`: of a unit. */
__host__ __device__ constexpr int column_of(int w, int t, int groups)
{
    const int words = 4 / groups; /* of a group */
    return w / words * (COLUMNS / groups) + t * (8 * words) + w % words * 8;
}

inline int units_of(const ortho_cuda_base *b)
{
    return static_cast<int>((b->k + COLUMNS - 1) / COLUMNS);
}

/* Scales that a row of a unit needs: a whole-row group has one, whatever its length. */
inline int groups_of_unit(int64_t group, int64_t k)
{
    return group >= k || group % COLUMNS == 0 ? 1 : static_cast<int>(COLUMNS / group);
}

} // namespace

#endif
