/*
 * The streaming sieve: passes over W's rows in chunks of 128 weights, each recomputing in L1 what
 * it needs. Nothing of size n*k is kept but the outputs.
 *
 *   weigh      H from W: threads own columns, so that each sum runs down the rows in order
 *   outliers   rms of a row, then selection among |w| / rms    (3 passes; OUTLIER only)
 *   fit        scales and q of a row, then selection among scores (3 passes)
 *   emit       the chosen entries, row by row
 *
 * Outliers have the highest key there is, so that one selection of nnz entries yields both halves.
 * The bottleneck is the search of 16 scales, about 9 operations a weight and candidate.
 */
#include "kernels/sieve_internal.h"

#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"

#include <math.h>
#include <omp.h>
#include <string.h>

int64_t ortho_sieve_group(const ortho_sieve_problem *p)
{
    return p->rule == ORTHO_RULE_LEGACY || p->group <= 0 || p->group > p->w->cols ? p->w->cols
                                                                                  : p->group;
}

/* 0.29 is stored a little below 0.29, and 0.29 * 100 must still be 29: the budget is the largest m
 * whose share m / (n*k), rounded to a double, doesn't exceed density. n*k < 2^53. */
int64_t ortho_sieve_budget(double density, int64_t n, int64_t k)
{
    double all = (double)(n * k);
    if (!(density > 0))
        return 0;
    if (density >= 1)
        return n * k;
    int64_t m = (int64_t)(density * all);
    while ((double)(m + 1) / all <= density)
        m++;
    while (m > 0 && (double)m / all > density)
        m--;
    return m;
}

void ortho_sieve_reject(ortho_sieve_run *r, int64_t row)
{
    int64_t now = atomic_load(&r->bad_row);
    while (row < now && !atomic_compare_exchange_weak(&r->bad_row, &now, row)) {
    }
}

void ortho_sieve_load(const ortho_sieve_run *r, int64_t row, int64_t col, int count, float *w)
{
    const ortho_matrix *m = r->problem->w;
    r->ops->load(m->dtype, m->data, row * m->stride + col, count, w);
}

ortho_outliers ortho_sieve_outliers(const ortho_sieve_run *r, int64_t row, int64_t col)
{
    ortho_outliers out = {.bound = ORTHO_KEY_TOP, .split = ORTHO_CHUNK};
    if (r->inverse_rms != NULL) {
        out.inverse_rms = r->inverse_rms[row];
        out.split = ortho_cut_bound(&r->outliers, row, col, &out.bound);
    }
    return out;
}

static int chunk_of(const ortho_sieve_run *r, int64_t col)
{
    return r->k - col < ORTHO_CHUNK ? (int)(r->k - col) : ORTHO_CHUNK;
}

static void sum_columns(ortho_sieve_run *r, int64_t begin, int64_t end, double *sums)
{
    _Alignas(64) float w[ORTHO_CHUNK];
    memset(sums + begin, 0, (size_t)(end - begin) * sizeof *sums);
    for (int64_t row = 0; row < r->n; row++)
        for (int64_t col = begin; col < end; col += ORTHO_CHUNK) {
            int count = chunk_of(r, col);
            ortho_sieve_load(r, row, col, count, w);
            r->ops->squares_down(w, count, sums + col);
        }
}

static ortho_status weigh_by_columns(ortho_sieve_run *r)
{
    const ortho_services *sv = r->services;
    double *sums = sv->alloc(sv->ctx, (size_t)r->k * sizeof *sums, ORTHO_HOST, ORTHO_WORKING);
    if (sums == NULL)
        return ORTHO_E_MEMORY;
    int64_t share = (r->k + r->threads - 1) / r->threads;
    share = (share + ORTHO_CHUNK - 1) / ORTHO_CHUNK * ORTHO_CHUNK;
#pragma omp parallel for num_threads(r->threads) schedule(static, 1)
    for (int64_t begin = 0; begin < r->k; begin += share)
        sum_columns(r, begin, begin + share < r->k ? begin + share : r->k, sums);
    for (int64_t k = 0; k < r->k; k++)
        r->weight[k] = (float)(sums[k] / (double)r->n);
    sv->free(sv->ctx, sums);
    return ORTHO_OK;
}

static ortho_status weigh_by_hessian(ortho_sieve_run *r)
{
    const float *h = r->problem->hessian;
    for (int64_t k = 0; k < r->k; k++) {
        if (!(h[k] >= 0) || isinf(h[k]))
            return r->services->fail(ORTHO_E_ARGUMENT,
                                     "the Hessian's diagonal is %g at column %lld: it must be "
                                     "finite and not negative",
                                     (double)h[k], (long long)k);
        r->weight[k] = h[k];
    }
    return ORTHO_OK;
}

ortho_status ortho_sieve_weigh(ortho_sieve_run *r)
{
    memset(r->weight + r->k, 0, ORTHO_LANES * sizeof *r->weight);
    ortho_status status = r->problem->hessian != NULL ? weigh_by_hessian(r) : weigh_by_columns(r);
    if (status != ORTHO_OK || r->problem->rule != ORTHO_RULE_LEGACY)
        return status;
    for (int64_t k = 0; k < r->k; k++) {
        float inverse = 1.0f / r->weight[k];
        r->weight[k] = r->weight[k] > 0 ? (isinf(inverse) ? 0x1.fffffep127f : inverse) : 0;
    }
    return ORTHO_OK;
}

/* Says why a row was rejected: reads it again, for the first weight that is to blame. */
static ortho_status explain(const ortho_sieve_run *r, int64_t row)
{
    const ortho_matrix *m = r->problem->w;
    int64_t largest = 0;
    float most = 0;
    for (int64_t col = 0; col < r->k; col++) {
        float w = ortho_dtype_load(m->dtype, m->data, row * m->stride + col);
        if (!isfinite(w))
            return r->services->fail(ORTHO_E_NONFINITE, "row %lld, column %lld: the weight is %s",
                                     (long long)row, (long long)col, isnan(w) ? "NaN" : "Inf");
        if (fabsf(w) > most) {
            most = fabsf(w);
            largest = col;
        }
    }
    return r->services->fail(ORTHO_E_NONFINITE,
                             "row %lld, column %lld: the weight %g needs a scale or a residual "
                             "beyond fp16's 65504",
                             (long long)row, (long long)largest, (double)most);
}

static ortho_status check(void *ctx)
{
    ortho_sieve_run *r = ctx;
    int64_t row = atomic_load(&r->bad_row);
    return row < r->n ? explain(r, row) : ORTHO_OK;
}

static void measure_row(void *ctx, int64_t row)
{
    _Alignas(64) float w[ORTHO_CHUNK];
    ortho_sieve_run *r = ctx;
    double lanes[ORTHO_LANES] = {0};
    for (int64_t col = 0; col < r->k; col += ORTHO_CHUNK) {
        int count = chunk_of(r, col);
        ortho_sieve_load(r, row, col, count, w);
        r->ops->squares_along(w, count, lanes);
    }
    for (int width = ORTHO_LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++)
            lanes[j] += lanes[j + width];
    double rms = sqrt(lanes[0] / (double)r->k);
    if (!isfinite(rms))
        ortho_sieve_reject(r, row);
    r->inverse_rms[row] = rms > 0 ? (float)(1.0 / (rms * (double)ORTHO_RMS_SHIFT)) : 0.0f;
}

static void magnitude_keys(void *ctx, int64_t row, int64_t col, int count, uint32_t *keys)
{
    _Alignas(64) float w[ORTHO_CHUNK];
    ortho_sieve_run *r = ctx;
    ortho_sieve_load(r, row, col, count, w);
    r->ops->magnitudes(w, count, r->inverse_rms[row], keys);
}

/* One scale a chunk is the rule: groups of 128 or more; else one for every 16 columns. */
static void chunk_scales(const ortho_sieve_run *r, int64_t row, ortho_chunk *c, int64_t col)
{
    const uint16_t *scale = r->scale + row * r->groups + col / r->group;
    int vectors = (c->count + ORTHO_LANES - 1) / ORTHO_LANES;
    int a_group = r->groups == 1 || r->group % ORTHO_CHUNK == 0 ? vectors : (int)(32 / ORTHO_LANES);
    for (int begin = 0; begin < vectors; begin += a_group) {
        int64_t ahead = begin == 0 ? 0 : (col % r->group + begin * ORTHO_LANES) / r->group;
        float value = ortho_fp16_to_float(scale[ahead]);
        float inverse = value > 0.0f ? 1.0f / value : 0.0f;
        for (int v = begin; v < begin + a_group && v < vectors; v++) {
            c->scale[v] = value;
            c->inverse[v] = inverse;
        }
    }
}

static void score_keys(void *ctx, int64_t row, int64_t col, int count, uint32_t *keys)
{
    _Alignas(64) float w[ORTHO_CHUNK];
    ortho_sieve_run *r = ctx;
    ortho_chunk c; /* set field by field: clearing its arrays would cost as much as using them */
    c.w = w;
    c.h = r->weight + col;
    c.count = count;
    c.out = ortho_sieve_outliers(r, row, col);
    ortho_sieve_load(r, row, col, count, w);
    chunk_scales(r, row, &c, col);
    if (c.out.split < ORTHO_CHUNK)
        ortho_quant_portable.scores(&c, keys);
    else
        r->ops->scores(&c, keys);
}

static ortho_status select_outliers(ortho_sieve_run *r)
{
    const ortho_services *sv = r->services;
    r->inverse_rms =
        sv->alloc(sv->ctx, (size_t)r->n * sizeof *r->inverse_rms, ORTHO_HOST, ORTHO_WORKING);
    if (r->inverse_rms == NULL)
        return ORTHO_E_MEMORY;
    ortho_select_problem p = {.n = r->n,
                              .k = r->k,
                              .need = r->problem->nnz / 2,
                              .ops = r->ops,
                              .services = sv,
                              .threads = r->threads};
    ortho_keys keys = {r, measure_row, magnitude_keys, check};
    return ortho_select(&p, &keys, &r->outliers);
}

static ortho_status select_entries(ortho_sieve_run *r, int32_t *row_ptr, ortho_cut *cut)
{
    ortho_select_problem p = {.n = r->n,
                              .k = r->k,
                              .need = r->problem->nnz,
                              .ops = r->ops,
                              .services = r->services,
                              .threads = r->threads,
                              .row_count = row_ptr + 1};
    ortho_keys keys = {r, ortho_sieve_fit_row, score_keys, check};
    ortho_status status = ortho_select(&p, &keys, cut);
    if (status != ORTHO_OK)
        return status;
    row_ptr[0] = 0;
    for (int64_t row = 0; row < r->n; row++)
        row_ptr[row + 1] += row_ptr[row];
    return ORTHO_OK;
}

static uint16_t residual(const ortho_sieve_run *r, int64_t row, int64_t col)
{
    const ortho_matrix *m = r->problem->w;
    int byte = r->q[row * ((r->k + 1) / 2) + col / 2];
    int q = col % 2 == 0 ? byte & 15 : byte >> 4;
    float scale = ortho_fp16_to_float(r->scale[row * r->groups + col / r->group]);
    float w = ortho_dtype_load(m->dtype, m->data, row * m->stride + col);
    return ortho_float_to_fp16(w - scale * (float)(q >= 8 ? q - 16 : q));
}

static int64_t collect_row(ortho_sieve_run *r, const ortho_cut *cut, int64_t row, uint32_t *cols,
                           uint16_t *vals)
{
    _Alignas(64) uint32_t keys[ORTHO_CHUNK];
    uint8_t index[ORTHO_CHUNK];
    int64_t count = 0;
    for (int64_t col = 0; col < r->k; col += ORTHO_CHUNK) {
        int chunk = chunk_of(r, col);
        score_keys(r, row, col, chunk, keys);
        int found = ortho_cut_collect(cut, row, col, chunk, r->ops, keys, index);
        for (int i = 0; i < found; i++, count++) {
            cols[count] = (uint32_t)(col + index[i]);
            vals[count] = residual(r, row, col + index[i]);
            if ((vals[count] & 0x7c00u) == 0x7c00u)
                ortho_sieve_reject(r, row);
        }
    }
    return count;
}

static int64_t longest_row(const ortho_sieve_run *r, const int32_t *row_ptr)
{
    int64_t longest = 0;
    for (int64_t row = 0; row < r->n; row++)
        if (row_ptr[row + 1] - row_ptr[row] > longest)
            longest = row_ptr[row + 1] - row_ptr[row];
    return longest;
}

/* Each thread collects a row's entries in buffers as long as the longest row. */
static ortho_status emit_rows(ortho_sieve_run *r, const ortho_cut *cut, const int32_t *row_ptr,
                              const ortho_sieve_emit *emit)
{
    const ortho_services *sv = r->services;
    size_t room = ((size_t)longest_row(r, row_ptr) + 63) / 64 * 64, all = (size_t)r->threads * room;
    uint32_t *cols =
        sv->alloc(sv->ctx, all * (sizeof *cols + sizeof(uint16_t)), ORTHO_HOST, ORTHO_WORKING);
    if (cols == NULL)
        return ORTHO_E_MEMORY;
    uint16_t *vals = (uint16_t *)(cols + all);
#pragma omp parallel num_threads(r->threads)
    {
        size_t at = (size_t)omp_get_thread_num() * room;
#pragma omp for schedule(dynamic, 8)
        for (int64_t row = 0; row < r->n; row++) {
            if (row_ptr[row] == row_ptr[row + 1])
                continue;
            int64_t count = collect_row(r, cut, row, cols + at, vals + at);
            emit->row(emit->ctx, row, row_ptr[row], count, cols + at, vals + at);
        }
    }
    sv->free(sv->ctx, cols);
    return check(r);
}

static ortho_status stream(ortho_sieve_run *r, int32_t *row_ptr, const ortho_sieve_emit *emit)
{
    ortho_cut cut;
    ortho_status status = ortho_sieve_weigh(r);
    if (status == ORTHO_OK && r->problem->rule == ORTHO_RULE_OUTLIER && r->problem->nnz >= 2)
        status = select_outliers(r);
    if (status == ORTHO_OK)
        status = select_entries(r, row_ptr, &cut);
    if (status == ORTHO_OK && emit->rows != NULL)
        status = emit->rows(emit->ctx, row_ptr);
    return status == ORTHO_OK ? emit_rows(r, &cut, row_ptr, emit) : status;
}

static ortho_status check_problem(const ortho_sieve_problem *p, const ortho_services *sv)
{
    const ortho_matrix *w = p->w;
    int64_t group = ortho_sieve_group(p);
    if (w->rows < 1 || w->cols < 1 || w->stride < w->cols || w->rows > UINT32_MAX / w->cols)
        return sv->fail(ORTHO_E_ARGUMENT, "the sieve takes up to 2^32 weights, not %lld x %lld",
                        (long long)w->rows, (long long)w->cols);
    if (w->dtype != ORTHO_F32 && w->dtype != ORTHO_F16 && w->dtype != ORTHO_BF16)
        return sv->fail(ORTHO_E_UNSUPPORTED, "the sieve reads F32, F16 and BF16, not %s",
                        ortho_dtype_name(w->dtype));
    if (group != w->cols && group % 32 != 0)
        return sv->fail(ORTHO_E_ARGUMENT, "group %lld: a multiple of 32, or 0 for the whole row",
                        (long long)group);
    if (p->nnz < 0 || p->nnz > w->rows * w->cols || p->nnz > INT32_MAX)
        return sv->fail(ORTHO_E_ARGUMENT, "%lld entries of %lld x %lld weights: not possible",
                        (long long)p->nnz, (long long)w->rows, (long long)w->cols);
    return ORTHO_OK;
}

/* A thread's histogram takes 8 KiB: a small matrix doesn't get more threads than it can pay. */
static int threads_for(int64_t elements, int asked)
{
    int64_t worth = elements >> 18;
    worth = worth < 1 ? 1 : worth;
    return worth < asked ? (int)worth : (asked < 1 ? 1 : asked);
}

ortho_status ortho_sieve_stream(const ortho_sieve_problem *problem, ortho_sieve_walk walk,
                                uint8_t *q, uint16_t *scale, int32_t *row_ptr,
                                const ortho_sieve_emit *emit, const ortho_services *services)
{
    ortho_status status = check_problem(problem, services);
    if (status != ORTHO_OK)
        return status;
    ortho_sieve_run r = {.problem = problem, .services = services, .q = q, .scale = scale};
    r.n = problem->w->rows;
    r.k = problem->w->cols;
    r.group = ortho_sieve_group(problem);
    r.groups = (r.k + r.group - 1) / r.group;
    r.threads = threads_for(r.n * r.k, services->threads);
    ortho_cpu_level level = ortho_cpu_detect();
    r.ops = walk == ORTHO_WALK_VECTOR ? ortho_quant_ops_for(level) : ortho_quant_ops_plain(level);
    atomic_store(&r.bad_row, r.n);
    r.weight = services->alloc(services->ctx, (size_t)(r.k + ORTHO_LANES) * sizeof *r.weight,
                               ORTHO_HOST, ORTHO_WORKING);
    if (r.weight == NULL)
        return ORTHO_E_MEMORY;
    status = stream(&r, row_ptr, emit);
    services->free(services->ctx, r.inverse_rms);
    services->free(services->ctx, r.weight);
    return status;
}
