/* weights.cuh: packed weights become fp16, and have their entries. */
#ifndef ORTHO_VARIANTS_FUSED_WEIGHTS_CUH
#define ORTHO_VARIANTS_FUSED_WEIGHTS_CUH

#include "variants/fused/activations.cuh"

namespace ortho_fused
{

namespace
{

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

} // namespace

} // namespace ortho_fused

#endif
