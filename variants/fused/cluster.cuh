/* cluster.cuh: blocks of a cluster, which reach each other's shared memory. */
#ifndef ORTHO_VARIANTS_FUSED_CLUSTER_CUH
#define ORTHO_VARIANTS_FUSED_CLUSTER_CUH

#include <stdint.h>

namespace ortho_fused
{

namespace
{

__device__ __forceinline__ int rank_in_cluster()
{
    int rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

/* All threads of a cluster meet; in between they do what others needn't wait for. */
__device__ __forceinline__ void cluster_arrive()
{
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}

__device__ __forceinline__ void cluster_wait()
{
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ void cluster_meet()
{
    cluster_arrive();
    cluster_wait();
}

/* At a block's barrier. Of no wider scope than a block: that would be a fence. */
__device__ __forceinline__ void barrier_arrive_of(int block, uint32_t barrier)
{
    asm volatile("{\n"
                 ".reg .b32 there;\n"
                 "mapa.shared::cluster.u32 there, %0, %1;\n"
                 "mbarrier.arrive.shared::cluster.b64 _, [there];\n"
                 "}" ::"r"(barrier),
                 "r"(block)
                 : "memory");
}

} // namespace

} // namespace ortho_fused

#endif
