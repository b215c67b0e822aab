/* half.h: fp16 and bf16 to float and back, round to nearest even, portable; the SIMD kernels have
 * their own and are tested against these. */
#ifndef ORTHO_COMMON_HALF_H
#define ORTHO_COMMON_HALF_H

#include <stdint.h>
#include <string.h>

static inline float ortho_float_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t ortho_float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float ortho_bf16_to_float(uint16_t h)
{
    return ortho_float_from_bits((uint32_t)h << 16);
}

static inline uint16_t ortho_float_to_bf16(float f)
{
    uint32_t u = ortho_float_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u); /* a NaN stays one: rounding could carry it to Inf */
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline float ortho_fp16_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u;
    if (exponent == 31u)
        return ortho_float_from_bits(sign | 0x7f800000u | (fraction << 13));
    if (exponent == 0u) { /* zero or subnormal: fraction * 2^-24 is exact in float */
        float value = (float)fraction * 0x1p-24f;
        return ortho_float_from_bits(sign | ortho_float_bits(value));
    }
    return ortho_float_from_bits(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

static inline uint16_t ortho_float_to_fp16(float f)
{
    uint32_t u = ortho_float_bits(f), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* 65520: rounds to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: adding 0.5 aligns and rounds the subnormal */
        float aligned = ortho_float_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (ortho_float_bits(aligned) - 0x3f000000u));
    }
    magnitude += 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((magnitude - 0x38000000u) >> 13));
}

#endif
