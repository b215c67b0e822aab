/*
 * reference, dual GEMM: the oracle behind the hooks of a variant. prepare keeps a plain copy of the
 * canonical split; run sums in fp64 and rounds each output once.
 */
#include "variants/reference/oracle.h"

#include <string.h>

extern const ortho_gemm_hooks ortho_reference_gemm_cpu;

typedef struct state {
    ortho_split split; /* our copy */
    int threads;       /* for which the workspace is sized */
} state;

/* Copies `bytes` into an allocation booked on the weights; NULL with the message left. */
static void *keep(const ortho_services *services, const void *from, size_t bytes)
{
    void *copy = services->alloc(services->ctx, bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    if (copy != NULL && bytes > 0)
        memcpy(copy, from, bytes);
    return copy;
}

static void release(void *opaque, const ortho_services *services)
{
    state *st = opaque;
    services->free(services->ctx, st->split.val);
    services->free(services->ctx, st->split.col);
    services->free(services->ctx, st->split.row_ptr);
    services->free(services->ctx, st->split.scale);
    services->free(services->ctx, st->split.q);
    memset(st, 0, sizeof *st);
}

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    state *st = opaque;
    const ortho_split *s = problem->split;
    size_t n = (size_t)s->n, nnz = (size_t)s->nnz;
    size_t groups = (size_t)((s->k + s->group - 1) / s->group);
    *st = (state){.split = *s, .threads = services->threads};
    st->split.q = keep(services, s->q, n * (size_t)((s->k + 1) / 2));
    st->split.scale = keep(services, s->scale, n * groups * sizeof(uint16_t));
    st->split.row_ptr = keep(services, s->row_ptr, (n + 1) * sizeof(int32_t));
    st->split.col = keep(services, s->col, nnz * ortho_split_col_bytes(s->k));
    st->split.val = keep(services, s->val, nnz * sizeof(uint16_t));
    if (st->split.q == NULL || st->split.scale == NULL || st->split.row_ptr == NULL ||
        st->split.col == NULL || st->split.val == NULL) {
        release(st, services);
        return ORTHO_E_MEMORY;
    }
    return ORTHO_OK;
}

/* The sums in double, then the oracle's own scratch. */
static size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype)
{
    (void)dtype;
    const state *st = opaque;
    return (size_t)(m * st->split.n) * sizeof(double) +
           ortho_oracle_scratch(st->split.k, st->threads);
}

static ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = opaque;
    double *y = call->workspace;
    int64_t count = call->m * st->split.n;
    ortho_oracle_job job = {
        .split = &st->split,
        .x = call->x,
        .dtype = call->dtype,
        .m = call->m,
        .alpha = call->alpha,
        .threads = call->threads < st->threads ? call->threads : st->threads,
        .y = y,
    };
    ortho_status status = ortho_oracle_gemm_with(&job, y + count);
    for (int64_t i = 0; status == ORTHO_OK && i < count; i++)
        ortho_oracle_store(call->dtype, call->y, i, y[i]);
    return status;
}

const ortho_gemm_hooks ortho_reference_gemm_cpu = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
};
