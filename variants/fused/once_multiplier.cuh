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
    static constexpr int PIECE = 8;             /* rows that a lane stores at once */
    static constexpr int STORES = F::ROWS / 16; /* of a tile: 32 rows of 8 tokens by a warp */
    /* Those that wait for the next tile's products, as far as there are registers. */
    static constexpr int KEPT = F::ROWS < 256 ? STORES : 12, AT_ONCE = STORES - KEPT;
    const once_launch &l;
    const once_memory<F> &m;
    int lane, warp;
    turn slot;
    int last;               /* the slot whose products may still be on their way */
    float sum[F::ROWS / 2]; /* [4 * j + 2 * h + i]: row 8 * j + 2 * (lane % 4) + i, token lane / 4 +
                               8 * h of the warp's */
    uint32_t y[4 * KEPT];   /* of the tile before, in pairs of sums */
    int row, token;         /* the lane's first of that tile; no token: nothing was kept */

    __device__ __forceinline__ once_multiplier(const once_launch &launch, const once_memory<F> &of)
        : l(launch), m(of), lane(threadIdx.x % 32), warp(uniform(threadIdx.x / 32)), slot{0, 0},
          last(-1), row(0), token(-1)
    {
    }
    /* Half an image. A slot is done with once the next one's products are begun; in the meantime
     * `beside` is done. */
    template <typename B> __device__ __forceinline__ void multiply(const B &beside)
    {
        barrier_wait(m.full(slot.at), slot.phase);
        wgmma_fence();
        const uint64_t w = wgmma_tile(m.w(slot.at)),
                       x = wgmma_tile(m.x(slot.at) + warp / 4 * (ONCE_GROUP_TOKENS * HALF_LINE));
#pragma unroll
        for (int step = 0; step < HALF_COLUMNS / 16; step++)
            wgmma<F::ROWS>::run(sum, x + step * 2, w + step * 2);
        wgmma_commit();
        beside();
        wgmma_wait<1>();
        if (last >= 0)
            m.release(last, lane);
        last = slot.at;
        slot.next(1, F::SLOTS);
    }
    /* A tile, and what was kept of the one before: if all blocks stored all at once they would wait
     * for the L2. */
    __device__ __forceinline__ void multiply_tile(int halves)
    {
#pragma unroll
        for (int i = 0; i < F::ROWS / 2; i++)
            sum[i] = 0;
        int i = 0;
        last = -1;
        if (uniform(token) >= 0 && halves >= KEPT) {
#pragma unroll
            for (int s = 0; s < KEPT; s++)
                multiply([&] { store_kept(s); });
            i = KEPT;
        } else if (uniform(token) >= 0) {
            store_all_kept();
        }
#pragma unroll 1
        for (; i < halves; i++)
            multiply([] {});
        wgmma_wait<0>();
        m.release(last, lane);
    }
    __device__ __forceinline__ uint32_t pair_of_sums(int i) const
    {
        const __half2 two = __floats2half2_rn(sum[2 * i], sum[2 * i + 1]);
        return *reinterpret_cast<const uint32_t *>(&two);
    }
    /* Are there rows of a tile that others store? */
    __device__ __forceinline__ bool is_mended(int first) const
    {
        const int in = lane < l.mended.count ? __ldg(l.mended.row + lane) - first : -1;
        return __any_sync(ALL_LANES, in >= 0 && in < F::ROWS);
    }
    /* Stores some of y of a tile, and keeps the rest where that is simple. */
    __device__ __forceinline__ void keep(once_tile tile)
    {
        const int first = l.p.first * UNIT_ROWS + tile.row * F::ROWS;
        const auto fresh = [&](int pair) { return pair_of_sums(pair); };
        token = once_walk::token(tile) + warp * (ONCE_TOKENS / ONCE_MULTIPLIERS) + lane / 4;
        row = first + lane % 4 * PIECE;
        if (!l.aligned || is_mended(first)) {
#pragma unroll
            for (int i = 0; i < STORES; i++)
                store_some(i, fresh);
            token = -1;
            return;
        }
#pragma unroll
        for (int i = 0; i < 4 * KEPT; i++)
            y[i] = pair_of_sums(4 * AT_ONCE + i);
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            store(i, fresh);
    }
    __device__ __forceinline__ void store_kept(int i) const
    {
        store(AT_ONCE + i, [&](int pair) { return y[pair - 4 * AT_ONCE]; });
    }
    __device__ __forceinline__ void store_all_kept() const
    {
#pragma unroll
        for (int i = 0; i < KEPT; i++)
            store_kept(i);
    }
    /* Of the rows from `first` on eight that the lane stores: a bit each of those that are mended.
     */
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
    /* Store i of STORES, turned: a lane's eight rows of a token, and where they go. */
    template <typename P>
    __device__ __forceinline__ uint4 turned(int i, const P &pair, __half **to, int *left) const
    {
        const int r = i / 2 * 32, h = i % 2, first = r / 4 + h;
        const int64_t n = l.w.s.n;
        *to = static_cast<__half *>(l.y) + (token + 8 * h) * n + (row + r);
        *left = token + 8 * h < l.tokens ? static_cast<int>(n) - (row + r) : 0;
        return turn_words(
            make_uint4(pair(first), pair(first + 2), pair(first + 4), pair(first + 6)), lane);
    }
    template <typename P> __device__ __forceinline__ void store(int i, const P &pair) const
    {
        __half *to;
        int left;
        const uint4 rows = turned(i, pair, &to, &left);
        if (left > 0)
            *reinterpret_cast<uint4 *>(to) = rows;
    }
    /* The same, of rows that aren't aligned or are mended. */
    template <typename P> __device__ __forceinline__ void store_some(int i, const P &pair) const
    {
        __half *to;
        int left;
        const uint4 rows = turned(i, pair, &to, &left);
        const uint32_t left_out = mended_of(row + i / 2 * 32),
                       words[4] = {rows.x, rows.y, rows.z, rows.w};
#pragma unroll
        for (int r = 0; r < PIECE; r++)
            if (r < left && (left_out >> r & 1) == 0)
                to[r] = __ushort_as_half(static_cast<unsigned short>(words[r / 2] >> r % 2 * 16));
    }
    __device__ __forceinline__ void run()
    {
        const int halves = l.w.s.images * HALVES;
#pragma unroll 1
        for (once_walk walk(l); walk.there(); walk.next()) {
            multiply_tile(halves);
            keep(walk.tile());
        }
        if (uniform(token) >= 0)
            store_all_kept();
    }
};

} // namespace

} // namespace ortho_fused

#endif
