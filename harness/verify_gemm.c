#include "common/dtype.h"
#include "common/error.h"
#include "harness/verify.h"
#include "variants/reference/oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Sign of token t in projection p. */
static double sign_of(uint64_t seed, int p, int64_t t)
{
    return mix(seed ^ mix((uint64_t)t * 2 + (uint64_t)p + 1)) & 1 ? 1.0 : -1.0;
}

static void choose_tokens(ob_gemm_truth *truth)
{
    if (truth->m <= OB_EXACT_TOKENS) {
        truth->tokens = (int)truth->m;
        for (int i = 0; i < truth->tokens; i++)
            truth->token[i] = i;
        return;
    }
    truth->tokens = OB_EXACT_TOKENS;
    truth->projections = OB_PROJECTIONS;
    truth->token[0] = 0;
    truth->token[1] = truth->m - 1;
    for (int i = 2; i < OB_EXACT_TOKENS; i++)
        truth->token[i] = (int64_t)(mix(truth->seed + (uint64_t)i) % (uint64_t)truth->m);
}

/* Neighbouring columns of a [m, width] matrix: enough for its lines to be read whole. */
enum { STRIP = 64 };

typedef struct strip {
    double sum[OB_PROJECTIONS][STRIP], square[STRIP];
} strip;

typedef struct tokens {
    ortho_dtype dtype;
    const void *data; /* [m, width] */
    int64_t width;
} tokens;

/* Signed sums and squares over all tokens, of `count` columns from `first` on. */
static void project(const ob_gemm_truth *t, const tokens *in, int64_t first, int count, strip *out)
{
    memset(out, 0, sizeof *out);
    for (int64_t token = 0; token < t->m; token++) {
        double sign[OB_PROJECTIONS];
        for (int p = 0; p < OB_PROJECTIONS; p++)
            sign[p] = sign_of(t->seed, p, token);
        for (int i = 0; i < count; i++) {
            double v = ortho_dtype_load(in->dtype, in->data, token * in->width + first + i);
            out->square[i] += v * v;
            for (int p = 0; p < OB_PROJECTIONS; p++)
                out->sum[p][i] += sign[p] * v;
        }
    }
}

/* The oracle's batch in fp32, which holds fp16 and bf16 exactly: the chosen tokens, the projections
 * of all tokens, and sqrt(sum_t x^2) for M_r. A projection is rounded to fp32 here; its tolerance
 * covers that, being wider than one rounding of each x. */
static void fill_batch(const ob_gemm_truth *t, const ob_gemm_inputs *in, float *batch)
{
    for (int i = 0; i < t->tokens; i++)
        for (int64_t c = 0; c < t->k; c++)
            batch[i * t->k + c] = ortho_dtype_load(in->dtype, in->x, t->token[i] * t->k + c);
    if (t->projections == 0)
        return;
#pragma omp parallel for num_threads(t->threads) schedule(dynamic, 1)
    for (int64_t first = 0; first < t->k; first += STRIP) {
        strip sums;
        int count = t->k - first < STRIP ? (int)(t->k - first) : STRIP;
        project(t, &(tokens){in->dtype, in->x, t->k}, first, count, &sums);
        for (int i = 0; i < count; i++) {
            for (int p = 0; p < OB_PROJECTIONS; p++)
                batch[(t->tokens + p) * t->k + first + i] = (float)sums.sum[p][i];
            batch[(t->tokens + OB_PROJECTIONS) * t->k + first + i] = (float)sqrt(sums.square[i]);
        }
    }
}

ortho_status ob_gemm_truth_make(const ob_gemm_inputs *in, ob_gemm_truth *out)
{
    ob_gemm_truth t = {.n = in->w != NULL ? in->w->rows : in->split->n,
                       .k = in->w != NULL ? in->w->cols : in->split->k,
                       .m = in->m,
                       .dtype = in->dtype,
                       .threads = in->threads,
                       .seed = in->seed};
    choose_tokens(&t);
    size_t rows = (size_t)(t.tokens + t.projections + (t.projections > 0));
    float *batch = malloc(rows * (size_t)t.k * sizeof *batch);
    t.y = malloc(rows * (size_t)t.n * sizeof *t.y);
    t.magnitude = malloc(rows * (size_t)t.n * sizeof *t.magnitude);
    ortho_status status = ORTHO_OK;
    if (batch == NULL || t.y == NULL || t.magnitude == NULL)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for the exact result of %zu tokens", rows);
    if (status == ORTHO_OK) {
        fill_batch(&t, in, batch);
        status = ortho_oracle_gemm(&(ortho_oracle_job){.split = in->split,
                                                       .w = in->w,
                                                       .x = batch,
                                                       .dtype = ORTHO_F32,
                                                       .m = (int64_t)rows,
                                                       .alpha = in->alpha,
                                                       .threads = in->threads,
                                                       .y = t.y,
                                                       .magnitude = t.magnitude});
    }
    free(batch);
    if (status == ORTHO_OK && in->activations == ORTHO_ACTIVATIONS_INT8)
        status = ob_gemm_rounding_make(in, &t);
    if (status != ORTHO_OK) {
        ob_gemm_truth_free(&t);
        return status;
    }
    if (t.projections > 0)
        t.scale = t.magnitude + (rows - 1) * (size_t)t.n;
    *out = t;
    return ORTHO_OK;
}

void ob_gemm_truth_free(ob_gemm_truth *truth)
{
    free(truth->y);
    free(truth->magnitude);
    free(truth->rounding);
    *truth = (ob_gemm_truth){0};
}

/* Half a unit in the last place, relative; half of the smallest subnormal, absolute. */
static double output_eps(ortho_dtype dtype)
{
    return dtype == ORTHO_F16 ? 0x1p-11 : dtype == ORTHO_BF16 ? 0x1p-8 : 0x1p-24;
}

static double output_tiny(ortho_dtype dtype)
{
    return dtype == ORTHO_F16 ? 0x1p-25 : 0x1p-134;
}

static double rounding_of(const ob_gemm_truth *t, int64_t line, int64_t row)
{
    return t->rounding != NULL ? t->rounding[line * t->n + row] : 0;
}

/* What x lost in rounding, then sums of what is left of it: `magnitude` is of x as it is. */
static double sum_tolerance(const ob_gemm_truth *t, double magnitude, double rounding)
{
    return rounding + 8 * sqrt(2.0 * (double)t->k + 16) * 0x1p-24 * (magnitude + rounding);
}

static void remember(ob_verdict *v, double error, double tolerance, double magnitude)
{
    double unit = magnitude > 0 ? magnitude : 1;
    if (v->tolerance <= 0 || error / tolerance > v->rel_error / v->tolerance) {
        v->rel_error = error / unit;
        v->tolerance = tolerance / unit;
    }
}

static ortho_status check_token(const ob_gemm_truth *t, int i, const void *y, ob_verdict *v)
{
    for (int64_t row = 0; row < t->n; row++) {
        double exact = t->y[i * t->n + row], magnitude = t->magnitude[i * t->n + row];
        double got = ortho_dtype_load(t->dtype, y, t->token[i] * t->n + row);
        double rounding = rounding_of(t, i, row);
        double tolerance = sum_tolerance(t, magnitude, rounding) +
                           output_eps(t->dtype) * (fabs(exact) + rounding) + output_tiny(t->dtype);
        double error = fabs(got - exact);
        if (!(error <= tolerance))
            return ortho_fail(ORTHO_E_WRONG,
                              "y[token %lld, row %lld] is %.9g, exact is %.9g: off by %.3g, "
                              "tolerance %.3g",
                              (long long)t->token[i], (long long)row, got, exact, error, tolerance);
        remember(v, error, tolerance, magnitude);
    }
    return ORTHO_OK;
}

static ortho_status check_finite(const ob_gemm_truth *t, const void *y)
{
    int64_t bad = t->m * t->n;
#pragma omp parallel for num_threads(t->threads) schedule(static) reduction(min : bad)
    for (int64_t i = 0; i < t->m * t->n; i++)
        if (!isfinite(ortho_dtype_load(t->dtype, y, i)) && i < bad)
            bad = i;
    if (bad == t->m * t->n)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_WRONG, "y[token %lld, row %lld] is %g: not written, or wrong",
                      (long long)(bad / t->n), (long long)(bad % t->n),
                      (double)ortho_dtype_load(t->dtype, y, bad));
}

static ortho_status judge_row(const ob_gemm_truth *t, int64_t row, const double *sum, double square,
                              ob_verdict *v)
{
    double rounding =
        8 * output_eps(t->dtype) * sqrt(square) + sqrt((double)t->m) * output_tiny(t->dtype);
    double tolerance = sum_tolerance(t, t->scale[row], rounding_of(t, t->tokens, row)) + rounding;
    for (int p = 0; p < t->projections; p++) {
        double exact = t->y[(t->tokens + p) * t->n + row], error = fabs(sum[p] - exact);
        if (!(error <= tolerance))
            return ortho_fail(ORTHO_E_WRONG,
                              "row %lld: a signed sum of its %lld tokens is %.9g, exact is "
                              "%.9g: off by %.3g, tolerance %.3g",
                              (long long)row, (long long)t->m, sum[p], exact, error, tolerance);
        remember(v, error, tolerance, t->scale[row]);
    }
    return ORTHO_OK;
}

static ortho_status check_projections(const ob_gemm_truth *t, const void *y, ob_verdict *v)
{
    int64_t strips = (t->n + STRIP - 1) / STRIP;
    strip *sums = malloc((size_t)strips * sizeof *sums);
    if (sums == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to verify %lld tokens", (long long)t->m);
#pragma omp parallel for num_threads(t->threads) schedule(dynamic, 1)
    for (int64_t s = 0; s < strips; s++) {
        int count = t->n - s * STRIP < STRIP ? (int)(t->n - s * STRIP) : STRIP;
        project(t, &(tokens){t->dtype, y, t->n}, s * STRIP, count, &sums[s]);
    }
    ortho_status status = ORTHO_OK;
    for (int64_t row = 0; status == ORTHO_OK && row < t->n; row++) {
        const strip *of = &sums[row / STRIP];
        double sum[OB_PROJECTIONS];
        for (int p = 0; p < OB_PROJECTIONS; p++)
            sum[p] = of->sum[p][row % STRIP];
        status = judge_row(t, row, sum, of->square[row % STRIP], v);
    }
    free(sums);
    return status;
}

ortho_status ob_gemm_verify(const ob_gemm_truth *t, const void *y, ob_verdict *v)
{
    ortho_status status = check_finite(t, y);
    for (int i = 0; status == ORTHO_OK && i < t->tokens; i++)
        status = check_token(t, i, y, v);
    if (status == ORTHO_OK && t->projections > 0)
        status = check_projections(t, y, v);
    if (status != ORTHO_OK)
        return status;
    if (t->projections == 0)
        snprintf(v->checked, sizeof v->checked, "all %lld outputs", (long long)(t->m * t->n));
    else
        snprintf(v->checked, sizeof v->checked,
                 "%d of %lld tokens exactly, all of them through %d signed sums a row", t->tokens,
                 (long long)t->m, t->projections);
    return ORTHO_OK;
}

ortho_status ob_poison_verify(const void *y, size_t bytes, ob_verdict *v)
{
    const unsigned char *p = y;
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != 0xff)
            return ortho_fail(ORTHO_E_WRONG,
                              "claims to compute nothing, yet byte %zu of y was written", i);
    snprintf(v->checked, sizeof v->checked, "all %zu bytes of y are untouched", bytes);
    return ORTHO_OK;
}
