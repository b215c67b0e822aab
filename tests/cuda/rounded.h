/* rounded.h: weights as kernels for many tokens have them. */
#ifndef ORTHO_TESTS_CUDA_ROUNDED_H
#define ORTHO_TESTS_CUDA_ROUNDED_H

#include "common/half.h"
#include "layers.h"

static inline double half_of(double v)
{
    return ortho_fp16_to_float(ortho_float_to_fp16((float)v));
}

/* A row's k weights in fp16: Base first, then what it has of Ortho. k is even, alpha 1. */
static inline void rounded_row(const ortho_split *s, int64_t row, double *w)
{
    const int64_t k = s->k, groups = (k + s->group - 1) / s->group;
    for (int64_t c = 0; c < k; c++) {
        const int byte = s->q[row * (k / 2) + c / 2], q = ((byte >> (c % 2 * 4) & 15) ^ 8) - 8;
        w[c] = half_of(q * (double)ortho_fp16_to_float(s->scale[row * groups + c / s->group]));
    }
    for (int64_t i = s->row_ptr[row]; i < s->row_ptr[row + 1]; i++) {
        double *at = w + ortho_split_col(s, i);
        *at = half_of(*at + ortho_fp16_to_float(s->val[i]));
    }
}

#endif
