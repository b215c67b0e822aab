/* The slice at work: read by rows into one buffer of its own dtype, given back before the next. */
#include "harness/session_internal.h"

#include "common/dtype.h"
#include "common/error.h"
#include "kernels/outputs.h"
#include "kernels/sieve.h"
#include "kernels/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 8 << 20 };

static ortho_status read_rows(ob_session *s, const ortho_slice *slice, void *data)
{
    size_t row_bytes = (size_t)slice->k * ortho_dtype_bytes(ortho_dataset_read_dtype(slice));
    int64_t chunk = CHUNK_BYTES / (int64_t)row_bytes;
    chunk = chunk > 0 ? chunk : 1;
    for (int64_t row = 0; row < slice->n; row += chunk) {
        if (ob_session_interrupted())
            return ortho_fail(ORTHO_E_CANCELLED, "interrupted");
        int64_t rows = slice->n - row < chunk ? slice->n - row : chunk;
        ortho_dtype dtype;
        ortho_status status = ortho_dataset_read(s->dataset, slice, row, rows,
                                                 (char *)data + (size_t)row * row_bytes, &dtype);
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

/* --hessian FILE, else the source's own, else none: from the weights. */
static ortho_status read_hessian(ob_session *s, ob_work *work)
{
    float *h = malloc((size_t)work->slice->k * sizeof *h);
    if (h == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a Hessian");
    ortho_status status = s->options->hessian != NULL
                              ? ortho_hessian_from_file(s->options->hessian, work->slice, h)
                              : ortho_dataset_hessian(s->dataset, work->slice, h);
    if (status == ORTHO_OK) {
        work->hessian = h;
        return ORTHO_OK;
    }
    free(h);
    return status == ORTHO_E_UNSUPPORTED && s->options->hessian == NULL ? ORTHO_OK : status;
}

/* What --held-out brings; nothing where it wasn't given, or where nothing can be judged by it. */
static ortho_status read_held_out(const ob_session *s, ob_work *work)
{
    const char *path = s->options->held_out;
    if (path == NULL || s->facts->four_bit)
        return ORTHO_OK;
    ortho_activations *a = &work->held_out;
    ortho_status status = ortho_activations_from_file(path, work->slice, a);
    return status == ORTHO_OK && a->x != NULL && s->options->do_sieve
               ? ortho_output_energy(&work->w, NULL, a->x, a->tokens, s->threads, &work->signal)
               : status;
}

ortho_status ob_work_open(ob_session *s, const ortho_slice *slice, ob_work *out)
{
    ob_work work = {.slice = slice};
    ortho_dtype dtype = ortho_dataset_read_dtype(slice);
    size_t bytes = (size_t)slice->n * (size_t)slice->k * ortho_dtype_bytes(dtype);
    void *data = s->backend->alloc(bytes, ORTHO_HOST);
    work.w = (ortho_matrix){
        .rows = slice->n, .cols = slice->k, .stride = slice->k, .dtype = dtype, .data = data};
    work.exact_hessian = malloc((size_t)slice->k * sizeof *work.exact_hessian);
    ortho_status status =
        data != NULL && work.exact_hessian != NULL
            ? ORTHO_OK
            : ortho_fail(ORTHO_E_MEMORY, "no memory for a slice of %zu bytes", bytes);
    if (status == ORTHO_OK)
        status = read_rows(s, slice, data);
    if (status == ORTHO_OK)
        status = read_hessian(s, &work);
    if (status == ORTHO_OK)
        status = read_held_out(s, &work);
    if (status == ORTHO_OK)
        ob_hessian_exact(&work.w, work.hessian, work.exact_hessian);
    if (status != ORTHO_OK) {
        s->backend->free(data, ORTHO_HOST);
        free(work.hessian);
        free(work.exact_hessian);
        ortho_activations_free(&work.held_out);
        return status;
    }
    *out = work;
    return ORTHO_OK;
}

void ob_work_close(ob_work *work)
{
    ob_backend_cpu.free((void *)work->w.data, ORTHO_HOST);
    free(work->hessian);
    free(work->exact_hessian);
    ortho_activations_free(&work->held_out);
    *work = (ob_work){0};
}

ortho_status ob_work_judge(const ob_session *s, const ob_work *work, const ortho_split *split,
                           ob_quality *out)
{
    const ortho_activations *a = &work->held_out;
    ob_quality q = {.held_out = a->h != NULL, .tokens = a->tokens};
    ortho_quality other = {0};
    double error = 0;
    ortho_status status = ortho_quality_measure(&work->w, split, work->hessian, s->threads, &q.own);
    if (status == ORTHO_OK && q.held_out)
        status = ortho_quality_measure(&work->w, split, a->h, s->threads, &other);
    if (status == ORTHO_OK && a->x != NULL)
        status = ortho_output_energy(&work->w, split, a->x, a->tokens, s->threads, &error);
    if (status != ORTHO_OK)
        return status;
    q.held_out_h_weighted = other.h_weighted;
    q.output_rel_mse = work->signal > 0 ? error / work->signal : 0;
    *out = q;
    return ORTHO_OK;
}

/* ---- the common split --------------------------------------------------------------------------
 */

static void copy_row(void *ctx, int64_t row, int64_t first, int64_t count, const uint32_t *col,
                     const uint16_t *val)
{
    ortho_split *split = ctx;
    (void)row;
    for (int64_t i = 0; i < count; i++) {
        if (split->k > 65536)
            ((uint32_t *)split->col)[first + i] = col[i];
        else
            ((uint16_t *)split->col)[first + i] = (uint16_t)col[i];
        split->val[first + i] = val[i];
    }
}

ortho_status ob_work_split(ob_session *s, const ob_work *work, const ob_case *c,
                           const ortho_services *services, ortho_split *out)
{
    ortho_sieve_problem p = {.w = &work->w,
                             .hessian = work->hessian,
                             .density = c->density,
                             .nnz = c->nnz,
                             .rule = s->options->rule,
                             .group = c->group};
    ortho_split split;
    ortho_status status = ortho_split_alloc(work->w.rows, work->w.cols, ortho_sieve_group(&p),
                                            c->nnz, services, ORTHO_OUTPUT, &split);
    if (status != ORTHO_OK)
        return status;
    ortho_sieve_emit emit = {.ctx = &split, .row = copy_row};
    status = ortho_sieve_stream(&p, ORTHO_WALK_VECTOR, split.q, split.scale, split.row_ptr, &emit,
                                services);
    if (status == ORTHO_OK && strcmp(s->options->ortho_rows, "sieve") != 0)
        status = ortho_rows_impose(&split, s->options->ortho_rows, s->options->seed);
    if (status == ORTHO_OK)
        status = ortho_split_check(&split);
    if (s->options->alpha == 0) /* Ortho isn't read: who reads it all the same gives NaN */
        memset(split.val, 0xff, (size_t)split.nnz * sizeof *split.val);
    if (status != ORTHO_OK) {
        ortho_split_free(&split, services);
        return status;
    }
    *out = split;
    return ORTHO_OK;
}

/* ---- activations ------------------------------------------------------------------------------
 */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in (0, 1]. */
static double next_unit(uint64_t *state)
{
    return ((double)(next_random(state) >> 11) + 1) * 0x1p-53;
}

void ob_fill_gaussian(void *data, ortho_dtype dtype, int64_t count, uint64_t seed)
{
    uint64_t state = seed;
    for (int64_t i = 0; i < count; i += 2) {
        double radius = sqrt(-2 * log(next_unit(&state)));
        double angle = 6.283185307179586 * next_unit(&state);
        ortho_dtype_store(dtype, data, i, (float)(radius * cos(angle)));
        if (i + 1 < count)
            ortho_dtype_store(dtype, data, i + 1, (float)(radius * sin(angle)));
    }
}
