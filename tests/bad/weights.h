/* weights.h: what the broken GEMM variants are when they aren't broken: Base + Ortho as one fp32
 * matrix. alpha is 1 in these tests. */
#ifndef ORTHO_TESTS_BAD_WEIGHTS_H
#define ORTHO_TESTS_BAD_WEIGHTS_H

#include "common/half.h"

#include <ortho/variant.h>

typedef struct state {
    int64_t n, k;
    float *w; /* [n, k] Base + Ortho */
} state;

static inline ortho_status prepare(void *state_, const ortho_gemm_problem *p,
                                   const ortho_services *sv)
{
    state *st = state_;
    const ortho_split *s = p->split;
    int64_t groups = (s->k + s->group - 1) / s->group;
    st->n = p->n;
    st->k = p->k;
    st->w = sv->alloc(sv->ctx, (size_t)(p->n * p->k) * sizeof(float), ORTHO_HOST, ORTHO_WEIGHTS);
    if (st->w == NULL)
        return ORTHO_E_MEMORY;
    for (int64_t i = 0; i < s->n * s->k; i++) {
        int64_t r = i / s->k, c = i % s->k;
        int q = s->q[r * ((s->k + 1) / 2) + c / 2] >> (4 * (c & 1)) & 15;
        st->w[i] =
            ortho_fp16_to_float(s->scale[r * groups + c / s->group]) * (float)(q >= 8 ? q - 16 : q);
    }
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++)
            st->w[r * s->k + ortho_split_col(s, i)] += ortho_fp16_to_float(s->val[i]);
    return ORTHO_OK;
}

static inline void multiply(const state *st, const ortho_gemm_call *call)
{
    const float *x = call->x;
    float *y = call->y;
    for (int64_t t = 0; t < call->m; t++)
        for (int64_t r = 0; r < st->n; r++) {
            float sum = 0;
            for (int64_t c = 0; c < st->k; c++)
                sum += st->w[r * st->k + c] * x[t * st->k + c];
            y[t * st->n + r] = sum;
        }
}

static inline void release(void *state_, const ortho_services *sv)
{
    sv->free(sv->ctx, ((state *)state_)->w);
}

#endif
