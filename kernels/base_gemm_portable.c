/* base_gemm_portable.c: the level that every machine has: natural order, plain C that a compiler
 * can vectorise by itself. The other levels are tested against it. */
#include "kernels/base_gemm_kernels.h"

#include "common/half.h"

#include <string.h>

#define LANES 8

static void load(ortho_dtype dtype, const void *from, int64_t n, float *to)
{
    const uint16_t *h = from;
    if (dtype == ORTHO_F32)
        memcpy(to, from, (size_t)n * sizeof(float));
    for (int64_t i = 0; dtype == ORTHO_F16 && i < n; i++)
        to[i] = ortho_fp16_to_float(h[i]);
    for (int64_t i = 0; dtype == ORTHO_BF16 && i < n; i++)
        to[i] = ortho_bf16_to_float(h[i]);
}

static void store(ortho_dtype dtype, const float *from, int64_t n, void *to)
{
    uint16_t *h = to;
    if (dtype == ORTHO_F32)
        memcpy(to, from, (size_t)n * sizeof(float));
    for (int64_t i = 0; dtype == ORTHO_F16 && i < n; i++)
        h[i] = ortho_float_to_fp16(from[i]);
    for (int64_t i = 0; dtype == ORTHO_BF16 && i < n; i++)
        h[i] = ortho_float_to_bf16(from[i]);
}

static bool fits(const ortho_base *base)
{
    (void)base;
    return true;
}

static void tile(const ortho_base_tile *job)
{
    for (int r = 0; r < ORTHO_BASE_QUAD; r++)
        for (int t = 0; t < job->tokens; t++) {
            const float *w = job->panel + r * ORTHO_BASE_PANEL, *x = job->x + t * job->x_stride;
            float acc[LANES] = {0};
            for (int64_t c = 0; c < job->columns; c += LANES)
                for (int l = 0; l < LANES; l++)
                    acc[l] += w[c + l] * x[c + l];
            job->sum[r * job->stride + t] +=
                ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]));
        }
}

const ortho_base_kernels ortho_base_kernels_portable = {
    .lanes = 1,
    .max_tokens = 4,
    .load = load,
    .store = store,
    .fits = fits,
    .row_sums = NULL,
    .dequantise = ortho_base_dequantise_any,
    .tile = tile,
};
