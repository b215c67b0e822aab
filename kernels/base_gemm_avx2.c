/*
 * base_gemm_avx2.c: 8 lanes, blocks of 64 columns.
 *
 * vpermps has 8 entries only here, so a weight is decoded by arithmetic: shift its nibble to the
 * top, shift it back with its sign, convert: 3 operations and an FMA for 8 weights, all on the same
 * two ports. 8192 x 3072 at one token is 3.1 M such steps, 6.3 M cycles: predicted 1.8 ms with one
 * thread at 3.5 GHz, measured 2.05: bound by arithmetic, twice the time of AVX-512.
 */
#include "kernels/base_gemm_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define LANES    8
#define BLOCK    64
#define SEGMENT  64   /* blocks whose scales are converted at a time */
#define PREFETCH 2048 /* bytes */

/* ---- conversions ---------------------------------------------------------------------------- */

static void load(ortho_dtype dtype, const void *from, int64_t n, float *to)
{
    const uint16_t *h = from;
    int64_t i = 0;
    if (dtype == ORTHO_F32) {
        memcpy(to, from, (size_t)n * sizeof(float));
        return;
    }
    if (dtype == ORTHO_F16) {
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(h + i))));
        for (; i < n; i++)
            to[i] = _cvtsh_ss(h[i]);
        return;
    }
    for (; i < n; i++) {
        uint32_t bits = (uint32_t)h[i] << 16;
        memcpy(to + i, &bits, sizeof bits);
    }
}

static void store_fp16(const float *from, int64_t n, uint16_t *to)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        to[i] = _cvtss_sh(from[i], _MM_FROUND_TO_NEAREST_INT);
}

static void store(ortho_dtype dtype, const float *from, int64_t n, void *to)
{
    if (dtype == ORTHO_F16)
        store_fp16(from, n, to);
    else
        ortho_base_kernels_portable.store(dtype, from, n, to);
}

/* ---- scales --------------------------------------------------------------------------------- */

static bool fits(const ortho_base *base)
{
    ortho_base_scales ignored;
    return ortho_base_nest(base, LANES, &ignored);
}

/* The scales of `blocks` blocks from `block` on, per_block of them a block; 0 beyond the last. */
static void load_scales(const ortho_base *base, const ortho_base_scales *layout, int64_t row,
                        int64_t block, int blocks, float *to)
{
    const uint16_t *scale = base->scale + row * base->groups;
    if (layout->per_block > 1) {
        int64_t first = block * layout->per_block, wanted = (int64_t)blocks * layout->per_block;
        for (int64_t i = 0; i < wanted; i++)
            to[i] = first + i < base->groups ? _cvtsh_ss(scale[first + i]) : 0;
        return;
    }
    int64_t group = block / layout->blocks_per_group;
    int64_t left = layout->blocks_per_group - block % layout->blocks_per_group;
    for (int i = 0; i < blocks; i++) {
        to[i] = _cvtsh_ss(scale[group]);
        if (--left == 0 && group + 1 < base->groups) {
            group++;
            left = layout->blocks_per_group;
        }
    }
}

/* Lanes 0-3 and 4-7 have a scale each when two groups share a block. */
static inline __m256 lane_scales(const float *scales, int i, int per_block)
{
    if (per_block == 1)
        return _mm256_set1_ps(scales[i]);
    return _mm256_set_m128(_mm_set1_ps(scales[2 * i + 1]), _mm_set1_ps(scales[2 * i]));
}

/* ---- one token ------------------------------------------------------------------------------ */

/* Weight s of each lane's word: up to the sign bit, back down, to float. */
static inline __m256 decode(__m256i words, int s)
{
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(words, 28 - 4 * s), 28));
}

static inline __m256 block_sum(__m256i words, const float *x)
{
    __m256 even = _mm256_mul_ps(decode(words, 0), _mm256_loadu_ps(x));
    __m256 odd = _mm256_mul_ps(decode(words, 1), _mm256_loadu_ps(x + 8));
    even = _mm256_fmadd_ps(decode(words, 2), _mm256_loadu_ps(x + 16), even);
    odd = _mm256_fmadd_ps(decode(words, 3), _mm256_loadu_ps(x + 24), odd);
    even = _mm256_fmadd_ps(decode(words, 4), _mm256_loadu_ps(x + 32), even);
    odd = _mm256_fmadd_ps(decode(words, 5), _mm256_loadu_ps(x + 40), odd);
    even = _mm256_fmadd_ps(decode(words, 6), _mm256_loadu_ps(x + 48), even);
    odd = _mm256_fmadd_ps(decode(words, 7), _mm256_loadu_ps(x + 56), odd);
    return _mm256_add_ps(even, odd);
}

/* The bytes of a block that may be the row's last and short, or beyond it; 0 beyond. */
static inline __m256i load_short(const uint8_t *q, int64_t bytes)
{
    uint8_t copy[32] = {0};
    if (bytes >= 32)
        return _mm256_loadu_si256((const __m256i *)q);
    if (bytes > 0)
        memcpy(copy, q, (size_t)bytes);
    return _mm256_loadu_si256((const __m256i *)copy);
}

static inline float reduce(__m256 v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

static inline float row_sum(const ortho_base *base, const ortho_base_scales *layout, int per_block,
                            const float *x, int64_t row)
{
    int64_t bytes = (base->k + 1) / 2, blocks = (base->k + BLOCK - 1) / BLOCK, whole = bytes / 32;
    const uint8_t *q = base->q + row * bytes;
    float scales[SEGMENT * 2];
    __m256 sum = _mm256_setzero_ps();
    for (int64_t first = 0; first < blocks; first += SEGMENT) {
        int count = blocks - first < SEGMENT ? (int)(blocks - first) : SEGMENT;
        int full = whole - first < count ? (int)(whole - first) : count;
        load_scales(base, layout, row, first, count, scales);
        for (int i = 0; i < full; i++) {
            const uint8_t *at = q + (first + i) * 32;
            if (i % 2 == 0)
                _mm_prefetch((const char *)at + PREFETCH, _MM_HINT_T0);
            __m256i words = _mm256_loadu_si256((const __m256i *)at);
            sum = _mm256_fmadd_ps(block_sum(words, x + (first + i) * BLOCK),
                                  lane_scales(scales, i, per_block), sum);
        }
        if (full < count) {
            int64_t at = (first + full) * 32;
            sum = _mm256_fmadd_ps(block_sum(load_short(q + at, bytes - at), x + at * 2),
                                  lane_scales(scales, full, per_block), sum);
        }
    }
    return reduce(sum);
}

static void row_sums(const ortho_base *base, const float *x, int64_t row, int rows, float *sum)
{
    ortho_base_scales layout;
    if (!ortho_base_nest(base, LANES, &layout))
        return; /* the caller asked fits() */
    for (int r = 0; r < rows; r++)
        sum[r] = layout.per_block == 1 ? row_sum(base, &layout, 1, x, row + r)
                                       : row_sum(base, &layout, 2, x, row + r);
}

/* ---- more tokens ---------------------------------------------------------------------------- */

static void dequantise(const ortho_base *base, int64_t row, int64_t first, int64_t columns,
                       float *to)
{
    ortho_base_scales layout;
    if (!ortho_base_nest(base, LANES, &layout))
        return;
    int64_t bytes = (base->k + 1) / 2;
    const uint8_t *q = base->q + row * bytes;
    float scales[ORTHO_BASE_PANEL / BLOCK * 2];
    int blocks = (int)(columns / BLOCK);
    load_scales(base, &layout, row, first / BLOCK, blocks, scales);
    for (int i = 0; i < blocks; i++) {
        int64_t at = first / 2 + i * 32;
        __m256i words = load_short(q + at, bytes - at);
        __m256 scale = lane_scales(scales, i, layout.per_block);
        float *out = to + i * BLOCK;
        _mm256_storeu_ps(out, _mm256_mul_ps(decode(words, 0), scale));
        _mm256_storeu_ps(out + 8, _mm256_mul_ps(decode(words, 1), scale));
        _mm256_storeu_ps(out + 16, _mm256_mul_ps(decode(words, 2), scale));
        _mm256_storeu_ps(out + 24, _mm256_mul_ps(decode(words, 3), scale));
        _mm256_storeu_ps(out + 32, _mm256_mul_ps(decode(words, 4), scale));
        _mm256_storeu_ps(out + 40, _mm256_mul_ps(decode(words, 5), scale));
        _mm256_storeu_ps(out + 48, _mm256_mul_ps(decode(words, 6), scale));
        _mm256_storeu_ps(out + 56, _mm256_mul_ps(decode(words, 7), scale));
    }
}

/* 4 rows x `tokens` tokens of accumulators stay in registers. */
static inline void tile_of(const ortho_base_tile *job, int tokens)
{
    __m256 sum[ORTHO_BASE_QUAD][3];
    for (int r = 0; r < ORTHO_BASE_QUAD; r++)
        for (int t = 0; t < tokens; t++)
            sum[r][t] = _mm256_setzero_ps();
    for (int64_t c = 0; c < job->columns; c += LANES)
        for (int r = 0; r < ORTHO_BASE_QUAD; r++) {
            __m256 w = _mm256_loadu_ps(job->panel + r * ORTHO_BASE_PANEL + c);
            for (int t = 0; t < tokens; t++)
                sum[r][t] =
                    _mm256_fmadd_ps(w, _mm256_loadu_ps(job->x + t * job->x_stride + c), sum[r][t]);
        }
    for (int r = 0; r < ORTHO_BASE_QUAD; r++)
        for (int t = 0; t < tokens; t++)
            job->sum[r * job->stride + t] += reduce(sum[r][t]);
}

static void tile(const ortho_base_tile *job)
{
    if (job->tokens == 1)
        tile_of(job, 1);
    else if (job->tokens == 2)
        tile_of(job, 2);
    else
        tile_of(job, 3);
}

const ortho_base_kernels ortho_base_kernels_avx2 = {
    .lanes = LANES,
    .max_tokens = 3,
    .load = load,
    .store = store,
    .fits = fits,
    .row_sums = row_sums,
    .dequantise = dequantise,
    .tile = tile,
};
#endif
