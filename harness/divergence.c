#include "harness/divergence.h"

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
