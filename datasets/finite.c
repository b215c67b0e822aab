/* finite.c: finds NaN and Inf: an exponent of all ones. Blocks are scanned without a branch, so
 * that the common case, nothing found, runs at memory speed. */
#include "datasets/dataset.h"

#define BLOCK 1024

static bool block_is_finite16(const uint16_t *p, int64_t count, uint16_t exponent)
{
    unsigned bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= (p[i] & exponent) == exponent;
    return bad == 0;
}

static bool block_is_finite32(const uint32_t *p, int64_t count)
{
    unsigned bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad |= (p[i] & 0x7f800000u) == 0x7f800000u;
    return bad == 0;
}

/* Are `count` values from element `at` on finite? */
static bool is_finite(ortho_dtype dtype, const void *data, int64_t at, int64_t count)
{
    switch (dtype) {
    case ORTHO_F16:
        return block_is_finite16((const uint16_t *)data + at, count, 0x7c00u);
    case ORTHO_BF16:
        return block_is_finite16((const uint16_t *)data + at, count, 0x7f80u);
    default:
        return block_is_finite32((const uint32_t *)data + at, count);
    }
}

int64_t ortho_find_nonfinite(ortho_dtype dtype, const void *data, int64_t count)
{
    for (int64_t at = 0; at < count; at += BLOCK) {
        int64_t length = count - at < BLOCK ? count - at : BLOCK;
        if (is_finite(dtype, data, at, length))
            continue;
        while (is_finite(dtype, data, at, 1))
            at++;
        return at;
    }
    return -1;
}
