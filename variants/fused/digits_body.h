/* digits_body.h: from fp32 to digits, in plain C that the including file's SIMD level vectorises;
 * private to variants/fused/gemm_*.c. */
#include "common/half.h"
#include "variants/fused/digits.h"

#include <math.h>
#include <string.h>

/* Magnitudes are scaled to below 2^HEADROOM, so that a digit's carry can't overflow. */
#define HEADROOM 30

static inline uint32_t float_magnitude(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits & 0x7fffffffu;
}

static inline float power_of_two(int exponent) /* -126 to 127 */
{
    return ortho_float_from_bits((uint32_t)(exponent + 127) << 23);
}

/* integer[i] * 2^-shift = x[i] for all i? *all: their bits together. x is below 2^(30 - shift). */
static inline bool to_integers(const float *x, int count, int shift, int32_t *integer,
                               uint32_t *all)
{
    const float up = power_of_two(shift), down = power_of_two(-shift);
    uint32_t seen = 0, inexact = 0;
#pragma omp simd reduction(| : seen, inexact)
    for (int i = 0; i < count; i++) {
        int32_t v = (int32_t)(x[i] * up);
        integer[i] = v;
        seen |= (uint32_t)v;
        inexact |= (float)v * down != x[i] ? 1u : 0u;
    }
    *all = seen;
    return inexact == 0;
}

/* Cuts the lowest digit off: to gets it, integer what remains. Their sum comes back. */
static inline uint32_t cut_digit(int32_t *integer, int count, int8_t *to)
{
    uint32_t sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) {
        int32_t v = integer[i], rest = (v + 128) >> 8, digit = v - rest * 256;
        to[i] = (int8_t)digit;
        integer[i] = rest;
        sum += (uint32_t)digit;
    }
    return sum;
}

/* Digits needed for magnitudes up to `most`: the largest of p digits is 127 * (1 + 256 + ...). */
static inline int planes_for(uint32_t most)
{
    return most <= 127u ? 1 : most <= 32639u ? 2 : most <= 8355711u ? 3 : 4;
}

/* The bits of the largest magnitude, a NaN's above an infinity's. */
static inline uint32_t largest_magnitude(const float *x, int count)
{
    uint32_t most = 0;
#pragma omp simd reduction(max : most)
    for (int i = 0; i < count; i++) {
        uint32_t magnitude = float_magnitude(x[i]);
        most = magnitude > most ? magnitude : most;
    }
    return most;
}

/* Is it one that stays a normal number, and its inverse too, whatever is made of them here? */
static inline bool has_room(uint32_t magnitude)
{
    return magnitude >> 23 >= 31 && magnitude >> 23 <= 253;
}

/* The digits of `count` elements, a multiple of 8 up to ORTHO_FUSED_SEGMENT, into [4][count]. */
static inline void make_digits(const float *x, int count, int8_t *digits, ortho_fused_range *range)
{
    int32_t integer[ORTHO_FUSED_SEGMENT];
    uint32_t most = largest_magnitude(x, count), all = 0;
    *range = (ortho_fused_range){.planes = ORTHO_FUSED_PLAIN};
    int shift = HEADROOM - 1 + 127 - (int)(most >> 23);
    if (most != 0 && (!has_room(most) || !to_integers(x, count, shift, integer, &all)))
        return;
    range->planes = 0;
    if (most == 0)
        return;
    int zeros = __builtin_ctz(all);
    uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
    for (int i = 0; i < count; i++) {
        integer[i] >>= zeros;
        uint32_t magnitude = (uint32_t)(integer[i] < 0 ? -integer[i] : integer[i]);
        largest = magnitude > largest ? magnitude : largest;
    }
    range->planes = planes_for(largest);
    range->unit = power_of_two(zeros - shift);
    for (int p = 0; p < ORTHO_FUSED_PLANES; p++)
        range->start[p] = -8 * (int32_t)cut_digit(integer, count, digits + p * count);
}

/* One digit of `count` elements: x as a multiple of a step. Two roundings come before the one to an
 * integer, so that a multiple may be the next one where x lies halfway. */
static inline void make_int8(const float *x, int count, int8_t *digits, ortho_fused_range *range)
{
    uint32_t most = largest_magnitude(x, count), sum = 0;
    *range = (ortho_fused_range){.planes = most == 0 ? 0 : ORTHO_FUSED_PLAIN};
    if (!has_room(most))
        return;
    const float largest = ortho_float_from_bits(most), up = 127 / largest;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < count; i++) {
        int32_t digit = (int32_t)rintf(x[i] * up);
        digits[i] = (int8_t)digit;
        sum += (uint32_t)digit;
    }
    range->planes = 1;
    range->unit = largest / 127;
    range->start[0] = -8 * (int32_t)sum;
}

static inline void make_all_int8(const ortho_fused_packed *packed, const ortho_fused_x *x)
{
    for (int64_t s = 0; s < packed->segments; s++) {
        const ortho_fused_segment *segment = packed->segment + s;
        make_int8(x->padded + segment->at, segment->chunks * ORTHO_FUSED_COLUMNS,
                  ortho_fused_digits(x, segment), x->range + s);
    }
}

static inline void make_all_digits(const ortho_fused_packed *packed, const ortho_fused_x *x)
{
    for (int64_t s = 0; s < packed->segments; s++) {
        const ortho_fused_segment *segment = packed->segment + s;
        make_digits(x->padded + segment->at, segment->chunks * ORTHO_FUSED_COLUMNS,
                    ortho_fused_digits(x, segment), x->range + s);
    }
}
