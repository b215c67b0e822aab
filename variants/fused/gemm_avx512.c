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

#define TILE 4 /* tokens, or blocks, whose sums stay in registers */

/* Tokens of a tile, all with digits, over one segment of one block or more. */
typedef struct tile {
    const uint8_t *q;
    int64_t step; /* bytes to the next block's, chunks and scales alike */
    int chunks;
    const int8_t *digits[TILE]; /* [planes][8 * chunks] */
    const ortho_fused_range *range[TILE];
    const uint16_t *scale; /* fp16 [16] */
    int64_t sum_step;
    float *sum[TILE]; /* [blocks][16] */
} tile;

/* Four digits, one for each byte of every lane's word. */
static inline __m512i four_digits(const int8_t *digits)
{
    int32_t word;
    memcpy(&word, digits, sizeof word);
    return _mm512_set1_epi32(word);
}

/* sum + unsigned bytes of a times signed bytes of b, four by four. Not the intrinsic: with it gcc
 * 12 copies every sum once a turn, 24 of 76 instructions where four blocks are worked. */
static inline __m512i dot(__m512i sum, __m512i a, __m512i b)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

/* Planes together, largest last so that it is rounded last. */
static inline __m512 join(const __m512i *plane, int planes)
{
    if (planes == 1)
        return _mm512_cvtepi32_ps(_mm512_add_epi32(plane[0], plane[1]));
    __m512 sum = _mm512_cvtepi32_ps(plane[0]);
    for (int p = 1; p < planes; p++)
        sum =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(plane[p]), _mm512_set1_ps((float)(1 << 8 * p)), sum);
    return sum;
}

/* Of block b of the tile. */
static inline __m512 load_scale(const tile *t, int b)
{
    const void *scale = (const char *)t->scale + b * t->step;
    _mm_prefetch((const char *)scale + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
    return _mm512_cvtph_ps(_mm256_loadu_si256(scale));
}

/* Constants in `tokens`, `blocks` and `planes`, so that the accumulators are registers. A lone
 * plane has two, since vpdpbusd would wait for itself: the high nibbles' starts at 0. */
static inline __attribute__((always_inline)) void tile_of(const tile *t, int tokens, int blocks,
                                                          int planes)
{
    const __m512i low_nibbles = _mm512_set1_epi8(15);
    const int64_t plane = t->chunks * ORTHO_FUSED_COLUMNS;
    const int second = planes == 1 ? 1 : 0;
    __m512i sum[TILE][TILE][ORTHO_FUSED_PLANES];
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < tokens; i++)
            for (int p = 0; p < planes + second; p++)
                sum[b][i][p] =
                    p < planes ? _mm512_set1_epi32(t->range[i]->start[p]) : _mm512_setzero_si512();
    for (int c = 0; c < t->chunks; c++)
        for (int b = 0; b < blocks; b++) {
            const uint8_t *q = t->q + b * t->step + c * ORTHO_FUSED_CHUNK;
            _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
            __m512i both = _mm512_loadu_si512(q), low = _mm512_and_si512(both, low_nibbles),
                    high = _mm512_and_si512(_mm512_srli_epi32(both, 4), low_nibbles);
            for (int i = 0; i < tokens; i++)
                for (int p = 0; p < planes; p++) {
                    const int8_t *d = t->digits[i] + p * plane + c * ORTHO_FUSED_COLUMNS;
                    sum[b][i][p] = dot(sum[b][i][p], low, four_digits(d));
                    sum[b][i][p + second] = dot(sum[b][i][p + second], high, four_digits(d + 4));
                }
        }
    for (int b = 0; b < blocks; b++) {
        __m512 scale = load_scale(t, b);
        for (int i = 0; i < tokens; i++) {
            __m512 exact =
                _mm512_mul_ps(join(sum[b][i], planes), _mm512_set1_ps(t->range[i]->unit));
            float *to = t->sum[i] + b * t->sum_step;
            _mm512_storeu_ps(to, _mm512_fmadd_ps(exact, scale, _mm512_loadu_ps(to)));
        }
    }
}

static inline __attribute__((always_inline)) void tile_planes(const tile *t, int tokens, int blocks,
                                                              int planes)
{
    switch (planes) {
    case 1:
        tile_of(t, tokens, blocks, 1);
        return;
    case 2:
        tile_of(t, tokens, blocks, 2);
        return;
    case 3:
        tile_of(t, tokens, blocks, 3);
        return;
    default:
        tile_of(t, tokens, blocks, 4);
        return;
    }
}

static void tile_sums(const tile *t, int tokens, int blocks, int planes)
{
    tile one;
    if (tokens == 2 && blocks == 2) {
        tile_planes(t, 2, 2, planes);
        return;
    }
    one = *t;
    for (int b = 0; b < blocks; b++) {
        if (tokens == 1)
            tile_planes(&one, 1, 1, planes);
        else if (tokens == 2)
            tile_planes(&one, 2, 1, planes);
        else if (tokens == 3)
            tile_planes(&one, 3, 1, planes);
        else
            tile_planes(&one, 4, 1, planes);
        one.q += t->step;
        one.scale = (const uint16_t *)(const void *)((const char *)one.scale + t->step);
        for (int i = 0; i < tokens; i++)
            one.sum[i] += t->sum_step;
    }
}

/* One token and block b of the tile in fp32: nibble j of a word is column j / 2, an odd one 4
 * columns on. */
static void plain_sums(const tile *t, int b, const float *x, float *sum)
{
    const __m512 values = _mm512_set_ps(7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8);
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    const uint8_t *q = t->q + b * t->step;
    for (int c = 0; c < t->chunks; c++, q += ORTHO_FUSED_CHUNK, x += ORTHO_FUSED_COLUMNS) {
        _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
        __m512i words = _mm512_loadu_si512(q);
        for (unsigned j = 0; j < 4; j++) {
            __m512 low = _mm512_permutexvar_ps(_mm512_srli_epi32(words, 8 * j), values);
            __m512 high = _mm512_permutexvar_ps(_mm512_srli_epi32(words, 8 * j + 4), values);
            even = _mm512_fmadd_ps(low, _mm512_set1_ps(x[j]), even);
            odd = _mm512_fmadd_ps(high, _mm512_set1_ps(x[j + 4]), odd);
        }
    }
    __m512 both = _mm512_add_ps(even, odd);
    _mm512_storeu_ps(sum, _mm512_fmadd_ps(both, load_scale(t, b), _mm512_loadu_ps(sum)));
}

/* ---- segments ------------------------------------------------------------------------------- */

/* All tokens and `blocks` blocks from b on: tokens with digits TILE at a time, the others alone. */
static void blocks_sums(const ortho_fused_job *job, int64_t s, int b, int blocks)
{
    const ortho_fused_packed *packed = job->packed;
    const ortho_fused_segment *segment = packed->segment + s;
    int64_t block = job->block + b * job->step;
    int filled = 0, planes = 0;
    tile t = {
        .q = ortho_fused_chunks(packed, block, segment),
        .step = job->step * packed->stride,
        .chunks = segment->chunks,
        .scale = ortho_fused_scales(packed, block, segment),
        .sum_step = job->step * ORTHO_FUSED_ROWS,
    };
    for (int i = 0; i < job->tokens; i++) {
        const ortho_fused_range *range = job->x[i].range + s;
        float *sum = ortho_fused_sums(job, i, b);
        if (range->planes == ORTHO_FUSED_PLAIN) {
            for (int j = 0; j < blocks; j++)
                plain_sums(&t, j, job->x[i].padded + segment->at, sum + j * t.sum_step);
        } else if (range->planes > 0) {
            t.digits[filled] = ortho_fused_digits(&job->x[i], segment);
            t.range[filled] = range;
            t.sum[filled++] = sum;
            planes = range->planes > planes ? range->planes : planes;
        }
        if (filled == TILE || (filled > 0 && i == job->tokens - 1)) {
            tile_sums(&t, filled, blocks, planes);
            filled = planes = 0;
        }
    }
}

/* One token, four blocks: what doesn't change from segment to segment stays in `t`. */
static void streams_sums(const ortho_fused_job *job, int64_t from, int64_t to)
{
    const ortho_fused_packed *packed = job->packed;
    tile t = {
        .step = job->step * packed->stride,
        .sum = {job->sum},
        .sum_step = job->step * ORTHO_FUSED_ROWS,
    };
    for (int64_t s = from; s < to; s++) {
        const ortho_fused_segment *segment = packed->segment + s;
        const ortho_fused_range *range = job->x[0].range + s;
        t.q = ortho_fused_chunks(packed, job->block, segment);
        t.chunks = segment->chunks;
        t.scale = ortho_fused_scales(packed, job->block, segment);
        t.digits[0] = ortho_fused_digits(job->x, segment);
        t.range[0] = range;
        if (range->planes > 0)
            tile_planes(&t, 1, ORTHO_FUSED_STREAMS, range->planes);
        for (int b = 0; range->planes == ORTHO_FUSED_PLAIN && b < ORTHO_FUSED_STREAMS; b++)
            plain_sums(&t, b, job->x[0].padded + segment->at, t.sum[0] + b * t.sum_step);
    }
}

/* With one token or two, several blocks are worked at once: vpdpbusd takes 6 cycles, and as many
 * sums have to be under way. */
static void segments_sums(const ortho_fused_job *job, int64_t from, int64_t to)
{
    int blocks = job->tokens == 2 && job->blocks == 4 ? 2 : 1;
    if (job->tokens == 1 && job->blocks == ORTHO_FUSED_STREAMS) {
        streams_sums(job, from, to);
        return;
    }
    for (int64_t s = from; s < to; s++)
        for (int b = 0; b < job->blocks; b += blocks)
            blocks_sums(job, s, b, blocks);
}

/* ---- entries -------------------------------------------------------------------------------- */

/* Entries [i, i + 16) of the mask, times their x. */
static inline __m512 products(const ortho_csr *csr, bool wide, int64_t i, __mmask16 mask,
                              const float *x)
{
    __m512i column =
        wide
            ? _mm512_maskz_loadu_epi32(mask, (const uint32_t *)csr->col + i)
            : _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)csr->col + i));
    __m512 value = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, csr->val + i));
    return _mm512_mul_ps(value, _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, column, x, 4));
}

/* The usual number of vectors whether a row fills them or not: a branch on its length would be
 * mispredicted with every other row, and costs as much as three vectors. */
static inline void rows_of(const ortho_csr *csr, bool wide, const ortho_patch *patch, int trips)
{
    const int32_t *pointer = csr->row_ptr + patch->row;
    for (int r = 0; r < patch->rows; r++) {
        int64_t begin = pointer[r], left = pointer[r + 1] - begin, usual = 16 * trips;
        __m512 sum = _mm512_setzero_ps();
        for (int64_t i = 0; i < (left > usual ? left : usual); i += 16) {
            uint32_t here = left - i <= 0 ? 0 : left - i >= 16 ? 16 : (uint32_t)(left - i);
            __mmask16 mask = (__mmask16)((1u << here) - 1u);
            sum = _mm512_add_ps(sum, products(csr, wide, begin + i, mask, patch->x));
        }
        patch->sum[r] = _mm512_reduce_add_ps(sum);
    }
}

static void rows(const ortho_csr *csr, const ortho_patch *patch, int trips)
{
    if (csr->k > 65536)
        rows_of(csr, true, patch, trips);
    else
        rows_of(csr, false, patch, trips);
}

const ortho_fused_level ortho_fused_level_avx512 = {
    .digits = make_all_digits,
    .int8 = make_all_int8,
    .segments = segments_sums,
    .rows = rows,
    .panels = &ortho_fused_panels_avx512,
};
#endif
