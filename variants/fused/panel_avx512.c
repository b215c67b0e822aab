/*
 * panel_avx512.c: 12 tokens by 32 rows, two blocks: 24 sums, 2 vectors of weights, 1 x.
 *
 * A column costs 24 FMAs, 12 cycles, and 14 loads, 7: bound by the FMAs. 16 weights are unpacked by
 * a quarter of a shift, an operation that makes a float of a nibble where it stands, and an FMA;
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

#define BLOCKS 2
#define TOKENS 12

/* ---- weights -------------------------------------------------------------------------------- */

/* A nibble u at bit `at` of a word becomes the mantissa of 2^(23 - at) + u: nothing is converted.
 * With `at` of 8 or more 2^(23 - at) + 8 times an fp16 scale is exact, so that the FMA that takes
 * it off gives q * scale exactly. */
#define PLACES 3

static const int places[PLACES] = {8, 12, 16};

typedef struct scaling {
    __m512 scale, offset[PLACES];
} scaling;

static inline scaling make_scaling(const uint16_t *scale)
{
    scaling s = {.scale = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)scale))};
    for (int i = 0; i < PLACES; i++)
        s.offset[i] = _mm512_mul_ps(s.scale, _mm512_set1_ps(-(float)(8 + (1 << (23 - places[i])))));
    return s;
}

/* The nibble at place i of each word, as a column of the panel: words & mask | one is 0xea. */
static inline void put(const scaling *s, __m512i words, int i, float *to)
{
    __m512i one = _mm512_set1_epi32((127 + 23 - places[i]) << 23);
    __m512i value = _mm512_ternarylogic_epi32(words, _mm512_set1_epi32(15 << places[i]), one, 0xea);
    _mm512_store_ps(to, _mm512_fmadd_ps(_mm512_castsi512_ps(value), s->scale, s->offset[i]));
}

/* Nibble 2 b of a word is column b, nibble 2 b + 1 column b + 4. */
static void unpack_chunks(const uint8_t *q, int chunks, const scaling *s, float *to)
{
    for (int c = 0; c < chunks; c++, q += ORTHO_FUSED_CHUNK) {
        _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
        __m512i words = _mm512_loadu_si512(q);
        __m512i low = _mm512_slli_epi32(words, 8), high = _mm512_srli_epi32(words, 12);
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
        scaling s = make_scaling(ortho_fused_scales(packed, slab->block, segment));
        unpack_chunks(ortho_fused_chunks(packed, slab->block, segment), segment->chunks, &s,
                      slab->panel + (segment->column - slab->column) * ORTHO_FUSED_ROWS);
    }
}

/* ---- products ------------------------------------------------------------------------------- */

/* Constants in `tokens` and `blocks`, so that the sums are registers. */
static inline __attribute__((always_inline)) void multiply_of(const ortho_fused_tile *tile,
                                                              int tokens, int blocks)
{
    __m512 sum[TOKENS][BLOCKS];
    const float *w = tile->panels, *x = tile->x;
#pragma GCC unroll 12
    for (int i = 0; i < tokens; i++)
#pragma GCC unroll 12
        for (int b = 0; b < blocks; b++)
            sum[i][b] = _mm512_setzero_ps();
    for (int64_t c = tile->columns; c > 0; c--, w += ORTHO_FUSED_ROWS, x += tokens) {
        __m512 weights[BLOCKS];
#pragma GCC unroll 12
        for (int b = 0; b < blocks; b++)
            weights[b] = _mm512_load_ps(w + b * ORTHO_FUSED_PANEL_FLOATS);
#pragma GCC unroll 12
        for (int i = 0; i < tokens; i++) {
            __m512 one = _mm512_set1_ps(x[i]);
#pragma GCC unroll 12
            for (int b = 0; b < blocks; b++)
                sum[i][b] = _mm512_fmadd_ps(weights[b], one, sum[i][b]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < tokens; i++)
#pragma GCC unroll 12
        for (int b = 0; b < blocks; b++) {
            float *to = tile->sum + i * tile->stride + b * ORTHO_FUSED_ROWS;
            _mm512_store_ps(to, _mm512_add_ps(sum[i][b], _mm512_load_ps(to)));
        }
}

static inline __attribute__((always_inline)) void multiply_blocks(const ortho_fused_tile *tile,
                                                                  int blocks)
{
    switch (tile->tokens) {
    case 1:
        multiply_of(tile, 1, blocks);
        return;
    case 2:
        multiply_of(tile, 2, blocks);
        return;
    case 3:
        multiply_of(tile, 3, blocks);
        return;
    case 4:
        multiply_of(tile, 4, blocks);
        return;
    case 5:
        multiply_of(tile, 5, blocks);
        return;
    case 6:
        multiply_of(tile, 6, blocks);
        return;
    case 7:
        multiply_of(tile, 7, blocks);
        return;
    case 8:
        multiply_of(tile, 8, blocks);
        return;
    case 9:
        multiply_of(tile, 9, blocks);
        return;
    case 10:
        multiply_of(tile, 10, blocks);
        return;
    case 11:
        multiply_of(tile, 11, blocks);
        return;
    default:
        multiply_of(tile, TOKENS, blocks);
        return;
    }
}

static void multiply(const ortho_fused_tile *tile)
{
    if (tile->blocks == BLOCKS)
        multiply_blocks(tile, BLOCKS);
    else
        multiply_blocks(tile, 1);
}

const ortho_fused_panels ortho_fused_panels_avx512 = {
    .from = 8,
    .blocks = BLOCKS,
    .tokens = TOKENS,
    .unpack = unpack,
    .patch = patch,
    .multiply = multiply,
};
#endif
