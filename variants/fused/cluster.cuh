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

/* All threads of a cluster meet; in between they do what others needn't wait for. They tell each
 * other that they have come, and nothing of what they wrote: that would be a fence of the GPU's
 * scope, for which a warp waits a thousand cycles or more. Barriers that were set up are told by a
 * fence of their own, sums by the barrier that expects them. */
__device__ __forceinline__ void cluster_arrive()
{
    asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
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

/* Four floats to the same place in another block of the cluster, whose barrier expects them. */
__device__ __forceinline__ void send_four(int block, uint32_t at, uint32_t barrier, float4 v)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("{\n"
                 ".reg .b32 to, bar;\n"
                 "mapa.shared::cluster.u32 to, %0, %2;\n"
                 "mapa.shared::cluster.u32 bar, %1, %2;\n"
                 "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [to], "
                 "{%3, %4, %5, %6}, [bar];\n"
                 "}" ::"r"(at),
                 "r"(barrier), "r"(block), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w)
                 : "memory");
#endif
}

} // namespace

} // namespace ortho_fused

#endif
