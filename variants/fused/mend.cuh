/* mend.cuh: outputs of the few rows that have weights in fp32 (mend.cu): a row by some tokens. */
#ifndef ORTHO_VARIANTS_FUSED_MEND_CUH
#define ORTHO_VARIANTS_FUSED_MEND_CUH

#include "variants/fused/activations.cuh"
#include "variants/fused/state.h"

namespace ortho_fused
{

namespace
{

/* Weights of eight columns. */
struct eight {
    float4 first, second;

    __device__ __forceinline__ void load(const float *w)
    {
        first = __ldg(reinterpret_cast<const float4 *>(w));
        second = __ldg(reinterpret_cast<const float4 *>(w) + 1);
    }
    __device__ __forceinline__ float multiply_add(uint4 x, float sum) const
    {
        const float2 a = half_activations::pair(x.x), b = half_activations::pair(x.y),
                     c = half_activations::pair(x.z), d = half_activations::pair(x.w);
        sum = fmaf(a.x, first.x, fmaf(a.y, first.y, sum));
        sum = fmaf(b.x, first.z, fmaf(b.y, first.w, sum));
        sum = fmaf(c.x, second.x, fmaf(c.y, second.y, sum));
        return fmaf(d.x, second.z, fmaf(d.y, second.w, sum));
    }
};

__device__ __forceinline__ float mended_warp_sum(float v)
{
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}

/* Adds to sum[T] one thread's part, of `threads`, of the products of a row and of T tokens that
 * follow each other, `left` of which are there. EIGHTS by eight columns are asked for at once.
 * k % 8 == 0, x aligned to 16 bytes. */
template <int T, int EIGHTS>
__device__ __forceinline__ void mended_products(const float *w, const __half *x, int64_t k,
                                                int64_t left, int thread, int threads, float *sum)
{
#pragma unroll 1
    for (int64_t from = thread * 8; from < k; from += EIGHTS * threads * 8) {
        eight of[EIGHTS];
        uint4 token[EIGHTS][T];
#pragma unroll
        for (int i = 0; i < EIGHTS; i++) {
            const int64_t column = from + i * threads * 8;
            if (column >= k)
                continue;
            of[i].load(w + column);
#pragma unroll
            for (int t = 0; t < T; t++)
                if (t < left) /* from the L2: the L1 may be of before x was written */
                    token[i][t] = __ldcg(reinterpret_cast<const uint4 *>(x + t * k + column));
        }
#pragma unroll
        for (int i = 0; i < EIGHTS; i++)
#pragma unroll
            for (int t = 0; t < T; t++)
                if (from + i * threads * 8 < k && t < left)
                    sum[t] = of[i].multiply_add(token[i][t], sum[t]);
    }
}

} // namespace

} // namespace ortho_fused

#endif
