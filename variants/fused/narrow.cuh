/*
 * narrow.cuh: the kernel of narrow.cu: 16 tokens at once, by clusters whose blocks split K.
 *
 * Weights of 16 tokens take less time to multiply than to come, so that what counts is all that
 * isn't the stream of weights: x, which every multiprocessor reads of a whole row, and the chain
 * from the launch before to the last y. Where a block has a half or a quarter of the columns, it
 * has as much less of x. There is a place for all of its weights: some are asked for as it begins,
 * which where two blocks fit a multiprocessor is while the launch before still runs, the rest once
 * x was asked for, which would queue behind them.
 *
 * Base: tokens are the rows of mma.m16n8k16 and a unit's 8 rows its columns, as in batch.cuh. A
 * warp has four units at once and some of the block's images, so that a fragment of x, read from
 * shared memory, serves four products, whose chains of latencies stand side by side. Ortho has
 * warps of its own. All warps send their sums to the block of the cluster that adds them up.
 */
#ifndef ORTHO_VARIANTS_FUSED_NARROW_CUH
#define ORTHO_VARIANTS_FUSED_NARROW_CUH

#include "variants/fused/cluster.cuh"
#include "variants/fused/narrow_entries.cuh"
#include "variants/fused/outputs.cuh"

namespace ortho_fused
{

namespace
{

/* What all warps of a block know. */
struct narrow_block {
    static constexpr int WARPS = NARROW_WARPS;
    const narrow_launch &l;
    const narrow_layout &at;
    uint32_t memory; /* shared address that offsets are from */
    int rank, lane, warp;
    unit_range units;   /* of the cluster */
    image_range images; /* of the block */

    __device__ __forceinline__ narrow_block(const narrow_launch &launch, uint32_t address)
        : l(launch), at(launch.at), memory(address), rank(rank_in_cluster()),
          lane(threadIdx.x % 32), warp(uniform(static_cast<int>(threadIdx.x / 32))),
          units(l.units_of(cluster(l.blocks) - l.mine.first)), images(l.images[rank])
    {
    }
    /* Of the grid. */
    static __device__ __forceinline__ int cluster(int blocks)
    {
        return static_cast<int>(blockIdx.x) >> blocks / 2;
    }
    __device__ __forceinline__ uint32_t quad_barrier(int quad) const
    {
        return memory + at.barriers + quad * 8;
    }
    __device__ __forceinline__ uint32_t sums_barrier() const
    {
        return quad_barrier(at.quads);
    }
    __device__ __forceinline__ int quads_here() const
    {
        return (units.count + QUAD_UNITS - 1) / QUAD_UNITS;
    }
    /* Units that this block adds up. */
    __device__ __forceinline__ int owned() const
    {
        return (units.count - rank + l.blocks - 1) >> l.blocks / 2;
    }
    /* By one warp, before the block meets. */
    __device__ __forceinline__ void open_barriers() const
    {
        const int quads = quads_here();
        if (lane < quads)
            barrier_init(quad_barrier(lane), QUAD_UNITS);
        if (lane == quads) {
            barrier_init(sums_barrier(), 1);
            barrier_expect(sums_barrier(), owned() * at.senders * UNIT_SUM_BYTES);
        }
        barriers_show();
    }
    /* Weights of quads [begin, end); by all warps, since to ask takes a while: warp i has units i,
     * i + WARPS, ..., a lane each. `from`: of the lane's unit. */
    __device__ __forceinline__ void ask_weights(const place &from, int begin, int end) const
    {
        const int u = unit_of_lane(), bytes = images.count * IMAGE_BYTES;
        const uint32_t full = quad_barrier(u / QUAD_UNITS);
        if (u >= begin * QUAD_UNITS && u < end * QUAD_UNITS) {
            if (u < units.count && bytes > 0)
                bulk_copy(memory + at.weights + u * at.unit_weights, l.w.base + from.nibbles, bytes,
                          full, weights_policy());
            else
                barrier_arrive(full);
        }
        __syncwarp();
    }
    /* Scales of all weights, a group of copies: there once the warp has waited for it. */
    __device__ __forceinline__ void ask_scales(const place &from) const
    {
        const int each = images.count * l.w.s.groups; /* of SCALE_BYTES */
#pragma unroll 1
        for (int i = 0; warp + i * WARPS < units.count; i++) {
            const uint8_t *source = l.w.base + __shfl_sync(ALL_LANES, from.scales, i);
            const uint32_t to = memory + at.scales + (warp + i * WARPS) * at.unit_scales;
            for (int j = lane; j < each; j += 32)
                asm volatile(
                    "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + j * SCALE_BYTES),
                    "l"(source + j * SCALE_BYTES)
                    : "memory");
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    __device__ __forceinline__ int unit_of_lane() const
    {
        return warp + lane * WARPS;
    }
    __device__ __forceinline__ place place_of_lane() const
    {
        const int u = min(unit_of_lane(), units.count - 1);
        return image_place(l.w.s, units.first + u, min(images.first, l.w.s.images - 1));
    }
    /* A warp's sums of a unit, in registers as mma leaves them. sender: less than the block's. */
    __device__ __forceinline__ void send(int unit, int sender, const float sum[4]) const
    {
        /* Of the two tokens that a pair of lanes has two rows each of, either takes one. */
        const bool odd = lane % 2;
        const float x = __shfl_xor_sync(ALL_LANES, odd ? sum[0] : sum[2], 1),
                    y = __shfl_xor_sync(ALL_LANES, odd ? sum[1] : sum[3], 1);
        const float4 v =
            odd ? make_float4(x, y, sum[2], sum[3]) : make_float4(sum[0], sum[1], x, y);
        const int shift = l.blocks / 2, block = unit & (l.blocks - 1);
        const uint32_t to =
            memory + at.sums + odd * (UNIT_SUM_BYTES / 2) + lane / 2 * 16 +
            ((unit >> shift) * at.senders + rank * (at.senders >> shift) + sender) * UNIT_SUM_BYTES;
        send_four(block, to, sums_barrier(), v);
    }
};

/* ---- Base ------------------------------------------------------------------------------------ */

template <typename A, int GROUPS> struct narrow_base {
    typedef typename A::element element;
    static constexpr int GROUP_STEPS = IMAGE_COLUMNS / 16 / GROUPS,
                         CHAINS = GROUP_STEPS < 4 ? GROUP_STEPS : 4;
    const narrow_block &b;

    /* The word and the side of k-step i of a group. */
    static __device__ __forceinline__ constexpr int word_of(int group, int i)
    {
        return GROUPS == 4 ? group / 2 * 2 + i : group * (4 / GROUPS) + i / 2;
    }
    static __device__ __forceinline__ constexpr int side_of(int group, int i)
    {
        return GROUPS == 4 ? group % 2 : i % 2;
    }
    __device__ __forceinline__ uint32_t x_of(int image) const
    {
        return b.memory + b.at.x + image * IMAGE_TILE_BYTES;
    }
    __device__ __forceinline__ uint32_t start_of(int image, int group) const
    {
        return b.memory + b.at.start + (image * GROUPS + group) * (TILE_TOKENS * 4) +
               b.lane / 4 * 4;
    }
    /* The A fragment of a k-step. */
    __device__ __forceinline__ void load_x(int image, int word, int side, uint32_t a[4]) const
    {
        const uint32_t column = b.lane % 8 / 2 * 8 + b.lane / 16 * 2 + b.lane % 2;
        /* Where it stands doesn't depend on these bits of the column but by addition. */
        const uint32_t step = word / 2 * 64 + side * 32 + word % 2 * 4;
        load_transposed(x_of(image) + half_line(2 * column, b.lane / 8 % 2) + step * TILE_LINE, a);
    }
    /* What nibbles have too many, for all rows alike: of an image's groups and all tokens. */
    __device__ __forceinline__ void note_start(int image) const
    {
#pragma unroll
        for (int g = 0; g < GROUPS; g++) {
            float d[CHAINS][4]; /* latencies side by side */
#pragma unroll
            for (int i = 0; i < GROUP_STEPS; i++) {
                uint32_t a[4];
                load_x(image, word_of(g, i), side_of(g, i), a);
                if (i < CHAINS)
                    A::first_mma(d[i], a, A::FIRST, A::SECOND);
                else
                    A::mma(d[i % CHAINS], a, A::FIRST, A::SECOND);
            }
#pragma unroll
            for (int i = 1; i < CHAINS; i++)
                d[0][0] += d[i][0], d[0][2] += d[i][2];
            if (b.lane % 4 == 0) {
                store_shared_float(start_of(image, g), d[0][0]);
                store_shared_float(start_of(image, g) + 8 * 4, d[0][2]);
            }
        }
    }
    /* The block's columns of x, transposed; each of those that bring it some images. between() is
     * called once they are asked for. */
    template <typename F> __device__ __forceinline__ void bring(const F &between) const
    {
        const tile_source<element> from = source();
        const bool all = has_all(from);
        ortho_cuda_wait_for_previous();
#pragma unroll 1
        for (int i = b.warp; i < b.images.count; i += b.l.bringers)
            if (all)
                ask_image(from, i, x_of(i), b.lane);
            else
                bring_some(from, i, x_of(i), b.lane);
        asm volatile("cp.async.commit_group;" ::: "memory");
        between();
        asm volatile("cp.async.wait_group 0;" ::: "memory");
#pragma unroll 1
        for (int i = b.warp; i < b.images.count; i += b.l.bringers) {
            transpose_image(x_of(i), b.lane);
            __syncwarp();
            note_start(i);
        }
    }
    /* The same by a warp that has asked for entries, and doesn't wait for them here. */
    __device__ __forceinline__ void bring_beside() const
    {
        const tile_source<element> from = source();
        const bool all = has_all(from);
        ortho_cuda_wait_for_previous();
#pragma unroll 1
        for (int i = b.warp; i < b.images.count; i += b.l.bringers) {
            if (all) {
                bring_lines(from, i, x_of(i), b.lane);
            } else {
                bring_some(from, i, x_of(i), b.lane);
                __syncwarp();
                transpose_image(x_of(i), b.lane);
            }
            __syncwarp();
            note_start(i);
        }
    }
    __device__ __forceinline__ tile_source<element> source() const
    {
        const int first = blockIdx.y * TILE_TOKENS;
        const int64_t k = b.l.w.s.k, column = static_cast<int64_t>(b.images.first) * IMAGE_COLUMNS;
        return tile_source<element>(static_cast<const element *>(b.l.x) + first * k, k, column,
                                    b.l.tokens - first, b.lane);
    }
    __device__ __forceinline__ bool has_all(const tile_source<element> &from) const
    {
        return from.vectors && from.columns >= b.images.count * IMAGE_COLUMNS;
    }
    /* Adds the products of an image and a quad's units. A fragment of x is asked for a step before
     * it is multiplied. */
    __device__ __forceinline__ void multiply(int image, const int unit[QUAD_UNITS],
                                             float sum[QUAD_UNITS][4]) const
    {
        constexpr int STEPS = GROUPS * GROUP_STEPS;
        uint32_t words[QUAD_UNITS][4], scales[QUAD_UNITS], a[2][4];
        load_x(image, word_of(0, 0), side_of(0, 0), a[0]);
#pragma unroll
        for (int u = 0; u < QUAD_UNITS; u++) {
            const uint4 w = load_shared_16(b.memory + b.at.weights + unit[u] * b.at.unit_weights +
                                           image * IMAGE_BYTES + b.lane * 16);
            words[u][0] = w.x, words[u][1] = w.y, words[u][2] = w.z, words[u][3] = w.w;
            scales[u] = b.memory + b.at.scales + unit[u] * b.at.unit_scales +
                        image * (GROUPS * SCALE_BYTES) + b.lane % 4 * 4;
        }
        float d[QUAD_UNITS][4], start[TILE_HALVES];
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
            const int g = step / GROUP_STEPS, i = step % GROUP_STEPS;
            const int word = word_of(g, i), side = side_of(g, i);
            if (step + 1 < STEPS)
                load_x(image, word_of((step + 1) / GROUP_STEPS, (step + 1) % GROUP_STEPS),
                       side_of((step + 1) / GROUP_STEPS, (step + 1) % GROUP_STEPS),
                       a[(step + 1) % 2]);
            if (i == 0)
                load_start(image, g, start);
#pragma unroll
            for (int u = 0; u < QUAD_UNITS; u++) {
                uint32_t w[4];
                A::unpack(words[u][word], w);
                if (i == 0)
                    d[u][0] = d[u][1] = start[0], d[u][2] = d[u][3] = start[1];
                A::mma(d[u], a[step % 2], w[side], w[2 + side]);
            }
            if (i == GROUP_STEPS - 1)
                add_scaled(g, scales, d, sum);
        }
    }
    __device__ __forceinline__ void load_start(int image, int g, float start[TILE_HALVES]) const
    {
        start[0] = load_shared_float(start_of(image, g));
        start[1] = load_shared_float(start_of(image, g) + 8 * 4);
    }
    static __device__ __forceinline__ void add_scaled(int g, const uint32_t scales[QUAD_UNITS],
                                                      const float d[QUAD_UNITS][4],
                                                      float sum[QUAD_UNITS][4])
    {
#pragma unroll
        for (int u = 0; u < QUAD_UNITS; u++) {
            const float2 scale = half_activations::pair(load_shared_4(scales[u] + g * SCALE_BYTES));
#pragma unroll
            for (int i = 0; i < 4; i++)
                sum[u][i] = fmaf(i % 2 == 0 ? scale.x : scale.y, d[u][i], sum[u][i]);
        }
    }
    /* The quads and images of this warp. x is here. */
    __device__ __forceinline__ void run() const
    {
        const int shift = b.l.column_shift, columns = 1 << shift;
        const int part = b.warp & (columns - 1), each = (b.images.count + columns - 1) >> shift;
        const int end = min((part + 1) * each, b.images.count);
#pragma unroll 1
        for (int q = b.warp >> shift; q * QUAD_UNITS < b.units.count; q += b.l.base >> shift) {
            int unit[QUAD_UNITS];
            float sum[QUAD_UNITS][4] = {};
#pragma unroll
            for (int u = 0; u < QUAD_UNITS; u++)
                unit[u] = min(q * QUAD_UNITS + u, b.units.count - 1);
            barrier_wait(b.quad_barrier(q), 0);
#pragma unroll 1
            for (int i = part * each; i < end; i++)
                multiply(i, unit, sum);
#pragma unroll
            for (int u = 0; u < QUAD_UNITS; u++)
                if (q * QUAD_UNITS + u < b.units.count)
                    b.send(unit[u], part, sum[u]);
        }
    }
    /* Where number u of the units that the block adds up is; fetched long before it is stored. */
    __device__ __forceinline__ uint32_t fetch_unit(int u) const
    {
        return u < b.owned() ? __ldg(b.l.w.unit + b.units.first + u * b.l.blocks + b.rank) : 0;
    }
    /* Adds up what all have sent and writes y, a unit a warp. unit: of the warp's first. */
    __device__ __forceinline__ void store(uint32_t unit) const
    {
        const int token = b.lane / 2, four = b.lane % 2, first = blockIdx.y * TILE_TOKENS;
        const int64_t n = b.l.w.s.n;
        barrier_wait(b.sums_barrier(), 0);
#pragma unroll 1
        for (int u = b.warp; u < b.owned(); u += b.l.base, unit = fetch_unit(u)) {
            const int64_t row = static_cast<int64_t>(unit) * UNIT_ROWS + four * 4;
            const float4 sum =
                total(b.memory + b.at.sums + u * b.at.senders * UNIT_SUM_BYTES + b.lane * 16,
                      b.at.senders, UNIT_SUM_BYTES);
            if (first + token < b.l.tokens)
                store_rows<A>(static_cast<element *>(b.l.y) + (first + token) * n + row, n - row,
                              sum);
        }
    }
};

template <typename A, int GROUPS>
__global__ void __launch_bounds__(NARROW_THREADS, 2)
    narrow_kernel(const __grid_constant__ narrow_group all)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    const narrow_launch &l = all.of_cluster(narrow_block::cluster(all.of[0].blocks));
    ortho_cuda_release_dependents();
    unsigned char *const memory = dynamic_shared();
    const narrow_block b(l, shared_address(memory));
    if (b.warp == 0)
        b.open_barriers();
    if (threadIdx.x == 0)
        meeting_open(narrow_entries<A>::MEET, l.ortho() * 32);
    __syncthreads();
    cluster_arrive();
    const place from = b.place_of_lane();
    b.ask_weights(from, 0, min(l.quads_ahead, b.quads_here()));
    b.ask_scales(from);
    cluster_wait(); /* barriers are there for others to send to */
    const narrow_base<A, GROUPS> base{b};
    const auto rest = [&] { b.ask_weights(from, l.quads_ahead, b.quads_here()); };
    if (b.warp < l.base) {
        const uint32_t unit = base.fetch_unit(b.warp);
        base.bring(rest);
        __syncthreads();
        base.run();
        base.store(unit);
        return;
    }
    unit_rows *const rows = reinterpret_cast<unit_rows *>(memory + b.at.rows);
    const int warp = b.warp - l.base;
    narrow_entries<A> entries(l, rows, b.units, b.images, b.memory, warp);
    const auto send = [&](int unit, const float sum[4]) { b.send(unit, 1 << l.column_shift, sum); };
    if (l.alpha != 0) {
        entries.note_rows(rows);
        entries.ask_first(send);
        rest();
        if (b.warp < l.bringers)
            base.bring_beside();
        entries.wait_for_scales();
    } else {
        base.bring(rest);
    }
    __syncthreads();
    if (l.alpha != 0)
        entries.run(send);
#endif
}

} // namespace

} // namespace ortho_fused

#endif
