/* gemv.cuh: the kernel of gemv.cu, and how much of a multiprocessor a launch takes. */
#ifndef ORTHO_VARIANTS_FUSED_GEMV_CUH
#define ORTHO_VARIANTS_FUSED_GEMV_CUH

#include "variants/fused/consumer.cuh"
#include "variants/fused/entries.cuh"
#include "variants/fused/jobs.cuh"

namespace ortho_fused
{

namespace
{

/* Warps of Base, the one that fills the ring, warps of Ortho. */
constexpr int TOKENS_MOST = 8, GEMV_ORTHO = 3, GEMV_THREADS = (SET_WARPS + 1 + GEMV_ORTHO) * 32,
              GEMV_RESIDENT = 2, GEMV_STATIC = 256; /* of shared memory */
/* Where two blocks are resident, of 80 a thread. */
constexpr int BASE_REGISTERS = 96, ORTHO_REGISTERS = 48;

template <int T> using gemv_sums = partial_sums<T, 1, GEMV_ORTHO>;
template <typename A, int T, int GROUPS> using gemv_base = consumer<A, T, GROUPS, 1, GEMV_ORTHO>;

/* ---- sizes ----------------------------------------------------------------------------------- */

inline int window_columns(const shape &s)
{
    return smaller(s.images, WINDOW_IMAGES) * IMAGE_COLUMNS;
}

inline int laid_out(int virtual_tokens)
{
    return virtual_tokens == 1 ? 1 : virtual_tokens <= 4 ? 4 : 8;
}

inline int gemv_sums_bytes(int laid)
{
    return laid == 1 ? gemv_sums<1>::BYTES : laid == 4 ? gemv_sums<4>::BYTES : gemv_sums<8>::BYTES;
}

__host__ __device__ constexpr int bundles_bytes(int slots)
{
    return GEMV_ORTHO * slots * BUNDLE_BYTES;
}

/* All dynamic shared memory of a block: the rings, the partial sums, x. */
inline int block_bytes(const launch &l, int virtual_tokens)
{
    return bundles_bytes(l.bundle_slots) + ring_bytes(l.slots, l.slot_bytes) +
           gemv_sums_bytes(laid_out(virtual_tokens)) +
           virtual_tokens * window_columns(l.jobs[0].w.s) * 2;
}

/* What a block can fill at all. */
inline int slots_needed(const launch &l)
{
    int needed = 0;
    for (int i = 0; i < l.count; i++) {
        const shape &s = l.jobs[i].w.s;
        for (int w = 0; w < s.windows; w++)
            needed += s.panels_of(w) * s.units_of(0);
    }
    return needed;
}

/* Slots of Base's ring: as many as let two launches share a multiprocessor, but no more than a
 * block can fill; one launch alone where two don't fit. */
inline int base_slots(const launch &l, int virtual_tokens)
{
    const int rest = block_bytes(l, virtual_tokens) + GEMV_STATIC,
              slot = ring_bytes(1, l.slot_bytes);
    const int half = (MULTIPROCESSOR_BYTES / GEMV_RESIDENT - BLOCK_RESERVED - rest) / slot;
    const int whole = (BLOCK_MOST - rest) / slot;
    return smaller(half >= 3 ? half : whole, slots_needed(l));
}

/* A slot holds the largest chunk. Entries get a short ring where x of many tokens leaves no room
 * for a long one. */
inline void size_ring(launch *l, int virtual_tokens)
{
    l->slots = l->slot_bytes = 0;
    for (int i = 0; i < l->count; i++) {
        const shape &w = l->jobs[i].w.s;
        const int bytes = w.panel_images(0, 0) * w.image_bytes();
        l->slot_bytes = bytes > l->slot_bytes ? bytes : l->slot_bytes;
    }
    int slots = base_slots(*l, virtual_tokens);
    if (slots < 2 && l->bundle_slots > BUNDLE_SLOTS_FEW) {
        l->bundle_slots = BUNDLE_SLOTS_FEW;
        slots = base_slots(*l, virtual_tokens);
    }
    l->slots = slots > 2 ? slots : 2;
    /* Where one linear follows the other x is waited for more than weights are. */
    l->flight = l->count > 1 ? smaller(l->slots, 3) : 2;
}

/* ---- x and y --------------------------------------------------------------------------------- */

__device__ __forceinline__ void prefetch_x(const void *x, int64_t bytes)
{
    const int64_t lines = (bytes + 127) / 128;
    for (int64_t i = blockIdx.x + static_cast<int64_t>(threadIdx.x) * gridDim.x; i < lines;
         i += static_cast<int64_t>(SET_WARPS * 32) * gridDim.x)
        prefetch_line(static_cast<const char *>(x) + i * 128);
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

/* Whose row a thread writes of a batch; fetched long before it does. */
struct ahead {
    uint32_t unit; /* of the thread's row */
    int job;       /* whose row that is; -1: nobody's */
};

__device__ __forceinline__ ahead fetch(const launch &l, int first, int batch)
{
    ahead a = {0, -1};
    const int count = l.jobs[first].round;
    int slot = threadIdx.x / UNIT_ROWS;
    for (int i = 0; i < count; i++) {
        const job &j = l.jobs[first + i];
        const int part = part_of(l, first + i), units = j.w.s.units_of_batch(part, batch);
        if (slot >= 0 && slot < units) {
            a.unit = __ldg(j.w.unit + j.w.s.first_unit(part) + batch * BATCH_UNITS + slot);
            a.job = first + i;
        }
        slot -= units;
    }
    return a;
}

/* The thread's row of the batch, added up and written. */
template <typename A, typename S>
__device__ __forceinline__ void store(const launch &l, const S &sums, const ahead &a)
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
            sum += sums.total(row, t * A::DIGITS + d);
        *to = A::rounded(sum);
    }
}

/* Warps of Base say that their columns of x are in shared memory; those of Ortho wait for all. */
template <typename S> __device__ __forceinline__ void x_is_here()
{
    meeting_arrive<X_IS_HERE, S::THREADS>();
}

template <typename S> __device__ __forceinline__ void wait_for_x()
{
    meeting_sync<X_IS_HERE, S::THREADS>();
}

/* The round that begins at `first`: linears over one x whose units fit into one batch, or a single
 * one in several. */
struct round_at {
    int first, count, batches, windows;

    __device__ __forceinline__ round_at(const launch &l, int begin)
        : first(begin), count(l.jobs[begin].round),
          batches(max(1, l.jobs[begin].w.s.batches_of(part_of(l, begin)))),
          windows(l.jobs[begin].w.s.windows)
    {
    }
    /* Must x be brought into shared memory, or is it there? */
    __device__ __forceinline__ bool brings(int batch) const
    {
        return windows > 1 || (first == 0 && batch == 0);
    }
};

/* Base of a round, and y. */
template <typename A, int T, int GROUPS>
__device__ __forceinline__ void multiply_base(const launch &l, gemv_base<A, T, GROUPS> &c,
                                              const round_at &r, uint16_t *x)
{
    typedef gemv_sums<T> sums;
    bool wait = r.first == 0; /* once all that needs no x is done */
    const shape &s = l.jobs[r.first].w.s;
#pragma unroll 1
    for (int batch = 0; batch < r.batches; batch++) {
        int units = 0;
        for (int i = 0; i < r.count; i++)
            units += l.jobs[r.first + i].w.s.units_of_batch(part_of(l, r.first + i), batch);
        c.sums.open(c.number());
        const ahead a = fetch(l, r.first, batch);
#pragma unroll 1
        for (int w = 0; w < s.windows; w++) {
            const int images = s.images_of(w);
            const int half = images > PANEL_IMAGES ? (images + 1) / 2 : images;
            const share one = share_of(0, half, c.warp),
                        two = share_of(half, images - half, c.warp);
            c.stride = images * IMAGE_COLUMNS;
            if (r.brings(batch)) {
                if (w > 0)
                    sums::meet(); /* the x that is overwritten was read by all */
                const strip<A> strip_one(l, one, w, x), strip_two(l, two, w, x);
                if (wait)
                    ortho_cuda_wait_for_previous();
                wait = false;
                strip_one.copy(l.tokens, c.stride);
                if (half < images)
                    strip_two.copy(l.tokens, c.stride);
                __syncwarp();
                x_is_here<sums>();
            }
            if (w == 0)
                c.template any_panel<true>(one, units, 0);
            else
                c.template any_panel<false>(one, units, 0);
            if (half < images)
                c.template any_panel<false>(two, units, 0);
        }
        __syncwarp();
        sums::meet();
        if (threadIdx.x < BATCH_ROWS)
            store<A>(l, c.sums, a);
    }
}

/* The steps of a section: lane i has those of linear i of the round, and where its rows begin. */
struct section_steps {
    uint32_t begin;
    int count, each; /* steps; steps of a bundle */
    int row;
};

__device__ __forceinline__ section_steps fetch_steps(const launch &l, const round_at &r, int batch,
                                                     int window)
{
    section_steps s = {0, 0, 1, 0};
    const int lane = threadIdx.x % 32;
    int row = 0;
    for (int i = 0; i < r.count; i++) {
        const job &j = l.jobs[r.first + i];
        const int part = part_of(l, r.first + i), units = j.w.s.units_of_batch(part, batch);
        if (lane == i)
            s.row = row;
        if (lane == i && units > 0 && j.alpha != 0) {
            const uint32_t *begin = j.w.begin + j.w.s.section(part, batch, window);
            s.begin = __ldg(begin);
            s.count = static_cast<int>(__ldg(begin + 1) - s.begin);
        }
        row += units * UNIT_ROWS;
    }
    s.each = bundle_steps(s.count);
    return s;
}

/* A warp's bundles of a section: every WARPS-th, over the linears of a round. */
template <int WARPS> struct dealt_bundles {
    section_steps all, now; /* of all linears, in lanes; of the linear at work */
    int linears, linear, step;

    __device__ __forceinline__ dealt_bundles(const section_steps &s, int count, int warp)
        : all(s), now({0, 0, 1, 0}), linears(count), linear(-1), step(warp)
    {
        settle();
    }
    /* What is left over of a linear's bundles is counted on in the next one. */
    __device__ __forceinline__ void settle()
    {
        while (step >= now.count && linear < linears) {
            const int over = (step - now.count) / now.each;
            const int from = ++linear % 32;
            now.begin = __shfl_sync(ALL_LANES, all.begin, from);
            now.count = linear < linears ? __shfl_sync(ALL_LANES, all.count, from) : 0;
            now.each = __shfl_sync(ALL_LANES, all.each, from);
            now.row = __shfl_sync(ALL_LANES, all.row, from);
            step = over * now.each;
        }
    }
    template <typename E>
    __device__ __forceinline__ void ask(const launch &l, const round_at &r, E &e)
    {
        if (linear >= linears) {
            e.ask(nullptr, {0, 0, 0, 0});
            return;
        }
        const job &j = l.jobs[r.first + linear];
        const uint32_t steps = static_cast<uint32_t>(min(now.each, now.count - step));
        e.ask(j.w.ortho + static_cast<size_t>(now.begin + step) * STEP_BYTES,
              {steps | static_cast<uint32_t>(now.row) << 8, 0, j.alpha, 0});
        step += WARPS * now.each;
        settle();
    }
};

/* Ortho of a round, by one of its warps. */
template <typename A, int T>
__device__ __forceinline__ void multiply_ortho(const launch &l, entries<A, T> &e,
                                               gemv_sums<T> &sums, const round_at &r, int warp,
                                               uint32_t x)
{
    typedef gemv_sums<T> S;
    const shape &s = l.jobs[r.first].w.s;
#pragma unroll 1
    for (int batch = 0; batch < r.batches; batch++) {
        sums.open(S::BASE_WARPS + warp);
#pragma unroll 1
        for (int w = 0; w < s.windows; w++) {
            dealt_bundles<GEMV_ORTHO> bundles(fetch_steps(l, r, batch, w), r.count, warp);
            e.stride = s.images_of(w) * IMAGE_COLUMNS;
            for (int i = 0; i < e.slots; i++)
                bundles.ask(l, r, e);
            if (r.brings(batch)) {
                if (w > 0)
                    S::meet();
                wait_for_x<S>();
            }
#pragma unroll 1
            for (bundle_task task = e.next(); task.steps() > 0; task = e.next()) {
                e.take(task, x, sums.of(S::BASE_WARPS + warp));
                bundles.ask(l, r, e);
            }
            e.restart();
        }
        S::meet();
    }
}

/* The round that begins at `first`, as the thread that fills Base's ring sees it. */
__device__ __forceinline__ void feed(const launch &l, producer &p, int first)
{
    const round_at r(l, first);
    const shape &s = l.jobs[first].w.s;
    for (int batch = 0; batch < r.batches; batch++)
        for (int w = 0; w < s.windows; w++)
            for (int panel = 0; panel < s.panels_of(w); panel++)
                for (int i = 0; i < r.count; i++) {
                    const linear &m = l.jobs[first + i].w;
                    const int part = part_of(l, first + i);
                    const uint32_t chunk = s.panel_images(w, panel) * s.image_bytes();
                    p.run(m.base + m.s.panel_at(part, batch, w, panel),
                          m.s.units_of_batch(part, batch) * chunk, chunk);
                }
}

template <typename A, int T, int GROUPS>
__global__ void __launch_bounds__(GEMV_THREADS, T == 8 ? 1 : GEMV_RESIDENT)
    gemv_kernel(const __grid_constant__ launch l)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    ortho_cuda_release_dependents();
    static_assert(sizeof(bundle_task) * GEMV_ORTHO * BUNDLE_SLOTS <= GEMV_STATIC, "tasks");
    __shared__ __align__(128) bundle_task tasks[GEMV_ORTHO][BUNDLE_SLOTS];
    unsigned char *bundles = dynamic_shared(), *memory = bundles + bundles_bytes(l.bundle_slots);
    const uint32_t sums = shared_address(memory + ring_bytes(l.slots, l.slot_bytes));
    uint16_t *x = reinterpret_cast<uint16_t *>(memory + ring_bytes(l.slots, l.slot_bytes) +
                                               gemv_sums<T>::BYTES);
    if (threadIdx.x == 0)
        meetings_open(gemv_sums<T>::THREADS);
    const ring r = ring_open(memory, l.slots, l.slot_bytes, SET_WARPS, threadIdx.x == 0);
    __syncthreads();
    if (threadIdx.x < SET_WARPS * 32) {
        if (T < 8)
            take_registers<BASE_REGISTERS>();
        gemv_base<A, T, GROUPS> c(r, shared_address(x), sums, l.tokens * A::DIGITS);
        prefetch_x(l.x,
                   l.tokens * l.jobs[0].w.s.k * static_cast<int64_t>(sizeof(typename A::element)));
#pragma unroll 1
        for (int i = 0; i < l.count; i += l.jobs[i].round)
            multiply_base<A, T, GROUPS>(l, c, round_at(l, i), x);
        return;
    }
    if (T < 8)
        give_registers<ORTHO_REGISTERS>();
    const int warp = uniform(static_cast<int>(threadIdx.x / 32)) - SET_WARPS - 1;
    if (warp >= 0) {
        entries<A, T> e(shared_address(bundles) + warp * l.bundle_slots * BUNDLE_BYTES, tasks[warp],
                        l.bundle_slots, l.tokens * A::DIGITS);
        gemv_sums<T> s(sums);
#pragma unroll 1
        for (int i = 0; i < l.count; i += l.jobs[i].round)
            multiply_ortho<A, T>(l, e, s, round_at(l, i), warp, shared_address(x));
    } else if (threadIdx.x == SET_WARPS * 32) {
        producer p(r, l.flight);
        for (int i = 0; i < l.count; i += l.jobs[i].round)
            feed(l, p, i);
    }
#endif
}

} // namespace

} // namespace ortho_fused

#endif
