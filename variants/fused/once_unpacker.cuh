/*
 * once_unpacker.cuh: a warp of once.cu that unpacks: tasks, each some images of a unit, dequantised
 * and patched in shared memory and stored to the workspace as they will stand in slots.
 */
#ifndef ORTHO_VARIANTS_FUSED_ONCE_UNPACKER_CUH
#define ORTHO_VARIANTS_FUSED_ONCE_UNPACKER_CUH

#include "variants/fused/mend.cuh"
#include "variants/fused/once_memory.cuh"
#include "variants/fused/section.cuh"

namespace ortho_fused
{

namespace
{

/* A unit in the order of rows, from the launch's first, and a chunk of its images. */
struct once_task {
    int unit, chunk;

    __device__ __forceinline__ once_task(const once_launch &l, int number)
    {
        const int of_group = l.group_units * l.chunks, group = number / of_group,
                  inside = number - group * of_group,
                  units = min(l.group_units, l.units - group * l.group_units);
        chunk = inside / units;
        unit = group * l.group_units + inside - chunk * units;
    }
};

/* Shared memory to the workspace, by one thread. */
__device__ __forceinline__ void bulk_store(uint8_t *to, uint32_t from, uint32_t bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from),
                 "r"(bytes)
                 : "memory");
}

/* A task's packed weights and the first of its entries, on their way to registers. GROUPS: 1, or
 * more than an image's groups. */
template <int GROUPS> struct once_packed {
    static constexpr int SCALES = GROUPS == 1 ? 1 : IMAGE_STRIPS;
    static constexpr int FIRST = 2; /* segments of a lane that are asked for at once */
    uint4 words[TASK_IMAGES];
    uint16_t scale[TASK_IMAGES][SCALES];
    uint4 segment[FIRST];
    int unit, begin, end, steps; /* as in unit_segments; begin: the lane's first */
    uint32_t section;

    /* unit: in the order of the parts. */
    __device__ __forceinline__ void load(const once_launch &l, int of, int chunk, int lane)
    {
        const linear &w = l.w;
        const int first = chunk * TASK_IMAGES, odd = lane / 4 % 2;
        const place mine = image_place(w.s, of, min(first + lane, w.s.images - 1));
        unit = of;
#pragma unroll
        for (int i = 0; i < TASK_IMAGES; i++) {
            const int64_t nibbles = __shfl_sync(ALL_LANES, mine.nibbles, i),
                          scales = __shfl_sync(ALL_LANES, mine.scales, i);
            words[i] = __ldg(reinterpret_cast<const uint4 *>(w.base + nibbles) + lane);
#pragma unroll
            for (int strip = 0; strip < SCALES; strip++) {
                const int group = GROUPS == 1 ? 0 : (strip ^ odd) * w.s.groups / GROUPS;
                scale[i][strip] = __ldg(reinterpret_cast<const uint16_t *>(w.base + scales) +
                                        group * UNIT_ROWS + lane / 4);
            }
        }
        if (l.alpha == 0)
            return;
        const unit_segments s(w, of, first / WINDOW_IMAGES);
        section = s.section;
        steps = s.steps;
        begin = s.begin + lane;
        end = s.end;
        const segment_order order(steps, bundle_steps(steps));
#pragma unroll
        for (int i = 0; i < FIRST; i++)
            segment[i] = segment_at(w, order, begin + i * 32);
    }
    __device__ __forceinline__ uint4 segment_at(const linear &w, const segment_order &order,
                                                int i) const
    {
        return i < end ? load_segment(w, section + static_cast<uint32_t>(order.place_of(i)))
                       : make_uint4(FILL, FILL, FILL, FILL);
    }
};

template <typename F, int GROUPS> struct once_unpacker {
    typedef once_packed<GROUPS> packed;
    const once_launch &l;
    uint32_t memory; /* of the warp, TASK_BYTES */
    int lane;
    half_unpacker half;
    uint16_t alpha;

    __device__ __forceinline__ once_unpacker(const once_launch &launch, uint32_t of)
        : l(launch), memory(of), lane(threadIdx.x % 32), half(lane),
          alpha(__half_as_ushort(__float2half_rn(launch.alpha)))
    {
    }
    __device__ __forceinline__ int images_of(int chunk) const
    {
        return min(TASK_IMAGES, l.w.s.images - chunk * TASK_IMAGES);
    }
    __device__ __forceinline__ void unpack(const packed &p) const
    {
#pragma unroll
        for (int i = 0; i < TASK_IMAGES; i++) {
            const auto twice = [&](int strip) {
                return p.scale[i][GROUPS == 1 ? 0 : strip] * 0x10001u;
            };
            const uint32_t to = memory + i * HALVES * HALF_UNIT;
            half.unpack(p.words[i].x, p.words[i].y, to, twice(0), twice(1));
            half.unpack(p.words[i].z, p.words[i].w, to + HALF_UNIT, twice(2), twice(3));
        }
    }
    /* A segment's entries to their weights, those that are the task's. */
    __device__ __forceinline__ void patch(uint4 segment, int first, int columns) const
    {
        const uint32_t entries[SEGMENT_ENTRIES] = {segment.x, segment.y, segment.z, segment.w};
        const uint32_t row = row_of(segment), line = memory + row * HALF_LINE;
#pragma unroll
        for (int i = 0; i < SEGMENT_ENTRIES; i++) {
            const int column = static_cast<int>((entries[i] & 0x3fff) / 2) - first;
            const uint32_t piece = (column / 8 % 8) ^ row;
            if ((entries[i] & FILL) == 0 && column >= 0 && column < columns)
                add_entry(line + column / HALF_COLUMNS * HALF_UNIT + piece * 16 + column % 8 * 2,
                          entries[i], alpha);
        }
    }
    __device__ __forceinline__ void add_entries(const packed &p, int chunk) const
    {
        const int first = chunk * TASK_IMAGES % WINDOW_IMAGES * IMAGE_COLUMNS,
                  columns = images_of(chunk) * IMAGE_COLUMNS;
        const segment_order order(p.steps, bundle_steps(p.steps));
        uint4 segment[packed::FIRST];
#pragma unroll
        for (int i = 0; i < packed::FIRST; i++)
            segment[i] = p.segment[i];
#pragma unroll 1
        for (int at = p.begin; at - lane < p.end; at += 32 * packed::FIRST)
#pragma unroll
            for (int i = 0; i < packed::FIRST; i++) {
                const uint4 now = segment[i];
                segment[i] = p.segment_at(l.w, order, at + (i + packed::FIRST) * 32);
                patch(now, first, columns);
            }
    }
    /* Until what was loaded is in shared memory, with its entries. */
    __device__ __forceinline__ void finish(const packed &p, int chunk) const
    {
        unpack(p);
        __syncwarp();
        if (l.alpha != 0)
            add_entries(p, chunk);
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncwarp();
    }
    /* To the workspace, and once it is there, those that wait for a tile's chunk may count one more
     * of its units. */
    __device__ __forceinline__ void store(once_task t) const
    {
        const int tile = t.unit / F::UNITS, in = t.unit % F::UNITS;
        if (lane < images_of(t.chunk) * HALVES) {
            const int64_t at = (static_cast<int64_t>(tile) * l.w.s.images * HALVES +
                                t.chunk * TASK_HALVES + lane) *
                               F::W_BYTES;
            bulk_store(l.tiles + at + in * HALF_UNIT, memory + lane * HALF_UNIT, HALF_UNIT);
            asm volatile("cp.async.bulk.commit_group;\n"
                         "cp.async.bulk.wait_group 0;" ::
                             : "memory");
        }
        __syncwarp();
        if (lane == 0)
            asm volatile("fence.proxy.async.global;\n"
                         "red.release.gpu.global.add.u32 [%0], 1;" ::"l"(
                             l.ready + tile * l.chunks + t.chunk)
                         : "memory");
    }
    __device__ __forceinline__ int tasks() const
    {
        return l.units * l.chunks;
    }
    __device__ __forceinline__ int place_of(int number) const
    {
        return number < tasks() ? static_cast<int>(
                                      __ldg(l.w.where + l.first + once_task(l, number).unit))
                                : 0;
    }
    /* All warps of a launch begin with a task each, so that there is something to multiply. The
     * first ones are dealt to all blocks. */
    __device__ __forceinline__ void first_task(int warp) const
    {
        const int number = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
        const bool there = number < tasks();
        const once_task t(l, number);
        if (there) {
            packed p;
            p.load(l, place_of(number), t.chunk, lane);
            finish(p, t.chunk);
        }
        ortho_cuda_wait_for_previous(); /* which may still read the workspace */
        if (there)
            store(t);
    }
    /* Lane 0's: tasks that others took in the meantime aren't there any more. */
    __device__ __forceinline__ int take() const
    {
        return lane == 0 ? static_cast<int>(atomicAdd(l.ticket, 1) + gridDim.x * ONCE_WARPS) : 0;
    }
    /* The other tasks, one after the other, whoever is free: none waits for a block that isn't
     * there. A task's number is asked for two tasks before, its place one, its weights while the
     * last ones are unpacked. */
    __device__ __forceinline__ void run() const
    {
        packed now, next;
        int number = __shfl_sync(ALL_LANES, take(), 0), then = take();
        if (number < tasks())
            now.load(l, place_of(number), once_task(l, number).chunk, lane);
        then = __shfl_sync(ALL_LANES, then, 0);
        int place = place_of(then);
#pragma unroll 1
        while (number < tasks()) {
            const int after = take();
            const once_task t(l, number);
            if (then < tasks())
                next.load(l, place, once_task(l, then).chunk, lane);
            finish(now, t.chunk);
            number = then;
            then = __shfl_sync(ALL_LANES, after, 0);
            place = place_of(then);
            store(t);
            now = next;
        }
    }
};

/* Rows that are mended, by warps that have nothing left to unpack, some tokens of a row at once. */
struct once_mender {
    static constexpr int TOKENS = 4;
    const once_launch &l;

    __device__ __forceinline__ void run(int warp, int lane) const
    {
        const int groups = (l.tokens + TOKENS - 1) / TOKENS, all = l.mended.count * groups;
        const int64_t k = l.w.s.k;
#pragma unroll 1
        for (int i = static_cast<int>(blockIdx.x) * ONCE_UNPACKERS + warp; i < all;
             i += static_cast<int>(gridDim.x) * ONCE_UNPACKERS) {
            const int number = i / groups;
            const int64_t token = i % groups * TOKENS;
            const int row = __ldg(l.mended.row + number);
            float sum[TOKENS] = {};
            mended_products<TOKENS, 1>(l.mended.w + number * k, l.x + token * k, k,
                                       l.tokens - token, lane, 32, sum);
#pragma unroll
            for (int t = 0; t < TOKENS; t++) {
                sum[t] = mended_warp_sum(sum[t]);
                if (lane == 0 && token + t < l.tokens)
                    static_cast<__half *>(l.y)[(token + t) * l.w.s.n + row] =
                        __float2half_rn(sum[t]);
            }
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
