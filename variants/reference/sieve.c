/*
 * reference's sieve: the oracle. Straight from the definition in double, everything materialised,
 * a full sort; it unpacks, rounds and packs with code of its own, so that a mistake in kernels/ has
 * no way into what it is compared with. Slow, and free to be.
 */
#include <ortho/variant.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct oracle {
    int64_t n, k, nnz, group, groups;
    double *w, *h, *score; /* [n, k], [k], [n, k] */
    int8_t *q;             /* [n, k] */
    double *scale;         /* [n, groups], each a value that fp16 holds */
    bool *excluded, *chosen;
} oracle;

/* ---- numbers: own conversions, by ldexp instead of bit tricks ---------------------------------
 */

static double from_half(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31)
        return fraction == 0 ? sign * INFINITY : NAN;
    return exponent == 0 ? sign * ldexp(fraction, -24)
                         : sign * ldexp(1024 + fraction, exponent - 25);
}

/* Nearest fp16 of a double, ties to even; Inf where it doesn't fit. */
static double round_half(double x)
{
    if (x == 0 || !isfinite(x))
        return x;
    int exponent;
    frexp(x, &exponent); /* |x| in [2^(exponent-1), 2^exponent) */
    int unit = exponent - 11 < -24 ? -24 : exponent - 11;
    double rounded = ldexp(rint(ldexp(x, -unit)), unit);
    return fabs(rounded) > 65504 ? copysign(INFINITY, x) : rounded;
}

static uint16_t half_bits(double x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double r = fabs(round_half(x));
    if (isinf(r))
        return sign | 0x7c00;
    if (r < 0x1p-14)
        return (uint16_t)(sign | (int)ldexp(r, 24));
    int exponent;
    double fraction = frexp(r, &exponent);
    return (uint16_t)(sign | (exponent + 14) << 10 | ((int)ldexp(fraction, 11) - 1024));
}

static double weight_at(const ortho_matrix *m, int64_t row, int64_t col)
{
    int64_t i = row * m->stride + col;
    if (m->dtype == ORTHO_F16)
        return from_half(((const uint16_t *)m->data)[i]);
    if (m->dtype == ORTHO_BF16) {
        uint32_t bits = (uint32_t)((const uint16_t *)m->data)[i] << 16;
        float f;
        memcpy(&f, &bits, sizeof f);
        return f;
    }
    return ((const float *)m->data)[i];
}

/* ---- the definition ---------------------------------------------------------------------------
 */

static ortho_status read_weights(oracle *o, const ortho_matrix *m, const ortho_services *sv)
{
    for (int64_t r = 0; r < o->n; r++)
        for (int64_t c = 0; c < o->k; c++) {
            double x = weight_at(m, r, c);
            if (!isfinite(x))
                return sv->fail(ORTHO_E_NONFINITE, "row %lld, column %lld: the weight is %s",
                                (long long)r, (long long)c, isnan(x) ? "NaN" : "Inf");
            o->w[r * o->k + c] = x;
        }
    return ORTHO_OK;
}

static void weigh(oracle *o, const float *hessian)
{
    for (int64_t c = 0; c < o->k; c++) {
        double sum = 0;
        for (int64_t r = 0; r < o->n; r++)
            sum += o->w[r * o->k + c] * o->w[r * o->k + c];
        o->h[c] = hessian != NULL ? hessian[c] : sum / (double)o->n;
    }
}

typedef struct ranked {
    double score;
    int64_t at;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Marks the `count` largest scores among those not `except`. */
static ortho_status mark_top(const oracle *o, int64_t count, const bool *except, bool *mark,
                             const ortho_services *sv)
{
    int64_t all = o->n * o->k, eligible = 0;
    ranked *order = sv->alloc(sv->ctx, (size_t)all * sizeof *order, ORTHO_HOST, ORTHO_WORKING);
    if (order == NULL)
        return ORTHO_E_MEMORY;
    for (int64_t i = 0; i < all; i++)
        if (except == NULL || !except[i])
            order[eligible++] = (ranked){o->score[i], i};
    qsort(order, (size_t)eligible, sizeof *order, by_rank);
    for (int64_t i = 0; i < count; i++)
        mark[order[i].at] = true;
    sv->free(sv->ctx, order);
    return ORTHO_OK;
}

static ortho_status exclude(oracle *o, const ortho_services *sv)
{
    for (int64_t r = 0; r < o->n; r++) {
        double squares = 0;
        for (int64_t c = 0; c < o->k; c++)
            squares += o->w[r * o->k + c] * o->w[r * o->k + c];
        double rms = sqrt(squares / (double)o->k);
        for (int64_t c = 0; c < o->k; c++)
            o->score[r * o->k + c] = rms > 0 ? fabs(o->w[r * o->k + c]) / rms : 0;
    }
    return mark_top(o, o->nnz / 2, NULL, o->excluded, sv);
}

static double on_grid(double w, double scale)
{
    double q = scale > 0 ? rint(w / scale) : 0;
    return q < -8 ? -8 : q > 7 ? 7 : q;
}

static double group_error(const oracle *o, int64_t r, int64_t begin, int64_t end, double scale)
{
    double sum = 0;
    for (int64_t c = begin; c < end; c++) {
        double w = o->w[r * o->k + c], e = w - scale * on_grid(w, scale);
        sum += o->excluded[r * o->k + c] ? 0 : o->h[c] * e * e;
    }
    return sum;
}

static ortho_status fit_group(oracle *o, int64_t r, int64_t g, bool search,
                              const ortho_services *sv)
{
    int64_t begin = g * o->group, end = begin + o->group < o->k ? begin + o->group : o->k;
    double most = 0, best = 0, least = INFINITY;
    for (int64_t c = begin; c < end; c++)
        if (!o->excluded[r * o->k + c] && fabs(o->w[r * o->k + c]) > most)
            most = fabs(o->w[r * o->k + c]);
    if (isinf(round_half(most / 7)))
        return sv->fail(ORTHO_E_NONFINITE, "row %lld: the weight %g needs a scale beyond fp16",
                        (long long)r, most);
    for (int c = 0; c < (search ? 16 : 1); c++) {
        double scale = round_half(most * (32 - c) / 224);
        double error = group_error(o, r, begin, end, scale);
        if (c == 0 || error < least) {
            least = error;
            best = scale;
        }
    }
    o->scale[r * o->groups + g] = best;
    for (int64_t c = begin; c < end; c++)
        o->q[r * o->k + c] = (int8_t)on_grid(o->w[r * o->k + c], best);
    return ORTHO_OK;
}

static ortho_status fit(oracle *o, ortho_rule rule, const ortho_services *sv)
{
    for (int64_t r = 0; r < o->n; r++)
        for (int64_t g = 0; g < o->groups; g++) {
            ortho_status status = fit_group(o, r, g, rule == ORTHO_RULE_OUTLIER, sv);
            if (status != ORTHO_OK)
                return status;
        }
    return ORTHO_OK;
}

static double residual(const oracle *o, int64_t i)
{
    return o->w[i] - o->scale[i / o->k * o->groups + i % o->k / o->group] * o->q[i];
}

static ortho_status choose(oracle *o, ortho_rule rule, const ortho_services *sv)
{
    int64_t all = o->n * o->k, excluded = 0;
    for (int64_t i = 0; i < all; i++) {
        double e = residual(o, i), h = o->h[i % o->k];
        o->score[i] = rule != ORTHO_RULE_LEGACY ? e * e * h : h > 0 ? e * e / h : 0;
        o->chosen[i] = o->excluded[i];
        excluded += o->excluded[i];
    }
    ortho_status status = mark_top(o, o->nnz - excluded, o->excluded, o->chosen, sv);
    for (int64_t i = 0; status == ORTHO_OK && i < all; i++)
        if (o->chosen[i] && isinf(round_half(residual(o, i))))
            return sv->fail(ORTHO_E_NONFINITE,
                            "row %lld, column %lld: the residual %g is beyond"
                            " fp16",
                            (long long)(i / o->k), (long long)(i % o->k), residual(o, i));
    return status;
}

/* ---- hooks ------------------------------------------------------------------------------------
 */

static void release(void *state, const ortho_services *sv)
{
    oracle *o = state;
    void *arrays[] = {o->w, o->h, o->score, o->q, o->scale, o->excluded, o->chosen};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        sv->free(sv->ctx, arrays[i]);
    memset(o, 0, sizeof *o);
}

static ortho_status prepare(void *state, const ortho_sieve_problem *p, const ortho_services *sv)
{
    oracle o = {.n = p->w->rows, .k = p->w->cols, .nnz = p->nnz};
    o.group = p->rule == ORTHO_RULE_LEGACY || p->group <= 0 || p->group > o.k ? o.k : p->group;
    o.groups = (o.k + o.group - 1) / o.group;
    size_t all = (size_t)(o.n * o.k), groups = (size_t)(o.n * o.groups);
    o.w = sv->alloc(sv->ctx, all * sizeof *o.w, ORTHO_HOST, ORTHO_OUTPUT);
    o.h = sv->alloc(sv->ctx, (size_t)o.k * sizeof *o.h, ORTHO_HOST, ORTHO_OUTPUT);
    o.score = sv->alloc(sv->ctx, all * sizeof *o.score, ORTHO_HOST, ORTHO_OUTPUT);
    o.q = sv->alloc(sv->ctx, all, ORTHO_HOST, ORTHO_OUTPUT);
    o.scale = sv->alloc(sv->ctx, groups * sizeof *o.scale, ORTHO_HOST, ORTHO_OUTPUT);
    o.excluded = sv->alloc(sv->ctx, all, ORTHO_HOST, ORTHO_OUTPUT);
    o.chosen = sv->alloc(sv->ctx, all, ORTHO_HOST, ORTHO_OUTPUT);
    if (o.w == NULL || o.h == NULL || o.score == NULL || o.q == NULL || o.scale == NULL ||
        o.excluded == NULL || o.chosen == NULL) {
        release(&o, sv);
        return ORTHO_E_MEMORY;
    }
    memcpy(state, &o, sizeof o);
    return ORTHO_OK;
}

static ortho_status run(void *state, const ortho_sieve_problem *p, const ortho_services *sv)
{
    oracle *o = state;
    memset(o->excluded, 0, (size_t)(o->n * o->k));
    ortho_status status = read_weights(o, p->w, sv);
    if (status == ORTHO_OK)
        weigh(o, p->hessian);
    if (status == ORTHO_OK && p->rule == ORTHO_RULE_OUTLIER)
        status = exclude(o, sv);
    if (status == ORTHO_OK)
        status = fit(o, p->rule, sv);
    return status == ORTHO_OK ? choose(o, p->rule, sv) : status;
}

static void export_row(const oracle *o, int64_t r, ortho_split *out, int32_t *at)
{
    uint8_t *bytes = out->q + r * ((o->k + 1) / 2);
    memset(bytes, 0, (size_t)((o->k + 1) / 2));
    for (int64_t c = 0; c < o->k; c++) {
        int64_t i = r * o->k + c;
        bytes[c / 2] |= (uint8_t)((o->q[i] + 16) % 16 * (c % 2 == 0 ? 1 : 16));
        if (!o->chosen[i])
            continue;
        if (o->k > 65536)
            ((uint32_t *)out->col)[*at] = (uint32_t)c;
        else
            ((uint16_t *)out->col)[*at] = (uint16_t)c;
        out->val[(*at)++] = half_bits(residual(o, i));
    }
}

static ortho_status export_split(const void *state, ortho_split *out, const ortho_services *sv)
{
    const oracle *o = state;
    int32_t at = 0;
    if (out->n != o->n || out->k != o->k || out->group != o->group || out->nnz != o->nnz)
        return sv->fail(ORTHO_E_ARGUMENT, "the split to fill has another shape");
    for (int64_t r = 0; r < o->n; r++) {
        out->row_ptr[r] = at;
        export_row(o, r, out, &at);
        for (int64_t g = 0; g < o->groups; g++)
            out->scale[r * o->groups + g] = half_bits(o->scale[r * o->groups + g]);
    }
    out->row_ptr[o->n] = at;
    return ORTHO_OK;
}

extern const ortho_sieve_hooks ortho_reference_sieve_cpu;
const ortho_sieve_hooks ortho_reference_sieve_cpu = {
    .state_size = sizeof(oracle),
    .prepare = prepare,
    .run = run,
    .export_split = export_split,
    .release = release,
    .w_reads = {1, 1, 1},
};
