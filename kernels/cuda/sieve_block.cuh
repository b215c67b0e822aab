/* sieve_block.cuh: sums over a whole block, for the kernels that settle a selection. */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_BLOCK_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_BLOCK_CUH

#include "kernels/cuda/sieve_device.cuh"

namespace ortho_sieve
{

constexpr int SETTLERS = 1024; /* threads of the blocks that call these */
/* Of view.counters; beyond them one for each tile of columns. */
constexpr int SLOT_SAMPLE = 0, SLOT_BARRIER = 1, SLOTS = 8;
/* The bins that a bracket's keys are counted in. */
constexpr int BRACKET_BITS = 12, BRACKET_BINS = 1 << BRACKET_BITS;
constexpr int FINALISTS = 1024; /* keys of one such bin that are ranked one by one */
/* A sample's blocks, of SETTLERS threads, and the bytes of what each reports. */
constexpr int SAMPLING_BLOCKS = 128, REPORT_BYTES = 1024;

/* Sums over a block, of all threads above this one; *total of all. */
__device__ inline uint32_t sum_above(uint32_t mine, uint32_t *total)
{
    __shared__ uint32_t warps[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t before = lanes_before(mine), all = warp_sum(mine);
    __syncthreads();
    if (lane == 0)
        warps[warp] = all;
    __syncthreads();
    const uint32_t others = lane < static_cast<int>(blockDim.x) / 32 ? warps[lane] : 0;
    const uint32_t below = warp_sum(lane < warp ? others : 0);
    *total = warp_sum(others);
    return *total - below - before - mine;
}

/* counts[0 .. n], the first 0, to their running sums. One block of SETTLERS threads, 16 counts
 * each at a time, in 16-byte words: of scalars, one multiprocessor would need a cycle each. counts:
 * at an address of whole 16-byte words. */
__device__ inline void scan_counts(int32_t *counts, int64_t n)
{
    constexpr int EACH = 16;
    uint32_t carried = 0;
    for (int64_t begin = 0; begin <= n; begin += EACH * SETTLERS) {
        const int64_t first = begin + static_cast<int64_t>(threadIdx.x) * EACH;
        const int there = static_cast<int>(n + 1 - first < EACH ? n + 1 - first : EACH);
        uint4 *words = reinterpret_cast<uint4 *>(counts + first);
        uint32_t count[EACH], mine = 0, total;
#pragma unroll
        for (int i = 0; i < EACH; i += 4) {
            uint4 four = make_uint4(0, 0, 0, 0);
            if (i + 4 <= there)
                four = __ldcg(words + i / 4);
            count[i] = four.x, count[i + 1] = four.y, count[i + 2] = four.z, count[i + 3] = four.w;
#pragma unroll
            for (int j = i; j < i + 4; j++)
                if (i + 4 > there && j < there)
                    count[j] = static_cast<uint32_t>(__ldcg(counts + first + j));
        }
#pragma unroll
        for (int i = 0; i < EACH; i++)
            count[i] = mine += count[i];
        const uint32_t above = sum_above(mine, &total), before = carried + total - above - mine;
#pragma unroll
        for (int i = 0; i < EACH; i += 4) {
            if (i + 4 <= there)
                words[i / 4] = make_uint4(before + count[i], before + count[i + 1],
                                          before + count[i + 2], before + count[i + 3]);
#pragma unroll
            for (int j = i; j < i + 4; j++)
                if (i + 4 > there && j < there)
                    counts[first + j] = static_cast<int32_t>(before + count[j]);
        }
        carried += total;
        __syncthreads();
    }
}

} // namespace ortho_sieve

#endif
