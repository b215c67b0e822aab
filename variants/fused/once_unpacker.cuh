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

/* Shared memory to the workspace, by one thread. */
__device__ __forceinline__ void bulk_store(uint8_t *to, uint32_t from, uint32_t bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from),
                 "r"(bytes)
                 : "memory");
}

/* Where a task's entries are: of each of the unit's rows the segments that have some. Lane r has
 * those of row r, lanes 8 and on repeat them. */
struct once_entries {
    static constexpr int PAST = WINDOW_IMAGES / 32; /* images of a lane */
    int begin;        /* the row's first segment, from the section's */
    int before, all;  /* segments of rows before, and of all */
    uint32_t section; /* its first segment, of all */
    int steps;        /* of the section */
    uint2 past[PAST]; /* entries of each row, a byte, in an image before */
    int here;         /* of row lane % 8 in image lane / 8 of the task */

    /* Bytes of a row each: entries of an image, which are added up two rows a word. */
    static __device__ __forceinline__ void add(uint2 bytes, uint32_t sum[4])
    {
        sum[0] += bytes.x & 0xff00ff;
        sum[1] += bytes.x >> 8 & 0xff00ff;
        sum[2] += bytes.y & 0xff00ff;
        sum[3] += bytes.y >> 8 & 0xff00ff;
    }
    /* Of the lane's row. */
    static __device__ __forceinline__ int of_row(const uint32_t sum[4], int row)
    {
        const uint32_t even = row & 4 ? sum[2] : sum[0], odd = row & 4 ? sum[3] : sum[1];
        return static_cast<int>((row & 1 ? odd : even) >> (row & 2 ? 16 : 0) & 0xffff);
    }
    /* Asks the index, which says how many entries a row has in each image. */
    __device__ __forceinline__ void ask(const linear &w, int unit, int chunk, int lane)
    {
        const int first = chunk * TASK_IMAGES, window = first / WINDOW_IMAGES;
        const unit_place at = w.s.place_of_unit(unit);
        const uint32_t *const from = w.begin + w.s.section(at.part, at.batch, window);
        const uint2 *const counts =
            reinterpret_cast<const uint2 *>(w.count) + static_cast<int64_t>(unit) * w.s.images;
        section = __ldg(from);
        steps = static_cast<int>(__ldg(from + 1));
        begin = static_cast<int>(
            __ldg(w.first + (static_cast<int64_t>(window) * w.s.units + unit) * UNIT_ROWS +
                  lane % UNIT_ROWS));
#pragma unroll
        for (int i = 0; i < PAST; i++) {
            const int image = window * WINDOW_IMAGES + i * 32 + lane;
            past[i] = image < first ? __ldg(counts + image) : make_uint2(0, 0);
        }
        here = first + lane / UNIT_ROWS < w.s.images
                   ? __ldg(reinterpret_cast<const uint8_t *>(counts + first) + lane)
                   : 0;
    }
    /* Columns ascend in a row: a task's entries follow those of the images before. */
    __device__ __forceinline__ void settle(int lane)
    {
        const int row = lane % UNIT_ROWS;
        uint32_t sum[4] = {};
#pragma unroll
        for (int i = 0; i < PAST; i++)
            add(past[i], sum);
#pragma unroll
        for (int i = 0; i < 4; i++)
            sum[i] = __reduce_add_sync(ALL_LANES, sum[i]);
        int entries = here;
        entries += __shfl_xor_sync(ALL_LANES, entries, UNIT_ROWS);
        entries += __shfl_xor_sync(ALL_LANES, entries, 2 * UNIT_ROWS);
        const int entry = of_row(sum, row), last = (entry + entries - 1) / SEGMENT_ENTRIES;
        begin += entry / SEGMENT_ENTRIES;
        const int count = entries > 0 ? last - entry / SEGMENT_ENTRIES + 1 : 0;
        before = count;
#pragma unroll
        for (int d = 1; d < UNIT_ROWS; d *= 2) {
            const int left = __shfl_up_sync(ALL_LANES, before, d, UNIT_ROWS);
            before += row >= d ? left : 0;
        }
        all = __shfl_sync(ALL_LANES, before, UNIT_ROWS - 1);
        before -= count;
        steps -= static_cast<int>(section);
        section *= SEGMENTS;
    }
    /* Segment i of all rows', for all lanes of a warp; one that only fills up from `all` on. */
    __device__ __forceinline__ uint4 segment(const linear &w, int i) const
    {
        int row = 0;
#pragma unroll
        for (int r = 1; r < UNIT_ROWS; r++)
            row += i >= __shfl_sync(ALL_LANES, before, r);
        const int at = __shfl_sync(ALL_LANES, begin - before, row) + i;
        const segment_order order(steps, bundle_steps(steps));
        return i < all ? load_segment(w, section + static_cast<uint32_t>(order.place_of(at)))
                       : make_uint4(FILL, FILL, FILL, FILL);
    }
};

/* A task's packed weights on their way to registers. GROUPS: 1, or more than an image's groups. */
template <int GROUPS> struct once_packed {
    static constexpr int SCALES = GROUPS == 1 ? 1 : IMAGE_STRIPS;
    uint4 words[TASK_IMAGES];
    uint16_t scale[TASK_IMAGES][SCALES];

    /* unit: in the order of the parts. */
    __device__ __forceinline__ void load(const linear &w, int unit, int chunk, int lane)
    {
        const int first = chunk * TASK_IMAGES, odd = lane / 4 % 2;
        const place mine = image_place(w.s, unit, min(first + lane, w.s.images - 1));
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
    }
    __device__ __forceinline__ void unpack(const half_unpacker &half, uint32_t to) const
    {
#pragma unroll
        for (int i = 0; i < TASK_IMAGES; i++, to += HALVES * HALF_UNIT) {
            const auto twice = [&](int strip) {
                return scale[i][GROUPS == 1 ? 0 : strip] * 0x10001u;
            };
            half.unpack(words[i].x, words[i].y, to, twice(0), twice(1));
            half.unpack(words[i].z, words[i].w, to + HALF_UNIT, twice(2), twice(3));
        }
    }
};

static_assert(TASK_IMAGES * UNIT_ROWS == 32, "a lane has a row's count of an image");

template <typename F, int GROUPS> struct once_unpacker {
    static constexpr int AHEAD = 2; /* segments of a lane on their way */
    const once_launch &l;
    uint32_t memory; /* of the warp: a task */
    int warp, lane;  /* warp: of those that unpack */
    half_unpacker halves;
    uint16_t alpha;

    __device__ __forceinline__ once_unpacker(const once_launch &launch, uint32_t of, int number)
        : l(launch), memory(of), warp(number), lane(threadIdx.x % 32), halves(lane),
          alpha(__half_as_ushort(__float2half_rn(launch.alpha)))
    {
    }
    __device__ __forceinline__ int images_of(int chunk) const
    {
        return min(TASK_IMAGES, l.w.s.images - chunk * TASK_IMAGES);
    }
    __device__ __forceinline__ int tasks() const
    {
        return l.p.tasks();
    }
    /* A segment's entries to their weights, those that are the task's. */
    __device__ __forceinline__ void patch(uint4 segment, int first) const
    {
        const uint32_t entries[SEGMENT_ENTRIES] = {segment.x, segment.y, segment.z, segment.w};
        const uint32_t row = row_of(segment), line = memory + row * HALF_LINE;
#pragma unroll
        for (int i = 0; i < SEGMENT_ENTRIES; i++) {
            const uint32_t column = (entries[i] & 0x3fff) / 2 - first, piece = column / 8 % 8 ^ row;
            if ((entries[i] & FILL) == 0 && column < TASK_IMAGES * IMAGE_COLUMNS)
                add_entry(line + column / HALF_COLUMNS * HALF_UNIT + piece * 16 + column % 8 * 2,
                          entries[i], alpha);
        }
    }
    /* `segment` was asked for when these were settled; two at a time are on their way. */
    __device__ __forceinline__ void add_entries(const once_entries &e, const uint4 segment[AHEAD],
                                                int chunk) const
    {
        const int first = chunk * TASK_IMAGES % WINDOW_IMAGES * IMAGE_COLUMNS;
        uint4 now = segment[0], next = segment[1];
#pragma unroll 1
        for (int i = 0; i < e.all; i += 32) {
            const uint4 after = i + AHEAD * 32 < e.all ? e.segment(l.w, i + AHEAD * 32 + lane)
                                                       : make_uint4(FILL, FILL, FILL, FILL);
            patch(now, first);
            now = next;
            next = after;
        }
    }
    /* To the workspace: a group of bulk copies. */
    __device__ __forceinline__ void store(once_task t) const
    {
        const int tile = t.unit / F::UNITS, in = t.unit % F::UNITS;
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        __syncwarp();
        if (lane < images_of(t.chunk) * HALVES) {
            const int64_t at = (static_cast<int64_t>(tile) * l.w.s.images * HALVES +
                                t.chunk * TASK_HALVES + lane) *
                               F::W_BYTES;
            bulk_store(l.tiles + at + in * HALF_UNIT, memory + lane * HALF_UNIT, HALF_UNIT);
        }
        asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    }
    /* All that this warp stored is in the workspace. */
    static __device__ __forceinline__ void wait_for_stores()
    {
        asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
        __syncwarp();
    }
    /* Those that wait for a tile's chunk may count one more of its units. */
    __device__ __forceinline__ void tell(const once_half &half, once_task t) const
    {
        if (lane == 0)
            asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(
                             half.ready(l, t.unit / F::UNITS) + t.chunk)
                         : "memory");
    }
    /* In the order of the parts. */
    __device__ __forceinline__ int place_of(int number) const
    {
        return number < tasks()
                   ? static_cast<int>(__ldg(l.w.where + l.p.first + l.p.task(number).unit))
                   : 0;
    }
    /* Lane 0's. */
    __device__ __forceinline__ int take(const once_half &half) const
    {
        return lane == 0 ? static_cast<int>(atomicAdd(half.tasks, 1) + gridDim.x * ONCE_UNPACKERS)
                         : 0;
    }
    /* Is the task that was dealt to warp number `id` still nobody's? Lane 0's. */
    __device__ __forceinline__ bool claim(const once_half &half, int id) const
    {
        const uint32_t bit = 1u << id % 32;
        return lane == 0 && (atomicOr(half.claims + id / 32, bit) & bit) == 0;
    }
    /* One of those that were dealt to warps that aren't there yet; tasks() if there is none. */
    __device__ __forceinline__ int unclaimed(const once_half &half, int warps) const
    {
        const int dealt = min(warps, tasks()) - lane * 32; /* of the lane's word on */
        const uint32_t all = dealt >= 32 ? ALL_LANES : dealt > 0 ? (1u << dealt) - 1 : 0;
#pragma unroll 1
        for (;;) {
            const uint32_t left = all == 0 ? 0 : all & ~__ldcg(half.claims + lane);
            const int word = __ffs(static_cast<int>(__ballot_sync(ALL_LANES, left != 0))) - 1;
            if (word < 0)
                return tasks();
            const uint32_t bits = __shfl_sync(ALL_LANES, left, word);
            const int id = word * 32 + __ffs(static_cast<int>(bits)) - 1;
            if (__shfl_sync(ALL_LANES, claim(half, id), 0))
                return id;
        }
    }
    /* A first task each is dealt, to all blocks alike, and unpacked while the launch before still
     * runs. Then tasks are taken one after the other, by whoever is free; and in the end what was
     * dealt to warps that aren't there: their block may have to wait for a multiprocessor until
     * other launches end, and those for their own. A task's number is asked for two tasks before,
     * its place one, its weights while the last ones are on their way to the workspace. */
    __device__ __forceinline__ void run() const
    {
        const bool patched = l.alpha != 0;
        once_packed<GROUPS> weights;
        once_entries entries;
        uint4 segment[AHEAD];
        const auto ask = [&](int task, int place) {
            const int chunk = l.p.task(task).chunk;
            weights.load(l.w, place, chunk, lane);
            if (patched)
                entries.ask(l.w, place, chunk, lane);
        };
        const auto ask_entries = [&] {
            if (patched) {
                entries.settle(lane);
                segment[0] = entries.segment(l.w, lane);
                segment[1] = entries.all > 32 ? entries.segment(l.w, 32 + lane) : segment[0];
            }
        };
        const int warps = static_cast<int>(gridDim.x) * ONCE_UNPACKERS,
                  id = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
        int number = id, next = 0, next_place = 0;
        once_half half;
        bool first = true;
        if (number < tasks()) {
            ask(number, place_of(number));
            ask_entries();
        }
#pragma unroll 1
        for (;;) {
            if (number >= tasks()) {
                if (first) {
                    ortho_cuda_wait_for_previous();
                    half.find(l);
                    first = false;
                }
                number = unclaimed(half, warps);
                if (number >= tasks())
                    break;
                ask(number, place_of(number));
                ask_entries();
                next = tasks(); /* as it was: all are taken */
            }
            const once_task t = l.p.task(number);
            weights.unpack(halves, memory);
            __syncwarp();
            if (patched)
                add_entries(entries, segment, t.chunk);
            if (first) {
                ortho_cuda_wait_for_previous(); /* which may still read the workspace */
                store(t); /* the same as another warp, if that has claimed it */
                half.find(l);
                const bool mine = claim(half, id);
                wait_for_stores();
                if (__shfl_sync(ALL_LANES, mine, 0))
                    tell(half, t);
                next = __shfl_sync(ALL_LANES, take(half), 0);
                next_place = place_of(next);
            } else {
                store(t);
            }
            const int after = take(half);
            if (next < tasks())
                ask(next, next_place);
            if (!first) {
                wait_for_stores();
                tell(half, t);
            }
            if (next < tasks())
                ask_entries();
            first = false;
            number = next;
            next = __shfl_sync(ALL_LANES, after, 0);
            next_place = place_of(next);
        }
        half.clear_other(l, warp * 32 + lane, ONCE_UNPACKERS * 32);
    }
};

/* Rows that are mended, by warps that have nothing left to unpack, some tokens of a row at once.
 * EIGHTS by eight columns are asked for at once. */
template <int EIGHTS> struct once_mender {
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
            mended_products<TOKENS, EIGHTS>(l.mended.w + number * k, l.x + token * k, k,
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
