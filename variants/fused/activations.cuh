/*
 * activations.cuh: what the dtype of x decides: how nibbles become mma operands, and how x does.
 *
 * A nibble u = q + 8 becomes a 16-bit float by OR-ing it into the mantissa of a power of two: c + u
 * with c = 1024 or 64 in fp16 (64 where the nibble stands four bits higher), c = 128 in bf16. What
 * this adds to a sum, (c + 8) * x, is taken off as the sum begins: by products of the negated
 * constants with the same x.
 *
 * fp32: x is the sum of three bf16 digits exactly (24 bits), each a token of its own; the three
 * sums are added in fp32.
 */
#ifndef ORTHO_VARIANTS_FUSED_ACTIVATIONS_CUH
#define ORTHO_VARIANTS_FUSED_ACTIVATIONS_CUH

#include "kernels/cuda/device.cuh"
#include "variants/fused/ptx.cuh"

namespace ortho_fused
{

namespace
{

/* a & mask | bits */
__device__ __forceinline__ uint32_t masked(uint32_t a, uint32_t mask, uint32_t bits)
{
    return lop3<(0xf0 & 0xcc) | 0xaa>(a, mask, bits);
}

struct half_activations {
    typedef __half element;
    static constexpr int DIGITS = 1;
    /* Offsets of columns 0,1 and of columns 2,3 of a lane's four, negated, in pairs. */
    static constexpr uint32_t FIRST = 0xe408e408u, SECOND = 0xd480d480u;

    /* Fragment registers of a word: side 0 first, side 1 first, side 0 second, side 1 second. */
    static __device__ __forceinline__ void unpack(uint32_t v, uint32_t a[4])
    {
        const uint32_t z = v >> 8;
        a[0] = masked(v, 0x000f000f, 0x64006400);
        a[1] = masked(z, 0x000f000f, 0x64006400);
        a[2] = masked(v, 0x00f000f0, 0x54005400);
        a[3] = masked(z, 0x00f000f0, 0x54005400);
    }

    /* d = a * b, and c += a * b. */
    static __device__ __forceinline__ void first_mma(float d[4], const uint32_t a[4], uint32_t b0,
                                                     uint32_t b1)
    {
        first_mma_f16(d, a, b0, b1);
    }

    static __device__ __forceinline__ void mma(float c[4], const uint32_t a[4], uint32_t b0,
                                               uint32_t b1)
    {
        mma_f16(c, a, b0, b1);
    }

    static __device__ __forceinline__ float value(uint32_t bits)
    {
        return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
    }

    static __device__ __forceinline__ float2 pair(uint32_t bits)
    {
        return __half22float2(*reinterpret_cast<const __half2 *>(&bits));
    }

    static __device__ __forceinline__ uint16_t digit(element v, int)
    {
        return __half_as_ushort(v);
    }

    /* Two fp16 values of Ortho as operands, in ENTRY_DIGITS that add up to them. */
    static constexpr int ENTRY_DIGITS = 1;
    static __device__ __forceinline__ void entry_digits(uint32_t pair, uint32_t out[ENTRY_DIGITS])
    {
        out[0] = pair;
    }

    static __device__ __forceinline__ element rounded(float v)
    {
        return __float2half_rn(v);
    }
};

struct bfloat_arithmetic {
    static constexpr uint32_t FIRST = 0xc308c308u, SECOND = 0xc308c308u;

    /* fp16 has 11 bits, bf16 8: what the first leaves fits the second. */
    static constexpr int ENTRY_DIGITS = 2;
    static __device__ __forceinline__ void entry_digits(uint32_t pair, uint32_t out[ENTRY_DIGITS])
    {
        const float low = half_activations::value(pair & 0xffff),
                    high = half_activations::value(pair >> 16);
        const __nv_bfloat162 first = __floats2bfloat162_rn(low, high);
        const float2 had = __bfloat1622float2(first);
        const __nv_bfloat162 second = __floats2bfloat162_rn(low - had.x, high - had.y);
        out[0] = *reinterpret_cast<const uint32_t *>(&first);
        out[1] = *reinterpret_cast<const uint32_t *>(&second);
    }

    static __device__ __forceinline__ void unpack(uint32_t v, uint32_t a[4])
    {
        a[0] = masked(v, 0x000f000f, 0x43004300);
        a[1] = masked(v >> 8, 0x000f000f, 0x43004300);
        a[2] = masked(v >> 4, 0x000f000f, 0x43004300);
        a[3] = masked(v >> 12, 0x000f000f, 0x43004300);
    }

    /* d = a * b, and c += a * b. */
    static __device__ __forceinline__ void first_mma(float d[4], const uint32_t a[4], uint32_t b0,
                                                     uint32_t b1)
    {
        first_mma_bf16(d, a, b0, b1);
    }

    static __device__ __forceinline__ void mma(float c[4], const uint32_t a[4], uint32_t b0,
                                               uint32_t b1)
    {
        mma_bf16(c, a, b0, b1);
    }

    static __device__ __forceinline__ float value(uint32_t bits)
    {
        return __uint_as_float(bits << 16);
    }
};

struct bfloat_activations : bfloat_arithmetic {
    typedef __nv_bfloat16 element;
    static constexpr int DIGITS = 1;

    static __device__ __forceinline__ uint16_t digit(element v, int)
    {
        return __bfloat16_as_ushort(v);
    }

    static __device__ __forceinline__ element rounded(float v)
    {
        return __float2bfloat16_rn(v);
    }
};

struct float_activations : bfloat_arithmetic {
    typedef float element;
    static constexpr int DIGITS = 3;

    /* Digit number i: what the digits before it left, rounded to bf16. */
    static __device__ __forceinline__ uint16_t digit(element v, int i)
    {
        __nv_bfloat16 d = __float2bfloat16_rn(v);
        for (; i > 0; i--) {
            v -= __bfloat162float(d);
            d = __float2bfloat16_rn(v);
        }
        return __bfloat16_as_ushort(d);
    }

    static __device__ __forceinline__ element rounded(float v)
    {
        return v;
    }
};

} // namespace

} // namespace ortho_fused

#endif
