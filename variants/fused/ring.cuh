/*
 * ring.cuh: how packed weights come into shared memory. One thread of a block streams its parts
 * with bulk copies through a ring of slots; warps consume slot after slot. Each slot has two
 * barriers: full (its bytes have come) and empty (its readers are done).
 *
 * Weights depend on nothing that runs before, so the stream begins before x is there and goes on
 * while everybody waits for x. Only `flight` slots are filled at once: enough to keep the memory
 * busy, but x, which comes through the same L2, would queue behind more.
 */
#ifndef ORTHO_VARIANTS_FUSED_RING_CUH
#define ORTHO_VARIANTS_FUSED_RING_CUH

#include "variants/fused/meeting.cuh"
#include "variants/fused/ptx.cuh"
#include "variants/fused/sizes.cuh"

namespace ortho_fused
{

namespace
{

constexpr uint32_t ALL_LANES = 0xffffffffu;

/* A value that all lanes of a warp have alike, said so that the compiler believes it. */
__device__ __forceinline__ int uniform(int value)
{
    return __shfl_sync(ALL_LANES, value, 0);
}

/* `full` is through once all bytes have come. */
__device__ __forceinline__ void bulk_copy(uint32_t to, const uint8_t *from, uint32_t bytes,
                                          uint32_t full, uint64_t policy)
{
    barrier_expect(full, bytes);
    bulk_piece(to, from, bytes, full, policy);
}

/* A place in the ring as shared addresses, and which time round it is. `full` and `empty` barriers
 * stand side by side. */
struct ring {
    uint32_t data, barriers; /* of the first slot */
    uint32_t slot_bytes, data_end;
};

struct cursor {
    uint32_t data, barriers, phase;

    __device__ __forceinline__ explicit cursor(const ring &r)
        : data(r.data), barriers(r.barriers), phase(0)
    {
    }
    __device__ __forceinline__ uint32_t full() const
    {
        return barriers;
    }
    __device__ __forceinline__ uint32_t empty() const
    {
        return barriers + 8;
    }
    __device__ __forceinline__ void next(const ring &r)
    {
        data += r.slot_bytes;
        barriers += 16;
        if (data == r.data_end) {
            data = r.data;
            barriers = r.barriers;
            phase ^= 1;
        }
    }
};

/* A place in turn, and which time round. */
struct turn {
    int at;
    uint32_t phase;

    __device__ __forceinline__ void next(int by, int count)
    {
        at += by;
        if (at >= count) {
            at -= count;
            phase ^= 1;
        }
    }
};

/* Bytes of shared memory that a ring takes. */
__host__ __device__ constexpr int ring_bytes(int slots, int slot_bytes)
{
    return slots * (slot_bytes + 16);
}

/* Slots at `data`, barriers behind them, set up by the one thread that says `init`; the block must
 * meet before anybody uses the ring. `readers`: warps of a slot, ARRIVING_LANES of each arrive. */
__device__ __forceinline__ ring ring_open(const void *data, int slots, int slot_bytes, int readers,
                                          bool init)
{
    ring r;
    r.data = shared_address(data);
    r.slot_bytes = slot_bytes;
    r.barriers = r.data_end = r.data + slots * slot_bytes;
    if (init) {
        for (int i = 0; i < slots; i++) {
            barrier_init(r.barriers + i * 16, 1);
            barrier_init(r.barriers + i * 16 + 8, readers * ARRIVING_LANES);
        }
        barriers_show();
    }
    return r;
}

/* The thread that fills. `flight` may not exceed the slots: a barrier tells one time round from the
 * next, but not from the one after. */
struct producer {
    ring r;
    cursor at, oldest;
    int flight; /* slots that may still be put in flight */
    uint64_t policy;

    __device__ __forceinline__ producer(const ring &of, int most)
        : r(of), at(of), oldest(of), flight(most), policy(weights_policy())
    {
    }

    /* Waits until the next slot may be filled. */
    __device__ __forceinline__ void make_room()
    {
        barrier_wait(at.empty(), at.phase ^ 1);
        if (flight == 0) {
            barrier_wait(oldest.full(), oldest.phase);
            oldest.next(r);
        } else {
            flight--;
        }
    }

    __device__ __forceinline__ void push(const uint8_t *from, uint32_t bytes)
    {
        make_room();
        bulk_copy(at.data, from, bytes, at.full(), policy);
        at.next(r);
    }

    /* A slot of two pieces, one behind the other. */
    __device__ __forceinline__ void push_two(const uint8_t *from, uint32_t bytes,
                                             const uint8_t *second, uint32_t second_bytes)
    {
        make_room();
        barrier_expect(at.full(), bytes + second_bytes);
        bulk_piece(at.data, from, bytes, at.full(), policy);
        bulk_piece(at.data + bytes, second, second_bytes, at.full(), policy);
        at.next(r);
    }

    /* Chunks that lie side by side, `each` bytes a slot. */
    __device__ __forceinline__ void run(const uint8_t *from, uint32_t bytes, uint32_t each)
    {
        for (; bytes > 0; from += each) {
            const uint32_t now = min(bytes, each);
            push(from, now);
            bytes -= now;
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
