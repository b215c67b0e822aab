/*
 * sorter.cuh: Ortho for wide.cuh: the entries of a tile's rows, which are packed row by row, sorted
 * by image and unit and added to weights that stand in shared memory.
 *
 * All warps that unpack sort together, as many images at once as there is room for: segments are
 * dealt to threads one by one, however skewed the rows. The counts of the rows in each image tell
 * where the entries of an image and a unit will stand. Which of them comes first doesn't matter: no
 * two belong to one weight. A unit's are added by the warp that unpacks it: so warps needn't wait
 * for each other at an image, and don't all want the same of a multiprocessor at the same time.
 */
#ifndef ORTHO_VARIANTS_FUSED_SORTER_CUH
#define ORTHO_VARIANTS_FUSED_SORTER_CUH

#include "variants/fused/section.cuh"
#include "variants/fused/weights.cuh"
#include "variants/fused/wide_memory.cuh"

namespace ortho_fused
{

namespace
{

constexpr uint32_t ONES = 0x01010101u;

/* An entry's image, counted from the one that begins with the window's column `column` (large where
 * there is none), and where its weight is in a slot of F, from the unit's weights. */
template <typename F> struct placed_entry {
    uint32_t image, at;

    __device__ __forceinline__ placed_entry(uint32_t entry, uint32_t row, int column)
    {
        /* Twice the column; odd where the entry only fills up. */
        const uint32_t twice = (entry & 0x3fff) - static_cast<uint32_t>(column) * 2;
        image = __funnelshift_r(twice, twice, 1) / IMAGE_COLUMNS;
        at = row * HALF_LINE + twice / HALF_LINE % HALVES * F::W_HALF +
             (twice % HALF_LINE ^ row * 16);
    }
};

/* Where the segments of a tile's units are in a window, in shared memory: of each unit {its
 * section's first segment; the section's steps, above them those of a bundle; what makes a number
 * within the tile one within the section; the first number behind the unit}. */
template <typename F> struct tile_segments {
    static constexpr int BUNDLE_SHIFT = 28;
    static_assert(F::UNITS <= 32, "a lane each");

    /* By one warp. unit: the tile's first. */
    static __device__ __forceinline__ void note(uint32_t table, const linear &w, int unit,
                                                int window)
    {
        const int lane = threadIdx.x % 32;
        const bool is = lane < F::UNITS && unit + lane < w.s.units;
        const unit_segments of(w, min(unit + lane, w.s.units - 1), window);
        int end = is ? of.end - of.begin : 0;
        const int own = end;
#pragma unroll
        for (int step = 1; step < F::UNITS; step *= 2) {
            const int others = __shfl_up_sync(ALL_LANES, end, step);
            end += lane >= step ? others : 0;
        }
        if (lane < F::UNITS)
            store_shared_16(
                table + lane * 16,
                make_uint4(of.section,
                           static_cast<uint32_t>(of.steps) |
                               static_cast<uint32_t>(bundle_steps(of.steps)) << BUNDLE_SHIFT,
                           static_cast<uint32_t>(of.begin - (end - own)),
                           static_cast<uint32_t>(end)));
    }
    static __device__ __forceinline__ int number(uint32_t table)
    {
        return static_cast<int>(load_shared_4(table + (F::UNITS - 1) * 16 + 12));
    }

    const linear &w;
    uint32_t next; /* the next unit's line in the table */
    int unit;
    uint4 of;

    __device__ __forceinline__ tile_segments(const linear &of_rows, uint32_t table)
        : w(of_rows), next(table + 16), unit(0), of(load_shared_16(table))
    {
    }
    /* i: never less than before, and a number that there is. Its unit is then `unit`. */
    __device__ __forceinline__ uint4 segment(int i)
    {
        while (i >= static_cast<int>(of.w)) {
            of = load_shared_16(next);
            next += 16;
            unit++;
        }
        const segment_order order(static_cast<int>(of.y & ((1u << BUNDLE_SHIFT) - 1)),
                                  static_cast<int>(of.y >> BUNDLE_SHIFT));
        return load_segment(
            w, of.x + static_cast<uint32_t>(order.place_of(i + static_cast<int>(of.z))));
    }
};

/* Entries of an image and of the warp's units, straight from memory: for an image that has too
 * many. number: the warp's of its set. */
template <typename F>
static __device__ __noinline__ void add_crowd(const linear &w, uint32_t table, int image,
                                              uint32_t weights, uint16_t alpha, int number)
{
    const int all = tile_segments<F>::number(table);
    tile_segments<F> from(w, table);
#pragma unroll 1
    for (int i = threadIdx.x % 32; i < all; i += 32) {
        const uint4 segment = from.segment(i);
        const uint32_t words[4] = {segment.x, segment.y, segment.z, segment.w};
        if (from.unit / F::SET_UNITS != number)
            continue;
#pragma unroll
        for (int j = 0; j < SEGMENT_ENTRIES; j++) {
            const placed_entry<F> p(words[j], row_of(segment),
                                    image % WINDOW_IMAGES * IMAGE_COLUMNS);
            if (p.image == 0)
                add_entry(weights + from.unit * HALF_UNIT + p.at, words[j], alpha);
        }
    }
}

/* A tile's entries, for a warp of those that unpack. */
template <typename F> struct sorter {
    static constexpr int WARPS = F::SETS * F::SET_WARPS, THREADS = WARPS * 32;
    static constexpr int AT_ONCE = F::SETS == 1 ? 4 : 3; /* segments of a thread */
    static constexpr int PAIRS = F::UNITS / 2;           /* of units, whose counts share a word */
    static_assert(PAIRS <= WARPS && PAIRS % 4 == 0, "a warp counts for a pair");
    const linear &w;
    uint32_t list, ends, totals, table; /* shared addresses */
    int room;                           /* of the list */
    int thread;                         /* of those that unpack */
    int number;                         /* of the warp in its set */
    int unit;                           /* the tile's first */
    int first, next;                    /* sorted are images first .. next - 1 */
    bool crowded;                       /* the only image has too many */

    __device__ __forceinline__ sorter(const wide_launch &l, const wide_memory<F> &m, int warp)
        : w(l.w), list(m.sorted), ends(m.bins), totals(ends + F::BINS * 4),
          table(totals + F::BINS * 2), room(l.sorted),
          thread(warp * 32 + static_cast<int>(threadIdx.x) % 32), number(warp % F::SET_WARPS),
          unit(0), first(0), next(0), crowded(false)
    {
    }
    /* Of another tile; image: the block's first. */
    __device__ __forceinline__ void restart(int first_unit, int image)
    {
        unit = first_unit;
        first = -1;
        next = image;
    }
    /* How many entries each image and unit of a window has, and where they are; end: of the block's
     * images. */
    __device__ __forceinline__ void open_window(int end) const
    {
        const int warp = thread / 32, window = next / WINDOW_IMAGES;
        if (warp == WARPS - 1)
            tile_segments<F>::note(table, w, unit, window);
        if (warp < PAIRS)
            count(warp, window * WINDOW_IMAGES, end);
        meeting_sync<UNPACKERS_MEET, THREADS>();
    }
    /* Of a pair of units, by a warp: [image of the window][pair]. All counts are asked for before
     * any is waited for: in place of a unit that isn't there stands another, which doesn't count.
     */
    __device__ __forceinline__ void count(int pair, int begin, int end) const
    {
        constexpr int EACH = WINDOW_IMAGES / 32;
        const int lane = thread % 32;
        uint2 rows[EACH][2];
#pragma unroll
        for (int i = 0; i < EACH; i++)
#pragma unroll
            for (int u = 0; u < 2; u++) {
                const int64_t of = min(unit + pair * 2 + u, w.s.units - 1);
                rows[i][u] = __ldg(reinterpret_cast<const uint2 *>(w.count) + of * w.s.images +
                                   min(begin + i * 32 + lane, w.s.images - 1));
            }
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            const int image = begin + i * 32 + lane;
            uint32_t both = 0;
#pragma unroll
            for (int u = 0; u < 2; u++) {
                const uint32_t ones =
                    unit + pair * 2 + u < w.s.units && image >= next && image < end ? ONES : 0;
                both |= __dp4a(rows[i][u].x, ones, __dp4a(rows[i][u].y, ones, 0u)) << 16 * u;
            }
            store_shared_4(totals + ((i * 32 + lane) * PAIRS + pair) * 4, both);
        }
    }
    /* Sorts until so many images have been. All warps that unpack come here, a set that has no more
     * images for the others. */
    __device__ __forceinline__ void sort_until(int image, int end)
    {
        while (next < image)
            sort(end);
    }
    /* Sorts from image `next` on. */
    __device__ __forceinline__ void sort(int end)
    {
        meeting_sync<UNPACKERS_MEET, THREADS>(); /* nobody needs the last list any more */
        if (first < 0 || next % WINDOW_IMAGES == 0)
            open_window(end);
        first = next;
        const int all = tile_segments<F>::number(table);
        tile_segments<F> from(w, table);
        round now = fetch(from, 0, all);
        next += share_out(min(end, (first / WINDOW_IMAGES + 1) * WINDOW_IMAGES) - first);
        meeting_sync<UNPACKERS_MEET, THREADS>();
        if (!crowded)
#pragma unroll 1
            for (int i = 0; i < all;) {
                put(now);
                i += THREADS * AT_ONCE;
                if (i < all)
                    now = fetch(from, i, all);
            }
        meeting_sync<UNPACKERS_MEET, THREADS>();
    }
    /* Gives images their places in the list, as many of `most` as have room. All warps count, and
     * one writes down. */
    __device__ __forceinline__ int share_out(int most)
    {
        const int lane = thread % 32;
        uint32_t counts[2][PAIRS];
        int sum[2];
#pragma unroll
        for (int i = 0; i < 2; i++)
            sum[i] = 2 * lane + i < most ? load_counts(2 * lane + i, counts[i]) : 0;
        int end = sum[0] + sum[1];
#pragma unroll
        for (int step = 1; step < 32; step *= 2) {
            const int others = __shfl_up_sync(ALL_LANES, end, step);
            end += lane >= step ? others : 0;
        }
        if (thread < 32)
#pragma unroll
            for (int i = 0; i < 2; i++)
                if (2 * lane + i < most)
                    note_places(2 * lane + i, end - sum[1] - (i == 0 ? sum[0] : 0), counts[i]);
        const int fit = __popc(__ballot_sync(ALL_LANES, 2 * lane < most && end - sum[1] <= room)) +
                        __popc(__ballot_sync(ALL_LANES, 2 * lane + 1 < most && end <= room));
        crowded = fit == 0;
        return max(fit, 1);
    }
    /* Of image `first` + i; all units' together. */
    __device__ __forceinline__ int load_counts(int i, uint32_t counts[PAIRS]) const
    {
        const uint32_t at = totals + (first % WINDOW_IMAGES + i) * (PAIRS * 4);
        uint32_t sums = 0;
#pragma unroll
        for (int p = 0; p < PAIRS; p += 4) {
            const uint4 four = load_shared_16(at + p * 4);
            counts[p] = four.x;
            counts[p + 1] = four.y;
            counts[p + 2] = four.z;
            counts[p + 3] = four.w;
            sums += four.x + four.y + four.z + four.w;
        }
        return static_cast<int>((sums & 0xffff) + (sums >> 16));
    }
    __device__ __forceinline__ void note_places(int i, int from, const uint32_t counts[PAIRS]) const
    {
        uint32_t at = static_cast<uint32_t>(from);
#pragma unroll
        for (int p = 0; p < PAIRS; p += 2) {
            uint4 four;
            four.x = at;
            four.y = four.x + (counts[p] & 0xffff);
            four.z = four.y + (counts[p] >> 16);
            four.w = four.z + (counts[p + 1] & 0xffff);
            at = four.w + (counts[p + 1] >> 16);
            store_shared_16(ends + (i * F::UNITS + p * 2) * 4, four);
        }
    }
    /* Segments of a thread, and the rows that they are of, from the tile's first. */
    struct round {
        uint4 segment[AT_ONCE];
        int unit[AT_ONCE];
    };
    __device__ __forceinline__ round fetch(tile_segments<F> &from, int begin, int all) const
    {
        round r;
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) {
            const int e = begin + i * THREADS + thread;
            r.segment[i] = make_uint4(FILL, FILL, FILL, FILL);
            if (e < all)
                r.segment[i] = from.segment(e);
            r.unit[i] = from.unit;
        }
        return r;
    }
    __device__ __forceinline__ void put(const round &r) const
    {
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++)
            put(r.segment[i], r.unit[i]);
    }
    /* Entries of a segment to their images: first all their places, which take a while. The end of
     * an image's unit moves from where its entries begin to where the next one's do. */
    __device__ __forceinline__ void put(uint4 segment, int of) const
    {
        const uint32_t words[4] = {segment.x, segment.y, segment.z, segment.w};
        const uint32_t row = row_of(segment), images = static_cast<uint32_t>(next - first);
        uint32_t entry[4], place[4];
        bool is[4];
#pragma unroll
        for (int i = 0; i < SEGMENT_ENTRIES; i++) {
            const placed_entry<F> p(words[i], row, first % WINDOW_IMAGES * IMAGE_COLUMNS);
            is[i] = p.image < images;
            entry[i] = (words[i] & 0xffff0000u) | (p.at + static_cast<uint32_t>(of) * HALF_UNIT);
            place[i] = add_shared_if(is[i], ends + (p.image * F::UNITS + of) * 4, 1);
        }
#pragma unroll
        for (int i = 0; i < SEGMENT_ENTRIES; i++)
            store_shared_if(is[i], list + place[i] * 4, entry[i]);
    }
    /* Entries of an image and the warp's units in the list. */
    struct found {
        int begin, behind;
        uint32_t entry; /* the lane's first, where there is one */
    };
    /* Asks for them while their weights are still to be unpacked. */
    __device__ __forceinline__ found find(int image) const
    {
        const int bin = (image - first) * F::UNITS + number * F::SET_UNITS;
        const uint32_t at = ends + bin * 4;
        found f;
        f.begin = bin > 0 ? static_cast<int>(load_shared_4(at - 4)) : 0;
        f.behind = static_cast<int>(load_shared_4(at + (F::SET_UNITS - 1) * 4));
        f.entry = load_shared_4(list + min(f.begin + thread % 32, room - 1) * 4);
        return f;
    }
    /* Adds them to a slot's weights, where the warp has put what it unpacked. */
    __device__ __forceinline__ void add(const found &f, int image, uint32_t weights, uint16_t alpha)
    {
        __syncwarp();
        if (crowded) {
            add_crowd<F>(w, table, image, weights, alpha, number);
            return;
        }
        uint32_t entry = f.entry;
#pragma unroll 1
        for (int i = f.begin + thread % 32; i < f.behind;) {
            add_entry(weights + (entry & 0xffff), entry, alpha);
            i += 32;
            if (i < f.behind)
                entry = load_shared_4(list + i * 4);
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
