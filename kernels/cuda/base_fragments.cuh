/*
 * base_fragments.cuh: the operands of one mma.m16n8k16: weights unpacked to exact integers (B), and
 * activations (A), 16 bits each, fp32 ones as three bf16. For base_gemm.cu, whose header tells the
 * layout.
 */
#ifndef ORTHO_KERNELS_CUDA_BASE_FRAGMENTS_CUH
#define ORTHO_KERNELS_CUDA_BASE_FRAGMENTS_CUH

#include "kernels/cuda/device.cuh"

namespace
{

/* ---- unpacking ------------------------------------------------------------------------------- */

__device__ __forceinline__ __half2 half2_of(uint32_t bits)
{
    return *reinterpret_cast<__half2 *>(&bits);
}

__device__ __forceinline__ uint32_t bits_of(__half2 v)
{
    return *reinterpret_cast<uint32_t *>(&v);
}

/* A word's four pairs, as exact integers. The pairs at bits 4 and 12 come out as 1024 + 16 (q + 8):
 * a fused multiply-add brings them down, where a shift would be one instruction more. */
__device__ __forceinline__ void unpack(uint32_t word, uint32_t pair[4], const __half *)
{
    const __half2 bias = half2_of(0x64086408u), sixteenth = half2_of(0x2c002c00u),
                  bias16 = half2_of(0xd480d480u); /* 1032; 1/16; -72 */
#pragma unroll
    for (int j = 0; j < 4; j += 2) {
        uint32_t v = word >> (4 * j);
        pair[j] = bits_of(__hsub2(half2_of((v & 0x000f000fu) | 0x64006400u), bias));
        pair[j + 1] =
            bits_of(__hfma2(half2_of((v & 0x00f000f0u) | 0x64006400u), sixteenth, bias16));
    }
}

/* bf16 has seven bits of fraction: no room for a pair that isn't shifted down. */
__device__ __forceinline__ void unpack(uint32_t word, uint32_t pair[4], const __nv_bfloat16 *)
{
    const uint32_t bias = 0x43084308u; /* 136 */
#pragma unroll
    for (int j = 0; j < 4; j++) {
        uint32_t v = ((word >> (4 * j)) & 0x000f000fu) | 0x43004300u;
        __nv_bfloat162 r = __hsub2(*reinterpret_cast<__nv_bfloat162 *>(&v),
                                   *reinterpret_cast<const __nv_bfloat162 *>(&bias));
        pair[j] = *reinterpret_cast<uint32_t *>(&r);
    }
}

__device__ __forceinline__ void mma(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1,
                                    const __half *)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1,
                                    const __nv_bfloat16 *)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* ---- activations ----------------------------------------------------------------------------- */

/* The upper 16 bits of a float are a bf16; what is left after three of them is 0. Infinity and NaN
 * stay in the first: their rests are cleared, or Inf - Inf would make NaN of an Inf. */
__device__ __forceinline__ void split3(float v, uint32_t out[3])
{
    uint32_t bits = __float_as_uint(v);
    if ((bits & 0x7f800000u) == 0x7f800000u) {
        out[0] = (bits >> 16) | ((bits & 0x007fffffu) != 0 ? 0x40u : 0u);
        out[1] = out[2] = 0;
        return;
    }
    out[0] = bits >> 16;
    float rest = v - __uint_as_float(bits & 0xffff0000u);
    bits = __float_as_uint(rest);
    out[1] = bits >> 16;
    out[2] = __float_as_uint(rest - __uint_as_float(bits & 0xffff0000u)) >> 16;
}

/* One token's row of x; `there` is false beyond M: such a token is zeros. */
struct row_of_x {
    const char *at; /* the token's first element */
    bool there;
};

/* In how many parts x comes: itself, or three bf16. */
template <int PLANES> struct planes {
};
typedef planes<1> one_plane;
typedef planes<3> three_planes;

/* Eight columns of a token as four pairs a plane. WHOLE: all eight are there, 16 bytes aligned;
 * else zeros beyond `k`, unread: a NaN there would survive the product with a weight of 0. */
template <bool WHOLE>
__device__ __forceinline__ void load_eight(row_of_x x, int col, int k, uint32_t out[][4], one_plane)
{
    const uint16_t *from = reinterpret_cast<const uint16_t *>(x.at) + col;
    uint4 v = {0, 0, 0, 0};
    if (WHOLE) {
        if (x.there)
            v = __ldg(reinterpret_cast<const uint4 *>(from));
    } else {
        uint32_t e[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            e[i] = x.there && col + i < k ? from[i] : 0u;
        v = make_uint4(e[0] | e[1] << 16, e[2] | e[3] << 16, e[4] | e[5] << 16, e[6] | e[7] << 16);
    }
    out[0][0] = v.x;
    out[0][1] = v.y;
    out[0][2] = v.z;
    out[0][3] = v.w;
}

template <bool WHOLE>
__device__ __forceinline__ void load_eight(row_of_x x, int col, int k, uint32_t out[][4],
                                           three_planes)
{
    const float *from = reinterpret_cast<const float *>(x.at) + col;
    float e[8] = {};
    if (WHOLE) {
        if (x.there) {
            float4 lo = __ldg(reinterpret_cast<const float4 *>(from));
            float4 hi = __ldg(reinterpret_cast<const float4 *>(from) + 1);
            e[0] = lo.x, e[1] = lo.y, e[2] = lo.z, e[3] = lo.w;
            e[4] = hi.x, e[5] = hi.y, e[6] = hi.z, e[7] = hi.w;
        }
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++)
            e[i] = x.there && col + i < k ? from[i] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        uint32_t lo[3], hi[3];
        split3(e[2 * i], lo);
        split3(e[2 * i + 1], hi);
#pragma unroll
        for (int plane = 0; plane < 3; plane++)
            out[plane][i] = lo[plane] | hi[plane] << 16;
    }
}

} // namespace

#endif
