#include "kernels/csr_gemm.h"

ortho_status ortho_csr_gemm_prepare(ortho_csr_gemm *state, ortho_csr_patch patch,
                                    const ortho_gemm_problem *problem,
                                    const ortho_services *services)
{
    ortho_status status = ortho_base_prepare(&state->base, problem, services);
    if (status != ORTHO_OK)
        return status;
    status = ortho_csr_prepare(&state->ortho, problem->split, services);
    if (status != ORTHO_OK)
        ortho_base_release(&state->base, services);
    state->patch = patch;
    return status;
}

void ortho_csr_gemm_release(void *state, const ortho_services *services)
{
    ortho_csr_gemm *st = state;
    ortho_csr_release(&st->ortho, services);
    ortho_base_release(&st->base, services);
}

size_t ortho_csr_gemm_workspace(const void *state, int64_t m, ortho_dtype dtype)
{
    (void)dtype;
    return ortho_base_workspace(&((const ortho_csr_gemm *)state)->base, m);
}

static void patch_block(const void *ctx, const ortho_patch *block)
{
    const ortho_csr_gemm *st = ctx;
    st->patch(&st->ortho, block);
}

static void prefetch_block(const void *ctx, int64_t block)
{
    ortho_csr_prefetch(&((const ortho_csr_gemm *)ctx)->ortho, block);
}

ortho_status ortho_csr_gemm_run(const void *state, const ortho_gemm_call *call)
{
    const ortho_csr_gemm *st = state;
    const ortho_patcher patcher = {.ctx = st, .patch = patch_block, .prefetch = prefetch_block};
    return ortho_base_run(&st->base, &patcher, call);
}

ortho_status ortho_csr_gemm_export(const void *state, ortho_split *out,
                                   const ortho_services *services)
{
    const ortho_csr_gemm *st = state;
    (void)services;
    ortho_base_export(&st->base, out);
    ortho_csr_export(&st->ortho, out);
    return ORTHO_OK;
}

void ortho_csr_gemm_cost(const void *state, int64_t m, ortho_cost *out)
{
    const ortho_csr_gemm *st = state;
    ortho_base_cost(&st->base, m, st->ortho.nnz, ortho_csr_bytes(&st->ortho), out);
}
