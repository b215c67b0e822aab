#include "kernels/cuda/count_lanes.h"

#include "common/error.h"

#include <string.h>

#ifdef ORTHO_COUNT_LANES
#define COUNTS true
#else
#define COUNTS false
#endif

/* The list that files enter before main: none of it changes later. */
static ortho_cuda_lane_counter *counters;

bool ortho_cuda_counts_lanes(void)
{
    return COUNTS;
}

void ortho_cuda_count_lanes_register(ortho_cuda_lane_counter *counter)
{
    counter->next = counters;
    counters = counter;
}

ortho_status ortho_cuda_count_lanes_read(uint64_t histogram[33], bool clear)
{
    uint64_t sum[33] = {0};
    if (!COUNTS)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "this build doesn't count lanes: configure one with "
                                               "-DORTHO_COUNT_LANES=ON");
    for (ortho_cuda_lane_counter *c = counters; c != NULL; c = c->next) {
        ortho_status status = c->read(sum, clear);
        if (status != ORTHO_OK)
            return status;
    }
    memcpy(histogram, sum, sizeof sum);
    return ORTHO_OK;
}
