/*
 * One copy of what a GEMM works on (the variant's state, x, y, workspace), and what its output is
 * checked against. A group of cases rotates over several copies of one slice; a pass has one copy
 * of every slice.
 */
#include "harness/session_internal.h"

#include "common/dtype.h"
#include "common/error.h"
#include "variants/table.h"

#include <stdlib.h>
#include <string.h>

ortho_status ob_operands_open(const ob_session *s, const ob_work *work, const ortho_split *split,
                              int64_t m, ob_operands *out)
{
    size_t element = ortho_dtype_bytes(s->dtype);
    ob_operands o = {.work = work,
                     .split = split,
                     .n = split->n,
                     .k = split->k,
                     .m = m,
                     .nnz = split->nnz,
                     .group = split->group,
                     .dtype = s->dtype,
                     .x_bytes = (size_t)(m * split->k) * element,
                     .y_bytes = (size_t)(m * split->n) * element};
    o.x = malloc(o.x_bytes);
    o.host = malloc(o.y_bytes);
    o.back = malloc(o.x_bytes);
    if (o.x == NULL || o.host == NULL || o.back == NULL) {
        ob_operands_close(&o);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a batch of %lld", (long long)m);
    }
    ob_fill_gaussian(o.x, o.dtype, m * o.k, s->options->seed + (uint64_t)m);
    *out = o;
    return ORTHO_OK;
}

void ob_operands_close(ob_operands *o)
{
    for (int i = 0; i < OB_TRUTHS; i++)
        ob_gemm_truth_free(&o->truth[i]);
    free(o->back);
    free(o->host);
    free(o->x);
    *o = (ob_operands){0};
}

/* Sizes only: without split and w. */
static ortho_gemm_problem problem_of(const ob_copier *c, const ob_operands *o)
{
    return (ortho_gemm_problem){.n = o->n,
                                .k = o->k,
                                .m = o->m,
                                .nnz = o->nnz,
                                .group = o->group,
                                .dtype = o->dtype,
                                .activations = c->activations};
}

ortho_status ob_copier_supports(const ob_copier *c, const ortho_variant *v, const ob_operands *o)
{
    const ortho_gemm_problem p = problem_of(c, o);
    return ortho_variant_supports(v, &p, &c->services);
}

/* W as a user would store it beside activations of this dtype: rounded, where that is narrower. */
static ortho_status round_weights(const ob_operands *o, ortho_matrix *out)
{
    const ortho_matrix *w = &o->work->w;
    *out = *w;
    if (o->dtype == ORTHO_F32 || o->dtype == w->dtype)
        return ORTHO_OK;
    void *data = malloc((size_t)(w->rows * w->cols) * ortho_dtype_bytes(o->dtype));
    if (data == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the rounded weights");
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t c = 0; c < w->cols; c++)
            ortho_dtype_store(o->dtype, data, r * w->cols + c,
                              ortho_dtype_load(w->dtype, w->data, r * w->stride + c));
    *out = (ortho_matrix){
        .rows = w->rows, .cols = w->cols, .stride = w->cols, .dtype = o->dtype, .data = data};
    return ORTHO_OK;
}

static ortho_status make_truth(const ob_session *s, ob_operands *o, int which)
{
    ortho_matrix w = {0};
    bool unsplit = which == OB_TRUTH_UNSPLIT;
    ortho_status status = unsplit ? round_weights(o, &w) : ORTHO_OK;
    if (status != ORTHO_OK)
        return status;
    ob_gemm_inputs in = {.split = o->split,
                         .w = unsplit ? &w : NULL,
                         .x = o->x,
                         .dtype = o->dtype,
                         .m = o->m,
                         .alpha = (float)s->options->alpha,
                         .threads = s->threads,
                         .seed = s->options->seed,
                         .activations = which == OB_TRUTH_INT8 ? ORTHO_ACTIVATIONS_INT8
                                                               : ORTHO_ACTIVATIONS_EXACT};
    status = ob_gemm_truth_make(&in, &o->truth[which]);
    if (unsplit && w.data != o->work->w.data)
        free((void *)w.data);
    return status;
}

/* ---- copies ---------------------------------------------------------------------------------- */

void ob_copy_release(ob_copier *c, ob_copy *copy)
{
    if (copy->prepared)
        c->hooks->release(copy->state, &c->services);
    ob_memory_free(c->bench, copy->workspace);
    ob_memory_free(c->bench, copy->y);
    if (!copy->lent_x)
        ob_memory_free(c->bench, copy->x);
    ob_memory_free(c->bench, copy->state);
    *copy = (ob_copy){0};
}

ortho_status ob_copy_prepare(ob_copier *c, const ob_operands *o, ob_copy *copy)
{
    ortho_gemm_problem p = problem_of(c, o);
    p.split = o->split;
    p.w = &o->work->w;
    copy->state = ob_memory_alloc(c->bench, c->hooks->state_size, ORTHO_HOST, ORTHO_WORKING);
    if (copy->state == NULL)
        return ORTHO_E_MEMORY;
    memset(copy->state, 0, c->hooks->state_size);
    ortho_status status = c->hooks->prepare(copy->state, &p, &c->services);
    copy->prepared = status == ORTHO_OK;
    return status;
}

ortho_status ob_copy_make(ob_copier *c, const ob_operands *o, ob_copy *copy)
{
    const ob_backend *b = c->session->backend;
    ortho_status status = ob_copy_prepare(c, o, copy);
    if (status != ORTHO_OK)
        return status;
    copy->workspace_bytes =
        c->hooks->workspace != NULL ? c->hooks->workspace(copy->state, o->m, o->dtype) : 0;
    if (!copy->lent_x)
        copy->x = ob_memory_alloc(c->bench, o->x_bytes, b->space, ORTHO_WORKING);
    copy->y = ob_memory_alloc(c->bench, o->y_bytes, b->space, ORTHO_WORKING);
    copy->workspace = ob_memory_alloc(c->bench, copy->workspace_bytes, b->space, ORTHO_WORKING);
    if (copy->x == NULL || copy->y == NULL || copy->workspace == NULL)
        return ORTHO_E_MEMORY;
    if (!copy->lent_x)
        status = b->upload(copy->x, o->x, o->x_bytes);
    return status == ORTHO_OK ? b->fill(copy->y, 0xff, o->y_bytes) : status;
}

ortho_gemm_call ob_copy_call(const ob_copier *c, const ob_copy *copy, int64_t m)
{
    const ob_session *s = c->session;
    return (ortho_gemm_call){.x = copy->x,
                             .y = copy->y,
                             .dtype = s->dtype,
                             .m = m,
                             .alpha = (float)s->options->alpha,
                             .workspace = copy->workspace,
                             .threads = s->threads,
                             .stream = s->backend->stream(s->queue),
                             .way = c->way};
}

ortho_status ob_copy_run(const ob_copier *c, const ob_copy *copy, int64_t m)
{
    ortho_gemm_call call = ob_copy_call(c, copy, m);
    return c->hooks->run(copy->state, &call);
}

static ortho_status check_input(const ob_copier *c, const ob_operands *o, const ob_copy *copy)
{
    ortho_status status = c->session->backend->download(o->back, copy->x, o->x_bytes);
    if (status == ORTHO_OK && memcmp(o->back, o->x, o->x_bytes) != 0)
        status = ortho_fail(ORTHO_E_WRONG, "it changed its input x");
    return status;
}

ortho_status ob_copy_fetch(const ob_copier *c, const ob_operands *o, const ob_copy *copy)
{
    ortho_status status = check_input(c, o, copy);
    return status == ORTHO_OK ? c->session->backend->download(o->host, copy->y, o->y_bytes)
                              : status;
}

ortho_status ob_copy_check(const ob_copier *c, ob_operands *o, const ob_copy *copy,
                           ob_verdict *verdict)
{
    ortho_status status = ob_copy_fetch(c, o, copy);
    return status == ORTHO_OK ? ob_operands_check(c, o, verdict) : status;
}

ortho_status ob_operands_check(const ob_copier *c, ob_operands *o, ob_verdict *verdict)
{
    if (c->hooks->computes == ORTHO_COMPUTES_NOTHING)
        return ob_poison_verify(o->host, o->y_bytes, verdict);
    const int which = c->activations == ORTHO_ACTIVATIONS_INT8       ? OB_TRUTH_INT8
                      : c->hooks->computes == ORTHO_COMPUTES_UNSPLIT ? OB_TRUTH_UNSPLIT
                                                                     : OB_TRUTH_SPLIT;
    ortho_status status = o->truth[which].y == NULL ? make_truth(c->session, o, which) : ORTHO_OK;
    return status == ORTHO_OK ? ob_gemm_verify(&o->truth[which], o->host, verdict) : status;
}

ortho_cost ob_copy_cost(const ob_copier *c, const ob_operands *o, const ob_copy *copy,
                        size_t weights)
{
    ortho_cost cost = {.bytes = (double)(weights + o->x_bytes + o->y_bytes),
                       .flops =
                           2.0 * (double)o->m * ((double)o->n * (double)o->k + (double)o->nnz)};
    if (c->hooks->cost != NULL)
        c->hooks->cost(copy->state, o->m, &cost);
    /* With alpha = 0 no entry is read; a variant that keeps more than columns and values of them
     * has this much of a floor too many. */
    if (c->session->options->alpha == 0 && c->hooks->computes == ORTHO_COMPUTES_SPLIT) {
        cost.bytes -= (double)o->nnz * (double)(ortho_split_col_bytes(o->k) + sizeof(uint16_t));
        cost.flops -= 2.0 * (double)o->m * (double)o->nnz;
    }
    return cost;
}
