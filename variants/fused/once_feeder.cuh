/* once_feeder.cuh: the warp of once.cu that asks for x and for W once it is unpacked. */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_FEEDER_CUH
#define ORTHO_VARIANTS_FUSED_ONCE_FEEDER_CUH

#include "variants/fused/once_memory.cuh"

#include <cuda.h>

namespace ortho_fused
{

namespace
{

/* A tile of x: 64 columns of the block's tokens. */
__device__ __forceinline__ void ask_x(const CUtensorMap *map, uint32_t to, int column, int token,
                                      uint32_t full)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(map), "r"(column), "r"(token), "r"(full)
                 : "memory");
}

/* To the same place in all blocks of the cluster. */
__device__ __forceinline__ void ask_w(const uint8_t *from, uint32_t to, uint32_t bytes,
                                      uint32_t full)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                 ".multicast::cluster [%0], [%1], %2, [%3], %4;" ::"r"(to),
                 "l"(from), "r"(bytes), "r"(full),
                 "h"(static_cast<uint16_t>((1 << ONCE_CLUSTER) - 1))
                 : "memory");
}

__device__ __forceinline__ uint32_t load_acquire(const uint32_t *from)
{
    uint32_t v;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(from) : "memory");
    return v;
}

template <typename F> struct once_feeder {
    static constexpr int MINE = F::W_BYTES / ONCE_CLUSTER; /* bytes of a slot's W */
    const once_launch &l;
    const once_memory<F> &m;
    const CUtensorMap &map;
    int lane;

    /* Waits for a chunk of a tile of rows; how many chunks are there from the first on. Looks at 32
     * at once: each look takes as long as the L2 is far. */
    __device__ __forceinline__ int wait_for(const once_half &half, int tile, int chunk) const
    {
        const uint32_t units = min(F::UNITS, l.p.units - tile * F::UNITS);
        const int at = chunk + lane;
        const uint32_t *const ready = half.ready(l, tile) + min(at, l.p.chunks - 1);
        uint32_t there;
        do
            there = __ballot_sync(ALL_LANES, load_acquire(ready) == units && at < l.p.chunks);
        while ((there & 1) == 0);
        asm volatile("fence.proxy.async.global;" ::: "memory");
        return chunk + (there == ALL_LANES ? 32 : __ffs(static_cast<int>(~there)) - 1);
    }
    __device__ __forceinline__ void run() const
    {
        const int halves = l.w.s.images * HALVES, rank = rank_in_cluster();
        turn slot = {0, 1};
        ortho_cuda_wait_for_previous();
        once_half half;
        half.find(l);
#pragma unroll 1
        for (once_walk walk(l); walk.there(); walk.next()) {
            const once_tile tile = walk.tile();
            const uint8_t *from =
                l.tiles + static_cast<int64_t>(tile.row) * halves * F::W_BYTES + rank * MINE;
            const int token = once_walk::token(tile);
            int chunks = 0;
#pragma unroll 1
            for (int i = 0; i < halves; i++) {
                barrier_wait(m.empty(slot.at), slot.phase);
                if (lane == 0) {
                    barrier_expect(m.full(slot.at), F::SLOT_BYTES);
                    ask_x(&map, m.x(slot.at), i * HALF_COLUMNS, token, m.full(slot.at));
                }
                if (i == chunks * TASK_HALVES)
                    chunks = wait_for(half, tile.row, chunks);
                if (lane == 0)
                    ask_w(from, m.w(slot.at) + rank * MINE, MINE, m.full(slot.at));
                __syncwarp();
                from += F::W_BYTES;
                slot.next(1, F::SLOTS);
            }
        }
        /* The other block tells this one's barriers what it is done with: until it has told all,
         * this block must be there. */
        for (int i = 0; i < F::SLOTS; i++) {
            barrier_wait(m.empty(slot.at), slot.phase);
            slot.next(1, F::SLOTS);
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
