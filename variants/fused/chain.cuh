/* chain.cuh: the kernel of chain.cu. */
#ifndef ORTHO_VARIANTS_FUSED_CHAIN_CUH
#define ORTHO_VARIANTS_FUSED_CHAIN_CUH

#include "variants/fused/gemv.cuh"

namespace ortho_fused
{

namespace
{

constexpr int CHAIN_SETS = 2, CHAIN_WARPS = CHAIN_SETS * SET_WARPS,
              CHAIN_THREADS = (CHAIN_WARPS + 1) * 32, CHAIN_FLIGHT = 2, CHAIN_NAP = 200,
              CHAIN_X_BYTES = WINDOW_COLUMNS * 2, CHAIN_STATIC = 3 << 10; /* of shared memory */

/* What a block does of one round of a chain: a batch of units of linears over one x. */
struct stint {
    int64_t x_at; /* as in ortho_chain_step */
    int k, images;
    uint16_t steps[ROUND_MOST]; /* Ortho steps of each linear */
    uint8_t row[ROUND_MOST];    /* where its rows begin */
    uint16_t step;              /* the first linear's number */
    uint8_t units;              /* of this block */
    uint8_t staged : 1;         /* x is that of the stint before: in shared memory already */
    uint8_t linears : 7;
    struct {
        uint32_t y_at; /* its first output */
        float scale;
    } unit[BATCH_UNITS];
};
static_assert(3 * sizeof(stint) + (ORTHO_CHAIN_MAX + ROUND_MOST) * sizeof(float) <= CHAIN_STATIC,
              "three stints and the alphas are in shared memory");

/* A slot's worth of weights. */
struct command {
    const uint8_t *from;
    uint32_t bytes;
    int step; /* an Ortho command's linear, which isn't read where alpha is 0; -1: Base */
};

struct chain_launch {
    const stint *stints;           /* [blocks][rounds] */
    const command *commands;       /* of all blocks, one after the other */
    const uint32_t *first_command; /* [blocks + 1] */
    const void *x;
    void *y;
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

/* x that other blocks are still writing; or the caller's, whatever it holds: a thread some vectors.
 * Between request and settle goes what needs no x. */
struct arriving_x {
    static constexpr int THREADS = CHAIN_WARPS * 32, EACH = WINDOW_COLUMNS / 8 / THREADS;
    const uint4 *from;
    int vectors; /* from this thread's first on */
    uint4 v[EACH];

    __device__ __forceinline__ void request(const void *x, int k)
    {
        from = static_cast<const uint4 *>(x) + threadIdx.x;
        vectors = k / 8 - static_cast<int>(threadIdx.x);
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            v[j] = make_uint4(0, 0, 0, 0);
            if (j * THREADS < vectors)
                v[j] = read_relaxed(from + j * THREADS);
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

    __device__ __forceinline__ void settle(bool wait, int columns, uint32_t to)
    {
        while (wait && incomplete()) {
            __nanosleep(CHAIN_NAP);
#pragma unroll
            for (int j = 0; j < EACH; j++)
                if (awaited(v[j]))
                    v[j] = read_relaxed(from + j * THREADS);
        }
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            const int i = static_cast<int>(threadIdx.x) + j * THREADS;
            if (i * 8 < columns)
                store_shared_16(to + i * 16, v[j]);
        }
    }
};

/* A row that other blocks wait for: two of them a word. Whole warps. */
template <typename A> __device__ __forceinline__ void hand_over(float sum, uint16_t *to, bool mine)
{
    const uint32_t low = A::digit(A::rounded(sum), 0);
    const uint32_t high = __shfl_down_sync(ALL_LANES, low, 1);
    if (mine && threadIdx.x % 2 == 0)
        asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(low | high << 16)
                     : "memory");
}

/* The thread that fills. Commands are fetched well before they are obeyed. */
__device__ __forceinline__ void feed_chain(const ring &r, const chain_launch &l, const float *alpha)
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
            const int step = static_cast<int>(now.w);
            if (i + j < end && (step < 0 || alpha[step] != 0))
                p.push(
                    reinterpret_cast<const uint8_t *>(static_cast<uint64_t>(now.y) << 32 | now.x),
                    now.z);
        }
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

/* Ortho of a round; x is whole at the shared address `x`. */
template <typename C>
__device__ __forceinline__ void chain_steps(C &c, const stint *s, const float *alpha, uint32_t x)
{
    const int linears = uniform(s->linears);
    alpha += s->step;
#pragma unroll 1
    for (int i = 0; i < linears; i++) {
        const int count = uniform(alpha[i] != 0 ? s->steps[i] : 0);
        if (count > 0)
            c.steps(count, s->row[i], x, alpha[i]);
    }
}

/* Base of a round. Where K needs two panels, each set has one: unit by unit, a chunk a set. Where
 * it needs one, the sets take units in turn. */
template <typename C>
__device__ __forceinline__ void chain_base(const chain_launch &l, C &c, const stint *s)
{
    const int images = uniform(s->images);
    const bool two = images > PANEL_IMAGES;
    const int half = two ? (images + 1) / 2 : images;
    if (uniform(s->staged) == 0) {
        const int64_t x_at = s->x_at;
        arriving_x arriving;
        arriving.request(x_at >= 0 ? static_cast<const uint16_t *>(l.y) + x_at
                                   : static_cast<const uint16_t *>(l.x),
                         s->k);
        c.open();
        arriving.settle(x_at >= 0, images * IMAGE_COLUMNS, c.x);
        c.meet();
    } else {
        c.open();
    }
    const int units = uniform(s->units);
    /* The set whose turn it is has the first panel. */
    const share mine =
        two && c.turn > 0 ? share_of(half, images - half, c.warp) : share_of(0, half, c.warp);
    c.template any_panel<true>(mine, two ? 2 * units : units, two);
    __syncwarp();
}

template <typename A, int GROUPS>
__global__ void __launch_bounds__(CHAIN_THREADS, 1)
    chain_kernel(const __grid_constant__ chain_launch l)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    /* The stint at work, the one before it whose sums may still be written, the next. */
    __shared__ __align__(16) stint stints[3];
    __shared__ float alpha[ORTHO_CHAIN_MAX + ROUND_MOST]; /* a parameter's would be slow to index */
    unsigned char *memory = dynamic_shared();
    unsigned char *sums = memory + l.slots * (l.slot_bytes + 16);
    uint16_t *x = reinterpret_cast<uint16_t *>(sums + sums_bytes(CHAIN_WARPS, 1));
    const ring r = ring_open(memory, l.slots, l.slot_bytes, SET_WARPS, threadIdx.x == 0);
    const stint *mine = l.stints + static_cast<size_t>(blockIdx.x) * l.rounds;
    bring_stint(mine, shared_address(&stints[0]));
    stint_is_here();
    for (int i = threadIdx.x; i < ORTHO_CHAIN_MAX; i += CHAIN_THREADS)
        alpha[i] = l.alpha[i];
    __syncthreads();
    if (threadIdx.x >= CHAIN_WARPS * 32) {
        if (threadIdx.x == CHAIN_WARPS * 32)
            feed_chain(r, l, alpha);
        return;
    }
    consumer<A, 1, GROUPS, CHAIN_SETS> c(r, x, sums, 1);
#pragma unroll 1
    for (int i = 0, at = 0; i < l.rounds; i++) {
        const stint *now = &stints[at];
        at = at == 2 ? 0 : at + 1;
        bring_stint(mine + min(i + 1, l.rounds - 1), shared_address(&stints[at]));
        chain_base(l, c, now);
        chain_steps(c, now, alpha, c.x);
        stint_is_here();
        c.meet();
        const int row = threadIdx.x;
        if (row < BATCH_ROWS) {
            const bool there = row < now->units * UNIT_ROWS;
            const int unit = there ? row / UNIT_ROWS : 0;
            hand_over<A>(now->unit[unit].scale * c.total(row, 0),
                         static_cast<uint16_t *>(l.y) + now->unit[unit].y_at + row % UNIT_ROWS,
                         there);
        }
    }
#endif
}

} // namespace

} // namespace ortho_fused

#endif
