/* spmm_avx512.c: 16 entries a gather for one token (the last ones masked), 16 tokens a vector for
 * more. */
#include "kernels/spmm_run.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define ORTHO_SPMM_KERNELS ortho_spmm_kernels_avx512

static inline float decode(uint16_t h)
{
    return _cvtsh_ss(h);
}

static inline __m512 products(const ortho_run *run, int64_t i, __mmask16 mask, const float *x)
{
    __m512i col = run->wide ? _mm512_maskz_loadu_epi32(mask, run->col32 + i)
                            : _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, run->col16 + i));
    __m512 val = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, run->val + i));
    return _mm512_mul_ps(val, _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, col, x, 4));
}

static inline float run_dot(const ortho_run *run, const float *x)
{
    __m512 sum = _mm512_setzero_ps();
    int64_t i = 0;
    for (; i + 16 <= run->count; i += 16)
        sum = _mm512_add_ps(sum, products(run, i, 0xffff, x));
    if (i < run->count)
        sum = _mm512_add_ps(sum, products(run, i, (__mmask16)((1u << (run->count - i)) - 1), x));
    return _mm512_reduce_add_ps(sum);
}

/* `vectors` of 16 tokens stay in registers over the whole run. */
static inline void tokens_of(const ortho_run *run, const float *x, int vectors, float alpha,
                             float *sum)
{
    const int stride = vectors * 16;
    const __m512 factor = _mm512_set1_ps(alpha);
    __m512 acc[4];
    for (int v = 0; v < vectors; v++)
        acc[v] = _mm512_setzero_ps();
    for (int64_t i = 0; i < run->count; i++) {
        int64_t col = run->wide ? (int64_t)run->col32[i] : (int64_t)run->col16[i];
        __m512 val = _mm512_set1_ps(decode(run->val[i]));
        for (int v = 0; v < vectors; v++)
            acc[v] = _mm512_fmadd_ps(val, _mm512_loadu_ps(x + col * stride + v * 16), acc[v]);
    }
    for (int v = 0; v < vectors; v++)
        _mm512_storeu_ps(sum + v * 16,
                         _mm512_fmadd_ps(factor, acc[v], _mm512_loadu_ps(sum + v * 16)));
}

static inline void run_tokens(const ortho_run *run, const float *x, int stride, float alpha,
                              float *sum)
{
    switch (stride / 16) { /* 1 .. ORTHO_BASE_TOKENS / 16 */
    case 1:
        tokens_of(run, x, 1, alpha, sum);
        return;
    case 2:
        tokens_of(run, x, 2, alpha, sum);
        return;
    case 3:
        tokens_of(run, x, 3, alpha, sum);
        return;
    default:
        tokens_of(run, x, 4, alpha, sum);
        return;
    }
}

static inline int64_t same_row(const uint16_t *row, int64_t left)
{
    const __m512i first = _mm512_set1_epi16((short)row[0]);
    for (int64_t i = 0;; i += 32) {
        int64_t ahead = left - i;
        __mmask32 inside = ahead >= 32 ? 0xffffffffu : (1u << ahead) - 1u;
        __m512i rows = _mm512_maskz_loadu_epi16(inside, row + i);
        __mmask32 same = _mm512_mask_cmpeq_epi16_mask(inside, first, rows);
        if (same != 0xffffffffu) /* ends here: a following entry differs or isn't inside */
            return i + __builtin_ctz(~same);
    }
}

#include "kernels/spmm_body.h"
#endif
