/* AVX2 kernels: the 16 lanes are two vectors, a (lanes 0 to 7) and b (8 to 15). */
#include "kernels/quant.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

typedef struct pair {
    __m256 a, b;
} pair;

static inline pair load_pair(const float *w)
{
    return (pair){_mm256_loadu_ps(w), _mm256_loadu_ps(w + 8)};
}

static inline __m256 on_grid(__m256 x)
{
    x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-8.0f)), _mm256_set1_ps(7.0f));
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline __m256 widen(ortho_dtype dtype, __m128i half)
{
    if (dtype == ORTHO_F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

static void load(ortho_dtype dtype, const void *data, int64_t first, int count, float *w)
{
    int whole = count / 8 * 8, padded = (count + ORTHO_LANES - 1) / ORTHO_LANES * ORTHO_LANES;
    memset(w + whole, 0, (size_t)(padded - whole) * sizeof *w);
    if (dtype == ORTHO_F32) {
        memcpy(w, (const float *)data + first, (size_t)count * sizeof *w);
        return;
    }
    const uint16_t *half = (const uint16_t *)data + first;
    for (int v = 0; v < whole; v += 8)
        _mm256_storeu_ps(w + v, widen(dtype, _mm_loadu_si128((const __m128i *)(half + v))));
    if (whole < count) {
        uint16_t rest[8] = {0};
        memcpy(rest, half + whole, (size_t)(count - whole) * sizeof *rest);
        _mm256_storeu_ps(w + whole, widen(dtype, _mm_loadu_si128((const __m128i *)rest)));
    }
}

static inline __m256d squared(__m128 x, __m256d sum)
{
    __m256d d = _mm256_cvtps_pd(x);
    return _mm256_fmadd_pd(d, d, sum); /* the product is exact: fused or not, one rounding */
}

static void squares_down(const float *w, int count, double *sums)
{
    int v = 0;
    for (; v + 4 <= count; v += 4)
        _mm256_storeu_pd(sums + v, squared(_mm_loadu_ps(w + v), _mm256_loadu_pd(sums + v)));
    for (; v < count; v++)
        sums[v] += (double)w[v] * (double)w[v];
}

static void squares_along(const float *w, int count, double lanes[ORTHO_LANES])
{
    __m256d s[4];
    for (int i = 0; i < 4; i++)
        s[i] = _mm256_loadu_pd(lanes + 4 * i);
    for (int v = 0; v < count; v += ORTHO_LANES)
        for (int i = 0; i < 4; i++)
            s[i] = squared(_mm_loadu_ps(w + v + 4 * i), s[i]);
    for (int i = 0; i < 4; i++)
        _mm256_storeu_pd(lanes + 4 * i, s[i]);
}

static inline __m256i magnitude_bits(__m256 w)
{
    return _mm256_and_si256(_mm256_castps_si256(w), _mm256_set1_epi32(0x7fffffff));
}

static uint32_t absmax(const float *w, int count)
{
    __m256i most = _mm256_setzero_si256();
    for (int v = 0; v < count; v += 8)
        most = _mm256_max_epu32(most, magnitude_bits(_mm256_loadu_ps(w + v)));
    uint32_t lane[8], result = 0;
    _mm256_storeu_si256((__m256i *)lane, most);
    for (int j = 0; j < 8; j++)
        result = lane[j] > result ? lane[j] : result;
    return result;
}

static inline __m256i magnitude_key(__m256 w, __m256 inverse_rms)
{
    __m256 shifted =
        _mm256_mul_ps(_mm256_castsi256_ps(magnitude_bits(w)), _mm256_set1_ps(ORTHO_RMS_SHIFT));
    return _mm256_add_epi32(_mm256_castps_si256(_mm256_mul_ps(shifted, inverse_rms)),
                            _mm256_set1_epi32(1));
}

/* All ones where key >= bound, unsigned. */
static inline __m256i at_least(__m256i key, __m256i bound)
{
    return _mm256_cmpeq_epi32(_mm256_max_epu32(key, bound), key);
}

/* A cut through the chunk (split < count) is the portable kernel's business. */
static void keep(const float *w, int count, const ortho_outliers *out, float *kept)
{
    __m256 inverse_rms = _mm256_set1_ps(out->inverse_rms);
    __m256i bound = _mm256_set1_epi32((int)out->bound);
    for (int v = 0; v < (count + 15) / 16 * 16; v += 8) {
        __m256 x = _mm256_loadu_ps(w + v);
        __m256i outlier = at_least(magnitude_key(x, inverse_rms), bound);
        _mm256_storeu_ps(kept + v, _mm256_andnot_ps(_mm256_castsi256_ps(outlier), x));
    }
}

static void clear_padding(uint32_t *keys, int count)
{
    for (int i = count; i % ORTHO_LANES != 0; i++)
        keys[i] = 0;
}

static void magnitudes(const float *w, int count, float inverse_rms, uint32_t *keys)
{
    __m256 inverse = _mm256_set1_ps(inverse_rms);
    for (int v = 0; v < count; v += 8)
        _mm256_storeu_si256((__m256i *)(keys + v), magnitude_key(_mm256_loadu_ps(w + v), inverse));
    clear_padding(keys, count);
}

/* j with j + 8, then 4, 2, 1. */
static inline float add_lanes(pair x)
{
    __m256 a = _mm256_add_ps(x.a, x.b);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* s * q is exact: one fused operation has the bits of two. */
static inline __m256 weighted_error(__m256 w, __m256 h, __m256 scale, __m256 inverse)
{
    __m256 e = _mm256_fnmadd_ps(scale, on_grid(_mm256_mul_ps(w, inverse)), w);
    return _mm256_mul_ps(_mm256_mul_ps(e, e), h);
}

static void search(const float *w, const float *h, int count, const ortho_candidates *try,
                   double sums[ORTHO_CANDIDATES])
{
    for (int c = 0; c < ORTHO_CANDIDATES; c++) {
        __m256 scale = _mm256_set1_ps(try->scale[c]), inverse = _mm256_set1_ps(try->inverse[c]);
        pair lanes = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        for (int v = 0; v < count; v += ORTHO_LANES) {
            pair x = load_pair(w + v), y = load_pair(h + v);
            lanes.a = _mm256_add_ps(lanes.a, weighted_error(x.a, y.a, scale, inverse));
            lanes.b = _mm256_add_ps(lanes.b, weighted_error(x.b, y.b, scale, inverse));
        }
        sums[c] += (double)add_lanes(lanes);
    }
}

static void candidates(float absmax_kept, ortho_candidates *out)
{
    ortho_quant_candidates(absmax_kept, ORTHO_CANDIDATES, out);
}

static void quantise(const float *w, int count, float scale, uint8_t *nibbles)
{
    int32_t q[ORTHO_CHUNK];
    if (scale == 0.0f) {
        memset(nibbles, 0, (size_t)(count + 1) / 2);
        return;
    }
    for (int v = 0; v < count; v += 8) {
        __m256 x = on_grid(_mm256_div_ps(_mm256_loadu_ps(w + v), _mm256_set1_ps(scale)));
        _mm256_storeu_si256((__m256i *)(q + v), _mm256_cvtps_epi32(x));
    }
    for (int i = 0; i < count; i += 2) /* the padding's weight is 0, and so is its q */
        nibbles[i / 2] = (uint8_t)((q[i] & 15) | (q[i + 1] & 15) << 4);
}

static void scores(const ortho_chunk *c, uint32_t *keys)
{
    __m256 inverse_rms = _mm256_set1_ps(c->out.inverse_rms);
    __m256i bound = _mm256_set1_epi32((int)c->out.bound), top = _mm256_set1_epi32(ORTHO_KEY_TOP);
    for (int v = 0; v < c->count; v += 8) {
        __m256 w = _mm256_loadu_ps(c->w + v);
        __m256 score =
            weighted_error(w, _mm256_loadu_ps(c->h + v), _mm256_set1_ps(c->scale[v / ORTHO_LANES]),
                           _mm256_set1_ps(c->inverse[v / ORTHO_LANES]));
        __m256i key = _mm256_add_epi32(_mm256_castps_si256(score), _mm256_set1_epi32(1));
        __m256i out = at_least(magnitude_key(w, inverse_rms), bound);
        _mm256_storeu_si256((__m256i *)(keys + v), _mm256_blendv_epi8(key, top, out));
    }
    clear_padding(keys, c->count);
}

static int collect(const uint32_t *keys, int count, uint32_t lo, uint32_t hi, uint8_t *index)
{
    __m256i from = _mm256_set1_epi32((int)lo), width = _mm256_set1_epi32((int)(hi - lo));
    int found = 0;
    for (int v = 0; v < count; v += 8) {
        __m256i key = _mm256_loadu_si256((const __m256i *)(keys + v));
        __m256i beyond = at_least(_mm256_sub_epi32(key, from), width);
        unsigned mask = 255u & ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(beyond));
        for (; mask != 0; mask &= mask - 1)
            index[found++] = (uint8_t)(v + __builtin_ctz(mask));
    }
    return found;
}

const ortho_quant_ops ortho_quant_avx2 = {
    .load = load,
    .squares_down = squares_down,
    .squares_along = squares_along,
    .absmax = absmax,
    .keep = keep,
    .magnitudes = magnitudes,
    .candidates = candidates,
    .search = search,
    .quantise = quantise,
    .scores = scores,
    .collect = collect,
};
#else
typedef int ortho_no_avx2;
#endif
