/*
 * The sieve's definition (kernels/sieve.h) read once more, in fp64 and the other way round: not
 * "which entries are the best?", which needs a sort, but "does a better one stand outside?", which
 * needs a maximum and a minimum. Only the outlier rule needs a threshold (of the magnitudes kept
 * out of the fit), found by three counting passes over the bits of the scores, which order like
 * the scores because they are positive. fp16 is decoded through common/half.h, whose own test goes
 * through all 65,536 patterns.
 */
#include "harness/verify.h"

#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "kernels/split.h"
#include "variants/reference/oracle.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 65536 };

/* An entry against the threshold of the magnitudes: in, out, or a tie that may be either. */
typedef enum keep { KEPT = 0, EXCLUDED, TIE } keep;

typedef struct job {
    const ob_sieve_truth *t;
    const ortho_split *s;
    double *rms;               /* [n]; outlier */
    double threshold;          /* on |w|/rms; +inf when nothing is excluded */
    double best_out, worst_in; /* scores: of entries left out, of entries taken by score */
    int64_t at_out[2], at_in[2];
} job;

static double weight(const job *j, int64_t row, int64_t col)
{
    return ortho_dtype_load(j->t->w->dtype, j->t->w->data, row * j->t->w->stride + col);
}

void ob_hessian_exact(const ortho_matrix *w, const float *given, double *out)
{
    for (int64_t c = 0; c < w->cols; c++)
        out[c] = given != NULL ? given[c] : 0;
    if (given != NULL)
        return;
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t c = 0; c < w->cols; c++) {
            double v = ortho_dtype_load(w->dtype, w->data, r * w->stride + c);
            out[c] += v * v;
        }
    for (int64_t c = 0; c < w->cols; c++)
        out[c] /= (double)w->rows;
}

/* ---- the magnitude threshold ------------------------------------------------------------------
 */

static double magnitude_score(const job *j, int64_t row, int64_t col)
{
    return j->rms[row] > 0 ? fabs(weight(j, row, col)) / j->rms[row] : 0;
}

static void measure_rms(job *j)
{
#pragma omp parallel for num_threads(j->t->threads) schedule(static)
    for (int64_t r = 0; r < j->s->n; r++) {
        double sum = 0;
        for (int64_t c = 0; c < j->s->k; c++)
            sum += weight(j, r, c) * weight(j, r, c);
        j->rms[r] = sqrt(sum / (double)j->s->k);
    }
}

static uint64_t bits_of(double d)
{
    uint64_t b;
    memcpy(&b, &d, sizeof b);
    return b;
}

/* Counts, for the scores whose bits above `shift + 16` equal those of `prefix`, the next 16 bits.
 */
static void count_digits(const job *j, uint64_t prefix, int shift, int64_t *counts)
{
    int threads = j->t->threads;
    memset(counts, 0, (size_t)threads * DIGITS * sizeof *counts);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < j->s->n; r++) {
        int64_t *mine = counts + (int64_t)omp_get_thread_num() * DIGITS;
        for (int64_t c = 0; c < j->s->k; c++) {
            uint64_t b = bits_of(magnitude_score(j, r, c));
            if (shift == 48 || b >> (shift + 16) == prefix >> (shift + 16))
                mine[(b >> shift) & (DIGITS - 1)]++;
        }
    }
    for (int64_t i = DIGITS; i < (int64_t)threads * DIGITS; i++)
        counts[i % DIGITS] += counts[i];
}

/* The `wanted`-th largest magnitude score to 36 bits of mantissa. */
static ortho_status find_threshold(job *j, int64_t wanted)
{
    j->threshold = INFINITY;
    if (wanted == 0)
        return ORTHO_OK;
    j->rms = malloc((size_t)j->s->n * sizeof *j->rms);
    int64_t *counts = malloc((size_t)j->t->threads * DIGITS * sizeof *counts);
    if (j->rms == NULL || counts == NULL) {
        free(counts);
        return ortho_fail(ORTHO_E_MEMORY, "no memory to verify a sieve");
    }
    measure_rms(j);
    uint64_t prefix = 0;
    for (int shift = 48; shift >= 16; shift -= 16) {
        count_digits(j, prefix, shift, counts);
        int digit = DIGITS - 1;
        for (; digit > 0 && counts[digit] < wanted; digit--)
            wanted -= counts[digit];
        prefix |= (uint64_t)digit << shift;
    }
    memcpy(&j->threshold, &prefix, sizeof prefix);
    free(counts);
    return ORTHO_OK;
}

/* One row in fp64, with each weight's class: decoded once, read many times. */
typedef struct line {
    const job *j;
    int64_t row;
    double *w;           /* [k] */
    unsigned char *keep; /* [k] */
} line;

static keep classify(const job *j, int64_t row, double w)
{
    if (isinf(j->threshold))
        return KEPT;
    double score = j->rms[row] > 0 ? fabs(w) / j->rms[row] : 0;
    if (score > j->threshold * (1 + OB_TIE))
        return EXCLUDED;
    return score < j->threshold * (1 - OB_TIE) ? KEPT : TIE;
}

static ortho_status line_open(const job *j, int64_t row, line *out)
{
    size_t k = (size_t)j->s->k;
    line l = {.j = j, .row = row, .w = malloc(k * sizeof(double) + k)};
    if (l.w == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to verify a row");
    l.keep = (unsigned char *)(l.w + k);
    for (int64_t c = 0; c < j->s->k; c++) {
        l.w[c] = weight(j, row, c);
        l.keep[c] = (unsigned char)classify(j, row, l.w[c]);
    }
    *out = l;
    return ORTHO_OK;
}

/* ---- the grid ---------------------------------------------------------------------------------
 */

static int decoded_q(const ortho_split *s, int64_t row, int64_t col)
{
    int nibble = s->q[row * ((s->k + 1) / 2) + col / 2] >> (4 * (col & 1)) & 15;
    return nibble >= 8 ? nibble - 16 : nibble;
}

static double clamped_q(double w, double scale)
{
    if (scale == 0)
        return 0;
    double q = rint(w / scale);
    return q < -8 ? -8 : q > 7 ? 7 : q;
}

/* absmax/7 * (1 - c/32) rounded once to fp16: candidate c of the search; c = 0 is the scale of the
 * rules that don't search. */
static double candidate(double absmax, int c)
{
    uint16_t half;
    ortho_oracle_store(ORTHO_F16, &half, 0, absmax * (32 - c) / 224);
    return ortho_fp16_to_float(half);
}

/* One group's kept weights, ties in or out. */
typedef struct fit {
    const line *l;
    int64_t first, last;
    bool ties_kept;
} fit;

static bool in_fit(const fit *f, int64_t col)
{
    keep k = (keep)f->l->keep[col];
    return k == KEPT || (k == TIE && f->ties_kept);
}

static double fit_absmax(const fit *f)
{
    double most = 0;
    for (int64_t c = f->first; c < f->last; c++)
        if (in_fit(f, c))
            most = fmax(most, fabs(f->l->w[c]));
    return most;
}

static double fit_error(const fit *f, double scale)
{
    double sum = 0;
    for (int64_t c = f->first; c < f->last; c++)
        if (in_fit(f, c)) {
            double w = f->l->w[c], e = w - scale * clamped_q(w, scale);
            sum += f->l->j->t->hessian[c] * e * e;
        }
    return sum;
}

static bool fit_accepts(const fit *f, double scale)
{
    double absmax = fit_absmax(f);
    if (f->l->j->t->rule != ORTHO_RULE_OUTLIER)
        return scale == candidate(absmax, 0);
    double best = INFINITY;
    bool listed = false;
    for (int c = 0; c < 16; c++) {
        double s = candidate(absmax, c);
        listed = listed || s == scale;
        best = fmin(best, fit_error(f, s));
    }
    return listed && fit_error(f, scale) <= best * (1 + OB_TIE);
}

static int64_t groups_of(const ortho_split *s)
{
    return (s->k + s->group - 1) / s->group;
}

static ortho_status check_scale(const line *l, int64_t group)
{
    const ortho_split *s = l->j->s;
    double scale = ortho_fp16_to_float(s->scale[l->row * groups_of(s) + group]);
    fit f = {.l = l, .first = group * s->group, .ties_kept = true};
    f.last = f.first + s->group < s->k ? f.first + s->group : s->k;
    if (fit_accepts(&f, scale))
        return ORTHO_OK;
    f.ties_kept = false;
    if (!isinf(l->j->threshold) && fit_accepts(&f, scale))
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_WRONG, "scale[row %lld, group %lld] is %.6g, not what the rule gives",
                      (long long)l->row, (long long)group, scale);
}

static ortho_status check_q(const line *l)
{
    const ortho_split *split = l->j->s;
    for (int64_t c = 0; c < split->k; c++) {
        double s = ortho_fp16_to_float(split->scale[l->row * groups_of(split) + c / split->group]);
        double w = l->w[c], q = decoded_q(split, l->row, c);
        /* Between two grid points fp32 and fp64 may round apart: within a tie both are right. */
        if (q != clamped_q(w, s) && !(s > 0 && fabs(w / s - q) <= 0.5 * (1 + OB_TIE)))
            return ortho_fail(ORTHO_E_WRONG,
                              "q[row %lld, column %lld] is %d; w = %.9g, scale = %.9g",
                              (long long)l->row, (long long)c, (int)q, w, s);
    }
    return ORTHO_OK;
}

/* ---- the entries ------------------------------------------------------------------------------
 */

static double residual_score(const job *j, double e, int64_t col)
{
    double h = j->t->hessian[col];
    if (j->t->rule == ORTHO_RULE_LEGACY)
        return h > 0 ? e * e / h : 0;
    return e * e * h;
}

typedef struct extremes {
    double best_out, worst_in;
    int64_t out_col, in_col;
} extremes;

/* The row's best score left out and worst taken, and that each value is W - Base. */
static ortho_status check_entries(const line *l, extremes *x)
{
    const ortho_split *split = l->j->s;
    int64_t next = split->row_ptr[l->row], end = split->row_ptr[l->row + 1];
    *x = (extremes){.best_out = -1, .worst_in = INFINITY};
    for (int64_t c = 0; c < split->k; c++) {
        float s = ortho_fp16_to_float(split->scale[l->row * groups_of(split) + c / split->group]);
        float e = (float)l->w[c] - s * (float)decoded_q(split, l->row, c);
        bool taken = next < end && ortho_split_col(split, next) == c;
        if (taken && split->val[next] != ortho_float_to_fp16(e))
            return ortho_fail(ORTHO_E_WRONG, "val[row %lld, column %lld] is %.6g, W - Base is %.6g",
                              (long long)l->row, (long long)c,
                              (double)ortho_fp16_to_float(split->val[next]), (double)e);
        next += taken;
        if (l->keep[c] == EXCLUDED && !taken)
            return ortho_fail(ORTHO_E_WRONG,
                              "row %lld, column %lld: |w|/rms is among the largest, yet it isn't "
                              "in Ortho",
                              (long long)l->row, (long long)c);
        double score = residual_score(l->j, e, c);
        if (taken && l->keep[c] == KEPT && score < x->worst_in) {
            x->worst_in = score;
            x->in_col = c;
        }
        if (!taken && score > x->best_out) {
            x->best_out = score;
            x->out_col = c;
        }
    }
    return ORTHO_OK;
}

static ortho_status check_row(const job *j, int64_t row, extremes *x)
{
    line l = {0};
    ortho_status status = line_open(j, row, &l);
    if (status != ORTHO_OK)
        return status;
    for (int64_t g = 0; status == ORTHO_OK && g < groups_of(j->s); g++)
        status = check_scale(&l, g);
    if (status == ORTHO_OK)
        status = check_q(&l);
    if (status == ORTHO_OK)
        status = check_entries(&l, x);
    free(l.w);
    return status;
}

static void merge(job *j, int64_t row, const extremes *x)
{
    if (x->best_out > j->best_out) {
        j->best_out = x->best_out;
        j->at_out[0] = row;
        j->at_out[1] = x->out_col;
    }
    if (x->worst_in < j->worst_in) {
        j->worst_in = x->worst_in;
        j->at_in[0] = row;
        j->at_in[1] = x->in_col;
    }
}

/* Messages belong to threads: the first bad row is checked again by the caller's. */
static ortho_status check_rows(job *j)
{
    int64_t bad = INT64_MAX;
#pragma omp parallel for num_threads(j->t->threads) schedule(dynamic, 16)
    for (int64_t r = 0; r < j->s->n; r++) {
        extremes x;
        if (check_row(j, r, &x) != ORTHO_OK) {
#pragma omp critical(ob_sieve_bad)
            bad = r < bad ? r : bad;
        } else {
#pragma omp critical(ob_sieve_merge)
            merge(j, r, &x);
        }
    }
    extremes x;
    return bad == INT64_MAX ? ORTHO_OK : check_row(j, bad, &x);
}

static ortho_status check_shape(const ob_sieve_truth *t, const ortho_split *s)
{
    if (s->n != t->w->rows || s->k != t->w->cols || s->group != t->group)
        return ortho_fail(ORTHO_E_WRONG,
                          "a split of %lld x %lld by %lld, asked for %lld x %lld by %lld",
                          (long long)s->n, (long long)s->k, (long long)s->group,
                          (long long)t->w->rows, (long long)t->w->cols, (long long)t->group);
    if (s->nnz != t->nnz)
        return ortho_fail(ORTHO_E_WRONG, "%lld entries, asked for exactly %lld", (long long)s->nnz,
                          (long long)t->nnz);
    return ortho_split_check(s) == ORTHO_OK ? ORTHO_OK : ORTHO_E_WRONG;
}

ortho_status ob_sieve_verify(const ob_sieve_truth *t, const ortho_split *s, ob_verdict *v)
{
    ortho_status status = check_shape(t, s);
    if (status != ORTHO_OK)
        return status;
    job j = {.t = t, .s = s, .best_out = -1, .worst_in = INFINITY};
    status = find_threshold(&j, t->rule == ORTHO_RULE_OUTLIER ? t->nnz / 2 : 0);
    if (status == ORTHO_OK)
        status = check_rows(&j);
    free(j.rms);
    if (status != ORTHO_OK)
        return status;
    double inversion = j.best_out > j.worst_in ? 1 - j.worst_in / j.best_out : 0;
    if (inversion > OB_TIE)
        return ortho_fail(ORTHO_E_WRONG,
                          "row %lld, column %lld scores %.9g and was left out; row %lld, column "
                          "%lld scores %.9g and was taken",
                          (long long)j.at_out[0], (long long)j.at_out[1], j.best_out,
                          (long long)j.at_in[0], (long long)j.at_in[1], j.worst_in);
    v->rel_error = inversion;
    v->tolerance = OB_TIE;
    snprintf(v->checked, sizeof v->checked,
             "every scale, q and entry, and that none of %lld left out scores above one taken",
             (long long)(s->n * s->k - s->nnz));
    return ORTHO_OK;
}
