/* sieve_quantise.cuh: eight weights a lane onto the grid of a scale, and the scale of a group. */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_QUANTISE_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_QUANTISE_CUH

#include "kernels/cuda/sieve_device.cuh"

namespace ortho_sieve
{

/* Eight grid points, as the bits of 1.5 * 2^23 + q, to nibbles: q + 8 is 0 .. 15, so that their sum
 * at different places carries nothing, and the sign bit is flipped back at the end. */
__device__ __forceinline__ uint32_t pack_nibbles(const uint32_t bits[EIGHT])
{
    uint32_t sum = 0u - (GRID_ZERO_BITS - 8u) * 0x11111111u;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        sum += bits[i] << (4 * i);
    return sum ^ 0x88888888u;
}

/* Four bytes at column col; of rows that don't come in whole eights fewer at the end. */
template <typename R>
__device__ __forceinline__ void store_nibbles(const view &v, int64_t row, uint32_t col,
                                              uint32_t packed)
{
    uint8_t *to = v.q + row * v.q_stride + col / 2;
    if constexpr (R::WHOLE) {
        if (col < v.cols)
            *reinterpret_cast<uint32_t *>(to) = packed;
    } else {
        for (int i = 0; i < EIGHT / 2 && col + 2 * i < v.cols; i++)
            to[i] = static_cast<uint8_t>(packed >> (8 * i));
    }
}

__device__ __forceinline__ uint32_t bits_of_absmax(const float w[EIGHT])
{
    uint32_t most = 0;
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        most = max(most, __float_as_uint(w[i]) & 0x7fffffffu);
    return most;
}

/* Over groups of LANES lanes. */
template <int LANES> __device__ __forceinline__ uint32_t max_over(uint32_t v)
{
#pragma unroll
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        v = max(v, __shfl_xor_sync(ALL, v, distance));
    return v;
}

/* fp16 bits of absmax * (32 - c) / 224, rounded once: the product is exact, and a quotient by the
 * rounded reciprocal, mended by its remainder, is the double nearest to the true one. */
__device__ __forceinline__ uint16_t scale_candidate(float absmax, int c)
{
    const double product = static_cast<double>(absmax) * static_cast<double>(32 - c);
    const double reciprocal = 1.0 / 224.0, first = __dmul_rn(product, reciprocal);
    const double exact = __fma_rn(__fma_rn(-first, 224.0, product), reciprocal, first);
    return __half_as_ushort(__double2half(exact));
}

__device__ __forceinline__ bool is_infinite(uint16_t half)
{
    return (half & 0x7c00u) == 0x7c00u;
}

template <typename R>
__device__ __forceinline__ void quantise(const view &v, int64_t row, uint32_t col,
                                         const float w[EIGHT], uint16_t half)
{
    uint32_t bits[EIGHT];
    const float scale = half_value(half), inverse = inverse_of(scale);
#pragma unroll
    for (int i = 0; i < EIGHT; i++)
        bits[i] = grid_bits(w[i], scale, inverse);
    store_nibbles<R>(v, row, col, pack_nibbles(bits));
}

/* The scale of candidate 0, or 0 where the row can't be sieved. */
__device__ __forceinline__ uint16_t plain_scale(const view &v, int64_t row, float absmax)
{
    const uint16_t half = scale_candidate(absmax, 0);
    if (!is_infinite(half) && absmax < INFINITY)
        return half;
    reject(v, row);
    return 0;
}

} // namespace ortho_sieve

#endif
