/*
 * panel_avx2.c: 6 tokens by 16 rows: 12 sums, 2 vectors of weights, 1 x.
 *
 * A column costs 12 FMAs, 6 cycles, and 8 loads, 4: bound by the FMAs. 8 weights are unpacked by a
 * quarter of a shift, two operations that make a float of a nibble where it stands, and an FMA;
 * then each token needs one FMA for them.
 */
#include "variants/fused/levels.h"

#if defined(__x86_64__)
#include <immintrin.h>

static inline float decode(uint16_t half)
{
    return _cvtsh_ss(half);
}

#include "variants/fused/panel_body.h"

#define HALF   8 /* rows of a vector */
#define TOKENS 6

/* ---- weights -------------------------------------------------------------------------------- */

/* A nibble u at bit `at` of a word becomes the mantissa of 2^(23 - at) + u: nothing is converted.
 * With `at` of 8 or more 2^(23 - at) + 8 times an fp16 scale is exact, so that the FMA that takes
 * it off gives q * scale exactly. */
#define PLACES 3

static const int places[PLACES] = {8, 12, 16};

typedef struct scaling {
    __m256 scale, offset[PLACES];
} scaling;

static inline scaling make_scaling(const uint16_t *scale)
{
    scaling s = {.scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)scale))};
    for (int i = 0; i < PLACES; i++)
        s.offset[i] = _mm256_mul_ps(s.scale, _mm256_set1_ps(-(float)(8 + (1 << (23 - places[i])))));
    return s;
}

/* The nibble at place i of each word, as a column of the panel. */
static inline void put(const scaling *s, __m256i words, int i, float *to)
{
    __m256i one = _mm256_set1_epi32((127 + 23 - places[i]) << 23);
    __m256i nibble = _mm256_and_si256(words, _mm256_set1_epi32(15 << places[i]));
    __m256 value = _mm256_castsi256_ps(_mm256_or_si256(nibble, one));
    _mm256_store_ps(to, _mm256_fmadd_ps(value, s->scale, s->offset[i]));
}

/* 8 rows. Nibble 2 b of a word is column b, nibble 2 b + 1 column b + 4. */
static void unpack_half(const uint8_t *q, int chunks, const scaling *s, float *to)
{
    for (int c = 0; c < chunks; c++, q += ORTHO_FUSED_CHUNK) {
        _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
        __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)q);
        __m256i low = _mm256_slli_epi32(words, 8), high = _mm256_srli_epi32(words, 12);
        put(s, low, 0, to);
        put(s, words, 0, to + 1 * ORTHO_FUSED_ROWS);
        put(s, words, 2, to + 2 * ORTHO_FUSED_ROWS);
        put(s, high, 1, to + 3 * ORTHO_FUSED_ROWS);
        put(s, low, 1, to + 4 * ORTHO_FUSED_ROWS);
        put(s, words, 1, to + 5 * ORTHO_FUSED_ROWS);
        put(s, high, 0, to + 6 * ORTHO_FUSED_ROWS);
        put(s, high, 2, to + 7 * ORTHO_FUSED_ROWS);
        to += ORTHO_FUSED_COLUMNS * ORTHO_FUSED_ROWS;
    }
}

static void unpack(const ortho_fused_packed *packed, const ortho_fused_slab *slab)
{
    for (int64_t i = slab->from; i < slab->to; i++) {
        const ortho_fused_segment *segment = packed->segment + i;
        const uint16_t *scale = ortho_fused_scales(packed, slab->block, segment);
        const uint8_t *q = ortho_fused_chunks(packed, slab->block, segment);
        float *to = slab->panel + (segment->column - slab->column) * ORTHO_FUSED_ROWS;
        for (int row = 0; row < ORTHO_FUSED_ROWS; row += HALF) {
            scaling s = make_scaling(scale + row);
            unpack_half(q + 4 * row, segment->chunks, &s, to + row);
        }
    }
}

/* ---- products ------------------------------------------------------------------------------- */

/* `tokens` is a constant, so that the sums are registers. */
static inline __attribute__((always_inline)) void multiply_of(const ortho_fused_tile *tile,
                                                              int tokens)
{
    __m256 sum[TOKENS][2];
    const float *w = tile->panels, *x = tile->x;
#pragma GCC unroll 6
    for (int i = 0; i < tokens; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    for (int64_t c = tile->columns; c > 0; c--, w += ORTHO_FUSED_ROWS, x += tokens) {
        __m256 a = _mm256_load_ps(w), b = _mm256_load_ps(w + HALF);
#pragma GCC unroll 6
        for (int i = 0; i < tokens; i++) {
            __m256 one = _mm256_broadcast_ss(x + i);
            sum[i][0] = _mm256_fmadd_ps(a, one, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(b, one, sum[i][1]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < tokens; i++)
#pragma GCC unroll 6
        for (int half = 0; half < 2; half++) {
            float *to = tile->sum + i * tile->stride + half * HALF;
            _mm256_store_ps(to, _mm256_add_ps(sum[i][half], _mm256_load_ps(to)));
        }
}

static void multiply(const ortho_fused_tile *tile)
{
    switch (tile->tokens) {
    case 1:
        multiply_of(tile, 1);
        return;
    case 2:
        multiply_of(tile, 2);
        return;
    case 3:
        multiply_of(tile, 3);
        return;
    case 4:
        multiply_of(tile, 4);
        return;
    case 5:
        multiply_of(tile, 5);
        return;
    default:
        multiply_of(tile, 6);
        return;
    }
}

const ortho_fused_panels ortho_fused_panels_avx2 = {
    .from = 5,
    .blocks = 1,
    .tokens = TOKENS,
    .unpack = unpack,
    .patch = patch,
    .multiply = multiply,
};
#endif
