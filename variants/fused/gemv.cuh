/* gemv.cuh: the kernel of gemv.cu, and how much of a multiprocessor a launch takes. */
#ifndef ORTHO_VARIANTS_FUSED_GEMV_CUH
#define ORTHO_VARIANTS_FUSED_GEMV_CUH

#include "variants/fused/consumer.cuh"
#include "variants/fused/rounds.h"

namespace ortho_fused
{

namespace
{

constexpr int TOKENS_MOST = 8, GEMV_THREADS = (SET_WARPS + 1) * 32, GEMV_RESIDENT = 2,
              GEMV_FLIGHT = 2; /* no more than the fewest slots */

/* A linear of a launch. */
struct job {
    linear w;
    void *y;     /* [tokens, n] */
    float alpha; /* 0 also where there are no entries */
    int turn;    /* block i has part i + turn */
    int round;   /* linears of the round that begins here; 0 within one */
};

struct launch {
    job jobs[ORTHO_GROUP_MAX];
    const void *x; /* [tokens, k] */
    int count, blocks, tokens;
    int slots, slot_bytes, flight;
};

/* ---- sizes ----------------------------------------------------------------------------------- */

/* Of shared memory; a block takes 1 KiB for itself. */
constexpr int MULTIPROCESSOR_BYTES = 228 << 10, BLOCK_MOST = 227 << 10, BLOCK_RESERVED = 1 << 10;

inline int window_columns(const shape &s)
{
    return smaller(s.images, WINDOW_IMAGES) * IMAGE_COLUMNS;
}

inline int laid_out(int virtual_tokens)
{
    return virtual_tokens == 1 ? 1 : virtual_tokens <= 4 ? 4 : 8;
}

/* All dynamic shared memory of a block: the ring, the partial sums, x. */
inline int block_bytes(const launch &l, int virtual_tokens)
{
    return ring_bytes(l.slots, l.slot_bytes) + sums_bytes(SET_WARPS, laid_out(virtual_tokens)) +
           virtual_tokens * window_columns(l.jobs[0].w.s) * 2;
}

/* What a block can fill at all. */
inline int slots_needed(const launch &l)
{
    int needed = 0;
    for (int i = 0; i < l.count; i++) {
        const shape &s = l.jobs[i].w.s;
        for (int w = 0; w < s.windows; w++)
            needed += s.panels_of(w) * s.units_of(0) + 1;
    }
    return needed;
}

/* A slot holds the largest chunk. As many slots as let two launches share a multiprocessor, but no
 * more than a block can fill; one launch alone where two don't fit. */
inline void size_ring(launch *l, int virtual_tokens)
{
    l->slots = 0;
    l->slot_bytes = STEP_BYTES;
    for (int i = 0; i < l->count; i++) {
        const shape &w = l->jobs[i].w.s;
        const int bytes = w.panel_images(0, 0) * w.image_bytes();
        l->slot_bytes = bytes > l->slot_bytes ? bytes : l->slot_bytes;
    }
    const int rest = block_bytes(*l, virtual_tokens), slot = ring_bytes(1, l->slot_bytes);
    const int half = (MULTIPROCESSOR_BYTES / GEMV_RESIDENT - BLOCK_RESERVED - rest) / slot;
    const int whole = (BLOCK_MOST - rest) / slot;
    l->slots = smaller(half >= 3 ? half : whole, slots_needed(*l));
    l->slots = l->slots > 2 ? l->slots : 2;
    l->flight = GEMV_FLIGHT;
}

/* ---- x and y --------------------------------------------------------------------------------- */

__device__ __forceinline__ void prefetch_x(const void *x, int64_t bytes)
{
    const int64_t lines = (bytes + 127) / 128;
    for (int64_t i = blockIdx.x + static_cast<int64_t>(threadIdx.x) * gridDim.x; i < lines;
         i += static_cast<int64_t>(blockDim.x) * gridDim.x)
        asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const char *>(x) + i * 128));
}

/* This warp's columns of x for a panel, on their way into shared memory as 16-bit digits. Told
 * apart from the copy because that waits for the launch before, and this needn't. */
template <typename A> struct strip {
    typedef typename A::element element;
    static constexpr int EACH = PANEL_IMAGES / SET_WARPS * IMAGE_COLUMNS / 8 / 32; /* of a lane */

    const element *from; /* token 0 */
    uint16_t *to;
    int64_t k;
    int here, count; /* columns of x; columns to fill */
    bool vectors;

    __device__ __forceinline__ strip(const launch &l, const share &s, int window, uint16_t *x)
    {
        const int column = (s.first + s.own) * IMAGE_COLUMNS;
        const int64_t at = static_cast<int64_t>(window) * WINDOW_COLUMNS + column;
        k = l.jobs[0].w.s.k;
        from = static_cast<const element *>(l.x) + at;
        to = x + column;
        count = s.here * IMAGE_COLUMNS;
        here = static_cast<int>(
            max(static_cast<int64_t>(0), min(k - at, static_cast<int64_t>(count))));
        vectors = A::DIGITS == 1 && k % 8 == 0 && reinterpret_cast<uintptr_t>(l.x) % 16 == 0;
    }

    /* [tokens * DIGITS][stride], zeros beyond k. */
    __device__ __forceinline__ void copy(int tokens, int stride) const
    {
        const int lane = threadIdx.x % 32;
        const element *source = from;
        uint16_t *out = to;
#pragma unroll 1
        for (int t = 0; vectors && t < tokens; t++, source += k, out += stride) {
            uint4 v[EACH];
#pragma unroll
            for (int j = 0; j < EACH; j++) {
                v[j] = make_uint4(0, 0, 0, 0);
                if ((lane + j * 32) * 8 < here)
                    v[j] = __ldcg(reinterpret_cast<const uint4 *>(source) + lane + j * 32);
            }
#pragma unroll
            for (int j = 0; j < EACH; j++)
                if ((lane + j * 32) * 8 < count)
                    reinterpret_cast<uint4 *>(out)[lane + j * 32] = v[j];
        }
#pragma unroll 1
        for (int t = 0; !vectors && t < tokens; t++, source += k)
#pragma unroll 1
            for (int d = 0; d < A::DIGITS; d++, out += stride)
#pragma unroll 1
                for (int i = lane; i < count; i += 32)
                    out[i] = i < here ? A::digit(source[i], d) : 0;
    }
};

/* ---- the kernel ------------------------------------------------------------------------------ */

__device__ __forceinline__ int part_of(const launch &l, int i)
{
    const int part = blockIdx.x + l.jobs[i].turn;
    return part < l.blocks ? part : part - l.blocks;
}

/* What a thread fetches of a batch long before it needs it. */
struct ahead {
    uint32_t unit; /* of the thread's row */
    int job;       /* whose row that is; -1: nobody's */
    int steps;     /* in lane i: of linear i of the round */
};

__device__ __forceinline__ ahead fetch(const launch &l, int first, int batch, int window)
{
    ahead a = {0, -1, 0};
    const int count = l.jobs[first].round, lane = threadIdx.x % 32;
    int slot = threadIdx.x / UNIT_ROWS;
    for (int i = 0; i < count; i++) {
        const job &j = l.jobs[first + i];
        const int part = part_of(l, first + i), units = j.w.s.units_of_batch(part, batch);
        if (slot >= 0 && slot < units) {
            a.unit = __ldg(j.w.unit + j.w.s.first_unit(part) + batch * BATCH_UNITS + slot);
            a.job = first + i;
        }
        slot -= units;
        if (lane == i && units > 0 && j.alpha != 0) {
            const uint32_t *begin = j.w.begin + j.w.s.section(part, batch, window);
            a.steps = static_cast<int>(__ldg(begin + 1) - __ldg(begin));
        }
    }
    return a;
}

/* The thread's row of the batch, added up and written. */
template <typename A, typename C>
__device__ __forceinline__ void store(const launch &l, const C &c, const ahead &a)
{
    if (a.job < 0)
        return;
    const job &j = l.jobs[a.job];
    const int row = threadIdx.x;
    const int64_t n = j.w.s.n, at = static_cast<int64_t>(a.unit) * UNIT_ROWS + row % UNIT_ROWS;
    typename A::element *to = static_cast<typename A::element *>(j.y) + at;
    if (at >= n)
        return;
    for (int t = 0; t < l.tokens; t++, to += n) {
        float sum = 0;
        for (int d = 0; d < A::DIGITS; d++)
            sum += c.total(row, t * A::DIGITS + d);
        *to = A::rounded(sum);
    }
}

/* The round that begins at `first`: linears over one x whose units fit into one batch, or a single
 * one in several. `staged`: the only window's x is in shared memory already. `wait`: x has to be
 * waited for, once all that needs none of it is done. */
template <typename A, int T, int GROUPS>
__device__ __forceinline__ void multiply(const launch &l, consumer<A, T, GROUPS, 1> &c, int first,
                                         bool staged, bool wait, ahead a, uint16_t *x)
{
    const shape &s = l.jobs[first].w.s;
    const int count = l.jobs[first].round, batches = s.batches_of(part_of(l, first));
#pragma unroll 1
    for (int batch = 0; batch == 0 || batch < batches; batch++) {
        int units = 0;
        for (int i = 0; i < count; i++)
            units += l.jobs[first + i].w.s.units_of_batch(part_of(l, first + i), batch);
        c.open();
#pragma unroll 1
        for (int w = 0; w < s.windows; w++) {
            const bool again = batch > 0 || w > 0, bring = !staged || s.windows > 1;
            const int images = s.images_of(w);
            const int half = images > PANEL_IMAGES ? (images + 1) / 2 : images;
            const share one = share_of(0, half, c.warp),
                        two = share_of(half, images - half, c.warp);
            c.stride = images * IMAGE_COLUMNS;
            if (again)
                a = fetch(l, first, batch, w);
            if (again && bring)
                c.meet(); /* the x that is overwritten was read by all */
            if (bring) {
                const strip<A> strip_one(l, one, w, x), strip_two(l, two, w, x);
                if (wait)
                    ortho_cuda_wait_for_previous();
                strip_one.copy(l.tokens, c.stride);
                if (half < images)
                    strip_two.copy(l.tokens, c.stride);
                __syncwarp();
                wait = false;
            }
            if (w == 0)
                c.template any_panel<true>(one, units, 0);
            else
                c.template any_panel<false>(one, units, 0);
            if (half < images)
                c.template any_panel<false>(two, units, 0);
            __syncwarp();
            if (bring)
                c.meet();
            staged = true;
            for (int i = 0, row = 0; i < count; i++) {
                const job &j = l.jobs[first + i];
                c.steps(__shfl_sync(ALL_LANES, a.steps, i), row, c.x, j.alpha);
                row += j.w.s.units_of_batch(part_of(l, first + i), batch) * UNIT_ROWS;
            }
        }
        c.meet();
        if (threadIdx.x < BATCH_ROWS)
            store<A>(l, c, a);
    }
}

/* The same round, as the thread that fills sees it. */
__device__ __forceinline__ void feed(const launch &l, producer &p, int first)
{
    const shape &s = l.jobs[first].w.s;
    const int count = l.jobs[first].round, batches = s.batches_of(part_of(l, first));
    const uint32_t most = l.slot_bytes / STEP_BYTES * STEP_BYTES;
    for (int batch = 0; batch == 0 || batch < batches; batch++)
        for (int w = 0; w < s.windows; w++) {
            for (int panel = 0; panel < s.panels_of(w); panel++)
                for (int i = 0; i < count; i++) {
                    const linear &m = l.jobs[first + i].w;
                    const int part = part_of(l, first + i);
                    const uint32_t chunk = s.panel_images(w, panel) * s.image_bytes();
                    p.run(m.base + m.s.panel_at(part, batch, w, panel),
                          m.s.units_of_batch(part, batch) * chunk, chunk);
                }
            for (int i = 0; i < count; i++) {
                const job &j = l.jobs[first + i];
                const int part = part_of(l, first + i);
                if (j.alpha == 0 || j.w.s.units_of_batch(part, batch) == 0)
                    continue;
                const uint32_t *begin = j.w.begin + j.w.s.section(part, batch, w);
                const uint32_t step = __ldg(begin), end = __ldg(begin + 1);
                p.run(j.w.ortho + static_cast<size_t>(step) * STEP_BYTES, (end - step) * STEP_BYTES,
                      most);
            }
        }
}

template <typename A, int T, int GROUPS>
__global__ void __launch_bounds__(GEMV_THREADS, T == 8 ? 1 : GEMV_RESIDENT)
    gemv_kernel(const __grid_constant__ launch l)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    ortho_cuda_release_dependents();
    unsigned char *memory = dynamic_shared();
    unsigned char *sums = memory + l.slots * (l.slot_bytes + 16);
    uint16_t *x = reinterpret_cast<uint16_t *>(sums + sums_bytes(SET_WARPS, T));
    const ring r = ring_open(memory, l.slots, l.slot_bytes, SET_WARPS, threadIdx.x == 0);
    __syncthreads();
    if (threadIdx.x >= SET_WARPS * 32) {
        if (threadIdx.x == SET_WARPS * 32) {
            producer p(r, l.flight);
            for (int i = 0; i < l.count; i += l.jobs[i].round)
                feed(l, p, i);
        }
        return;
    }
    consumer<A, T, GROUPS, 1> c(r, x, sums, l.tokens * A::DIGITS);
    prefetch_x(l.x, l.tokens * l.jobs[0].w.s.k * static_cast<int64_t>(sizeof(typename A::element)));
    ahead a = fetch(l, 0, 0, 0);
#pragma unroll 1
    for (int i = 0; i < l.count;) {
        const int next = i + l.jobs[i].round;
        const ahead now = a;
        if (next < l.count)
            a = fetch(l, next, 0, 0);
        multiply<A, T, GROUPS>(l, c, i, i > 0, i == 0, now, x);
        i = next;
    }
#endif
}

} // namespace

} // namespace ortho_fused

#endif
