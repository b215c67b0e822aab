/* chain.cuh: the kernel of chain.cu. */
#ifndef ORTHO_VARIANTS_FUSED_CHAIN_CUH
#define ORTHO_VARIANTS_FUSED_CHAIN_CUH

#include "variants/fused/gemv.cuh"

namespace ortho_fused
{

namespace
{

constexpr int CHAIN_SETS = 2, CHAIN_WARPS = CHAIN_SETS * SET_WARPS, /* of Base */
    CHAIN_ORTHO = 7, CHAIN_THREADS = (CHAIN_WARPS + 1 + CHAIN_ORTHO) * 32, CHAIN_FLIGHT = 2,
              CHAIN_X_BYTES = WINDOW_COLUMNS * 2, CHAIN_STATIC = 4 << 10, /* of shared memory */
    STINTS = 4, TASK_SLOTS = 2, TASKS_BYTES = CHAIN_ORTHO * TASK_SLOTS * BUNDLE_BYTES;
constexpr int CHAIN_BASE_REGISTERS = 96, CHAIN_ORTHO_REGISTERS = 48; /* of 80 a thread */

typedef partial_sums<1, CHAIN_SETS, CHAIN_ORTHO> chain_sums;
template <typename A, int GROUPS>
using chain_consumer = consumer<A, 1, GROUPS, CHAIN_SETS, CHAIN_ORTHO>;

/* What a block does of one round of a chain: a batch of units of linears over one x. */
struct stint {
    int k, images;
    uint32_t map;    /* where that of its x begins */
    uint8_t units;   /* of this block */
    uint8_t staged;  /* x is that of the stint before: in shared memory already */
    uint8_t callers; /* x is the caller's */
    uint8_t unused[17];
    struct {
        uint32_t y_at, hand_at; /* its first output in y and among what is handed over */
        float scale;
    } unit[BATCH_UNITS];
};
static_assert(STINTS * sizeof(stint) + ORTHO_CHAIN_MAX * sizeof(float) +
                      CHAIN_ORTHO * TASK_SLOTS * sizeof(bundle_task) <=
                  CHAIN_STATIC,
              "stints, alphas and tasks are in shared memory");

/* A slot's worth of Base. */
struct command {
    const uint8_t *from;
    uint32_t bytes, unused;
};

/* A bundle of Ortho: not read where its linear's alpha is 0. */
struct bundle_command {
    const uint8_t *from;
    uint8_t steps, row; /* row of the batch where the linear's begin */
    uint16_t linear;
    uint32_t round;
};

struct chain_launch {
    const stint *stints;           /* [blocks][rounds] */
    const command *commands;       /* of all blocks, one after the other */
    const bundle_command *bundles; /* of all warps of Ortho of all blocks */
    const uint32_t *first_command; /* [blocks + 1] */
    const uint32_t *first_bundle;  /* [blocks][CHAIN_ORTHO], one more */
    const uint32_t *maps;          /* of each x: see arriving_x */
    const void *x;
    void *y, *hand; /* outputs, and the same as they are handed over */
    int rounds, slots, slot_bytes, flight;
    float alpha[ORTHO_CHAIN_MAX];
};

__device__ __forceinline__ uint4 read_relaxed(const void *p)
{
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p)
                 : "memory");
    return v;
}

/* Not all of it has been written yet: words are written whole. */
__device__ __forceinline__ bool awaited(uint4 v)
{
    return v.x == ~0u || v.y == ~0u || v.z == ~0u || v.w == ~0u;
}

/* Bits of a vector's place in x. */
constexpr int PLACE_BITS = 10;

/* Vectors of eight x that other blocks are still writing, or the caller's, whatever they hold: a
 * thread some of them, in the order in which they were handed over. A map says where: where a
 * vector stands << PLACE_BITS | its place in x. Between request and settle goes what needs no x. */
struct arriving_x {
    static constexpr int THREADS = CHAIN_WARPS * 32, EACH = WINDOW_COLUMNS / 8 / THREADS;
    static_assert(WINDOW_COLUMNS / 8 == 1 << PLACE_BITS, "a place in x takes as many bits");
    uint32_t map[EACH]; /* of the next x */
    uint4 v[EACH];

    __device__ __forceinline__ void fetch_map(const uint32_t *maps, const stint *s)
    {
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            const int i = static_cast<int>(threadIdx.x) + j * THREADS;
            map[j] = i * 8 < s->k ? __ldg(maps + s->map + i) : static_cast<uint32_t>(i);
        }
    }

    __device__ __forceinline__ void request(const void *x, int k)
    {
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            const int i = static_cast<int>(threadIdx.x) + j * THREADS;
            v[j] = make_uint4(0, 0, 0, 0);
            if (i * 8 < k)
                v[j] = read_relaxed(static_cast<const uint4 *>(x) + (map[j] >> PLACE_BITS));
        }
    }

    __device__ __forceinline__ bool incomplete() const
    {
        bool some = false;
#pragma unroll
        for (int j = 0; j < EACH; j++)
            some |= awaited(v[j]);
        return some;
    }

    __device__ __forceinline__ void settle(const void *x, bool wait, int columns, uint32_t to)
    {
        while (wait && incomplete()) {
#pragma unroll
            for (int j = 0; j < EACH; j++)
                if (awaited(v[j]))
                    v[j] = read_relaxed(static_cast<const uint4 *>(x) + (map[j] >> PLACE_BITS));
        }
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            const int i = static_cast<int>(threadIdx.x) + j * THREADS;
            if (i * 8 < columns)
                store_shared_16(to + map[j] % (1u << PLACE_BITS) * 16, v[j]);
        }
    }
};

/* A row, which other blocks wait for: two of them a word. Whole warps. */
template <typename A>
__device__ __forceinline__ void hand_over(float sum, uint16_t *to, uint16_t *y, bool mine)
{
    const uint32_t low = A::digit(A::rounded(sum), 0);
    const uint32_t high = __shfl_down_sync(ALL_LANES, low, 1);
    if (mine && threadIdx.x % 2 == 0) {
        asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(low | high << 16)
                     : "memory");
        *reinterpret_cast<uint32_t *>(y) = low | high << 16;
    }
}

/* The address that both kinds of command begin with. */
__device__ __forceinline__ const uint8_t *address_of(uint4 v)
{
    return reinterpret_cast<const uint8_t *>(static_cast<uint64_t>(v.y) << 32 | v.x);
}

/* The thread that fills. Commands are fetched well before they are obeyed. */
__device__ __forceinline__ void feed_chain(const ring &r, const chain_launch &l)
{
    constexpr uint32_t AHEAD = 4;
    const uint32_t begin = l.first_command[blockIdx.x], end = l.first_command[blockIdx.x + 1];
    const uint4 *commands = reinterpret_cast<const uint4 *>(l.commands);
    producer p(r, l.flight);
    uint4 next[AHEAD];
#pragma unroll
    for (uint32_t j = 0; j < AHEAD; j++)
        next[j] = __ldg(commands + min(begin + j, end - 1));
#pragma unroll 1
    for (uint32_t i = begin; i < end; i += AHEAD)
#pragma unroll
        for (uint32_t j = 0; j < AHEAD; j++) {
            const uint4 now = next[j];
            next[j] = __ldg(commands + min(i + j + AHEAD, end - 1));
            if (i + j < end)
                p.push(address_of(now), now.z);
        }
}

/* A warp's list of bundles: 32 of them in its lanes, 32 more on their way. */
struct bundle_list {
    const uint4 *next, *end;
    uint4 here, coming;
    int at;

    __device__ __forceinline__ bundle_list(const chain_launch &l, int warp) : at(0)
    {
        const uint32_t *first = l.first_bundle + blockIdx.x * CHAIN_ORTHO + warp;
        next = reinterpret_cast<const uint4 *>(l.bundles) + first[0] + threadIdx.x % 32;
        end = reinterpret_cast<const uint4 *>(l.bundles) + first[1];
        here = fetch();
        coming = fetch();
    }
    __device__ __forceinline__ uint4 fetch()
    {
        const uint4 v = next < end ? __ldg(next) : make_uint4(0, 0, 0, ~0u);
        next += 32;
        return v;
    }
    /* The next bundle; one of round ~0 behind the last. */
    __device__ __forceinline__ uint4 front() const
    {
        return make_uint4(__shfl_sync(ALL_LANES, here.x, at), __shfl_sync(ALL_LANES, here.y, at),
                          __shfl_sync(ALL_LANES, here.z, at), __shfl_sync(ALL_LANES, here.w, at));
    }
    __device__ __forceinline__ void pop()
    {
        if (++at == 32) {
            here = coming;
            coming = fetch();
            at = 0;
        }
    }
};

/* Asks for the next bundle, also of a later round, that is to be read at all. */
template <typename E>
__device__ __forceinline__ void ask(E &e, bundle_list &list, const float *alpha)
{
    uint4 b = list.front();
    while (b.w != ~0u && alpha[b.z >> 16] == 0) {
        list.pop();
        b = list.front();
    }
    e.ask(address_of(b), {b.z & 0xffff, b.w, alpha[b.z >> 16], 0});
    if (b.w != ~0u)
        list.pop();
}

/* Brings a stint into shared memory, a lane 16 bytes; to be waited for by the same lanes. */
__device__ __forceinline__ void bring_stint(const stint *from, uint32_t to)
{
    static_assert(sizeof(stint) % 16 == 0 && sizeof(stint) <= 512, "a warp brings a stint");
    if (threadIdx.x < sizeof(stint) / 16)
        asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(
                         to + static_cast<uint32_t>(threadIdx.x) * 16),
                     "l"(reinterpret_cast<const uint4 *>(from) + threadIdx.x)
                     : "memory");
}

__device__ __forceinline__ void stint_is_here()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

/* Base of a round. Where K needs two panels, each set has one: unit by unit, a chunk a set. Where
 * it needs one, the sets take units in turn. */
template <typename C>
__device__ __forceinline__ void chain_base(const chain_launch &l, C &c, arriving_x &arriving,
                                           const stint *s, const stint *next)
{
    const int images = uniform(s->images);
    const bool two = images > PANEL_IMAGES;
    const int half = two ? (images + 1) / 2 : images;
    if (uniform(s->staged) == 0) {
        const bool wait = uniform(s->callers) == 0;
        const void *x = wait ? l.hand : l.x;
        arriving.request(x, s->k);
        c.sums.open(c.number());
        arriving.settle(x, wait, images * IMAGE_COLUMNS, c.x);
        c.sums.meet();
    } else {
        c.sums.open(c.number());
    }
    if (uniform(next->staged) == 0)
        arriving.fetch_map(l.maps, next);
    const int units = uniform(s->units);
    /* The set whose turn it is has the first panel. */
    const share mine =
        two && c.turn > 0 ? share_of(half, images - half, c.warp) : share_of(0, half, c.warp);
    c.template any_panel<true>(mine, two ? 2 * units : units, two);
    __syncwarp();
}

/* All rounds as a warp of Base does them; the first two stints have come. */
template <typename A, int GROUPS>
__device__ __forceinline__ void base_of_chain(const chain_launch &l, chain_consumer<A, GROUPS> c,
                                              const stint *mine, stint *stints)
{
    arriving_x arriving;
    arriving.fetch_map(l.maps, &stints[0]);
#pragma unroll 1
    for (int i = 0; i < l.rounds; i++) {
        const stint *now = &stints[i % STINTS];
        bring_stint(mine + min(i + 2, l.rounds - 1), shared_address(&stints[(i + 2) % STINTS]));
        chain_base(l, c, arriving, now, &stints[(i + 1) % STINTS]);
        stint_is_here();
        c.sums.meet();
        const int row = threadIdx.x;
        if (row < BATCH_ROWS) {
            const bool there = row < now->units * UNIT_ROWS;
            const int unit = there ? row / UNIT_ROWS : 0;
            hand_over<A>(
                now->unit[unit].scale * c.sums.total(row, 0),
                static_cast<uint16_t *>(l.hand) + now->unit[unit].hand_at + row % UNIT_ROWS,
                static_cast<uint16_t *>(l.y) + now->unit[unit].y_at + row % UNIT_ROWS, there);
        }
    }
}

/* All rounds as a warp of Ortho does them. */
template <typename A>
__device__ __forceinline__ void ortho_of_chain(const chain_launch &l, entries<A, 1> e, int warp,
                                               const float *alpha, const stint *stints, uint32_t x,
                                               uint32_t sums_at)
{
    typedef chain_sums S;
    S sums(sums_at);
    bundle_list list(l, warp);
    for (int i = 0; i < e.slots; i++)
        ask(e, list, alpha);
#pragma unroll 1
    for (int i = 0; i < l.rounds; i++) {
        sums.open(S::BASE_WARPS + warp);
        if (uniform(stints[i % STINTS].staged) == 0)
            S::meet(); /* x is here */
        bundle_task task = e.next();
#pragma unroll 1
        for (; task.round == static_cast<uint32_t>(i); task = e.next()) {
            e.take(task, x, sums.of(S::BASE_WARPS + warp));
            ask(e, list, alpha);
        }
        S::meet();
    }
}

template <typename A, int GROUPS>
__global__ void __launch_bounds__(CHAIN_THREADS, 1)
    chain_kernel(const __grid_constant__ chain_launch l)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    /* The stint before, whose sums may still be written, the one at work, the next two. */
    __shared__ __align__(16) stint stints[STINTS];
    __shared__ float alpha[ORTHO_CHAIN_MAX]; /* a parameter's would be slow to index */
    __shared__ __align__(16) bundle_task tasks[CHAIN_ORTHO][TASK_SLOTS];
    unsigned char *bundles = dynamic_shared(), *memory = bundles + TASKS_BYTES;
    const uint32_t sums = shared_address(memory + ring_bytes(l.slots, l.slot_bytes));
    const uint32_t x = sums + chain_sums::BYTES;
    if (threadIdx.x == 0)
        meetings_open(chain_sums::THREADS);
    const ring r = ring_open(memory, l.slots, l.slot_bytes, SET_WARPS, threadIdx.x == 0);
    const stint *mine = l.stints + static_cast<size_t>(blockIdx.x) * l.rounds;
    bring_stint(mine, shared_address(&stints[0]));
    bring_stint(mine + min(1, l.rounds - 1), shared_address(&stints[1]));
    stint_is_here();
    for (int i = threadIdx.x; i < ORTHO_CHAIN_MAX; i += CHAIN_THREADS)
        alpha[i] = l.alpha[i];
    __syncthreads();
    if (threadIdx.x < CHAIN_WARPS * 32) {
        take_registers<CHAIN_BASE_REGISTERS>();
        base_of_chain<A, GROUPS>(l, chain_consumer<A, GROUPS>(r, x, sums, 1), mine, stints);
        return;
    }
    give_registers<CHAIN_ORTHO_REGISTERS>();
    const int warp = uniform(static_cast<int>(threadIdx.x / 32)) - CHAIN_WARPS - 1;
    if (warp >= 0)
        ortho_of_chain<A>(l,
                          entries<A, 1>(shared_address(bundles) + warp * TASK_SLOTS * BUNDLE_BYTES,
                                        tasks[warp], TASK_SLOTS, 1),
                          warp, alpha, stints, x, sums);
    else if (threadIdx.x == CHAIN_WARPS * 32)
        feed_chain(r, l);
#endif
}

} // namespace

} // namespace ortho_fused

#endif
