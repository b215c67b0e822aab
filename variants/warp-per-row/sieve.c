/* warp-per-row's sieve: streaming, inner loops vectorised along the row. */
#include "kernels/sieve_csr.h"

static ortho_status run(void *state, const ortho_sieve_problem *problem,
                        const ortho_services *services)
{
    return ortho_sieve_csr_run(state, problem, ORTHO_WALK_VECTOR, services);
}

/* One warp a row walks its k columns 32 at a time and compacts by ballot: every lane tests its
 * column, chosen or not, so that only the last step of a row has idle lanes. */
static void lanes(const ortho_split *s, const ortho_lane_sink *sink)
{
    double rows = (double)s->n;
    if (s->k >= 32)
        sink->issue(sink->ctx, 32, rows * (double)(s->k / 32));
    if (s->k % 32 != 0)
        sink->issue(sink->ctx, (int)(s->k % 32), rows);
}

extern const ortho_sieve_hooks ortho_warp_per_row_sieve_cpu;
const ortho_sieve_hooks ortho_warp_per_row_sieve_cpu = {
    .state_size = sizeof(ortho_sieve_csr),
    .prepare = ortho_sieve_csr_prepare,
    .run = run,
    .export_split = ortho_sieve_csr_export,
    .release = ortho_sieve_csr_release,
    .lanes = lanes,
    .w_reads = ORTHO_SIEVE_W_READS,
};
