/*
 * base_gemm_avx512.c: 16 lanes, blocks of 128 columns.
 *
 * Decoding is one shift and one vpermps into a table of the 16 values: vpermps looks at the low 4
 * bits of each lane only, so nothing is masked. 64 bytes of q cost 1 load, 7 shifts, 8 permutes, 8
 * FMAs and 2 operations for the scale: 25 operations on two ports, about 12 cycles for 128 weights.
 *
 * Predicted for 8192 x 3072, one token, two threads at 3.5 GHz: 196,608 blocks * 12 cycles / 2 =
 * 0.34 ms of arithmetic (measured 0.33 with q in cache) against 13.0 MB / 33 GB/s = 0.39 ms of
 * memory. They overlap only as far as requests run ahead of the arithmetic (cold copies, the
 * fastest twentieth of runs):
 *
 *     as the loop comes, no prefetch                      0.98 ms   13 GB/s
 *     one row, prefetched 2 KiB ahead                     0.50 ms   26 GB/s
 *     four rows, 4 apart, each asking for its next row    0.45 ms   29 GB/s, 89 % of a plain read
 *
 * With 1 % of Ortho on top (14.0 MB), medians on a quiet machine: 73 % of memcpy's read with
 * warp-per-row, 69 % with block-csr, 61 % with csr's scalar loop
 * (reports/results/cpu/llama-3.2-3b-gate.json).
 */
#include "kernels/base_gemm_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define LANES   16
#define BLOCK   128
#define SEGMENT 32 /* blocks whose scales are converted at a time */
#define STREAMS 4  /* rows that are read at once */
#define STRIPE  (ORTHO_BASE_ROWS / STREAMS)
#define AHEAD   1024 /* bytes, at least, that a stream is prefetched ahead */

static const float values[16] = {0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1};

/* ---- conversions ---------------------------------------------------------------------------- */

static __mmask16 first_lanes(int64_t n)
{
    return n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1u);
}

static void load(ortho_dtype dtype, const void *from, int64_t n, float *to)
{
    if (dtype == ORTHO_F32) {
        memcpy(to, from, (size_t)n * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m256i h = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)from + i);
        __m512 f = dtype == ORTHO_F16
                       ? _mm512_cvtph_ps(h)
                       : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
        _mm512_mask_storeu_ps(to + i, mask, f);
    }
}

/* Round to nearest even; a NaN stays one. */
static __m256i to_bf16(__m512 f)
{
    __m512i u = _mm512_castps_si512(f),
            odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(f, f, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

static void store(ortho_dtype dtype, const float *from, int64_t n, void *to)
{
    if (dtype == ORTHO_F32) {
        memcpy(to, from, (size_t)n * sizeof(float));
        return;
    }
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        __m512 f = _mm512_maskz_loadu_ps(mask, from + i);
        __m256i h = dtype == ORTHO_F16
                        ? _mm512_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
                        : to_bf16(f);
        _mm256_mask_storeu_epi16((uint16_t *)to + i, mask, h);
    }
}

/* ---- scales --------------------------------------------------------------------------------- */

static bool fits(const ortho_base *base)
{
    ortho_base_scales ignored;
    return ortho_base_nest(base, LANES, &ignored);
}

/* The scales of `blocks` blocks from `block` on, as floats, per_block of them a block; 0 beyond the
 * row's last group. `to` has room for a multiple of 16. */
static void load_scales(const ortho_base *base, const ortho_base_scales *layout, int64_t row,
                        int64_t block, int blocks, float *to)
{
    const uint16_t *scale = base->scale + row * base->groups;
    if (layout->blocks_per_group == 1) {
        int64_t first = block * layout->per_block, wanted = (int64_t)blocks * layout->per_block;
        for (int64_t i = 0; i < wanted; i += 16) {
            int64_t left = base->groups - first - i;
            __mmask16 mask = first_lanes(left > 0 ? left : 0);
            __m256i h = _mm256_maskz_loadu_epi16(mask, scale + first + i);
            _mm512_storeu_ps(to + i, _mm512_cvtph_ps(h));
        }
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

/* The scale of every lane of block i of a segment. */
static inline __m512 lane_scales(const float *scales, int i, int per_block, __m512i spread)
{
    if (per_block == 1)
        return _mm512_set1_ps(scales[i]);
    __m512 few = _mm512_castps128_ps512(_mm_loadu_ps(scales + i * per_block));
    return _mm512_permutexvar_ps(spread, few);
}

/* Lane l belongs to group l / (16 / per_block) of its block. */
static inline __m512i lane_spread(int per_block)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_srli_epi32(lane, per_block == 4 ? 2u : per_block == 2 ? 3u : 4u);
}

/* ---- one token ------------------------------------------------------------------------------ */

static inline __m512 decode(__m512i words, int s, __m512 table)
{
    return _mm512_permutexvar_ps(_mm512_srli_epi32(words, (unsigned)(4 * s)), table);
}

/* 128 weights times 128 activations in the order, unscaled: two chains of 4. */
static inline __m512 block_sum(__m512i words, const float *x, __m512 table)
{
    __m512 even = _mm512_mul_ps(decode(words, 0, table), _mm512_loadu_ps(x));
    __m512 odd = _mm512_mul_ps(decode(words, 1, table), _mm512_loadu_ps(x + 16));
    even = _mm512_fmadd_ps(decode(words, 2, table), _mm512_loadu_ps(x + 32), even);
    odd = _mm512_fmadd_ps(decode(words, 3, table), _mm512_loadu_ps(x + 48), odd);
    even = _mm512_fmadd_ps(decode(words, 4, table), _mm512_loadu_ps(x + 64), even);
    odd = _mm512_fmadd_ps(decode(words, 5, table), _mm512_loadu_ps(x + 80), odd);
    even = _mm512_fmadd_ps(decode(words, 6, table), _mm512_loadu_ps(x + 96), even);
    odd = _mm512_fmadd_ps(decode(words, 7, table), _mm512_loadu_ps(x + 112), odd);
    return _mm512_add_ps(even, odd);
}

/* The bytes of a block that may be the row's last and short; 0 beyond. */
static inline __m512i load_short(const uint8_t *q, int64_t bytes)
{
    __mmask64 mask = bytes >= 64 ? ~0ull : (1ull << bytes) - 1ull;
    return _mm512_maskz_loadu_epi8(mask, q);
}

/* `count` rows at once, `step` apart: x is loaded for all, and as many streams come from memory. */
typedef struct rows {
    const ortho_base *base;
    const ortho_base_scales *layout;
    const float *x;
    int64_t row, step;
    int64_t ahead; /* bytes between a row and the one that its stream asks memory for */
} rows;

static inline void rows_sum(const rows *job, int count, int per_block, float *sum)
{
    const ortho_base *base = job->base;
    int64_t bytes = (base->k + 1) / 2, blocks = (base->k + BLOCK - 1) / BLOCK, whole = bytes / 64;
    const __m512 table = _mm512_loadu_ps(values);
    const __m512i spread = lane_spread(per_block);
    float scales[STREAMS][SEGMENT * 4 + 16];
    __m512 total[STREAMS];
    for (int r = 0; r < count; r++)
        total[r] = _mm512_setzero_ps();
    for (int64_t first = 0; first < blocks; first += SEGMENT) {
        const uint8_t *q = base->q + job->row * bytes + first * 64;
        const float *x = job->x + first * BLOCK;
        int here = blocks - first < SEGMENT ? (int)(blocks - first) : SEGMENT;
        int full = whole - first < here ? (int)(whole - first) : here;
        for (int r = 0; r < count; r++)
            load_scales(base, job->layout, job->row + r * job->step, first, here, scales[r]);
        for (int i = 0; i < full; i++)
            for (int r = 0; r < count; r++) {
                const uint8_t *at = q + r * job->step * bytes + i * 64;
                _mm_prefetch((const char *)at + job->ahead, _MM_HINT_T0);
                total[r] = _mm512_fmadd_ps(block_sum(_mm512_loadu_si512(at), x + i * BLOCK, table),
                                           lane_scales(scales[r], i, per_block, spread), total[r]);
            }
        for (int r = 0; full < here && r < count; r++) {
            __m512i words =
                load_short(q + r * job->step * bytes + full * 64, bytes - (first + full) * 64);
            total[r] = _mm512_fmadd_ps(block_sum(words, x + full * BLOCK, table),
                                       lane_scales(scales[r], full, per_block, spread), total[r]);
        }
    }
    for (int r = 0; r < count; r++)
        sum[r * job->step] = _mm512_reduce_add_ps(total[r]);
}

/* Constants, so that each layout gets its own inner loop. */
static inline void rows_sum_any(const rows *job, int count, float *sum)
{
    if (job->layout->per_block == 1)
        rows_sum(job, count, 1, sum);
    else if (job->layout->per_block == 2)
        rows_sum(job, count, 2, sum);
    else
        rows_sum(job, count, 4, sum);
}

/* Bytes from row `s` of a stream, of STRIPE rows a block, to the row that it should ask for. */
static int64_t bytes_ahead(const ortho_base *base, int s)
{
    int64_t bytes = (base->k + 1) / 2, rows_ahead = (AHEAD + bytes - 1) / bytes;
    int64_t next = s + rows_ahead, block = next / STRIPE;
    return (block * ORTHO_BASE_ROWS + next % STRIPE - s) * bytes;
}

static void row_sums(const ortho_base *base, const float *x, int64_t row, int count, float *sum)
{
    ortho_base_scales layout;
    if (!ortho_base_nest(base, LANES, &layout))
        return; /* the caller asked fits() */
    rows job = {.base = base, .layout = &layout, .x = x, .row = row, .step = STRIPE};
    if (count == ORTHO_BASE_ROWS) {
        for (int s = 0; s < STRIPE; s++, job.row++) {
            job.ahead = bytes_ahead(base, s);
            rows_sum_any(&job, STREAMS, sum + s);
        }
        return;
    }
    for (int r = 0; r < count; r++, job.row++)
        rows_sum_any(&job, 1, sum + r);
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
    const __m512 table = _mm512_loadu_ps(values);
    const __m512i spread = lane_spread(layout.per_block);
    float scales[ORTHO_BASE_PANEL / BLOCK * 4 + 16];
    int blocks = (int)(columns / BLOCK);
    load_scales(base, &layout, row, first / BLOCK, blocks, scales);
    for (int i = 0; i < blocks; i++) {
        int64_t at = first / 2 + i * 64;
        __m512i words = load_short(q + at, bytes - at);
        __m512 scale = lane_scales(scales, i, layout.per_block, spread);
        for (int s = 0; s < 8; s++)
            _mm512_storeu_ps(to + i * BLOCK + s * LANES,
                             _mm512_mul_ps(decode(words, s, table), scale));
    }
}

/* 4 rows x `tokens` tokens of accumulators stay in registers. */
static inline void tile_of(const ortho_base_tile *job, int tokens)
{
    __m512 sum[ORTHO_BASE_QUAD][6];
    for (int r = 0; r < ORTHO_BASE_QUAD; r++)
        for (int t = 0; t < tokens; t++)
            sum[r][t] = _mm512_setzero_ps();
    for (int64_t c = 0; c < job->columns; c += LANES) {
        __m512 w[ORTHO_BASE_QUAD];
        for (int r = 0; r < ORTHO_BASE_QUAD; r++)
            w[r] = _mm512_loadu_ps(job->panel + r * ORTHO_BASE_PANEL + c);
        for (int t = 0; t < tokens; t++) {
            __m512 x = _mm512_loadu_ps(job->x + t * job->x_stride + c);
            for (int r = 0; r < ORTHO_BASE_QUAD; r++)
                sum[r][t] = _mm512_fmadd_ps(w[r], x, sum[r][t]);
        }
    }
    for (int r = 0; r < ORTHO_BASE_QUAD; r++)
        for (int t = 0; t < tokens; t++)
            job->sum[r * job->stride + t] += _mm512_reduce_add_ps(sum[r][t]);
}

static void tile(const ortho_base_tile *job)
{
    switch (job->tokens) { /* constants, so that the accumulators are registers */
    case 1:
        tile_of(job, 1);
        return;
    case 2:
        tile_of(job, 2);
        return;
    case 3:
        tile_of(job, 3);
        return;
    case 4:
        tile_of(job, 4);
        return;
    case 5:
        tile_of(job, 5);
        return;
    default:
        tile_of(job, 6);
        return;
    }
}

const ortho_base_kernels ortho_base_kernels_avx512 = {
    .lanes = LANES,
    .max_tokens = 6,
    .load = load,
    .store = store,
    .fits = fits,
    .row_sums = row_sums,
    .dequantise = dequantise,
    .tile = tile,
};
#endif
