/*
 * gemm_avx2.c: 8 rows in 8 lanes, bytes multiplied by vpmaddubsw.
 *
 * Half a chunk, 64 weights, costs 3 operations to unpack and 4 a digit plane (two vpmaddubsw, two
 * sums of 16 bits), every fourth time 2 more to widen them: 16.5 with three planes, 5.5 cycles on
 * three ports, 11 for the chunk. Products of two bytes are at most 15 * 128, a 16-bit lane adds two
 * of them each time and holds 8 such sums: 4 chunks.
 */
#include "variants/fused/levels.h"

#if defined(__x86_64__)
#include "variants/fused/digits_body.h"

#include <immintrin.h>

#define HALF   8 /* rows of a vector */
#define NARROW 4 /* chunks whose sums fit 16 bits */

typedef struct half {
    const uint8_t *q; /* of these rows, in the first chunk */
    int chunks;
    const int8_t *digits; /* [planes][8 * chunks] */
    const ortho_fused_range *range;
    __m256 scale;
    float *sum;
} half;

static inline __m256i four_digits(const int8_t *digits)
{
    int32_t word;
    memcpy(&word, digits, sizeof word);
    return _mm256_set1_epi32(word);
}

/* Chunks [from, to), at most NARROW, of every plane, added to `wide`. */
static inline __attribute__((always_inline)) void narrow(const half *h, int from, int to,
                                                         int planes, __m256i *wide)
{
    const __m256i low_nibbles = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    const int64_t plane = h->chunks * ORTHO_FUSED_COLUMNS;
    __m256i sum[ORTHO_FUSED_PLANES];
    for (int p = 0; p < planes; p++)
        sum[p] = _mm256_setzero_si256();
    for (int c = from; c < to; c++) {
        const uint8_t *q = h->q + c * ORTHO_FUSED_CHUNK;
        _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
        __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)q);
        __m256i a = _mm256_and_si256(both, low_nibbles);
        __m256i b = _mm256_and_si256(_mm256_srli_epi32(both, 4), low_nibbles);
        for (int p = 0; p < planes; p++) {
            const int8_t *d = h->digits + p * plane + c * ORTHO_FUSED_COLUMNS;
            sum[p] = _mm256_add_epi16(sum[p], _mm256_maddubs_epi16(a, four_digits(d)));
            sum[p] = _mm256_add_epi16(sum[p], _mm256_maddubs_epi16(b, four_digits(d + 4)));
        }
    }
    for (int p = 0; p < planes; p++)
        wide[p] = _mm256_add_epi32(wide[p], _mm256_madd_epi16(sum[p], ones));
}

static inline __attribute__((always_inline)) void half_of(const half *h, int planes)
{
    __m256i wide[ORTHO_FUSED_PLANES];
    int c = 0;
    for (int p = 0; p < planes; p++)
        wide[p] = _mm256_set1_epi32(h->range->start[p]);
    for (; c + NARROW <= h->chunks; c += NARROW)
        narrow(h, c, c + NARROW, planes, wide);
    narrow(h, c, h->chunks, planes, wide);
    __m256 sum = _mm256_cvtepi32_ps(wide[0]); /* the largest plane is added, and rounded, last */
    for (int p = 1; p < planes; p++)
        sum =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(wide[p]), _mm256_set1_ps((float)(1 << 8 * p)), sum);
    sum = _mm256_mul_ps(sum, _mm256_set1_ps(h->range->unit));
    _mm256_storeu_ps(h->sum, _mm256_fmadd_ps(sum, h->scale, _mm256_loadu_ps(h->sum)));
}

static void half_sums(const half *h)
{
    switch (h->range->planes) {
    case 1:
        half_of(h, 1);
        return;
    case 2:
        half_of(h, 2);
        return;
    case 3:
        half_of(h, 3);
        return;
    default:
        half_of(h, 4);
        return;
    }
}

/* Nibble j of each word, to float. */
static inline __m256 weights(__m256i words, int j)
{
    __m256i u = _mm256_and_si256(_mm256_srli_epi32(words, 4 * j), _mm256_set1_epi32(15));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(u, _mm256_set1_epi32(8)));
}

/* In fp32: nibble j of a word is column j / 2, an odd one 4 columns on. */
static void plain_sums(const half *h, const float *x)
{
    __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
    for (int c = 0; c < h->chunks; c++, x += ORTHO_FUSED_COLUMNS) {
        const uint8_t *q = h->q + c * ORTHO_FUSED_CHUNK;
        _mm_prefetch((const char *)q + ORTHO_FUSED_AHEAD, _MM_HINT_T0);
        __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)q);
        for (int j = 0; j < 4; j++) {
            even = _mm256_fmadd_ps(weights(words, 2 * j), _mm256_set1_ps(x[j]), even);
            odd = _mm256_fmadd_ps(weights(words, 2 * j + 1), _mm256_set1_ps(x[j + 4]), odd);
        }
    }
    _mm256_storeu_ps(h->sum,
                     _mm256_fmadd_ps(_mm256_add_ps(even, odd), h->scale, _mm256_loadu_ps(h->sum)));
}

/* One token, 8 rows of one block. */
static void half_block(const ortho_fused_job *job, const ortho_fused_segment *segment, int i,
                       int first)
{
    int64_t block = job->block + first / ORTHO_FUSED_ROWS * job->step;
    int row = first % ORTHO_FUSED_ROWS;
    const uint16_t *scale = ortho_fused_scales(job->packed, block, segment) + row;
    const ortho_fused_x *x = job->x + i;
    half h = {
        .q = ortho_fused_chunks(job->packed, block, segment) + 4 * row,
        .chunks = segment->chunks,
        .digits = ortho_fused_digits(x, segment),
        .range = x->range + (segment - job->packed->segment),
        .scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)scale)),
        .sum = ortho_fused_sums(job, i, first / ORTHO_FUSED_ROWS) + row,
    };
    if (h.range->planes == ORTHO_FUSED_PLAIN)
        plain_sums(&h, x->padded + segment->at);
    else if (h.range->planes > 0)
        half_sums(&h);
}

static void segment_sums(const ortho_fused_job *job, int64_t s)
{
    for (int first = 0; first < job->blocks * ORTHO_FUSED_ROWS; first += HALF)
        for (int i = 0; i < job->tokens; i++)
            half_block(job, job->packed->segment + s, i, first);
}

static void segments_sums(const ortho_fused_job *job, int64_t from, int64_t to)
{
    for (int64_t s = from; s < to; s++)
        segment_sums(job, s);
}

const ortho_fused_level ortho_fused_level_avx2 = {
    .digits = make_all_digits,
    .int8 = make_all_int8,
    .segments = segments_sums,
    .panels = &ortho_fused_panels_avx2,
};
#endif
