/* int8_model.h: what ORTHO_ACTIVATIONS_INT8 makes of activations, straight from its definition in
 * ortho.h. */
#ifndef ORTHO_TESTS_UNIT_INT8_MODEL_H
#define ORTHO_TESTS_UNIT_INT8_MODEL_H

#include "common/dtype.h"

#include <math.h>

/* `count` elements of one stretch, from element `at` of x on. */
static inline void int8_stretch(ortho_dtype dtype, const void *x, int64_t at, int64_t count,
                                float *out)
{
    float most = 0;
    bool number = true;
    for (int64_t i = 0; i < count; i++) {
        out[i] = ortho_dtype_load(dtype, x, at + i);
        number = number && !isnan(out[i]);
        most = fmaxf(most, fabsf(out[i]));
    }
    if (!number || most < 0x1p-96f || most >= 0x1p127f)
        return;
    const float steps = 127 / most;
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)((double)rintf(out[i] * steps) * ((double)most / 127));
}

/* x [m, k] of a linear with groups of `group` columns, into out [m, k]. */
static inline void int8_round(ortho_dtype dtype, const void *x, int64_t m, int64_t k, int64_t group,
                              float *out)
{
    for (int64_t t = 0; t < m; t++)
        for (int64_t first = 0; first < k; first += group)
            for (int64_t c = first; c < k && c < first + group; c += ORTHO_INT8_COLUMNS) {
                const int64_t end = first + group < k ? first + group : k, left = end - c;
                int8_stretch(dtype, x, t * k + c,
                             left < ORTHO_INT8_COLUMNS ? left : ORTHO_INT8_COLUMNS,
                             out + t * k + c);
            }
}

#endif
