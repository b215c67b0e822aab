/*
 * multiplier.cuh: a warpgroup of wide.cuh that multiplies: 64 rows of W by T tokens, slot by slot,
 * tile by tile.
 */
#ifndef ORTHO_VARIANTS_FUSED_MULTIPLIER_CUH
#define ORTHO_VARIANTS_FUSED_MULTIPLIER_CUH

#include "variants/fused/mend.cuh"
#include "variants/fused/outputs.cuh"
#include "variants/fused/wgmma.cuh"
#include "variants/fused/wide_memory.cuh"

namespace ortho_fused
{

namespace
{

template <typename F> struct multiplier {
    static constexpr int T = F::TOKENS, SHARE = T / 2 / F::SPLIT;
    static_assert(SHARE % 4 == 0, "blocks that split K share a tile's tokens by eights");
    const wide_memory<F> &m;
    const wide_launch &l;
    int lane, warp, row_group;
    int row;    /* the first that the lane stores of a tile */
    int mended; /* row number `lane` of those that are mended */
    float sum[T / 2];
    turn slot;

    __device__ __forceinline__ multiplier(const wide_memory<F> &of, const wide_launch &launch)
        : m(of), l(launch), lane(threadIdx.x % 32), warp(uniform(threadIdx.x / 32 % GROUP_WARPS)),
          row_group(uniform(threadIdx.x / GROUP_THREADS)), row(0),
          mended(lane < l.mended.count ? __ldg(l.mended.row + lane) : -1), slot{0, 0}
    {
    }
    /* Rows that are mended, a warp an output, while nothing is there yet to be multiplied. */
    __device__ __forceinline__ void mend() const
    {
        constexpr int WARPS = F::MULTIPLIERS / 32;
        const int all = l.mended.count * l.tokens, step = l.mine.count * F::CLUSTER * WARPS;
        const int block = static_cast<int>(blockIdx.x) - l.mine.first * F::CLUSTER;
        const int64_t k = l.w.s.k;
        if (all == 0)
            return;
        ortho_cuda_wait_for_previous(); /* for x */
#pragma unroll 1
        for (int i = block * WARPS + row_group * GROUP_WARPS + warp; i < all; i += step) {
            const int number = i / l.tokens, token = i % l.tokens;
            float products = 0;
            mended_products<1, 4>(l.mended.w + number * k, l.x + token * k, k, 1, lane, 32,
                                  &products);
            products = mended_warp_sum(products);
            if (lane == 0)
                static_cast<__half *>(l.y)[token * l.w.s.n + __ldg(l.mended.row + number)] =
                    __float2half_rn(products);
        }
    }
    /* The tensor cores see what other warps wrote. That is for the reader to do: a writer would
     * wait for the weights that it has asked for. */
    static __device__ __forceinline__ void see_written()
    {
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    /* Images, one a slot. A slot is done with once the next one's products are begun, unless there
     * are too few for that. */
    __device__ __forceinline__ void run(int images)
    {
#pragma unroll
        for (int i = 0; i < T / 2; i++)
            sum[i] = 0;
        int last = -1;
#pragma unroll 1
        for (int i = 0; i < images; i++) {
            barrier_wait(m.full(slot.at), slot.phase);
            see_written();
            __syncwarp();
            wgmma_fence();
            const uint64_t w = wgmma_tile(m.w(slot.at) + row_group * (GROUP_ROWS * HALF_LINE)),
                           x = wgmma_tile(m.x(slot.at));
#pragma unroll
            for (int half = 0; half < HALVES; half++)
#pragma unroll
                for (int step = 0; step < HALF_COLUMNS / 16; step++)
                    wgmma<T, T / 256 + 1>::run(sum, w + half * (F::W_HALF >> 4) + step * 2,
                                               x + half * (F::X_HALF >> 4) + step * 2);
            wgmma_commit();
            wgmma_wait<F::FEW_SLOTS ? 0 : 1>();
            __syncwarp();
            if (F::FEW_SLOTS)
                m.release(slot.at, lane);
            else if (last >= 0)
                m.release(last, lane);
            last = slot.at;
            slot.next(1, m.slots);
        }
        wgmma_wait<0>();
        __syncwarp();
        if (!F::FEW_SLOTS && last >= 0)
            m.release(last, lane);
    }
    /* Sums of all blocks of the cluster: this one's part of the tokens of all, to sum[0 .. SHARE).
     * They go where slots were. */
    __device__ __forceinline__ void add_up()
    {
        constexpr int FOUR = F::MULTIPLIERS * 16; /* bytes of four sums of all threads */
        /* [from][SHARE / 4][threads] */
        const auto place = [&](int from, int i) {
            return m.data + from * (SHARE / 4 * FOUR) + i / 4 * FOUR +
                   static_cast<int>(threadIdx.x) * 16;
        };
        cluster_meet(); /* nobody needs slots any more */
#pragma unroll
        for (int to = 0; to < F::SPLIT; to++)
#pragma unroll
            for (int i = 0; i < SHARE; i += 4) {
                const float *const of = sum + to * SHARE + i;
                send_four(to, place(tile_walk<F>::splitter(), i), m.sums(),
                          make_float4(of[0], of[1], of[2], of[3]));
            }
        barrier_wait(m.sums(), 0);
#pragma unroll
        for (int i = 0; i < SHARE; i += 4) {
            const float4 all = total(place(0, i), F::SPLIT, SHARE / 4 * FOUR);
            sum[i] = all.x;
            sum[i + 1] = all.y;
            sum[i + 2] = all.z;
            sum[i + 3] = all.w;
        }
    }
    /* Asks which rows a tile has: well before they are stored, since that takes a while. Lanes 0 to
     * 15 store the warp's first unit. */
    __device__ __forceinline__ void begin(const tile_walk<F> &tile)
    {
        const int unit =
            tile.row_tile() * F::UNITS + row_group * GROUP_UNITS + warp * 2 + lane / OUT_TOKENS;
        row = unit < l.w.s.units ? static_cast<int>(__ldg(l.w.unit + unit)) * UNIT_ROWS
                                 : static_cast<int>(l.w.s.n);
    }
    /* y of a tile, 16 rows by 16 tokens at once: turned in shared memory, so that a token's rows
     * lie side by side. */
    __device__ __forceinline__ void store(const tile_walk<F> &tile) const
    {
        constexpr int TOKENS = SHARE / 4 * 8;
        const int64_t n = l.w.s.n;
        const uint32_t at =
            m.out + (row_group * GROUP_WARPS + warp) * OUT_BYTES + lane * (UNIT_ROWS * 2);
        const int first = tile.token_tile() * T + tile_walk<F>::splitter() * TOKENS;
        const uint32_t left_out = mended_of_unit();
        __half *to =
            static_cast<__half *>(l.y) + static_cast<int64_t>(first + lane % OUT_TOKENS) * n + row;
#pragma unroll
        for (int t = 0; t < TOKENS; t += OUT_TOKENS, to += OUT_TOKENS * n) {
            uint4 v;
            v.x = two_tokens(t / 8, 0);
            v.y = two_tokens(t / 8 + 1, 0);
            v.z = two_tokens(t / 8, 1);
            v.w = two_tokens(t / 8 + 1, 1);
            __syncwarp();
            store_transposed(at, v);
            __syncwarp();
            const int token = t + lane % OUT_TOKENS;
            if (token < TOKENS && first + token < l.tokens)
                store_rows(to, n - row, left_out, load_shared_16(at));
        }
    }
    /* Of one of the warp's units; zeros where there are no such tokens. */
    __device__ __forceinline__ uint32_t two_tokens(int eight, int unit) const
    {
        if (eight >= SHARE / 4)
            return 0;
        const __half2 two =
            __floats2half2_rn(sum[4 * eight + 2 * unit], sum[4 * eight + 2 * unit + 1]);
        return *reinterpret_cast<const uint32_t *>(&two);
    }
    /* A bit each of the unit's rows that mend() has stored. */
    __device__ __forceinline__ uint32_t mended_of_unit() const
    {
        uint32_t bits = 0;
#pragma unroll 1
        for (int i = 0; i < l.mended.count; i++) {
            const int in = __shfl_sync(ALL_LANES, mended, i) - row;
            bits |= in >= 0 && in < UNIT_ROWS ? 1u << in : 0;
        }
        return bits;
    }
    /* A unit's rows of a token, of which `left` are there, but for those left out. */
    __device__ __forceinline__ void store_rows(__half *to, int64_t left, uint32_t left_out,
                                               uint4 rows) const
    {
        if (l.aligned && left >= UNIT_ROWS && left_out == 0) {
            *reinterpret_cast<uint4 *>(to) = rows;
            return;
        }
        const uint32_t words[4] = {rows.x, rows.y, rows.z, rows.w};
#pragma unroll
        for (int i = 0; i < UNIT_ROWS; i++)
            if (i < left && (left_out >> i & 1) == 0)
                to[i] = __ushort_as_half(static_cast<unsigned short>(words[i / 2] >> i % 2 * 16));
    }
};

} // namespace

} // namespace ortho_fused

#endif
