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

/* Weights of columns [begin, end), which share the scale s. */
static void decode(const uint8_t *q, int64_t begin, int64_t end, float s, float *to)
{
    int64_t c = begin;
    if (c < end && c % 2 == 1) {
        *to++ = (float)((q[c / 2] >> 4 ^ 8) - 8) * s;
        c++;
    }
    for (; c + 2 <= end; c += 2, to += 2) {
        int byte = q[c / 2];
        to[0] = (float)(((byte & 15) ^ 8) - 8) * s;
        to[1] = (float)((byte >> 4 ^ 8) - 8) * s;
    }
    if (c < end)
        *to = (float)(((q[c / 2] & 15) ^ 8) - 8) * s;
}

static void dequantise(const ortho_base *base, int64_t row, int64_t first, int64_t columns,
                       float *to)
{
    const uint8_t *q = base->q + row * ((base->k + 1) / 2);
    const uint16_t *scale = base->scale + row * base->groups;
    int64_t end = first + columns < base->k ? first + columns : base->k;
    for (int64_t c = first; c < end;) {
        int64_t group = c / base->group, stop = (group + 1) * base->group;
        stop = stop < end ? stop : end;
        decode(q, c, stop, ortho_fp16_to_float(scale[group]), to + c - first);
        c = stop;
    }
    for (int64_t c = end; c < first + columns; c++)
        to[c - first] = 0;
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
    .dequantise = dequantise,
    .tile = tile,
};
