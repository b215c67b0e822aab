/*
 * digits.h: activations as exact integers, so that INT4 weights meet them in integer arithmetic.
 *
 * Over one segment (at most 256 columns) every x is an integer times a common power of two, the
 * unit, and an integer of up to 30 bits is one to four digits to the base 256, each in
 * [-128, 127]. A digit plane times the weights is a dot product of bytes with exact 32-bit sums;
 * planes are put together in fp32 once a segment. Three planes hold bf16 activations as long as no
 * element other than 0 lies below about 2^-15 of the segment's largest, fp16 ones to 2^-12; where
 * three don't suffice the fourth gives 8 bits more. What isn't exact even so (fp32 activations as a
 * rule, a NaN, an infinity) is PLAIN: that segment is multiplied in fp32 instead. Nothing is
 * rounded so.
 *
 * With int8 activations (ORTHO_ACTIVATIONS_INT8) the unit is 1/127 of the largest magnitude, x is
 * rounded to a multiple of it, and one digit holds that whatever the dtype. What would overflow or
 * isn't finite is PLAIN here, too.
 *
 * Weights are stored as u = q + 8, without sign; sum q * d = sum u * d - 8 * sum d, and the second
 * term, an integer too, is where a plane's sum starts.
 */
#ifndef ORTHO_VARIANTS_FUSED_DIGITS_H
#define ORTHO_VARIANTS_FUSED_DIGITS_H

#include "variants/fused/packed.h"

#define ORTHO_FUSED_PLANES 4
#define ORTHO_FUSED_PLAIN  (-1)

/* How one token's x stands over one segment. */
typedef struct ortho_fused_range {
    int32_t start[ORTHO_FUSED_PLANES]; /* -8 * the sum of a plane's digits */
    float unit;
    int32_t planes; /* 0: x is all 0; 1 to 4; PLAIN */
    int32_t unused[2];
} ortho_fused_range;

/* One token. */
typedef struct ortho_fused_x {
    float *padded;            /* [width], 0 in the padding */
    int8_t *digits;           /* segment after segment from 4 * segment.at on: [4][8 * chunks] */
    ortho_fused_range *range; /* [segments] */
} ortho_fused_x;

static inline int8_t *ortho_fused_digits(const ortho_fused_x *x, const ortho_fused_segment *s)
{
    return x->digits + ORTHO_FUSED_PLANES * s->at;
}

#endif
