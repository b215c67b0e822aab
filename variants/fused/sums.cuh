/*
 * sums.cuh: partial sums of the rows of a batch. Each warp that adds anything has its own; once a
 * batch is through, the block adds the warps' and writes y. In a chain two buffers take turns, so
 * that the next batch needn't wait for that.
 */
#ifndef ORTHO_VARIANTS_FUSED_SUMS_CUH
#define ORTHO_VARIANTS_FUSED_SUMS_CUH

#include "variants/fused/ring.cuh"

namespace ortho_fused
{

namespace
{

/* Warps come in sets of 8 that take slots of Base in turn; others take entries. */
constexpr int SET_WARPS = 8;

/* T: tokens that sums are kept for. SETS: of Base's warps. ORTHO: warps of Ortho. */
template <int T, int SETS, int ORTHO> struct partial_sums {
    static constexpr int BASE_WARPS = SETS * SET_WARPS, WARPS = BASE_WARPS + ORTHO,
                         THREADS = WARPS * 32, BUFFERS = SETS > 1 ? 2 : 1;
    static constexpr int MINE = BATCH_ROWS * T * 4, BUFFER = WARPS * MINE, BYTES = BUFFERS * BUFFER;

    uint32_t at; /* shared address of the buffer at work, [WARPS][BATCH_ROWS][T] */
    int other;   /* bytes from it to the other one */

    __device__ __forceinline__ explicit partial_sums(uint32_t begin)
        : at(begin), other(BUFFERS > 1 ? BUFFER : 0)
    {
    }

    /* All warps that add, of Base and of Ortho. */
    static __device__ __forceinline__ void meet()
    {
        meeting_sync<MEETING, THREADS>();
    }

    __device__ __forceinline__ uint32_t of(int warp) const
    {
        return at + warp * MINE;
    }

    /* This warp's sums of a new batch, all 0. */
    __device__ __forceinline__ void open(int warp)
    {
        const int lane = threadIdx.x % 32;
        if (BUFFERS == 1)
            meet(); /* the batch before has been added up */
        at += other;
        other = -other;
#pragma unroll
        for (int i = 0; i < (MINE + 511) / 512; i++)
            if (i * 512 + lane * 16 < MINE)
                store_shared_16(of(warp) + i * 512 + lane * 16, make_uint4(0, 0, 0, 0));
        __syncwarp();
    }

    /* The sum of all warps for a row and a token; after a meeting. */
    __device__ __forceinline__ float total(int row, int token) const
    {
        const uint32_t from = at + (row * T + token) * 4;
        float sum[2] = {};
#pragma unroll
        for (int w = 0; w < WARPS; w++)
            sum[w % 2] += load_shared_float(from + w * MINE);
        return sum[0] + sum[1];
    }
};

} // namespace

} // namespace ortho_fused

#endif
