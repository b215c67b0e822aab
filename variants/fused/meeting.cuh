/*
 * meeting.cuh: where warps of a block meet that aren't all of its warps.
 *
 * compute-sanitizer can't follow the usual way. racecheck takes an arrival to order only what the
 * arriving lane did before, not its warp before __syncwarp; and it and synccheck report warps that
 * meet at a named barrier from two places in the code, or where one only arrives. PTX allows all of
 * that. A build with ORTHO_RACECHECK does the same with barriers that the tools can follow.
 */
#ifndef ORTHO_VARIANTS_FUSED_MEETING_CUH
#define ORTHO_VARIANTS_FUSED_MEETING_CUH

#include "variants/fused/ptx.cuh"
#include "variants/fused/state.h"

namespace ortho_fused
{

namespace
{

__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/* Named barriers: 0 is that of __syncthreads(). */
constexpr int MEETING = 1, X_IS_HERE = 2, UNPACKERS_MEET = 1, MEETINGS = 2;

#ifdef ORTHO_RACECHECK

constexpr int ARRIVING_LANES = 32; /* of a warp that is done with a slot of the ring */

/* Shared address of the barrier that stands for a named one. */
__device__ __forceinline__ uint32_t stand_in(int name)
{
    __shared__ __align__(8) uint64_t barriers[MEETINGS];
    return shared_address(barriers) + (name - 1) * 8;
}

__device__ __forceinline__ void meeting_open(int name, int threads)
{
    barrier_init(stand_in(name), threads);
}

template <int NAME, int THREADS> __device__ __forceinline__ uint64_t meeting_arrive()
{
    uint64_t ticket;
    asm volatile("mbarrier.arrive.shared.b64 %0, [%1];"
                 : "=l"(ticket)
                 : "r"(stand_in(NAME))
                 : "memory");
    return ticket;
}

template <int NAME, int THREADS> __device__ __forceinline__ void meeting_sync()
{
    const uint64_t ticket = meeting_arrive<NAME, THREADS>();
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "again:\n"
                 "mbarrier.try_wait.shared.b64 p, [%0], %1;\n"
                 "@!p bra again;\n"
                 "}" ::"r"(stand_in(NAME)),
                 "l"(ticket)
                 : "memory");
}

template <int NAME> __device__ __forceinline__ void meeting_sync_of(int)
{
    meeting_sync<NAME, 0>();
}

#else

constexpr int ARRIVING_LANES = 1;

/* THREADS of a name, by one thread, before the block meets for the first time. */
__device__ __forceinline__ void meeting_open(int, int)
{
}

/* Tells THREADS that arrive or sync that this one's warp was here, and goes on. */
template <int NAME, int THREADS> __device__ __forceinline__ void meeting_arrive()
{
    named_arrive<NAME, THREADS>();
}

/* Waits until THREADS have arrived or synced. */
template <int NAME, int THREADS> __device__ __forceinline__ void meeting_sync()
{
    named_sync<NAME, THREADS>();
}

/* Of as many as only a launch knows. */
template <int NAME> __device__ __forceinline__ void meeting_sync_of(int threads)
{
    named_sync_of<NAME>(threads);
}

#endif

/* All names, of as many threads. */
__device__ __forceinline__ void meetings_open(int threads)
{
    for (int name = 1; name <= MEETINGS; name++)
        meeting_open(name, threads);
}

} // namespace

} // namespace ortho_fused

#endif
