/* weights.cuh: packed weights become fp16, and have their entries. */
#ifndef ORTHO_VARIANTS_FUSED_WEIGHTS_CUH
#define ORTHO_VARIANTS_FUSED_WEIGHTS_CUH

#include "variants/fused/activations.cuh"

namespace ortho_fused
{

namespace
{

__device__ __forceinline__ uint32_t half_add(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

__device__ __forceinline__ uint32_t half_multiply(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

/* Two words of a lane, half an image: eight columns of side 0 and of side 1. Scales are told twice,
 * one for a side. */
__device__ __forceinline__ void unpack_weights(uint32_t first, uint32_t second, uint32_t scale_0,
                                               uint32_t scale_1, uint4 piece[2])
{
    uint32_t a[4], b[4];
    half_activations::unpack(first, a);
    half_activations::unpack(second, b);
#pragma unroll
    for (int side = 0; side < 2; side++) {
        const uint32_t times = side == 0 ? scale_0 : scale_1;
        const auto weight = [&](uint32_t q, uint32_t offset) {
            return half_multiply(half_add(q, offset), times);
        };
        piece[side] = make_uint4(weight(a[side], half_activations::FIRST),
                                 weight(a[2 + side], half_activations::SECOND),
                                 weight(b[side], half_activations::FIRST),
                                 weight(b[2 + side], half_activations::SECOND));
    }
}

/* A weight in shared memory has its entry. */
__device__ __forceinline__ void add_entry(uint32_t at, uint32_t entry, uint16_t alpha)
{
    asm volatile("{\n"
                 ".reg .b16 low, v, w;\n"
                 "ld.shared.b16 w, [%0];\n"
                 "mov.b32 {low, v}, %1;\n"
                 "fma.rn.f16 w, v, %2, w;\n"
                 "st.shared.b16 [%0], w;\n"
                 "}" ::"r"(at),
                 "r"(entry), "h"(alpha)
                 : "memory");
}

} // namespace

} // namespace ortho_fused

#endif
