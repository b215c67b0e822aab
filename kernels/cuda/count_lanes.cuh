/*
 * count_lanes.cuh: ORTHO_COUNT_LANES_HERE(weight) counts `weight` instructions with the lanes that
 * are active where it stands. Nothing but in a build with ORTHO_COUNT_LANES: there each file that
 * includes this has counters of its own, and says so to count_lanes.h as the program starts.
 */
#ifndef ORTHO_KERNELS_CUDA_COUNT_LANES_CUH
#define ORTHO_KERNELS_CUDA_COUNT_LANES_CUH

#ifndef ORTHO_COUNT_LANES
#define ORTHO_COUNT_LANES_HERE(weight) static_cast<void>(0)
#else

#include "kernels/cuda/count_lanes.h"
#include "kernels/cuda/status.h"

namespace
{

__device__ unsigned long long ortho_cuda_lanes[33];

/* The lowest of the active lanes adds. */
__device__ __forceinline__ void ortho_cuda_count_lanes(unsigned long long weight)
{
    const unsigned active = __activemask();
    if (threadIdx.x % 32 == static_cast<unsigned>(__ffs(static_cast<int>(active)) - 1))
        atomicAdd(&ortho_cuda_lanes[__popc(active)], weight);
}

ortho_status ortho_cuda_read_lanes(uint64_t histogram[33], bool clear)
{
    unsigned long long counted[33], none[33] = {};
    ortho_status status = ortho_cuda_status(cudaDeviceSynchronize(), "counting lanes");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaMemcpyFromSymbol(counted, ortho_cuda_lanes, sizeof counted),
                                   "reading the lanes counted");
    if (status == ORTHO_OK && clear)
        status = ortho_cuda_status(cudaMemcpyToSymbol(ortho_cuda_lanes, none, sizeof none),
                                   "clearing the lanes counted");
    for (int i = 0; i <= 32 && status == ORTHO_OK; i++)
        histogram[i] += counted[i];
    return status;
}

/* Its one object registers this file's counters. */
struct ortho_cuda_lane_registration {
    ortho_cuda_lane_counter counter;
    ortho_cuda_lane_registration() : counter{ortho_cuda_read_lanes, nullptr}
    {
        ortho_cuda_count_lanes_register(&counter);
    }
} ortho_cuda_lanes_registered;

} // namespace

#define ORTHO_COUNT_LANES_HERE(weight) ortho_cuda_count_lanes(weight)

#endif
#endif
