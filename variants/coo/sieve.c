/*
 * coo's sieve: the original's way, kept as the patient. W as floats, W^2, the residual and the
 * score are arrays of n*k floats each, and selection sorts (key, index) pairs of all of them, which
 * takes as much again twice over. Its results are right; its working memory is the complaint.
 */
#include "kernels/quant.h"
#include "kernels/sieve_csr.h"
#include "kernels/split.h"

#include "common/dtype.h"
#include "common/half.h"

#include <math.h>
#include <string.h>

typedef struct coo_state {
    ortho_split base; /* q, scale; no entries */
    ortho_coo list;
} coo_state;

typedef struct pair {
    uint32_t key, at; /* key: inverted score bits, so that ascending order is the best first */
} pair;

typedef struct scratch {
    const ortho_sieve_problem *p;
    const ortho_services *sv;
    int64_t n, k, group, groups;
    float *w, *squares, *residual, *score; /* [n, k] each; score < 0: excluded */
    float *h;                              /* [k] */
    pair *pairs, *spare;                   /* [n * k] each */
} scratch;

static void *work(const scratch *t, size_t bytes)
{
    return t->sv->alloc(t->sv->ctx, bytes, ORTHO_HOST, ORTHO_WORKING);
}

static void scratch_free(scratch *t)
{
    void *arrays[] = {t->w, t->squares, t->residual, t->score, t->h, t->pairs, t->spare};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        t->sv->free(t->sv->ctx, arrays[i]);
}

static ortho_status scratch_alloc(scratch *t)
{
    size_t all = (size_t)(t->n * t->k);
    t->w = work(t, all * sizeof(float));
    t->squares = work(t, all * sizeof(float));
    t->residual = work(t, all * sizeof(float));
    t->score = work(t, all * sizeof(float));
    t->h = work(t, (size_t)t->k * sizeof(float));
    t->pairs = work(t, all * sizeof(pair));
    t->spare = work(t, all * sizeof(pair));
    if (t->w == NULL || t->squares == NULL || t->residual == NULL || t->score == NULL ||
        t->h == NULL || t->pairs == NULL || t->spare == NULL) {
        scratch_free(t);
        return ORTHO_E_MEMORY;
    }
    return ORTHO_OK;
}

static ortho_status unpack(scratch *t)
{
    const ortho_matrix *m = t->p->w;
    for (int64_t r = 0; r < t->n; r++)
        for (int64_t c = 0; c < t->k; c++) {
            float w = ortho_dtype_load(m->dtype, m->data, r * m->stride + c);
            if (!isfinite(w))
                return t->sv->fail(ORTHO_E_NONFINITE, "row %lld, column %lld: the weight is %s",
                                   (long long)r, (long long)c, isnan(w) ? "NaN" : "Inf");
            t->w[r * t->k + c] = w;
            t->squares[r * t->k + c] = w * w;
        }
    return ORTHO_OK;
}

static void weigh(scratch *t)
{
    for (int64_t c = 0; c < t->k; c++) {
        double sum = 0;
        for (int64_t r = 0; r < t->n; r++)
            sum += (double)t->squares[r * t->k + c];
        t->h[c] = t->p->hessian != NULL ? t->p->hessian[c] : (float)(sum / (double)t->n);
    }
}

/* A least-significant-digit radix sort of all pairs by key, 8 bits a pass: stable, so that ties
 * stay in order of (row, column). An even number of passes ends in t->pairs. */
static void sort_pairs(scratch *t, int64_t count)
{
    for (int shift = 0; shift < 32; shift += 8) {
        int64_t start[256] = {0}, at = 0;
        for (int64_t i = 0; i < count; i++)
            start[t->pairs[i].key >> shift & 255]++;
        for (int d = 0; d < 256; d++) {
            int64_t here = start[d];
            start[d] = at;
            at += here;
        }
        for (int64_t i = 0; i < count; i++)
            t->spare[start[t->pairs[i].key >> shift & 255]++] = t->pairs[i];
        pair *swap = t->pairs;
        t->pairs = t->spare;
        t->spare = swap;
    }
}

/* Sorts the scores that aren't negative, the largest first, into t->pairs. */
static void rank(scratch *t)
{
    int64_t count = 0;
    for (int64_t i = 0; i < t->n * t->k; i++)
        if (!(t->score[i] < 0))
            t->pairs[count++] = (pair){~ortho_float_bits(t->score[i]), (uint32_t)i};
    sort_pairs(t, count);
}

static void magnitudes(scratch *t)
{
    for (int64_t r = 0; r < t->n; r++) {
        double lanes[ORTHO_LANES] = {0};
        for (int64_t c = 0; c < t->k; c++)
            lanes[c % ORTHO_LANES] += (double)t->squares[r * t->k + c];
        for (int width = ORTHO_LANES / 2; width > 0; width /= 2)
            for (int j = 0; j < width; j++)
                lanes[j] += lanes[j + width];
        float rms = (float)sqrt(lanes[0] / (double)t->k);
        for (int64_t c = 0; c < t->k; c++)
            t->score[r * t->k + c] = rms > 0 ? fabsf(t->w[r * t->k + c]) / rms : 0;
    }
}

static float grid_error(float w, float scale)
{
    float q = scale > 0 ? rintf(w / scale) : 0;
    q = q < -8 ? -8 : q > 7 ? 7 : q;
    return w - scale * q;
}

static double group_error(const scratch *t, int64_t r, int64_t begin, int64_t end, float scale)
{
    double sum = 0;
    for (int64_t c = begin; c < end; c++) {
        float e = grid_error(t->w[r * t->k + c], scale);
        if (!(t->score[r * t->k + c] < 0))
            sum += (double)t->h[c] * (double)e * (double)e;
    }
    return sum;
}

/* Scale and residuals of one group. */
static bool fit_group(scratch *t, int64_t r, int64_t begin, uint16_t *scale)
{
    int64_t end = begin + t->group < t->k ? begin + t->group : t->k;
    float most = 0;
    for (int64_t c = begin; c < end; c++)
        if (!(t->score[r * t->k + c] < 0) && fabsf(t->w[r * t->k + c]) > most)
            most = fabsf(t->w[r * t->k + c]);
    int best = 0, tries = t->p->rule == ORTHO_RULE_OUTLIER ? ORTHO_CANDIDATES : 1;
    ortho_candidates try;
    ortho_quant_candidates(most, tries, &try);
    double least = tries > 1 ? group_error(t, r, begin, end, try.scale[0]) : 0;
    for (int c = 1; c < tries; c++) {
        double error = group_error(t, r, begin, end, try.scale[c]);
        if (error < least) {
            least = error;
            best = c;
        }
    }
    *scale = try.half[best];
    for (int64_t c = begin; c < end; c++)
        t->residual[r * t->k + c] = grid_error(t->w[r * t->k + c], try.scale[best]);
    return (try.half[0] & 0x7c00u) != 0x7c00u;
}

static void pack_row(const scratch *t, int64_t r, ortho_split *base)
{
    uint8_t *q = base->q + r * ((t->k + 1) / 2);
    memset(q, 0, (size_t)((t->k + 1) / 2));
    for (int64_t c = 0; c < t->k; c++) {
        float scale = ortho_fp16_to_float(base->scale[r * t->groups + c / t->group]);
        float level = scale > 0 ? rintf(t->w[r * t->k + c] / scale) : 0;
        int v = level < -8 ? -8 : level > 7 ? 7 : (int)level;
        q[c / 2] |= (uint8_t)((v & 15) << c % 2 * 4);
    }
}

static ortho_status fit(scratch *t, ortho_split *base)
{
    int64_t bad = t->n;
#pragma omp parallel for num_threads(t->sv->threads) schedule(static) reduction(min : bad)
    for (int64_t r = 0; r < t->n; r++) {
        for (int64_t g = 0; g < t->groups; g++)
            if (!fit_group(t, r, g * t->group, &base->scale[r * t->groups + g]) && r < bad)
                bad = r;
        pack_row(t, r, base);
    }
    if (bad < t->n)
        return t->sv->fail(ORTHO_E_NONFINITE, "row %lld needs a scale beyond fp16's 65504",
                           (long long)bad);
    return ORTHO_OK;
}

/* Scores of the kept; the excluded stay at -1. */
static void score(scratch *t)
{
    bool legacy = t->p->rule == ORTHO_RULE_LEGACY;
    for (int64_t i = 0; i < t->n * t->k; i++) {
        float e = t->residual[i], h = t->h[i % t->k];
        if (!(t->score[i] < 0))
            t->score[i] = !legacy ? e * e * h : h > 0 ? e * e / h : 0;
    }
}

/* Marks the chosen in the score array as -1, then lists them in order of (row, column). */
static ortho_status list(scratch *t, int64_t entries, ortho_coo *out)
{
    for (int64_t i = 0; i < entries; i++)
        t->score[t->pairs[i].at] = -1;
    for (int64_t i = 0, at = 0; i < t->n * t->k; i++) {
        if (!(t->score[i] < 0))
            continue;
        out->row[at] = (int32_t)(i / t->k);
        out->col[at] = (int32_t)(i % t->k);
        out->val[at] = ortho_float_to_fp16(t->residual[i]);
        if ((out->val[at++] & 0x7c00u) == 0x7c00u)
            return t->sv->fail(ORTHO_E_NONFINITE,
                               "row %lld, column %lld: the residual %g is"
                               " beyond fp16",
                               (long long)(i / t->k), (long long)(i % t->k),
                               (double)t->residual[i]);
    }
    return ORTHO_OK;
}

static ortho_status sieve(scratch *t, coo_state *s)
{
    int64_t excluded = t->p->rule == ORTHO_RULE_OUTLIER ? t->p->nnz / 2 : 0;
    ortho_status status = unpack(t);
    if (status != ORTHO_OK)
        return status;
    weigh(t);
    memset(t->score, 0, (size_t)(t->n * t->k) * sizeof *t->score);
    if (excluded > 0) {
        magnitudes(t);
        rank(t);
        for (int64_t i = 0; i < excluded; i++)
            t->score[t->pairs[i].at] = -1;
    }
    status = fit(t, &s->base);
    if (status != ORTHO_OK)
        return status;
    score(t);
    rank(t);
    return list(t, t->p->nnz - excluded, &s->list);
}

static void release(void *state, const ortho_services *sv)
{
    coo_state *s = state;
    ortho_coo_free(&s->list, sv);
    ortho_split_free(&s->base, sv);
}

static ortho_status supports(const ortho_sieve_problem *p, const ortho_services *sv)
{
    if (p->w->rows > UINT32_MAX / p->w->cols)
        return sv->fail(ORTHO_E_UNSUPPORTED, "coo sorts 32-bit positions: up to 2^32 weights");
    return ORTHO_OK;
}

static ortho_status prepare(void *state, const ortho_sieve_problem *p, const ortho_services *sv)
{
    coo_state s = {.list = {.n = p->w->rows, .k = p->w->cols, .nnz = p->nnz}};
    size_t entries = (size_t)p->nnz;
    ortho_status status =
        ortho_split_alloc(s.list.n, s.list.k, ortho_sieve_group(p), 0, sv, ORTHO_OUTPUT, &s.base);
    if (status != ORTHO_OK)
        return status;
    s.list.row = sv->alloc(sv->ctx, entries * sizeof(int32_t), ORTHO_HOST, ORTHO_OUTPUT);
    s.list.col = sv->alloc(sv->ctx, entries * sizeof(int32_t), ORTHO_HOST, ORTHO_OUTPUT);
    s.list.val = sv->alloc(sv->ctx, entries * sizeof(uint16_t), ORTHO_HOST, ORTHO_OUTPUT);
    if (s.list.row == NULL || s.list.col == NULL || s.list.val == NULL) {
        release(&s, sv);
        return ORTHO_E_MEMORY;
    }
    memcpy(state, &s, sizeof s);
    return ORTHO_OK;
}

static ortho_status run(void *state, const ortho_sieve_problem *p, const ortho_services *sv)
{
    coo_state *s = state;
    scratch t = {.p = p, .sv = sv, .n = p->w->rows, .k = p->w->cols};
    t.group = s->base.group;
    t.groups = (t.k + t.group - 1) / t.group;
    ortho_status status = scratch_alloc(&t);
    if (status != ORTHO_OK)
        return status;
    status = sieve(&t, s);
    scratch_free(&t);
    return status;
}

static ortho_status export_split(const void *state, ortho_split *out, const ortho_services *sv)
{
    const coo_state *s = state;
    ortho_split base = s->base;
    base.nnz = s->list.nnz;
    ortho_status status = ortho_split_copy_base(&base, out, sv);
    return status == ORTHO_OK ? ortho_csr_from_coo(&s->list, out) : status;
}

void ortho_coo_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

extern const ortho_sieve_hooks ortho_coo_sieve_cpu;
const ortho_sieve_hooks ortho_coo_sieve_cpu = {
    .state_size = sizeof(coo_state),
    .supports = supports,
    .prepare = prepare,
    .run = run,
    .export_split = export_split,
    .release = release,
    .lanes = ortho_coo_sieve_lanes,
    .w_reads = {1, 1, 1}, /* W itself; its copies are read many times more */
};
