/*
 * once.cuh: the kernels of once.cu: each weight is unpacked once, however many tokens there are.
 *
 * A persistent kernel of pairs of blocks. Two warpgroups multiply, both operands from shared
 * memory; a warp asks for them; three warps unpack what tiles will need next into the workspace,
 * where it is read from the L2 by all blocks that have these rows.
 */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_CUH
#define ORTHO_VARIANTS_FUSED_ONCE_CUH

#include "variants/fused/once_feeder.cuh"
#include "variants/fused/once_multiplier.cuh"
#include "variants/fused/once_unpacker.cuh"

namespace ortho_fused
{

namespace
{

/* One thread of each block. */
__device__ __forceinline__ void end_block(const once_launch &l)
{
    const uint32_t mine = blockIdx.x == 0 ? ONE_LAUNCH - (gridDim.x - 1) : 1;
    asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" ::"l"(&l.counters->ended), "r"(mine)
                 : "memory");
}

constexpr int ONCE_OPEN_THREADS = 256;

/* Where counters aren't known to be 0. */
__global__ void __launch_bounds__(ONCE_OPEN_THREADS) once_open_kernel(uint32_t *counters, int count)
{
    ortho_cuda_release_dependents();
    ortho_cuda_wait_for_previous(); /* which may still count */
    for (int i = static_cast<int>(threadIdx.x); i < count; i += ONCE_OPEN_THREADS)
        counters[i] = 0;
}

template <typename F, int GROUPS>
__global__ void __launch_bounds__(ONCE_THREADS, 1)
    once_kernel(const __grid_constant__ once_launch l, const __grid_constant__ CUtensorMap map)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    const once_memory<F> m(dynamic_shared());
    const int warp = uniform(static_cast<int>(threadIdx.x / 32));
    if (threadIdx.x == 0) {
        m.open();
        asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
    }
    ortho_cuda_release_dependents();
    __syncthreads();
    cluster_arrive(); /* before a block tells the other's barriers anything */
    if (warp < ONCE_MULTIPLIERS) {
        cluster_wait();
        if constexpr (F::SHARES_OUT)
            take_registers<F::WANTED>();
        once_multiplier<F> b(l, m);
        b.run();
    } else {
        if constexpr (F::SHARES_OUT)
            give_registers<F::OTHERS_REGISTERS>();
        if (warp == ONCE_FEEDER) {
            cluster_wait();
            const once_feeder<F> f{l, m, map, static_cast<int>(threadIdx.x % 32)};
            f.run();
        } else {
            const int number = warp - ONCE_FEEDER - 1;
            once_unpacker<F, GROUPS> u(l, m.tasks + number * TASK_BYTES, number);
            u.run();
            const once_mender < F::SHARES_OUT &&F::OTHERS_REGISTERS<120 ? 1 : 3> mender{l};
            mender.run(number, u.lane);
            cluster_wait();
        }
        __syncwarp();
    }
    __syncthreads(); /* this block is done with counters */
    if (threadIdx.x == 0)
        end_block(l);
#else
    asm volatile("trap;"); /* there is no wgmma: better no result than a wrong one */
#endif
}

} // namespace

} // namespace ortho_fused

#endif
