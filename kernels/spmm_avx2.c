/* spmm_avx2.c: 8 entries a gather for one token, 8 tokens a vector for more. */
#include "kernels/spmm_run.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define ORTHO_SPMM_KERNELS ortho_spmm_kernels_avx2
#define TOKENS             16 /* of a pass: the stride is a multiple of it */

static inline float decode(uint16_t h)
{
    return _cvtsh_ss(h);
}

static inline float run_dot(const ortho_run *run, const float *x)
{
    __m256 sum = _mm256_setzero_ps();
    float rest = 0;
    int64_t i = 0;
    for (; i + 8 <= run->count; i += 8) {
        __m256i col =
            run->wide ? _mm256_loadu_si256((const __m256i *)(run->col32 + i))
                      : _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(run->col16 + i)));
        __m256 val = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(run->val + i)));
        sum = _mm256_fmadd_ps(val, _mm256_i32gather_ps(x, col, 4), sum);
    }
    for (; i < run->count; i++)
        rest += decode(run->val[i]) * x[run->wide ? run->col32[i] : run->col16[i]];
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return rest + _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

static inline void run_tokens(const ortho_run *run, const float *x, int stride, float alpha,
                              float *sum)
{
    const __m256 factor = _mm256_set1_ps(alpha);
    for (int first = 0; first < stride; first += TOKENS) {
        __m256 low = _mm256_setzero_ps(), high = _mm256_setzero_ps();
        for (int64_t i = 0; i < run->count; i++) {
            int64_t col = run->wide ? (int64_t)run->col32[i] : (int64_t)run->col16[i];
            const float *at = x + col * stride + first;
            __m256 val = _mm256_set1_ps(decode(run->val[i]));
            low = _mm256_fmadd_ps(val, _mm256_loadu_ps(at), low);
            high = _mm256_fmadd_ps(val, _mm256_loadu_ps(at + 8), high);
        }
        float *to = sum + first;
        _mm256_storeu_ps(to, _mm256_fmadd_ps(factor, low, _mm256_loadu_ps(to)));
        _mm256_storeu_ps(to + 8, _mm256_fmadd_ps(factor, high, _mm256_loadu_ps(to + 8)));
    }
}

static inline int64_t same_row(const uint16_t *row, int64_t left)
{
    const __m256i first = _mm256_set1_epi16((short)row[0]);
    int64_t i = 0;
    for (; i + 16 <= left; i += 16) {
        __m256i equal = _mm256_cmpeq_epi16(first, _mm256_loadu_si256((const __m256i *)(row + i)));
        unsigned differ = ~(unsigned)_mm256_movemask_epi8(equal);
        if (differ != 0)
            return i + __builtin_ctz(differ) / 2;
    }
    while (i < left && row[i] == row[0])
        i++;
    return i;
}

#include "kernels/spmm_body.h"
#endif
