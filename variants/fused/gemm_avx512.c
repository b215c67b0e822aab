/*
 * gemm_avx512.c: 16 rows in 16 lanes, bytes multiplied by VNNI.
 *
 * A chunk of 128 weights costs a load, two masks, a shift and two vpdpbusd a digit plane: 9
 * operations with three planes, 4.5 cycles on the two 512-bit ports, where memory takes 13.6 (two
 * threads at 3.55 GHz share 35 GB/s). vdpbf16ps, which one would expect here, issues every 2.1
 * cycles on this processor (Sapphire Rapids) and needs its weights as bf16 first: 12 cycles at
 * least. fp32, which PLAIN segments use, takes 11.5.
 */
#include "variants/fused/levels.h"

#if defined(__x86_64__)
#include "variants/fused/digits_body.h"

#include <immintrin.h>

#define TILE 4 /* tokens whose sums stay in registers */

/* Tokens of a tile, all with digits, over one segment of one block. */
typedef struct tile {
    const uint8_t *q;
    int chunks;
    const int8_t *digits[TILE]; /* [planes][8 * chunks] */
    const ortho_fused_range *range[TILE];
    __m512 scale;
    float *sum[TILE];
} tile;

/* Four digits, one for each byte of every lane's word. */
static inline __m512i four_digits(const int8_t *digits)
{
    int32_t word;
    memcpy(&word, digits, sizeof word);
    return _mm512_set1_epi32(word);
}

/* Planes together, largest last so that it is rounded last. */
static inline __m512 join(const __m512i *plane, int planes)
{
    __m512 sum = _mm512_cvtepi32_ps(plane[0]);
    for (int p = 1; p < planes; p++)
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(plane[p]), _mm512_set1_ps((float)(1 << 8 * p)),
                              sum);
    return sum;
}

/* Constants in `tokens` and `planes`, so that the accumulators are registers. A lone token has two
 * for each plane: vpdpbusd takes 6 cycles. */
static inline __attribute__((always_inline)) void tile_of(const tile *t, int tokens, int planes)
{
    const __m512i low_nibbles = _mm512_set1_epi8(15);
    const int64_t plane = t->chunks * ORTHO_FUSED_COLUMNS;
    __m512i low[TILE][ORTHO_FUSED_PLANES], high[ORTHO_FUSED_PLANES];
    for (int i = 0; i < tokens; i++)
        for (int p = 0; p < planes; p++)
            low[i][p] = _mm512_set1_epi32(t->range[i]->start[p]);
    for (int p = 0; p < planes; p++)
        high[p] = _mm512_setzero_si512();
    for (int c = 0; c < t->chunks; c++) {
        const uint8_t *q = t->q + c * ORTHO_FUSED_CHUNK;
        _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
        __m512i both = _mm512_loadu_si512(q), a = _mm512_and_si512(both, low_nibbles),
                b = _mm512_and_si512(_mm512_srli_epi32(both, 4), low_nibbles);
        for (int i = 0; i < tokens; i++)
            for (int p = 0; p < planes; p++) {
                const int8_t *d = t->digits[i] + p * plane + c * ORTHO_FUSED_COLUMNS;
                low[i][p] = _mm512_dpbusd_epi32(low[i][p], a, four_digits(d));
                if (tokens == 1)
                    high[p] = _mm512_dpbusd_epi32(high[p], b, four_digits(d + 4));
                else
                    low[i][p] = _mm512_dpbusd_epi32(low[i][p], b, four_digits(d + 4));
            }
    }
    for (int p = 0; p < planes; p++)
        low[0][p] = _mm512_add_epi32(low[0][p], high[p]);
    for (int i = 0; i < tokens; i++) {
        __m512 exact = _mm512_mul_ps(join(low[i], planes), _mm512_set1_ps(t->range[i]->unit));
        _mm512_storeu_ps(t->sum[i],
                         _mm512_fmadd_ps(exact, t->scale, _mm512_loadu_ps(t->sum[i])));
    }
}

static inline __attribute__((always_inline)) void tile_planes(const tile *t, int tokens, int planes)
{
    switch (planes) {
    case 1:
        tile_of(t, tokens, 1);
        return;
    case 2:
        tile_of(t, tokens, 2);
        return;
    case 3:
        tile_of(t, tokens, 3);
        return;
    default:
        tile_of(t, tokens, 4);
        return;
    }
}

static void tile_sums(const tile *t, int tokens, int planes)
{
    switch (tokens) {
    case 1:
        tile_planes(t, 1, planes);
        return;
    case 2:
        tile_planes(t, 2, planes);
        return;
    case 3:
        tile_planes(t, 3, planes);
        return;
    default:
        tile_planes(t, 4, planes);
        return;
    }
}

/* One token in fp32: nibble j of a word is column j / 2, an odd one 4 columns on. */
static void plain_sums(const uint8_t *q, int chunks, const float *x, __m512 scale, float *sum)
{
    const __m512 values = _mm512_set_ps(7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8);
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (int c = 0; c < chunks; c++, q += ORTHO_FUSED_CHUNK, x += ORTHO_FUSED_COLUMNS) {
        _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
        __m512i words = _mm512_loadu_si512(q);
        for (unsigned j = 0; j < 4; j++) {
            __m512 a = _mm512_permutexvar_ps(_mm512_srli_epi32(words, 8 * j), values);
            __m512 b = _mm512_permutexvar_ps(_mm512_srli_epi32(words, 8 * j + 4), values);
            even = _mm512_fmadd_ps(a, _mm512_set1_ps(x[j]), even);
            odd = _mm512_fmadd_ps(b, _mm512_set1_ps(x[j + 4]), odd);
        }
    }
    _mm512_storeu_ps(
        sum, _mm512_fmadd_ps(_mm512_add_ps(even, odd), scale, _mm512_loadu_ps(sum)));
}

static void segment_sums(const ortho_fused_job *job, int64_t s)
{
    const ortho_fused_segment *segment = job->packed->segment + s;
    const uint16_t *scale = ortho_fused_scales(job->packed, job->block, segment);
    tile t = {
        .q = ortho_fused_chunks(job->packed, job->block, segment),
        .chunks = segment->chunks,
        .scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)scale)),
    };
    int filled = 0, planes = 0;
    for (int i = 0; i < job->tokens; i++) {
        const ortho_fused_range *range = job->x[i].range + s;
        float *sum = job->sum + i * job->stride;
        if (range->planes == ORTHO_FUSED_PLAIN) {
            plain_sums(t.q, t.chunks, job->x[i].padded + segment->at, t.scale, sum);
        } else if (range->planes > 0) {
            t.digits[filled] = ortho_fused_digits(&job->x[i], segment);
            t.range[filled] = range;
            t.sum[filled++] = sum;
            planes = range->planes > planes ? range->planes : planes;
        }
        if (filled == TILE || (filled > 0 && i == job->tokens - 1)) {
            tile_sums(&t, filled, planes);
            filled = planes = 0;
        }
    }
}

static void block(const ortho_fused_job *job)
{
    for (int i = 0; i < job->tokens; i++)
        _mm512_storeu_ps(job->sum + i * job->stride, _mm512_setzero_ps());
    for (int64_t s = 0; s < job->packed->segments; s++)
        segment_sums(job, s);
}

const ortho_fused_level ortho_fused_level_avx512 = {.digits = make_all_digits, .block = block};
#endif
