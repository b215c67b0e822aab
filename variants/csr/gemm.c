/*
 * csr, dual GEMM: rows of Ortho through row_ptr, one scalar loop per row and token, on top of the
 * Base that all competitors share. Beyond Base it moves 4 bytes an entry (u16 column, fp16 value)
 * and 4 a row.
 */
#include "kernels/csr_gemm.h"

extern const ortho_gemm_hooks ortho_csr_gemm_cpu;
void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

static ortho_status prepare(void *state, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    return ortho_csr_gemm_prepare(state, ortho_spmm_pick()->csr_scalar, problem, services);
}

const ortho_gemm_hooks ortho_csr_gemm_cpu = {
    .state_size = sizeof(ortho_csr_gemm),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = ortho_csr_gemm_workspace,
    .run = ortho_csr_gemm_run,
    .release = ortho_csr_gemm_release,
    .cost = ortho_csr_gemm_cost,
    .lanes = ortho_csr_lanes,
    .export_split = ortho_csr_gemm_export,
};
