/*
 * batch.cuh: the kernel of batch.cu: 16 tokens at once.
 *
 * Tokens are the rows of mma.m16n8k16 and a unit's 8 rows its columns, so that an image's words are
 * B fragments as they stand. A warp of Base has images of its own, whose x it keeps in registers
 * while the units come by in a ring; nibbles stay the exact numbers that they are, and scales meet
 * sums in fp32, as for few tokens. Ortho has warps of its own (patches.cuh), for which the warps of
 * Base leave x in shared memory, transposed: as many columns as there is room for, a chunk. At the
 * end of a round the warps' sums are added and y is written.
 */
#ifndef ORTHO_VARIANTS_FUSED_BATCH_CUH
#define ORTHO_VARIANTS_FUSED_BATCH_CUH

#include "variants/fused/gemv.cuh"
#include "variants/fused/outputs.cuh"
#include "variants/fused/patches.cuh"
#include "variants/fused/products.cuh"

namespace ortho_fused
{

namespace
{

/* Warps of Base, the one that fills the ring, warps of Ortho. */
constexpr int BATCH_ORTHO = 7, BATCH_THREADS = (SET_WARPS + 1 + BATCH_ORTHO) * 32,
              BATCH_SUMS = SET_WARPS + BATCH_ORTHO, BATCH_MEETING = BATCH_SUMS * 32;
constexpr int BATCH_BASE_REGISTERS = 184, BATCH_OTHER_REGISTERS = 72; /* of 128 */
constexpr int BATCH_IMAGES = 4; /* of a warp of Base and a chunk, at most */
constexpr int UNIT_SUMS_BYTES = BATCH_SUMS * UNIT_SUM_BYTES;

/* What of a launch depends on the room. */
struct batch_plan {
    int chunk;    /* images of x at once */
    int units;    /* of a round, at most */
    int x_bytes;  /* of shared memory */
    bool all;     /* of x is in one chunk: several rounds have it brought once */
    bool patched; /* entries are looked at */
};

/* Some of the images of a panel. */
struct chunk_at {
    int window, panel;
    int first, images; /* counted from the panel's first */
    int before, all;   /* images of the window before the panel; of the panel */
};

/* Calls f(chunk) for all columns, in order. */
template <typename F>
__device__ __forceinline__ void each_chunk(const shape &s, int most, const F &f)
{
#pragma unroll 1
    for (int w = 0; w < s.windows; w++)
#pragma unroll 1
        for (int p = 0; p < s.panels_of(w); p++) {
            const int all = s.panel_images(w, p);
#pragma unroll 1
            for (int i = 0; i < all; i += most)
                f(chunk_at{w, p, i, min(most, all - i), s.panel_first(w, p), all});
        }
}

/* Units of all linears of a round. */
__device__ __forceinline__ int round_units(const launch &l, const round_at &r, int batch)
{
    int units = 0;
    for (int i = 0; i < r.count; i++)
        units += l.jobs[r.first + i].w.s.units_of_batch(part_of(l, r.first + i), batch);
    return units;
}

/* ---- Base ------------------------------------------------------------------------------------ */

template <typename A, int GROUPS> struct batch_base {
    typedef typename A::element element;
    typedef image_products<A, GROUPS> image_by_unit;

    ring r;
    cursor c;
    int lane, warp;
    uint32_t x, sums; /* shared addresses: of x transposed; of this warp and unit 0 */

    __device__ __forceinline__ batch_base(const ring &of, uint32_t x_at, uint32_t sums_at)
        : r(of), c(of), lane(threadIdx.x % 32), warp(uniform(static_cast<int>(threadIdx.x / 32))),
          x(x_at), sums(sums_at + warp * UNIT_SUM_BYTES)
    {
    }
    /* A warp's x of a chunk, into shared memory. */
    __device__ __forceinline__ void bring(const tile_source<element> &from, const chunk_at &at,
                                          const share &mine) const
    {
        const uint32_t to = x + mine.own * IMAGE_TILE_BYTES;
        const bool all = from.vectors && from.columns >= at.images * IMAGE_COLUMNS;
#pragma unroll 1
        for (int h = 0; h < mine.here; h++)
            if (all)
                ask_image(from, mine.own + h, to + h * IMAGE_TILE_BYTES, lane);
            else
                bring_some(from, mine.own + h, to + h * IMAGE_TILE_BYTES, lane);
        copies_commit();
        copies_wait<0>();
#pragma unroll 1
        for (int h = 0; h < mine.here; h++)
            transpose_image(to + h * IMAGE_TILE_BYTES, lane);
    }
    /* A chunk: H images a warp, of which `here` are there; own: the first. What isn't there has an
     * x of zeros and the weights of another: nobody has to branch. x_is_here() is called once it
     * is in shared memory, where it may be from before. */
    template <int H, typename X>
    __device__ __forceinline__ void chunk(const tile_source<element> &from, const chunk_at &at,
                                          int units, bool fresh, bool had_x, const X &x_is_here)
    {
        const share mine = share_of(0, at.images, warp);
        tile_image image[H];
        float start[H][GROUPS][TILE_HALVES];
        uint32_t words[H], scales[H];
        if (!had_x)
            bring(from, at, mine);
        __syncwarp();
        x_is_here();
#pragma unroll
        for (int h = 0; h < H; h++)
            image[h].load(x + (mine.own + h) * IMAGE_TILE_BYTES, h < mine.here, lane);
#pragma unroll
        for (int h = 0; h < H; h++) {
            const int i = h < mine.here ? mine.own + h : 0;
            image_by_unit::load_start(image[h], start[h]);
            words[h] = i * IMAGE_BYTES + lane * 16;
            scales[h] = at.images * IMAGE_BYTES + i * GROUPS * SCALE_BYTES + lane % 4 * 4;
        }
#pragma unroll 1
        for (int u = 0; u < units; u++) {
            float sum[4] = {};
            barrier_wait(c.full(), c.phase);
#pragma unroll
            for (int h = 0; h < H; h++) {
                const uint32_t scale = c.data + scales[h];
                image_by_unit::multiply(
                    image[h], start[h], load_shared_16(c.data + words[h]),
                    [&](int g) { return load_shared_4(scale + g * SCALE_BYTES); }, sum);
            }
            __syncwarp();
            if (lane < ARRIVING_LANES)
                barrier_arrive(c.empty());
            c.next(r);
            keep(u, sum, fresh);
        }
    }
    __device__ __forceinline__ void keep(int unit, const float sum[4], bool fresh) const
    {
        const uint32_t to = sums + unit * UNIT_SUMS_BYTES + lane_sums(lane);
        if (!fresh) {
            add_sums(to, sum);
            return;
        }
        store_shared_8(to, sum[0], sum[1]);
        store_shared_8(to + 8 * UNIT_ROWS * 4, sum[2], sum[3]);
    }
    template <typename X>
    __device__ __forceinline__ void any_chunk(const tile_source<element> &from, const chunk_at &at,
                                              int units, bool fresh, bool had_x, const X &x_is_here)
    {
        static_assert(BATCH_IMAGES == 4, "one of these");
        const int each = (at.images + SET_WARPS - 1) / SET_WARPS;
        if (each == 1)
            chunk<1>(from, at, units, fresh, had_x, x_is_here);
        else if (each == 2)
            chunk<2>(from, at, units, fresh, had_x, x_is_here);
        else if (each == 3)
            chunk<3>(from, at, units, fresh, had_x, x_is_here);
        else
            chunk<4>(from, at, units, fresh, had_x, x_is_here);
    }
};

/* ---- y --------------------------------------------------------------------------------------- */

/* Adds up the warps' sums of a batch and writes y, by Base's warps. */
template <typename A>
__device__ __forceinline__ void store_tile(const launch &l, const round_at &r, int batch,
                                           uint32_t sums, bool patched)
{
    constexpr int EACH = TILE_TOKENS * 2; /* fours of rows of a unit */
    const int first = blockIdx.y * TILE_TOKENS;
    for (int i = 0; i < r.count; i++) {
        const job &j = l.jobs[r.first + i];
        const int part = part_of(l, r.first + i), here = j.w.s.units_of_batch(part, batch);
        const uint32_t *unit = j.w.unit + j.w.s.first_unit(part) + batch * BATCH_UNITS;
#pragma unroll 1
        for (int at = threadIdx.x; at < here * EACH; at += SET_WARPS * 32) {
            const int u = at / EACH, token = at % EACH / 2, four = at % 2;
            const float4 sum = total(sums + u * UNIT_SUMS_BYTES + (token * 2 + four) * 16,
                                     patched ? BATCH_SUMS : SET_WARPS, UNIT_SUM_BYTES);
            const int64_t row = static_cast<int64_t>(__ldg(unit + u)) * UNIT_ROWS + four * 4;
            if (first + token < l.tokens)
                store_rows<A>(static_cast<typename A::element *>(j.y) + (first + token) * j.w.s.n +
                                  row,
                              j.w.s.n - row, sum);
        }
        sums += here * UNIT_SUMS_BYTES;
    }
}

/* ---- a round --------------------------------------------------------------------------------- */

/* The warps of Base: x, products, y. */
template <typename A, int GROUPS>
__device__ __forceinline__ void multiply_tile(const launch &l, const batch_plan &plan,
                                              batch_base<A, GROUPS> &b, const round_at &r,
                                              uint32_t sums, bool *had_x)
{
    typedef typename A::element element;
    const shape &s = l.jobs[r.first].w.s;
    const int first = blockIdx.y * TILE_TOKENS;
    const element *x = static_cast<const element *>(l.x) + first * s.k;
#pragma unroll 1
    for (int batch = 0; batch < r.batches; batch++) {
        const int units = round_units(l, r, batch);
        bool fresh = true;
        each_chunk(s, plan.chunk, [&](const chunk_at &c) {
            const int64_t column = static_cast<int64_t>(c.window) * WINDOW_COLUMNS +
                                   (c.before + c.first) * IMAGE_COLUMNS;
            const tile_source<element> from(x, s.k, column, l.tokens - first, b.lane);
            meeting_sync<MEETING, BATCH_MEETING>(); /* x and sums have been read */
            if (!*had_x)
                ortho_cuda_wait_for_previous();
            b.any_chunk(from, c, units, fresh, *had_x,
                        [] { meeting_arrive<X_IS_HERE, BATCH_MEETING>(); });
            *had_x = plan.all;
            fresh = false;
        });
        __syncwarp();
        meeting_sync<MEETING, BATCH_MEETING>(); /* all sums are there */
        store_tile<A>(l, r, batch, sums, plan.patched);
    }
}

/* A warp of Ortho. */
template <typename A>
__device__ __forceinline__ void patch_tile(const launch &l, const batch_plan &plan, patches<A> &p,
                                           const round_at &r, int warp)
{
    const shape &s = l.jobs[r.first].w.s;
#pragma unroll 1
    for (int batch = 0; batch < r.batches; batch++) {
        bool fresh = true;
        each_chunk(s, plan.chunk, [&](const chunk_at &c) {
            if (!plan.patched) {
                meeting_sync<MEETING, BATCH_MEETING>();
                meeting_sync<X_IS_HERE, BATCH_MEETING>();
                return;
            }
            dealt_bundles<BATCH_ORTHO> bundles(fetch_steps(l, r, batch, c.window), r.count, warp);
            for (int i = 0; i < p.queue.slots; i++)
                bundles.ask(l, r, p.queue);
            meeting_sync<MEETING, BATCH_MEETING>();
            if (fresh)
                p.open(round_units(l, r, batch));
            fresh = false;
            p.here = {(c.before + c.first) * IMAGE_COLUMNS, c.images * IMAGE_COLUMNS,
                      c.images == s.images_of(c.window)};
            meeting_sync<X_IS_HERE, BATCH_MEETING>();
#pragma unroll 1
            for (bundle_task task = p.queue.next(); task.steps() > 0; task = p.queue.next()) {
                p.take(task);
                bundles.ask(l, r, p.queue);
            }
            p.turn_to(-1);
            p.queue.restart();
        });
        __syncwarp();
        meeting_sync<MEETING, BATCH_MEETING>();
    }
}

/* The thread that fills the ring: of each unit a chunk's nibbles and their scales. */
__device__ __forceinline__ void feed_tile(const launch &l, const batch_plan &plan, producer &p,
                                          const round_at &r)
{
    const shape &s = l.jobs[r.first].w.s;
    const int scale_bytes = s.groups * SCALE_BYTES;
    for (int batch = 0; batch < r.batches; batch++)
        each_chunk(s, plan.chunk, [&](const chunk_at &c) {
            for (int i = 0; i < r.count; i++) {
                const linear &m = l.jobs[r.first + i].w;
                const int part = part_of(l, r.first + i), units = m.s.units_of_batch(part, batch);
                const uint8_t *from = m.base + m.s.panel_at(part, batch, c.window, c.panel);
                for (int u = 0; u < units; u++, from += c.all * s.image_bytes())
                    p.push_two(from + c.first * IMAGE_BYTES, c.images * IMAGE_BYTES,
                               from + c.all * IMAGE_BYTES + c.first * scale_bytes,
                               c.images * scale_bytes);
            }
        });
}

template <typename A, int GROUPS>
__global__ void __launch_bounds__(BATCH_THREADS, 1)
    batch_kernel(const __grid_constant__ launch l, const __grid_constant__ batch_plan plan)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    ortho_cuda_release_dependents();
    __shared__ __align__(128) bundle_task tasks[BATCH_ORTHO][BUNDLE_SLOTS];
    unsigned char *memory = dynamic_shared();
    const uint32_t bundles = shared_address(memory);
    const uint32_t x = bundles + BATCH_ORTHO * l.bundle_slots * BUNDLE_BYTES,
                   sums = x + plan.x_bytes, slots = sums + plan.units * UNIT_SUMS_BYTES;
    if (threadIdx.x == 0)
        meetings_open(BATCH_MEETING);
    const ring r =
        ring_open(memory + (slots - bundles), l.slots, l.slot_bytes, SET_WARPS, threadIdx.x == 0);
    __syncthreads();
    if (threadIdx.x < SET_WARPS * 32) {
        take_registers<BATCH_BASE_REGISTERS>();
        batch_base<A, GROUPS> b(r, x, sums);
        bool had_x = false;
#pragma unroll 1
        for (int i = 0; i < l.count; i += l.jobs[i].round)
            multiply_tile<A, GROUPS>(l, plan, b, round_at(l, i), sums, &had_x);
        return;
    }
    give_registers<BATCH_OTHER_REGISTERS>();
    const int warp = uniform(static_cast<int>(threadIdx.x / 32)) - SET_WARPS - 1;
    if (warp >= 0) {
        patches<A> p(bundles + warp * l.bundle_slots * BUNDLE_BYTES, tasks[warp], l.bundle_slots, x,
                     sums + (SET_WARPS + warp) * UNIT_SUM_BYTES, UNIT_SUMS_BYTES);
#pragma unroll 1
        for (int i = 0; i < l.count; i += l.jobs[i].round)
            patch_tile<A>(l, plan, p, round_at(l, i), warp);
    } else if (threadIdx.x == SET_WARPS * 32) {
        producer p(r, l.flight);
        for (int i = 0; i < l.count; i += l.jobs[i].round)
            feed_tile(l, plan, p, round_at(l, i));
    }
#endif
}

} // namespace

} // namespace ortho_fused

#endif
