/* spmm_portable.c: plain C; the loops over 16 tokens vectorise by themselves. */
#include "kernels/spmm_run.h"

#include "common/half.h"

#define ORTHO_SPMM_KERNELS ortho_spmm_kernels_portable
#define TOKENS             16

static inline float decode(uint16_t h)
{
    return ortho_fp16_to_float(h);
}

static inline int64_t run_at(const ortho_run *run, int64_t i)
{
    return run->wide ? (int64_t)run->col32[i] : (int64_t)run->col16[i];
}

static inline float run_dot(const ortho_run *run, const float *x)
{
    float sum[2] = {0, 0};
    for (int64_t i = 0; i < run->count; i++)
        sum[i % 2] += decode(run->val[i]) * x[run_at(run, i)];
    return sum[0] + sum[1];
}

static inline void run_tokens(const ortho_run *run, const float *x, int stride, float alpha,
                              float *sum)
{
    for (int first = 0; first < stride; first += TOKENS) {
        float acc[TOKENS] = {0};
        for (int64_t i = 0; i < run->count; i++) {
            const float *at = x + run_at(run, i) * stride + first;
            float v = decode(run->val[i]);
            for (int t = 0; t < TOKENS; t++)
                acc[t] += v * at[t];
        }
        for (int t = 0; t < TOKENS; t++)
            sum[first + t] += alpha * acc[t];
    }
}

static inline int64_t same_row(const uint16_t *row, int64_t left)
{
    int64_t i = 1;
    while (i < left && row[i] == row[0])
        i++;
    return i;
}

#include "kernels/spmm_body.h"
