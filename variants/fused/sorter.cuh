/*
 * sorter.cuh: Ortho for wide.cuh: the entries of a unit's 8 rows, which are packed row by row,
 * sorted by image and added to weights that stand in shared memory.
 *
 * A warp sorts as many images at once as it has room for. The counts of the rows in each image tell
 * where the entries of an image will stand, and which segments of each row have them. These are
 * dealt to the lanes one by one, however skewed the rows. Which entry of an image comes first
 * doesn't matter: no two belong to one weight.
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

constexpr uint32_t ONES = 0x01010101u, TOPS = 0x80808080u;
/* Segments that are dealt at once: they are counted in seven bits. */
constexpr int DEALT_MOST = 127;

/* A byte of eight, by the number of the row. */
__device__ __forceinline__ int byte_of(uint2 rows, int row)
{
    return static_cast<int>(__byte_perm(rows.x, rows.y, row) & 255);
}

/* How many of four bytes aren't above e; all are below 128. */
__device__ __forceinline__ int not_above(uint32_t bytes, int e)
{
    return __popc((static_cast<uint32_t>(e) * ONES + TOPS - bytes) & TOPS);
}

/* Where `is`, without a branch: what was there before, and stores. */
__device__ __forceinline__ uint32_t add_shared_if(bool is, uint32_t at, uint32_t v)
{
    uint32_t before = 0;
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.u32 p, %1, 0;\n"
                 "@p atom.shared.add.u32 %0, [%2], %3;\n"
                 "}"
                 : "+r"(before)
                 : "r"(static_cast<uint32_t>(is)), "r"(at), "r"(v)
                 : "memory");
    return before;
}

__device__ __forceinline__ void store_shared_if(bool is, uint32_t at, uint32_t v)
{
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.u32 p, %0, 0;\n"
                 "@p st.shared.u32 [%1], %2;\n"
                 "}" ::"r"(static_cast<uint32_t>(is)),
                 "r"(at), "r"(v)
                 : "memory");
}

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

/* All entries of an image, straight from memory: for images that have too many. */
template <typename F>
static __device__ __noinline__ void add_crowd(const linear &w, int unit, int image,
                                              uint32_t weights, uint16_t alpha)
{
    const int lane = threadIdx.x % 32, window = image / WINDOW_IMAGES;
    unit_section s;
    s.turn_to(w, unit, window);
    const int behind = s.count(window * WINDOW_IMAGES, image), here = s.count(image, image + 1);
    const int first = s.begins + behind / SEGMENT_ENTRIES,
              last = s.begins + (behind + here + SEGMENT_ENTRIES - 1) / SEGMENT_ENTRIES;
#pragma unroll 1
    for (int row = 0; row < UNIT_ROWS; row++) {
        const int end = __shfl_sync(ALL_LANES, last, row);
#pragma unroll 1
        for (int i = __shfl_sync(ALL_LANES, first, row) + lane; i < end; i += 32) {
            const uint4 segment = s.segment(i);
            const uint32_t words[4] = {segment.x, segment.y, segment.z, segment.w};
#pragma unroll
            for (int j = 0; j < SEGMENT_ENTRIES; j++) {
                const placed_entry<F> p(words[j], row, image % WINDOW_IMAGES * IMAGE_COLUMNS);
                if (p.image == 0)
                    add_entry(weights + p.at, words[j], alpha);
            }
        }
    }
}

/* A unit's entries, for a warp that takes every SETS-th image. */
template <typename F> struct sorter {
    uint32_t list, cursors; /* shared addresses */
    unit_section s;
    int behind;      /* entries of row lane % 8 before image `next` */
    int first, next; /* sorted are images first .. next - 1 */
    int begin, size; /* of image first + lane, in the list */
    bool crowded;    /* the only image has too many */

    __device__ __forceinline__ void open(uint32_t unit)
    {
        list = unit + F::SORTED_AT;
        cursors = unit + F::CURSORS_AT;
        restart();
    }
    static constexpr int FIRST = 8, AT_ONCE = F::SET_UNITS == 1 ? 4 : 2;

    static __device__ __forceinline__ const uint2 *counts_of(const linear &w, int unit)
    {
        return reinterpret_cast<const uint2 *>(w.count) + static_cast<int64_t>(unit) * w.s.images;
    }
    /* Of another tile. */
    __device__ __forceinline__ void restart()
    {
        first = next = -1;
    }
    /* Sorts from an image on; end: of the block's images. */
    __device__ __forceinline__ void sort(const linear &w, int unit, int image, int end)
    {
        const int lane = threadIdx.x % 32, window = image / WINDOW_IMAGES;
        /* At first a few, which are waited for. */
        const int most =
            min(min(end, (window + 1) * WINDOW_IMAGES), next < 0 ? image + FIRST : end);
        const uint2 counts =
            image + lane < most ? __ldg(counts_of(w, unit) + image + lane) : make_uint2(0, 0);
        if (next < 0 || next / WINDOW_IMAGES != window || next % WINDOW_IMAGES == 0) {
            s.turn_to(w, unit, window);
            behind = s.count(window * WINDOW_IMAGES, image);
        } else if (next < image) {
            behind += s.count(next, image);
        }
        size = static_cast<int>(__dp4a(counts.x, ONES, __dp4a(counts.y, ONES, 0u)));
        int ends = size;
#pragma unroll
        for (int step = 1; step < 32; step *= 2) {
            const int others = __shfl_up_sync(ALL_LANES, ends, step);
            ends += lane >= step ? others : 0;
        }
        begin = ends - size;
        const int fits = __popc(__ballot_sync(ALL_LANES, ends <= F::SORTED && image + lane < most));
        crowded = fits == 0;
        first = image;
        next = image + max(fits, 1);
        const int here = of_row(lane < next - image ? counts : make_uint2(0, 0));
        if (!crowded && __shfl_sync(ALL_LANES, ends, fits - 1) > 0) {
            store_shared_4(cursors + lane * 4, static_cast<uint32_t>(begin));
            __syncwarp();
            deal(here);
            __syncwarp();
        }
        behind += here;
    }
    /* Sums over all lanes of the counts of row lane % 8. */
    static __device__ __forceinline__ int of_row(uint2 counts)
    {
        constexpr uint32_t EVEN = 0x00ff00ff;
        const uint32_t low[2] = {__reduce_add_sync(ALL_LANES, counts.x & EVEN),
                                 __reduce_add_sync(ALL_LANES, counts.x >> 8 & EVEN)};
        const uint32_t high[2] = {__reduce_add_sync(ALL_LANES, counts.y & EVEN),
                                  __reduce_add_sync(ALL_LANES, counts.y >> 8 & EVEN)};
        const int row = threadIdx.x % UNIT_ROWS;
        const uint32_t two =
            row < 4 ? (row % 2 == 0 ? low[0] : low[1]) : (row % 2 == 0 ? high[0] : high[1]);
        return static_cast<int>(row / 2 % 2 == 0 ? two & 0xffff : two >> 16);
    }
    /* Of four rows from `row` on, the values that their lanes have. */
    static __device__ __forceinline__ uint32_t bytes_of_rows(int value, int row)
    {
        const int mine = static_cast<int>(threadIdx.x) % 32 - row;
        return __reduce_or_sync(
            ALL_LANES, mine >= 0 && mine < 4 ? static_cast<uint32_t>(value) << 8 * mine : 0);
    }
    /* here: entries of row lane % 8 in all images that are sorted. */
    __device__ __forceinline__ void deal(int here)
    {
        static_assert(F::SORTED / SEGMENT_ENTRIES + 2 * UNIT_ROWS <= DEALT_MOST, "seven bits");
        const int lane = threadIdx.x % 32;
        const int from = s.begins + behind / SEGMENT_ENTRIES;
        const int number =
            here == 0 ? 0
                      : s.begins + (behind + here + SEGMENT_ENTRIES - 1) / SEGMENT_ENTRIES - from;
        const uint2 rows = make_uint2(bytes_of_rows(number, 0), bytes_of_rows(number, 4));
        const uint32_t below = rows.x * ONES >> 24;
        const uint2 before = make_uint2(rows.x * (ONES << 8), rows.y * (ONES << 8) + below * ONES);
        const int total = static_cast<int>(below + (rows.y * ONES >> 24));
#pragma unroll 1
        for (int round = 0; round < total; round += 32 * AT_ONCE) {
            uint4 segments[AT_ONCE];
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                const int e = round + 32 * i + lane;
                segments[i] = make_uint4(FILL, FILL, FILL, FILL);
                if (round + 32 * i >= total)
                    continue; /* all lanes alike */
                const int row = not_above(before.x, e) + not_above(before.y, e) - 1;
                const int at = __shfl_sync(ALL_LANES, from, row) + e - byte_of(before, row);
                if (e < total)
                    segments[i] = s.segment(at);
            }
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++)
                if (round + 32 * i < total)
                    put(segments[i]);
        }
    }
    /* Entries of a segment to their images: first all their places, which take a while. */
    __device__ __forceinline__ void put(uint4 segment) const
    {
        const uint32_t words[4] = {segment.x, segment.y, segment.z, segment.w};
        const uint32_t row = row_of(segment), images = static_cast<uint32_t>(next - first);
        uint32_t entry[4], place[4];
        bool is[4];
#pragma unroll
        for (int i = 0; i < SEGMENT_ENTRIES; i++) {
            const placed_entry<F> p(words[i], row, first % WINDOW_IMAGES * IMAGE_COLUMNS);
            is[i] = p.image < images && (F::SETS == 1 || p.image % F::SETS == 0);
            entry[i] = (words[i] & 0xffff0000u) | p.at;
            place[i] = add_shared_if(is[i], cursors + p.image * 4, 1);
        }
#pragma unroll
        for (int i = 0; i < SEGMENT_ENTRIES; i++)
            store_shared_if(is[i], list + place[i] * 4, entry[i]);
    }
    /* Adds an image's entries to its weights. */
    __device__ __forceinline__ void add(const linear &w, int unit, int image, int end,
                                        uint32_t weights, uint16_t alpha)
    {
        const int lane = threadIdx.x % 32;
        if (image >= next || next < 0)
            sort(w, unit, image, end);
        if (crowded) {
            add_crowd<F>(w, unit, image, weights, alpha);
            return;
        }
        const int at = __shfl_sync(ALL_LANES, begin, image - first) + lane,
                  number = __shfl_sync(ALL_LANES, size, image - first);
#pragma unroll 1
        for (int i = 0; i < number; i += 32)
            if (i + lane < number) {
                const uint32_t entry = load_shared_4(list + (at + i) * 4);
                add_entry(weights + (entry & 0xffff), entry, alpha);
            }
    }
};

} // namespace

} // namespace ortho_fused

#endif
