/*
 * quant_plain.h: the kernels as plain loops over 16 lanes, for a compiler to vectorise. quant.c
 * compiles them for any machine, quant_plain_avx2.c once more for AVX2: the bits are the same.
 */
#ifndef ORTHO_KERNELS_QUANT_PLAIN_H
#define ORTHO_KERNELS_QUANT_PLAIN_H

#include "kernels/quant.h"

#include "common/half.h"

#include <stdbool.h>
#include <string.h>

/* rint without a library call: the sum's last bit is worth 1, ties go to even. Beyond 2^22 it may
 * be off by a little, where the clamp makes up for it; rounding first keeps the loops free of
 * branches. */
static inline float on_grid(float x)
{
    float q = (x + 12582912.0f) - 12582912.0f;
    q = q < -8.0f ? -8.0f : q;
    return q > 7.0f ? 7.0f : q;
}

static inline int padded(int count)
{
    return (count + ORTHO_LANES - 1) / ORTHO_LANES * ORTHO_LANES;
}

static inline uint32_t magnitude_bits(float w)
{
    return ortho_float_bits(w) & 0x7fffffffu;
}

static void load(ortho_dtype dtype, const void *data, int64_t first, int count, float *w)
{
    const uint16_t *half = (const uint16_t *)data + first;
    const char *ahead = dtype == ORTHO_F32 ? (const char *)data + first * 4 : (const char *)half;
    for (int line = 0; line < ORTHO_CHUNK * 2; line += 64)
        __builtin_prefetch(ahead + line + 2048); /* hardware stops at every page */
    switch (dtype) {
    case ORTHO_BF16:
        for (int i = 0; i < count; i++)
            w[i] = ortho_bf16_to_float(half[i]);
        break;
    case ORTHO_F16:
        for (int i = 0; i < count; i++)
            w[i] = ortho_fp16_to_float(half[i]);
        break;
    default:
        memcpy(w, (const float *)data + first, (size_t)count * sizeof *w);
    }
    for (int i = count; i < padded(count); i++)
        w[i] = 0.0f;
}

static void squares_down(const float *w, int count, double *sums)
{
    for (int i = 0; i < count; i++)
        sums[i] += (double)w[i] * (double)w[i];
}

static void squares_along(const float *w, int count, double lanes[ORTHO_LANES])
{
    for (int v = 0; v < count; v += ORTHO_LANES)
        for (int j = 0; j < ORTHO_LANES; j++)
            lanes[j] += (double)w[v + j] * (double)w[v + j];
}

static uint32_t absmax(const float *w, int count)
{
    uint32_t most = 0;
    for (int i = 0; i < count; i++)
        most = magnitude_bits(w[i]) > most ? magnitude_bits(w[i]) : most;
    return most;
}

static inline uint32_t magnitude_key(float w, float inverse_rms)
{
    float shifted = ortho_float_from_bits(magnitude_bits(w)) * ORTHO_RMS_SHIFT;
    return ortho_float_bits(shifted * inverse_rms) + 1u;
}

static inline bool is_outlier(float w, int i, const ortho_outliers *out)
{
    return magnitude_key(w, out->inverse_rms) >= out->bound + (i >= out->split ? 1u : 0u);
}

static void keep(const float *w, int count, const ortho_outliers *out, float *kept)
{
    for (int i = 0; i < padded(count); i++)
        kept[i] = is_outlier(w[i], i, out) ? 0.0f : w[i];
}

static void magnitudes(const float *w, int count, float inverse_rms, uint32_t *keys)
{
    for (int i = 0; i < count; i++)
        keys[i] = magnitude_key(w[i], inverse_rms);
    for (int i = count; i < padded(count); i++)
        keys[i] = 0;
}

static inline float add_lanes(float lane[ORTHO_LANES])
{
    for (int width = ORTHO_LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++)
            lane[j] += lane[j + width];
    return lane[0];
}

static void search(const float *w, const float *h, int count, const ortho_candidates *try,
                   double sums[ORTHO_CANDIDATES])
{
    for (int c = 0; c < ORTHO_CANDIDATES; c++) {
        float lane[ORTHO_LANES] = {0}, scale = try->scale[c], inverse = try->inverse[c];
        for (int v = 0; v < count; v += ORTHO_LANES)
            for (int j = 0; j < ORTHO_LANES; j++) {
                float e = w[v + j] - scale * on_grid(w[v + j] * inverse);
                lane[j] += (e * e) * h[v + j];
            }
        sums[c] += (double)add_lanes(lane);
    }
}

static void quantise(const float *w, int count, float scale, uint8_t *nibbles)
{
    int8_t q[ORTHO_CHUNK + 1];
    if (scale == 0.0f) {
        memset(nibbles, 0, (size_t)(count + 1) / 2);
        return;
    }
    for (int i = 0; i < count; i++)
        q[i] = (int8_t)(int32_t)on_grid(w[i] / scale);
    q[count] = 0;
    for (int i = 0; i < count; i += 2)
        nibbles[i / 2] = (uint8_t)((q[i] & 15) | (q[i + 1] & 15) << 4);
}

static void scores(const ortho_chunk *chunk, uint32_t *keys)
{
    const float *h = chunk->h;
    const ortho_outliers out = chunk->out;
    for (int v = 0; v < chunk->count; v += ORTHO_LANES) {
        float scale = chunk->scale[v / ORTHO_LANES], inverse = chunk->inverse[v / ORTHO_LANES];
        for (int i = v; i < v + ORTHO_LANES; i++) {
            float w = chunk->w[i], e = w - scale * on_grid(w * inverse);
            uint32_t key = ortho_float_bits((e * e) * h[i]) + 1u;
            uint32_t mask = 0u - (uint32_t)is_outlier(w, i, &out); /* no branch: vectors */
            keys[i] = (key & ~mask) | (ORTHO_KEY_TOP & mask);
        }
    }
    for (int i = chunk->count; i < padded(chunk->count); i++)
        keys[i] = 0;
}

/* Most runs of 16 hold nothing: a signed comparison, which every vector unit has, says so first
 * (keys are < 2^31; a bound of 2^31 turns negative and only costs the second look). */
static int collect(const uint32_t *keys, int count, uint32_t lo, uint32_t hi, uint8_t *index)
{
    int found = 0;
    for (int v = 0; v < count; v += ORTHO_LANES) {
        int32_t any = 0, from = (int32_t)lo;
        for (int j = 0; j < ORTHO_LANES; j++)
            any |= (int32_t)keys[v + j] >= from;
        for (int j = 0; any != 0 && j < ORTHO_LANES; j++) {
            index[found] = (uint8_t)(v + j); /* found <= v + j: it fits even if it doesn't count */
            found += keys[v + j] - lo < hi - lo;
        }
    }
    return found;
}

static void candidates(float absmax_kept, ortho_candidates *out)
{
    ortho_quant_candidates(absmax_kept, ORTHO_CANDIDATES, out);
}

/* What a file that includes this puts into its table. */
#define ORTHO_QUANT_PLAIN_OPS                                                                      \
    {                                                                                              \
        .load = load, .squares_down = squares_down, .squares_along = squares_along,                \
        .absmax = absmax, .keep = keep, .magnitudes = magnitudes, .candidates = candidates,        \
        .search = search, .quantise = quantise, .scores = scores, .collect = collect               \
    }

#endif
