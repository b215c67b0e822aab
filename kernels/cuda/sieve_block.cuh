/* sieve_block.cuh: sums over a whole block, for the kernels that settle a selection. */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_BLOCK_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_BLOCK_CUH

#include "kernels/cuda/sieve_device.cuh"

namespace ortho_sieve
{

constexpr int SETTLERS = 1024; /* threads of the blocks that call these */
/* Of view.counters; beyond them one for each tile of columns. */
constexpr int SLOT_SAMPLE = 0, SLOT_TOTAL = 1, SLOT_BARRIER = 2, SLOTS = 8;
constexpr int BRACKET_BITS = 12; /* of the bins that a bracket's keys are counted in */
constexpr int FINALISTS = 1024;  /* keys of one such bin that are ranked one by one */

/* Sums over a block, of all threads above this one; *total of all. */
__device__ inline uint32_t sum_above(uint32_t mine, uint32_t *total)
{
    __shared__ uint32_t warps[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    uint32_t before = lanes_before(mine), all = warp_sum(mine);
    __syncthreads();
    if (lane == 0)
        warps[warp] = all;
    __syncthreads();
    uint32_t sum = 0, below = before;
    for (int i = 0; i < static_cast<int>(blockDim.x) / 32; i++) {
        sum += warps[i];
        below += i < warp ? warps[i] : 0;
    }
    *total = sum;
    return sum - below - mine;
}

/* counts[1 .. n] to their running sums; counts[0] = 0. One block of SETTLERS threads, 8 counts each
 * at a time, in two 16-byte words: of scalars, one multiprocessor would need a cycle each. counts:
 * at an address of whole 16-byte words. */
__device__ inline void scan_counts(int32_t *counts, int64_t n)
{
    constexpr int EACH = 8;
    uint32_t carried = 0;
    for (int64_t begin = 0; begin <= n; begin += EACH * SETTLERS) {
        const int64_t first = begin + static_cast<int64_t>(threadIdx.x) * EACH;
        const bool whole = first + EACH <= n + 1;
        uint32_t count[EACH] = {}, mine = 0, total;
        uint4 *words = reinterpret_cast<uint4 *>(counts + first);
        if (whole) {
            const uint4 a = __ldcg(words), b = __ldcg(words + 1);
            count[0] = first > 0 ? a.x : 0, count[1] = a.y, count[2] = a.z, count[3] = a.w;
            count[4] = b.x, count[5] = b.y, count[6] = b.z, count[7] = b.w;
        }
        for (int i = 0; !whole && first + i <= n; i++)
            count[i] = first + i > 0 ? static_cast<uint32_t>(__ldcg(counts + first + i)) : 0;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            count[i] = mine += count[i];
        const uint32_t above = sum_above(mine, &total), before = carried + total - above - mine;
        if (whole) {
            words[0] = make_uint4(before + count[0], before + count[1], before + count[2],
                                  before + count[3]);
            words[1] = make_uint4(before + count[4], before + count[5], before + count[6],
                                  before + count[7]);
        }
        for (int i = 0; !whole && first + i <= n; i++)
            counts[first + i] = static_cast<int32_t>(before + count[i]);
        carried += total;
        __syncthreads();
    }
}

} // namespace ortho_sieve

#endif
