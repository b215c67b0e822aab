/* sieve_block.cuh: sums over a whole block, for the kernels that settle a selection. */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_BLOCK_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_BLOCK_CUH

#include "kernels/cuda/sieve_device.cuh"

namespace ortho_sieve
{

constexpr int SETTLERS = 1024; /* threads of the blocks that call these */
constexpr int SLOT_SAMPLE = 0, SLOT_TOTAL = 1, SLOT_BARRIER = 2; /* of view.counters */

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
 * at a time: neighbours in memory are one thread's, and all are in flight before the first is used.
 */
__device__ inline void scan_counts(int32_t *counts, int64_t n)
{
    constexpr int EACH = 8;
    uint32_t carried = 0;
    for (int64_t begin = 0; begin < n; begin += EACH * SETTLERS) {
        const int64_t first = begin + static_cast<int64_t>(threadIdx.x) * EACH;
        uint32_t count[EACH], mine = 0, total;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            count[i] = first + i < n ? static_cast<uint32_t>(__ldcg(counts + first + i + 1)) : 0;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            mine += count[i];
        uint32_t above = sum_above(mine, &total), sum = carried + total - above - mine;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            sum += count[i];
            if (first + i < n)
                counts[first + i + 1] = static_cast<int32_t>(sum);
        }
        carried += total;
        __syncthreads();
    }
    if (threadIdx.x == 0)
        counts[0] = 0;
}

} // namespace ortho_sieve

#endif
