/* csr's sieve: streaming, plain inner loops, a thread a row; the entries go straight into CSR. */
#include "kernels/sieve_csr.h"

static ortho_status run(void *state, const ortho_sieve_problem *problem,
                        const ortho_services *services)
{
    return ortho_sieve_csr_run(state, problem, ORTHO_WALK_SCALAR, services);
}

void ortho_csr_sieve_lanes(const ortho_split *s, const ortho_lane_sink *sink);

extern const ortho_sieve_hooks ortho_csr_sieve_cpu;
const ortho_sieve_hooks ortho_csr_sieve_cpu = {
    .state_size = sizeof(ortho_sieve_csr),
    .prepare = ortho_sieve_csr_prepare,
    .run = run,
    .export_split = ortho_sieve_csr_export,
    .release = ortho_sieve_csr_release,
    .lanes = ortho_csr_sieve_lanes,
    .w_reads = ORTHO_SIEVE_W_READS,
};
