/*
 * narrow_entries.cuh: Ortho for narrow.cuh: a block's share of its cluster's entries, those whose
 * columns it has.
 *
 * A row's entries stand side by side, columns ascending, and an index says how many each image has:
 * so a block knows which segments of a row have columns of its own, before x is there and without
 * looking at any. Where they begin and end they may have columns of the next block as well, which
 * meet an x of 0. Segments are dealt to the warps evenly, whatever units they are of: a row may
 * have dozens of times as many as another. Each warp streams its own through slots of its own. 16
 * entries of a unit are one k-step of mma.m16n8k16 (patches.cuh).
 */
#ifndef ORTHO_VARIANTS_FUSED_NARROW_ENTRIES_CUH
#define ORTHO_VARIANTS_FUSED_NARROW_ENTRIES_CUH

#include "variants/fused/meeting.cuh"
#include "variants/fused/narrow_plan.h"
#include "variants/fused/outputs.cuh"
#include "variants/fused/section.cuh"

namespace ortho_fused
{

namespace
{

__device__ __forceinline__ uint32_t warp_total(uint32_t v)
{
    uint32_t all = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("redux.sync.add.u32 %0, %1, 0xffffffff;" : "=r"(all) : "r"(v));
#endif
    return all;
}

/* Entries of a unit's rows before a block's images, and in them: of two rows a word, 0 and 2, 1 and
 * 3, 4 and 6, 5 and 7. */
struct row_counts {
    uint32_t before[UNIT_ROWS / 2], here[UNIT_ROWS / 2];

    __device__ __forceinline__ static uint32_t of_row(const uint32_t counts[UNIT_ROWS / 2], int row)
    {
        const uint32_t low = row % 2 == 0 ? counts[0] : counts[1],
                       high = row % 2 == 0 ? counts[2] : counts[3];
        return (row < 4 ? low : high) >> row / 2 % 2 * 16 & 0xffff;
    }
};

/* What a lane asks of the index for a unit: eight rows' counts of two images, and what is of row
 * number `lane`. */
struct unit_index {
    static constexpr int EACH = WINDOW_IMAGES / 32;
    uint2 counts[EACH];
    uint32_t first, section, steps;

    __device__ __forceinline__ void ask(const linear &w, int unit, int lane)
    {
        const unit_place at = w.s.place_of_unit(unit);
        const uint32_t *const begin = w.begin + w.s.section(at.part, at.batch, 0);
        const uint2 *const from =
            reinterpret_cast<const uint2 *>(w.count) + static_cast<int64_t>(unit) * w.s.images;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            counts[i] = lane + i * 32 < w.s.images ? __ldg(from + lane + i * 32) : make_uint2(0, 0);
        first = __ldg(w.first + static_cast<int64_t>(unit) * UNIT_ROWS + lane % UNIT_ROWS);
        section = __ldg(begin);
        steps = __ldg(begin + 1) - section;
    }
    __device__ __forceinline__ row_counts count(image_range images, int lane) const
    {
        row_counts c = {};
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const int image = lane + i * 32 - images.first;
            const uint32_t words[2] = {counts[i].x, counts[i].y};
#pragma unroll
            for (int word = 0; word < UNIT_ROWS / 2; word++) {
                const uint32_t two = words[word / 2] >> word % 2 * 8 & 0x00ff00ff;
                c.before[word] += image < 0 ? two : 0;
                c.here[word] += image >= 0 && image < images.count ? two : 0;
            }
        }
#pragma unroll
        for (int word = 0; word < UNIT_ROWS / 2; word++) {
            c.before[word] = warp_total(c.before[word]);
            c.here[word] = warp_total(c.here[word]);
        }
        return c;
    }
    /* A lane's row as unit_rows has it; by all lanes, 8 and more repeat. */
    __device__ __forceinline__ void note(unit_rows *to, const row_counts &c, int lane) const
    {
        const int row = lane % UNIT_ROWS;
        const uint32_t before = row_counts::of_row(c.before, row),
                       here = row_counts::of_row(c.here, row);
        const uint32_t begin = before / SEGMENT_ENTRIES,
                       end = here > 0 ? (before + here + SEGMENT_ENTRIES - 1) / SEGMENT_ENTRIES
                                      : begin;
        uint32_t until = end - begin;
#pragma unroll
        for (int d = 1; d < UNIT_ROWS; d *= 2) {
            const uint32_t left = __shfl_up_sync(ALL_LANES, until, d, UNIT_ROWS);
            until += row >= d ? left : 0;
        }
        const uint32_t rows_before = until - (end - begin);
        if (lane < UNIT_ROWS) {
            to->before[row] = rows_before;
            to->from[row] = first + begin - rows_before;
        }
        if (lane == UNIT_ROWS - 1) {
            to->count = until;
            to->section = section * SEGMENTS;
            to->steps = steps;
        }
    }
};

/* A warp's share of a block's entries, in steps of 16 segments of one unit: all warps have as many,
 * whatever unit they are of. So a unit may be several warps', of which the last one has its end. */
struct entry_share {
    int first, end; /* steps, of all units' one behind the other */
    int unit;       /* of the first step */
    int begin;      /* its first segment, from the unit's first */
    int from;       /* the first warp that has some of that unit */

    /* By all lanes. */
    __device__ __forceinline__ entry_share(const unit_rows *rows, int units, int warp, int warps,
                                           int lane)
    {
        static_assert(NARROW_UNITS <= 64, "two a lane");
        const int low = lane < units ? steps_of(rows[lane]) : 0,
                  high = lane + 32 < units ? steps_of(rows[lane + 32]) : 0;
        const int low_end = sum_until(low, lane), low_all = __shfl_sync(ALL_LANES, low_end, 31),
                  high_end = low_all + sum_until(high, lane),
                  all = __shfl_sync(ALL_LANES, high_end, 31);
        first = all * warp / warps;
        end = all * (warp + 1) / warps;
        unit = __popc(__ballot_sync(ALL_LANES, lane < units && low_end <= first)) +
               __popc(__ballot_sync(ALL_LANES, lane + 32 < units && high_end <= first));
        const int before = unit < 32 ? __shfl_sync(ALL_LANES, low_end - low, unit % 32)
                                     : __shfl_sync(ALL_LANES, high_end - high, unit % 32);
        begin = (first - before) * STEP_SEGMENTS;
        from = warp;
        while (from > 0 && all * from / warps > before)
            from--;
    }
    static __device__ __forceinline__ int steps_of(const unit_rows &unit)
    {
        return (static_cast<int>(unit.count) + STEP_SEGMENTS - 1) / STEP_SEGMENTS;
    }
    static __device__ __forceinline__ int sum_until(int v, int lane)
    {
#pragma unroll
        for (int d = 1; d < 32; d *= 2) {
            const int others = __shfl_up_sync(ALL_LANES, v, d);
            v += lane >= d ? others : 0;
        }
        return v;
    }
};

/* A warp's way through its share, a slot's segments at a time: some of a unit's. */
struct chunk_walk {
    int unit, begin, left; /* left: steps of the share */

    /* Segments of the next slot; 0: there are none. */
    __device__ __forceinline__ int count(const unit_rows *rows, int most) const
    {
        return left > 0 ? min(min(static_cast<int>(rows[unit].count) - begin, most),
                              left * STEP_SEGMENTS)
                        : 0;
    }
    /* Past so many. Does the unit end there? */
    __device__ __forceinline__ bool next(const unit_rows *rows, int segments)
    {
        begin += segments;
        left -= (segments + STEP_SEGMENTS - 1) / STEP_SEGMENTS;
        if (begin < static_cast<int>(rows[unit].count))
            return false;
        begin = 0;
        unit++;
        while (left > 0 && rows[unit].count == 0)
            unit++;
        return true;
    }
};

/* A warp of Ortho. */
template <typename A> struct narrow_entries {
    static constexpr int CHAINS = 2; /* sums apart */
    static constexpr int MEET = 1;

    const narrow_launch &l;
    const unit_rows *rows; /* of the cluster's units */
    image_range images;
    unit_range units;
    uint32_t slots, x; /* shared addresses */
    uint32_t zeros;    /* a line of zeros */
    int warp, lane, slot;
    chunk_walk asked, taken;
    bool begun; /* by another warp, the unit at work */
    int from;   /* by that one, the first unit */
    float acc[CHAINS][4];
    float head[4]; /* this warp's part of the unit that another warp has begun */

    __device__ __forceinline__ narrow_entries(const narrow_launch &launch, const unit_rows *at,
                                              unit_range of, image_range mine, uint32_t memory,
                                              int number)
        : l(launch), rows(at), images(mine), units(of),
          slots(memory + l.at.chunks + number * CHUNK_SLOTS * chunk_bytes(l.chunk)),
          x(memory + l.at.x), zeros(memory + l.at.zeros), warp(number), lane(threadIdx.x % 32),
          slot(0), asked{}, taken{}, begun(false), from(number), acc{}, head{}
    {
    }
    /* unit_rows of all units, by all warps of Ortho, which meet; and zeros. */
    __device__ __forceinline__ void note_rows(unit_rows *to)
    {
        constexpr int AT_ONCE = 2; /* latencies side by side */
#pragma unroll 1
        for (int u = warp; u < units.count; u += AT_ONCE * l.ortho()) {
            unit_index index[AT_ONCE];
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++)
                index[i].ask(l.w, units.first + min(u + i * l.ortho(), units.count - 1), lane);
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                const row_counts counts = index[i].count(images, lane);
                if (u + i * l.ortho() < units.count)
                    index[i].note(to + u + i * l.ortho(), counts, lane);
            }
        }
        if (warp == 0 && lane < TILE_LINE / 4)
            store_shared_4(zeros + lane * 4, 0);
        __syncwarp();
        meeting_sync_of<MEET>(l.ortho() * 32);
        const entry_share mine(rows, units.count, warp, l.ortho(), lane);
        asked = taken = {mine.unit, mine.begin, mine.end - mine.first};
        begun = mine.begin > 0;
        from = mine.from;
    }
    /* Asks for a chunk, or for nothing: once for each slot, and then whenever one was taken. */
    __device__ __forceinline__ void ask(int to)
    {
        const int count = asked.count(rows, l.chunk);
        if (count > 0) {
            const unit_rows &unit = rows[asked.unit];
            const uint32_t at = slots + to * chunk_bytes(l.chunk), section = unit.section;
            const segment_order order(static_cast<int>(unit.steps),
                                      bundle_steps(static_cast<int>(unit.steps)));
            const int padded = (count + STEP_SEGMENTS - 1) / STEP_SEGMENTS * STEP_SEGMENTS;
            uint32_t before[UNIT_ROWS];
#pragma unroll
            for (int r = 1; r < UNIT_ROWS; r++)
                before[r] = unit.before[r];
#pragma unroll 2
            for (int i = lane; i < padded; i += 32) {
                const int in_unit = asked.begin + min(i, count - 1);
                int row = 0;
#pragma unroll
                for (int r = 1; r < UNIT_ROWS; r++)
                    row += static_cast<uint32_t>(in_unit) >= before[r];
                ask_segment(at + i * 16,
                            section + order.place_of(static_cast<int>(unit.from[row]) + in_unit),
                            i < count);
                /* A lane's rows of a step, side by side. */
                store_shared_1(at + l.chunk * 16 + i / STEP_SEGMENTS * STEP_SEGMENTS + i % 4 * 4 +
                                   i % STEP_SEGMENTS / 4,
                               row);
            }
            asked.next(rows, count);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    static __device__ __forceinline__ void store_shared_1(uint32_t at, int v)
    {
        asm volatile("st.shared.u8 [%0], %1;" ::"r"(at), "r"(v) : "memory");
    }
    /* Zeros where there is no such segment. */
    __device__ __forceinline__ void ask_segment(uint32_t to, uint32_t place, bool is) const
    {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
                     "l"(l.w.ortho + static_cast<uint64_t>(place) * 16), "r"(is ? 16 : 0)
                     : "memory");
    }
    /* Units that have nothing here are told of at once: send(unit, sums). */
    template <typename F> __device__ __forceinline__ void ask_first(const F &send)
    {
        const float nothing[4] = {};
#pragma unroll 1
        for (int i = 0; i < CHUNK_SLOTS; i++)
            ask(i);
#pragma unroll 1
        for (int u = warp; u < units.count; u += l.ortho())
            if (rows[u].count == 0)
                send(u, nothing);
    }
    /* For the slot that was asked for first; and for all that was asked for before the slots:
     * whoever asked meets the others then. */
    static __device__ __forceinline__ void wait()
    {
        asm volatile("cp.async.wait_group %0;" ::"n"(CHUNK_SLOTS - 1) : "memory");
    }
    static __device__ __forceinline__ void wait_for_scales()
    {
        asm volatile("cp.async.wait_group %0;" ::"n"(CHUNK_SLOTS) : "memory");
    }
    /* x at 16 entries, of which this lane has the one whose line it points at; zeros where the
     * column is another block's, as the first and the last segments of a row may have some. */
    __device__ __forceinline__ void gather(uint32_t entry, uint32_t a[4]) const
    {
        const uint32_t half = lane / 8 % 2,
                       twice = (entry & 0x3ffe) -
                               static_cast<uint32_t>(images.first) * (2 * IMAGE_COLUMNS);
        const bool is_here = twice < static_cast<uint32_t>(images.count) * (2 * IMAGE_COLUMNS);
        load_transposed(is_here ? x + half_line(twice, half) : zeros + half * (TILE_LINE / 2), a);
    }
    __device__ __forceinline__ void multiply(const uint32_t a[4], uint4 segment, bool is,
                                             float to[4]) const
    {
        uint32_t first[A::ENTRY_DIGITS], second[A::ENTRY_DIGITS];
        A::entry_digits(is ? __byte_perm(segment.x, segment.y, 0x7632) : 0, first);
        A::entry_digits(is ? __byte_perm(segment.z, segment.w, 0x7632) : 0, second);
#pragma unroll
        for (int d = 0; d < A::ENTRY_DIGITS; d++)
            A::mma(to, a, first[d], second[d]);
    }
    /* 16 segments at a shared address; rows: of the lane's. */
    __device__ __forceinline__ void step(uint32_t at, uint32_t rows_at)
    {
        constexpr int GROUPS = STEP_SEGMENTS / 4; /* k-steps at once */
        const uint32_t segment_at = at + lane % 4 * 16,
                       entry_at = at + lane % 8 / 2 * 16 + (lane % 2 + lane / 16 * 2) * 4;
        const uint32_t row = load_shared_4(rows_at + lane % 4 * 4);
        uint4 segment[GROUPS];
        uint32_t a[GROUPS][4];
#pragma unroll
        for (int g = 0; g < GROUPS; g++)
            segment[g] = load_shared_16(segment_at + g * 64);
#pragma unroll
        for (int g = 0; g < GROUPS; g++)
            gather(load_shared_4(entry_at + g * 64), a[g]);
#pragma unroll
        for (int g = 0; g < GROUPS; g++)
            multiply(a[g], segment[g], (row >> g * 8 & 255) == static_cast<uint32_t>(lane / 4),
                     acc[g % CHAINS]);
    }
    /* Takes all chunks; send(unit, sums) whenever a unit is done. x is here. */
    template <typename F> __device__ __forceinline__ void run(const F &send)
    {
        int split = -1; /* a unit that another warp has begun, and this one has ended */
#pragma unroll 1
        while (taken.left > 0) {
            const int unit = taken.unit, count = taken.count(rows, l.chunk);
            const uint32_t at = slots + slot * chunk_bytes(l.chunk);
            wait();
            __syncwarp(); /* what other lanes asked for, too */
#pragma unroll 1
            for (int i = 0; i < count; i += STEP_SEGMENTS)
                step(at + i * 16, at + l.chunk * 16 + i);
            if (taken.next(rows, count)) {
                float sum[4];
                take_sum(sum);
                if (begun) {
                    split = unit;
                    keep(sum);
                } else {
                    send(unit, sum);
                }
                begun = false;
            }
            __syncwarp(); /* the slot is asked for anew */
            ask(slot);
            slot = (slot + 1) % CHUNK_SLOTS;
        }
        join(split, send);
    }
    __device__ __forceinline__ void take_sum(float sum[4])
    {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            sum[i] = l.alpha * (acc[0][i] + acc[1][i]);
            acc[0][i] = acc[1][i] = 0;
        }
    }
    __device__ __forceinline__ void keep(const float sum[4])
    {
#pragma unroll
        for (int i = 0; i < 4; i++)
            head[i] = sum[i];
    }
    /* What a warp has of a unit whose end is another's goes to where its slots were; the warp that
     * has the end adds up, in the order of the warps. */
    template <typename F> __device__ __forceinline__ void join(int split, const F &send)
    {
        float tail[4];
        take_sum(tail);
        const int bytes = CHUNK_SLOTS * chunk_bytes(l.chunk);
        const uint32_t mine = slots + lane * 16;
        store_shared_16(mine, make_uint4(__float_as_uint(tail[0]), __float_as_uint(tail[1]),
                                         __float_as_uint(tail[2]), __float_as_uint(tail[3])));
        meeting_sync_of<MEET>(l.ortho() * 32);
        if (split < 0)
            return;
        const float4 sum =
            total(mine - static_cast<uint32_t>((warp - from) * bytes), warp - from, bytes);
        const float all[4] = {sum.x + head[0], sum.y + head[1], sum.z + head[2], sum.w + head[3]};
        send(split, all);
    }
};

} // namespace

} // namespace ortho_fused

#endif
