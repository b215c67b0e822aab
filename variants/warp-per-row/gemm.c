/*
 * warp-per-row, dual GEMM: one row of Ortho at a time, its entries side by side in the lanes of a
 * vector: gathers of x for one token, vectors of tokens for more. The bytes are those of csr: a
 * difference between the two is the loop.
 */
#include "kernels/csr_gemm.h"

extern const ortho_gemm_hooks ortho_warp_per_row_gemm_cpu;
void ortho_warp_per_row_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

static ortho_status prepare(void *state, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    return ortho_csr_gemm_prepare(state, ortho_spmm_pick()->csr_vector, problem, services);
}

const ortho_gemm_hooks ortho_warp_per_row_gemm_cpu = {
    .state_size = sizeof(ortho_csr_gemm),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = ortho_csr_gemm_workspace,
    .run = ortho_csr_gemm_run,
    .release = ortho_csr_gemm_release,
    .cost = ortho_csr_gemm_cost,
    .lanes = ortho_warp_per_row_lanes,
    .export_split = ortho_csr_gemm_export,
};
