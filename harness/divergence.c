#include "harness/divergence.h"

#include "common/error.h"
#ifdef ORTHO_HAVE_CUDA
#include "kernels/cuda/count_lanes.h"
#endif

static void issue(void *ctx, int active, double count)
{
    ob_divergence *d = ctx;
    if (active >= 0 && active <= 32 && count > 0)
        d->histogram[active] += count;
}

ortho_lane_sink ob_divergence_sink(ob_divergence *d)
{
    return (ortho_lane_sink){.ctx = d, .issue = issue};
}

bool ob_divergence_ratio(const ob_divergence *d, double *ratio)
{
    double issued = 0, active = 0;
    for (int lanes = 0; lanes <= 32; lanes++) {
        issued += d->histogram[lanes];
        active += lanes * d->histogram[lanes];
    }
    if (!(issued > 0))
        return false;
    *ratio = active / (32 * issued);
    return true;
}

#ifdef ORTHO_HAVE_CUDA

bool ob_divergence_counts(void)
{
    return ortho_cuda_counts_lanes();
}

ortho_status ob_divergence_exact(bool clear, ob_divergence *out)
{
    uint64_t counted[33];
    ortho_status status = ortho_cuda_count_lanes_read(counted, clear);
    for (int lanes = 0; lanes <= 32 && status == ORTHO_OK; lanes++)
        out->histogram[lanes] = (double)counted[lanes];
    return status;
}

#else

bool ob_divergence_counts(void)
{
    return false;
}

ortho_status ob_divergence_exact(bool clear, ob_divergence *out)
{
    (void)clear, (void)out;
    return ortho_fail(ORTHO_E_UNSUPPORTED, "lanes are counted in a CUDA build only");
}

#endif
