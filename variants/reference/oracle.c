/*
 * The oracle's arithmetic. Tokens are taken in chunks of 16: the chunk of x becomes double,
 * transposed to [k][16], so that the inner loop runs over tokens and vectorises without reordering
 * any sum; a row of weights becomes double once a chunk. Bound by fp64 arithmetic, not by memory.
 */
#include "variants/reference/oracle.h"

#include "common/error.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 16

/* ---- decoding, from the formats' definitions ------------------------------------------------ */

static double decode_fp16(uint16_t h)
{
    int sign = h >> 15, exponent = (h >> 10) & 31, fraction = h & 1023;
    double value;
    if (exponent == 31)
        value = fraction != 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(fraction, -24);
    else
        value = ldexp(1024 + fraction, exponent - 25);
    return sign ? -value : value;
}

static double decode_bf16(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static double load(ortho_dtype dtype, const void *data, int64_t i)
{
    if (dtype == ORTHO_F32)
        return ((const float *)data)[i];
    uint16_t h = ((const uint16_t *)data)[i];
    return dtype == ORTHO_F16 ? decode_fp16(h) : decode_bf16(h);
}

/* Two's complement: 8..15 stand for -8..-1. */
static int nibble(const uint8_t *row, int64_t col)
{
    int v = col % 2 == 0 ? row[col / 2] % 16 : row[col / 2] / 16;
    return v >= 8 ? v - 16 : v;
}

/* ---- storing: one rounding ------------------------------------------------------------------ */

/* To `bits` of significand, where the last bit is never worth less than 2^least. */
static double round_to(double v, int bits, int least)
{
    int exponent;
    if (v == 0 || !isfinite(v))
        return v;
    frexp(v, &exponent); /* |v| = f * 2^exponent, 0.5 <= f < 1 */
    int unit = exponent - bits > least ? exponent - bits : least;
    return ldexp(nearbyint(ldexp(v, -unit)), unit);
}

static uint16_t encode_fp16(double v)
{
    uint16_t sign = signbit(v) ? 0x8000u : 0;
    double a = fabs(round_to(v, 11, -24));
    if (isnan(v))
        return sign | 0x7e00u;
    if (a > 65504)
        return sign | 0x7c00u;
    if (a < ldexp(1, -14))
        return sign | (uint16_t)ldexp(a, 24);
    int exponent;
    double f = frexp(a, &exponent);
    return sign | (uint16_t)(((unsigned)(exponent + 14) << 10) + (unsigned)ldexp(f, 11) - 1024u);
}

static uint16_t encode_bf16(double v)
{
    float f = (float)round_to(v, 8, -133);
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return isnan(v) ? (uint16_t)(bits >> 16 | 0x40u) : (uint16_t)(bits >> 16);
}

void ortho_oracle_store(ortho_dtype dtype, void *data, int64_t i, double value)
{
    if (dtype == ORTHO_F32)
        ((float *)data)[i] = (float)value;
    else
        ((uint16_t *)data)[i] = dtype == ORTHO_F16 ? encode_fp16(value) : encode_bf16(value);
}

/* ---- the product ---------------------------------------------------------------------------- */

static int64_t job_n(const ortho_oracle_job *job)
{
    return job->w != NULL ? job->w->rows : job->split->n;
}

static int64_t job_k(const ortho_oracle_job *job)
{
    return job->w != NULL ? job->w->cols : job->split->k;
}

/* Row r of the weights, [k], and of their magnitudes. */
static void decode_row(const ortho_oracle_job *job, int64_t r, double *w, double *magnitude)
{
    int64_t k = job_k(job);
    if (job->w != NULL) {
        for (int64_t c = 0; c < k; c++) {
            w[c] = load(job->w->dtype, job->w->data, r * job->w->stride + c);
            magnitude[c] = fabs(w[c]);
        }
        return;
    }
    const ortho_split *s = job->split;
    int64_t groups = (k + s->group - 1) / s->group;
    const uint8_t *q = s->q + r * ((k + 1) / 2);
    double scale = 0;
    for (int64_t c = 0; c < k; c++) {
        if (c % s->group == 0)
            scale = decode_fp16(s->scale[r * groups + c / s->group]);
        w[c] = nibble(q, c) * scale;
        magnitude[c] = fabs(w[c]);
    }
    for (int64_t i = s->row_ptr[r]; job->alpha != 0 && i < s->row_ptr[r + 1]; i++) {
        double term = (double)job->alpha * decode_fp16(s->val[i]);
        w[ortho_split_col(s, i)] += term;
        magnitude[ortho_split_col(s, i)] += fabs(term);
    }
}

/* sum[t] = sum over k of w * x for the chunk's tokens, in the order of k. */
static void multiply_row(const double *w, const double *xt, int64_t k, double sum[CHUNK])
{
    double acc[CHUNK] = {0};
    for (int64_t c = 0; c < k; c++)
        for (int t = 0; t < CHUNK; t++)
            acc[t] += w[c] * xt[c * CHUNK + t];
    memcpy(sum, acc, sizeof acc);
}

static void multiply_row_magnitude(const double *w, const double *xt, int64_t k, double sum[CHUNK])
{
    double acc[CHUNK] = {0};
    for (int64_t c = 0; c < k; c++)
        for (int t = 0; t < CHUNK; t++)
            acc[t] += w[c] * fabs(xt[c * CHUNK + t]);
    memcpy(sum, acc, sizeof acc);
}

/* A lone token: no padding to a chunk. */
static void multiply_one(const double *w, const double *xt, int64_t k, bool absolute, double *sum)
{
    double acc = 0;
    for (int64_t c = 0; c < k; c++)
        acc += w[c] * (absolute ? fabs(xt[c * CHUNK]) : xt[c * CHUNK]);
    *sum = acc;
}

static void run_row(const ortho_oracle_job *job, const double *xt, double *row, int64_t r,
                    int64_t first, int tokens)
{
    int64_t n = job_n(job), k = job_k(job);
    double *w = row, *magnitude = row + k, sum[CHUNK], bound[CHUNK];
    decode_row(job, r, w, magnitude);
    if (tokens == 1) {
        multiply_one(w, xt, k, false, sum);
        multiply_one(magnitude, xt, job->magnitude != NULL ? k : 0, true, bound);
    } else {
        multiply_row(w, xt, k, sum);
        multiply_row_magnitude(magnitude, xt, job->magnitude != NULL ? k : 0, bound);
    }
    for (int t = 0; t < tokens; t++) {
        job->y[(first + t) * n + r] = sum[t];
        if (job->magnitude != NULL)
            job->magnitude[(first + t) * n + r] = bound[t];
    }
}

size_t ortho_oracle_scratch(int64_t k, int threads)
{
    return (size_t)k * (CHUNK + 2 * (size_t)threads) * sizeof(double);
}

static bool known(ortho_dtype dtype)
{
    return dtype == ORTHO_F32 || dtype == ORTHO_F16 || dtype == ORTHO_BF16;
}

ortho_status ortho_oracle_gemm_with(const ortho_oracle_job *job, void *scratch)
{
    if (!known(job->dtype) || (job->w != NULL && !known(job->w->dtype)))
        return ortho_fail(ORTHO_E_ARGUMENT, "the oracle takes F32, F16 and BF16 only");
    if (job->m < 1 || job->threads < 1 || (job->w == NULL && job->split == NULL))
        return ortho_fail(ORTHO_E_ARGUMENT, "the oracle needs weights, m >= 1 and threads >= 1");
    int64_t n = job_n(job), k = job_k(job);
    double *xt = scratch, *rows = xt + k * CHUNK;
    for (int64_t first = 0; first < job->m; first += CHUNK) {
        int tokens = job->m - first < CHUNK ? (int)(job->m - first) : CHUNK;
        for (int64_t c = 0; c < k; c++)
            for (int t = 0; t < CHUNK; t++)
                xt[c * CHUNK + t] = t < tokens ? load(job->dtype, job->x, (first + t) * k + c) : 0;
#pragma omp parallel num_threads(job->threads)
        {
            int thread = omp_get_thread_num();
#pragma omp for schedule(static)
            for (int64_t r = 0; r < n; r++)
                run_row(job, xt, rows + 2 * k * thread, r, first, tokens);
        }
    }
    return ORTHO_OK;
}

ortho_status ortho_oracle_gemm(const ortho_oracle_job *job)
{
    if (job->threads < 1 || (job->w == NULL && job->split == NULL))
        return ortho_fail(ORTHO_E_ARGUMENT, "the oracle needs weights and threads >= 1");
    size_t bytes = ortho_oracle_scratch(job_k(job), job->threads);
    double *scratch = malloc(bytes);
    if (scratch == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the oracle's %zu bytes", bytes);
    ortho_status status = ortho_oracle_gemm_with(job, scratch);
    free(scratch);
    return status;
}
