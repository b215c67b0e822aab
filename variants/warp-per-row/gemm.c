/*
 * warp-per-row, dual GEMM: one row of Ortho at a time, its entries side by side in the lanes of a
 * vector: gathers of x for one token, vectors of tokens for more. The bytes are those of csr: a
 * difference between the two is the loop.
 */
#include "kernels/spmm.h"

extern const ortho_gemm_hooks ortho_warp_per_row_gemm_cpu;
void ortho_warp_per_row_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

typedef struct state {
    ortho_base base;
    ortho_csr ortho;
    const ortho_spmm_kernels *spmm;
} state;

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    state *st = opaque;
    ortho_status status = ortho_base_prepare(&st->base, problem, services);
    if (status != ORTHO_OK)
        return status;
    status = ortho_csr_prepare(&st->ortho, problem->split, services);
    if (status != ORTHO_OK)
        ortho_base_release(&st->base, services);
    st->spmm = ortho_spmm_pick();
    return status;
}

static void release(void *opaque, const ortho_services *services)
{
    state *st = opaque;
    ortho_csr_release(&st->ortho, services);
    ortho_base_release(&st->base, services);
}

static size_t workspace(const void *opaque, int64_t m)
{
    return ortho_base_workspace(&((const state *)opaque)->base, m);
}

static void patch(const void *ctx, const ortho_patch *block)
{
    const state *st = ctx;
    st->spmm->csr_vector(&st->ortho, block);
}

static void prefetch(const void *ctx, int64_t block)
{
    ortho_csr_prefetch(&((const state *)ctx)->ortho, block);
}

static ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = opaque;
    const ortho_patcher patcher = {.ctx = st, .patch = patch, .prefetch = prefetch};
    return ortho_base_run(&st->base, &patcher, call);
}

static void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *st = opaque;
    ortho_base_cost(&st->base, m, st->ortho.nnz, ortho_csr_bytes(&st->ortho), out);
}

const ortho_gemm_hooks ortho_warp_per_row_gemm_cpu = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .lanes = ortho_warp_per_row_lanes,
};
