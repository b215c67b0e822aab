/*
 * once_multiplier.cuh: a warpgroup of once.cu that multiplies: 64 tokens by a tile's rows, slot by
 * slot. Tokens are the rows of the product, so that rows of W lie side by side in a lane as they
 * do in y.
 */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_MULTIPLIER_CUH
#define ORTHO_VARIANTS_FUSED_ONCE_MULTIPLIER_CUH

#include "variants/fused/once_memory.cuh"
#include "variants/fused/wgmma.cuh"

namespace ortho_fused
{

namespace
{

/* Four words of each of four lanes side by side: word i of lane j becomes word j of lane i. */
__device__ __forceinline__ uint4 turn_words(uint4 v, int lane)
{
    const bool odd = lane & 1, high = lane & 2;
    const uint32_t a = __shfl_xor_sync(ALL_LANES, odd ? v.x : v.y, 1),
                   b = __shfl_xor_sync(ALL_LANES, odd ? v.z : v.w, 1);
    v = odd ? make_uint4(a, v.y, b, v.w) : make_uint4(v.x, a, v.z, b);
    const uint32_t c = __shfl_xor_sync(ALL_LANES, high ? v.x : v.z, 2),
                   d = __shfl_xor_sync(ALL_LANES, high ? v.y : v.w, 2);
    return high ? make_uint4(c, d, v.z, v.w) : make_uint4(v.x, v.y, c, d);
}

template <typename F> struct once_multiplier {
    static constexpr int PIECE = 8; /* rows that are stored at once */
    const once_launch &l;
    const once_memory<F> &m;
    int lane, warp;
    turn slot;
    float sum[F::ROWS / 2]; /* [4 * j + 2 * h + i]: row 8 * j + 2 * (lane % 4) + i, token lane / 4 +
                               8 * h of the warp's */

    __device__ __forceinline__ once_multiplier(const once_launch &launch, const once_memory<F> &of)
        : l(launch), m(of), lane(threadIdx.x % 32), warp(uniform(threadIdx.x / 32)), slot{0, 0}
    {
    }
    /* A tile. A slot is done with once the next one's products are begun. */
    __device__ __forceinline__ void multiply(int halves)
    {
        const int x_of_group = warp / 4 * (ONCE_GROUP_TOKENS * HALF_LINE);
#pragma unroll
        for (int i = 0; i < F::ROWS / 2; i++)
            sum[i] = 0;
        int last = -1;
#pragma unroll 1
        for (int i = 0; i < halves; i++) {
            barrier_wait(m.full(slot.at), slot.phase);
            wgmma_fence();
            const uint64_t w = wgmma_tile(m.w(slot.at)), x = wgmma_tile(m.x(slot.at) + x_of_group);
#pragma unroll
            for (int step = 0; step < HALF_COLUMNS / 16; step++)
                wgmma<F::ROWS>::run(sum, x + step * 2, w + step * 2);
            wgmma_commit();
            wgmma_wait<1>();
            if (last >= 0)
                m.release(last, lane);
            last = slot.at;
            slot.next(1, F::SLOTS);
        }
        wgmma_wait<0>();
        m.release(last, lane);
    }
    /* Of the rows from `first` on eight that the lane stores: a bit each of those that are mended. */
    __device__ __forceinline__ uint32_t mended_of(int row) const
    {
        uint32_t bits = 0;
#pragma unroll 1
        for (int i = 0; i < l.mended.count; i++) {
            const int in = __ldg(l.mended.row + i) - row;
            bits |= in >= 0 && in < PIECE ? 1u << in : 0;
        }
        return bits;
    }
    __device__ __forceinline__ void store_piece(__half *to, int64_t left, uint32_t left_out,
                                                uint4 rows) const
    {
        if (l.aligned && left >= PIECE && left_out == 0) {
            *reinterpret_cast<uint4 *>(to) = rows;
            return;
        }
        const uint32_t words[4] = {rows.x, rows.y, rows.z, rows.w};
#pragma unroll
        for (int i = 0; i < PIECE; i++)
            if (i < left && (left_out >> i & 1) == 0)
                to[i] = __ushort_as_half(static_cast<unsigned short>(words[i / 2] >> i % 2 * 16));
    }
    __device__ __forceinline__ uint32_t two_rows(int eight, int token_half) const
    {
        const __half2 two = __floats2half2_rn(sum[4 * eight + 2 * token_half],
                                              sum[4 * eight + 2 * token_half + 1]);
        return *reinterpret_cast<const uint32_t *>(&two);
    }
    /* 32 rows of 16 tokens at once, turned so that a lane has eight rows of a token. */
    __device__ __forceinline__ void store(const once_walk &tile) const
    {
        constexpr int EIGHTS = 4;
        const int64_t n = l.w.s.n;
        const int token = tile.token() + warp * (ONCE_TOKENS / ONCE_MULTIPLIERS) + lane / 4;
        int64_t row = static_cast<int64_t>(l.first) * UNIT_ROWS + tile.row_tile() * F::ROWS +
                      lane % 4 * PIECE;
        __half *to = static_cast<__half *>(l.y) + token * n + row;
#pragma unroll
        for (int j = 0; j < F::ROWS / 8; j += EIGHTS, row += EIGHTS * 8, to += EIGHTS * 8) {
            const uint32_t left_out = l.mended.count > 0 ? mended_of(static_cast<int>(row)) : 0;
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const uint4 rows = turn_words(make_uint4(two_rows(j, h), two_rows(j + 1, h),
                                                         two_rows(j + 2, h), two_rows(j + 3, h)),
                                              lane);
                if (row < n && token + 8 * h < l.tokens)
                    store_piece(to + 8 * h * n, n - row, left_out, rows);
            }
        }
    }
    __device__ __forceinline__ void run()
    {
        const int halves = l.w.s.images * HALVES;
#pragma unroll 1
        for (once_walk tile(l); tile.there(); tile.next()) {
            multiply(halves);
            store(tile);
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
