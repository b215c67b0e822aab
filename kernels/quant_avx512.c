/* AVX-512 kernels: a vector is the 16 lanes. s * q is exact, so that one fused multiply-subtract
 * gives the same bits as two operations. */
#include "kernels/quant.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define PREFETCH_BYTES 2048 /* hardware prefetching stops at every page */

static inline __mmask16 tail(int count, int v)
{
    return count - v >= ORTHO_LANES ? (__mmask16)0xffff : (__mmask16)((1u << (count - v)) - 1);
}

static inline __m512 on_grid(__m512 x)
{
    x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-8.0f)), _mm512_set1_ps(7.0f));
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static void load(ortho_dtype dtype, const void *data, int64_t first, int count, float *w)
{
    const uint16_t *half = (const uint16_t *)data + first;
    const float *full = (const float *)data + first;
    for (int v = 0; v < count; v += ORTHO_LANES) {
        __mmask16 m = tail(count, v);
        __m512 x;
        _mm_prefetch((const char *)(dtype == ORTHO_F32 ? (const void *)(full + v)
                                                       : (const void *)(half + v)) +
                         PREFETCH_BYTES,
                     _MM_HINT_T0);
        if (dtype == ORTHO_BF16)
            x = _mm512_castsi512_ps(_mm512_slli_epi32(
                _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, half + v)), 16));
        else if (dtype == ORTHO_F16)
            x = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(m, half + v));
        else
            x = _mm512_maskz_loadu_ps(m, full + v);
        _mm512_store_ps(w + v, x);
    }
}

static inline __m512d low(__m512 x)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
}

static inline __m512d high(__m512 x)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
}

/* The product of two floats is exact in double: fused or not, one rounding. */
static void squares_down(const float *w, int count, double *sums)
{
    for (int v = 0; v < count; v += ORTHO_LANES) {
        unsigned m = tail(count, v);
        __m512 x = _mm512_load_ps(w + v);
        __m512d a = low(x), b = high(x);
        __m512d s = _mm512_maskz_loadu_pd((__mmask8)m, sums + v);
        __m512d t = _mm512_maskz_loadu_pd((__mmask8)(m >> 8), sums + v + 8);
        _mm512_mask_storeu_pd(sums + v, (__mmask8)m, _mm512_fmadd_pd(a, a, s));
        _mm512_mask_storeu_pd(sums + v + 8, (__mmask8)(m >> 8), _mm512_fmadd_pd(b, b, t));
    }
}

static void squares_along(const float *w, int count, double lanes[ORTHO_LANES])
{
    __m512d s = _mm512_loadu_pd(lanes), t = _mm512_loadu_pd(lanes + 8);
    for (int v = 0; v < count; v += ORTHO_LANES) {
        __m512 x = _mm512_load_ps(w + v);
        __m512d a = low(x), b = high(x);
        s = _mm512_fmadd_pd(a, a, s);
        t = _mm512_fmadd_pd(b, b, t);
    }
    _mm512_storeu_pd(lanes, s);
    _mm512_storeu_pd(lanes + 8, t);
}

static inline __m512i magnitude_bits(__m512 w)
{
    return _mm512_and_si512(_mm512_castps_si512(w), _mm512_set1_epi32(0x7fffffff));
}

static uint32_t absmax(const float *w, int count)
{
    __m512i most = _mm512_setzero_si512();
    for (int v = 0; v < count; v += ORTHO_LANES)
        most = _mm512_max_epu32(most, magnitude_bits(_mm512_load_ps(w + v)));
    return _mm512_reduce_max_epu32(most);
}

static inline __m512i magnitude_key(__m512 w, __m512 inverse_rms)
{
    __m512 shifted =
        _mm512_mul_ps(_mm512_castsi512_ps(magnitude_bits(w)), _mm512_set1_ps(ORTHO_RMS_SHIFT));
    return _mm512_add_epi32(_mm512_castps_si512(_mm512_mul_ps(shifted, inverse_rms)),
                            _mm512_set1_epi32(1));
}

/* A cut through the chunk (split < count) is the portable kernel's business. */
static void keep(const float *w, int count, const ortho_outliers *out, float *kept)
{
    __m512 inverse_rms = _mm512_set1_ps(out->inverse_rms);
    __m512i bound = _mm512_set1_epi32((int)out->bound);
    for (int v = 0; v < count; v += ORTHO_LANES) {
        __m512 x = _mm512_load_ps(w + v);
        __mmask16 in = _mm512_cmplt_epu32_mask(magnitude_key(x, inverse_rms), bound);
        _mm512_store_ps(kept + v, _mm512_maskz_mov_ps(in, x));
    }
}

static void magnitudes(const float *w, int count, float inverse_rms, uint32_t *keys)
{
    __m512 inverse = _mm512_set1_ps(inverse_rms);
    for (int v = 0; v < count; v += ORTHO_LANES) {
        __m512i key = magnitude_key(_mm512_load_ps(w + v), inverse);
        _mm512_store_si512(keys + v, _mm512_maskz_mov_epi32(tail(count, v), key));
    }
}

/* j with j + 8, then 4, 2, 1. */
static inline float add_lanes(__m512 x)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

static inline __m512 weighted_error(__m512 w, __m512 h, __m512 scale, __m512 inverse)
{
    __m512 e = _mm512_fnmadd_ps(scale, on_grid(_mm512_mul_ps(w, inverse)), w);
    return _mm512_mul_ps(_mm512_mul_ps(e, e), h);
}

static void search(const float *w, const float *h, int count, const ortho_candidates *try,
                   double sums[ORTHO_CANDIDATES])
{
    for (int c = 0; c < ORTHO_CANDIDATES; c++) {
        __m512 scale = _mm512_set1_ps(try->scale[c]), inverse = _mm512_set1_ps(try->inverse[c]);
        __m512 lanes = _mm512_setzero_ps();
        for (int v = 0; v < count; v += ORTHO_LANES)
            lanes = _mm512_add_ps(lanes, weighted_error(_mm512_load_ps(w + v),
                                                        _mm512_loadu_ps(h + v), scale, inverse));
        sums[c] += (double)add_lanes(lanes);
    }
}

/* Eight of ortho_quant_scale's, as floats rounded to odd; what is too small for fp16 by far is 0.
 */
static inline __m256 exact_scales(double absmax_kept, __m512d multiple)
{
    __m512d exact = _mm512_mul_pd(_mm512_set1_pd(absmax_kept), multiple);
    exact = _mm512_div_pd(exact, _mm512_set1_pd(224.0));
    __m256 cut = _mm512_cvt_roundpd_ps(exact, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __mmask8 inexact = _mm512_cmp_pd_mask(_mm512_cvtps_pd(cut), exact, _CMP_NEQ_OQ);
    __m256i odd = _mm256_or_si256(_mm256_castps_si256(cut), _mm256_set1_epi32(1));
    cut = _mm256_mask_mov_ps(cut, inexact, _mm256_castsi256_ps(odd));
    return _mm256_maskz_mov_ps(_mm512_cmp_pd_mask(exact, _mm512_set1_pd(0x1p-60), _CMP_NLT_UQ),
                               cut);
}

static void candidates(float absmax_kept, ortho_candidates *out)
{
    __m512d first = _mm512_set_pd(25, 26, 27, 28, 29, 30, 31, 32);
    __m256 a = exact_scales((double)absmax_kept, first);
    __m256 b = exact_scales((double)absmax_kept, _mm512_sub_pd(first, _mm512_set1_pd(8)));
    __m512 both = _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
    __m256i half = _mm512_cvtps_ph(both, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 scale = _mm512_cvtph_ps(half);
    __mmask16 some = _mm512_cmp_ps_mask(scale, _mm512_setzero_ps(), _CMP_GT_OQ);
    _mm256_storeu_si256((__m256i *)out->half, half);
    _mm512_storeu_ps(out->scale, scale);
    _mm512_storeu_ps(out->inverse, _mm512_maskz_div_ps(some, _mm512_set1_ps(1.0f), scale));
}

static void quantise(const float *w, int count, float scale, uint8_t *nibbles)
{
    _Alignas(64) uint8_t packed[ORTHO_CHUNK / 2];
    size_t bytes = (size_t)(count + 1) / 2;
    if (scale == 0.0f) {
        memset(nibbles, 0, bytes);
        return;
    }
    __m512 divisor = _mm512_set1_ps(scale);
    for (int v = 0; v < count; v += ORTHO_LANES) {
        __m512 x = _mm512_maskz_mov_ps(tail(count, v), _mm512_load_ps(w + v));
        __m512i q = _mm512_cvtps_epi32(on_grid(_mm512_div_ps(x, divisor)));
        /* pairs of 32-bit lanes: the even column's nibble stays low, the odd one's goes above */
        q = _mm512_and_si512(q, _mm512_set1_epi32(15));
        q = _mm512_or_si512(q, _mm512_srli_epi64(q, 28));
        _mm_storel_epi64((__m128i *)(packed + v / 2), _mm512_cvtepi64_epi8(q));
    }
    memcpy(nibbles, packed, bytes);
}

static void scores(const ortho_chunk *c, uint32_t *keys)
{
    __m512 inverse_rms = _mm512_set1_ps(c->out.inverse_rms);
    __m512i bound = _mm512_set1_epi32((int)c->out.bound), top = _mm512_set1_epi32(ORTHO_KEY_TOP);
    for (int v = 0; v < c->count; v += ORTHO_LANES) {
        __m512 w = _mm512_load_ps(c->w + v);
        __m512 score =
            weighted_error(w, _mm512_loadu_ps(c->h + v), _mm512_set1_ps(c->scale[v / ORTHO_LANES]),
                           _mm512_set1_ps(c->inverse[v / ORTHO_LANES]));
        __m512i key = _mm512_add_epi32(_mm512_castps_si512(score), _mm512_set1_epi32(1));
        __mmask16 out = _mm512_cmpge_epu32_mask(magnitude_key(w, inverse_rms), bound);
        key = _mm512_mask_mov_epi32(key, out, top);
        _mm512_store_si512(keys + v, _mm512_maskz_mov_epi32(tail(c->count, v), key));
    }
}

static int list_bits(uint64_t in, int base, uint8_t *index, int found)
{
    for (; in != 0; in &= in - 1)
        index[found++] = (uint8_t)(base + __builtin_ctzll(in));
    return found;
}

/* The chunk's comparison as two words of 64 bits: one loop over what was found, not eight. */
static int collect(const uint32_t *keys, int count, uint32_t lo, uint32_t hi, uint8_t *index)
{
    __m512i from = _mm512_set1_epi32((int)lo), width = _mm512_set1_epi32((int)(hi - lo));
    uint64_t in[2] = {0, 0};
    for (int v = 0; v < count; v += ORTHO_LANES) {
        __m512i key = _mm512_sub_epi32(_mm512_load_si512(keys + v), from);
        in[v / 64] |= (uint64_t)_mm512_cmplt_epu32_mask(key, width) << v % 64;
    }
    return list_bits(in[1], 64, index, list_bits(in[0], 0, index, 0));
}

const ortho_quant_ops ortho_quant_avx512 = {
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
typedef int ortho_no_avx512;
#endif
