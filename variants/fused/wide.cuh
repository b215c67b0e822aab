/*
 * wide.cuh: the kernel of wide.cu: fp16, both operands of wgmma in shared memory.
 *
 * Warps that unpack turn packed weights into fp16, add Ortho where it has entries and put them into
 * a slot, where x comes beside them (unpacker.cuh). Warpgroups that multiply do nothing else, so
 * that the tensor cores wait only for slots. Products are added up in fp32 over all of K.
 */
#ifndef ORTHO_VARIANTS_FUSED_WIDE_CUH
#define ORTHO_VARIANTS_FUSED_WIDE_CUH

#include "variants/fused/multiplier.cuh"
#include "variants/fused/unpacker.cuh"

namespace ortho_fused
{

namespace
{

template <typename F>
__device__ __forceinline__ void multiply_tiles(const wide_launch &l, const wide_memory<F> &m,
                                               tile_walk<F> tile)
{
    multiplier<F> b(m, l);
    b.mend();
    const int splitter = tile_walk<F>::splitter();
    const int images = tile.images_from(splitter + 1) - tile.images_from(splitter);
#pragma unroll 1
    for (; tile.there(); tile.next()) {
        b.begin(tile);
        b.run(images);
        if constexpr (F::SPLIT > 1)
            b.add_up();
        ortho_cuda_wait_for_previous();
        b.store(tile);
        if (F::SPLIT > 1)
            break;
    }
}

/* L: wide_single or wide_group. */
template <typename F, int GROUPS, typename L>
__global__ void __launch_bounds__(F::THREADS, 1)
    wide_kernel(const __grid_constant__ L all, const __grid_constant__ CUtensorMap map)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    const wide_launch &l = all.of_cluster(tile_walk<F>::cluster());
    const wide_memory<F> m(dynamic_shared(), l);
    const tile_walk<F> tile(l);
    if (threadIdx.x == 0) {
        m.open();
        meeting_open(UNPACKERS_MEET, sorter<F>::THREADS);
    }
    __syncthreads();
    if (F::CLUSTER > 1)
        cluster_meet(); /* before a block tells another's barriers anything */
    const int warp = uniform(static_cast<int>(threadIdx.x / 32));
    if (warp < F::ROW_GROUPS * GROUP_WARPS) {
        if (F::SHARES_OUT)
            take_registers<F::MULTIPLIER_REGISTERS>();
        multiply_tiles<F>(l, m, tile);
    } else {
        if (F::SHARES_OUT)
            give_registers<F::UNPACKER_REGISTERS>();
        if (F::FEEDS && warp == F::THREADS / 32 - 1) {
            feeder<F> x(m, map);
            x.run(tile);
            __syncwarp();
        } else {
            unpacker<F, GROUPS> u(l, m, map, tile, warp - F::ROW_GROUPS * GROUP_WARPS);
            u.run();
        }
        if (F::SPLIT > 1)
            cluster_meet(); /* with those who add up */
    }
#else
    asm volatile("trap;"); /* there is no wgmma: better no result than a wrong one */
#endif
}

} // namespace

} // namespace ortho_fused

#endif
