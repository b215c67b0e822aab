/*
 * overlay.cuh: Ortho for wide.cuh, added to the weights before they are multiplied.
 *
 * An overlay is 64 rows by an image, fp16 in the order in which lanes hold the fragments of Base;
 * all zeros but for entries. Warps of their own, the patchers, find an image's entries, 32 rows a
 * warp, and put them there; whoever multiplies adds them to his weights and leaves zeros behind.
 * The counts of the rows in an image tell where entries are, so that they are dealt to lanes one by
 * one, however skewed the rows.
 */
#ifndef ORTHO_VARIANTS_FUSED_OVERLAY_CUH
#define ORTHO_VARIANTS_FUSED_OVERLAY_CUH

#include "variants/fused/jobs.cuh"
#include "variants/fused/ring.cuh"

namespace ortho_fused
{

namespace
{

constexpr int OVERLAY_UNITS = 8, OVERLAY_ROWS = OVERLAY_UNITS * UNIT_ROWS;
constexpr int OVERLAY_BYTES = OVERLAY_ROWS * IMAGE_COLUMNS * 2;
/* Which 16 bytes of a row aren't all zeros: bit 4 * quad lane + strip. */
constexpr int OVERLAY_MASKS = OVERLAY_ROWS * 4;
constexpr int STRIP = 32; /* columns of which a lane has 8 */

/* Where the 16 bytes of a lane begin: of a unit's rows, in a strip. */
__device__ __forceinline__ uint32_t overlay_at(int unit, int strip, int lane)
{
    return static_cast<uint32_t>(unit * (UNIT_ROWS * IMAGE_COLUMNS * 2) + strip * 512 + lane * 16);
}

/* x / d of a small x (below 2^13), d = 1 .. 4. */
__device__ __forceinline__ int small_quotient(int x, int d)
{
    const uint32_t inverse = d == 1 ? 65536 : d == 2 ? 32768 : d == 3 ? 21846 : 16384;
    return static_cast<int>(static_cast<uint32_t>(x) * inverse >> 16);
}

/* segment_place() without a division. */
__device__ __forceinline__ int quick_place(int steps, int each, int i)
{
    const int first = small_quotient(i / SEGMENTS, each) * each;
    const int here = min(each, steps - first), inside = i - first * SEGMENTS;
    const int lane = small_quotient(inside, here);
    return (first + inside - lane * here) * SEGMENTS + lane;
}

/* A row with entries in the image; entry e of those of all 32 rows, one of this row, is number
 * start + e of its section. */
struct __align__(16) row_of_entries
{
    uint32_t begin;             /* of the section, in steps */
    int start, steps, each_row; /* steps of a bundle * 32 + row */
};

/* Entries that a lane asks for at once; what an image has beyond comes one by one. */
constexpr int PATCH_ROUNDS = 6;

/* A warp that brings the entries of 32 rows, a row a lane, image by image of a window. */
struct patcher {
    const linear &w;
    float alpha;
    int lane, rows_at;     /* of its 32 rows, in the overlay */
    int unit, row;         /* the lane's, in the order of the parts; of the unit. unit < 0: none */
    row_of_entries *table; /* [32] shared memory */
    row_of_entries mine;
    int image, by, end;                  /* the current one, of the window; its last */
    int column;                          /* of the image, from the window's first */
    int passed;                          /* entries of the row that are behind */
    int here, between, next, after_next; /* in the image, and before the next one; one further */
    int total;                           /* of all rows, in the image */
    uint32_t entry[PATCH_ROUNDS], rows;  /* on their way; 5 bits a round */

    /* first: of four units, in the order of the parts. */
    __device__ __forceinline__ patcher(const linear &of, float times, int first, int row_in_overlay,
                                       row_of_entries *shared)
        : w(of), alpha(times), lane(threadIdx.x % 32), rows_at(row_in_overlay),
          unit(first + lane / UNIT_ROWS < of.s.units ? first + lane / UNIT_ROWS : -1),
          row(lane % UNIT_ROWS), table(shared)
    {
    }
    /* Entries of the lane's row in images [from, from + number) of the window. */
    __device__ __forceinline__ int count(int from, int number) const
    {
        int sum = 0;
        if (unit >= 0)
            for (int i = from; i < min(from + number, end); i++)
                sum += __ldg(w.count + (static_cast<int64_t>(unit) * w.s.images + i) * UNIT_ROWS +
                             row);
        return sum;
    }
    /* A window, whose images begin .. end - 1 are gone through from `first` on. */
    __device__ __forceinline__ void turn_to(int window, int begin, int first, int stride, int last)
    {
        const shape &s = w.s;
        image = first;
        by = stride;
        end = last;
        mine = {0, 0, 0, 0};
        if (unit >= 0) {
            const int big = s.extra * (s.each + 1);
            const int part = unit < big ? unit / (s.each + 1) : s.extra + (unit - big) / s.each;
            const int batch = (unit - s.first_unit(part)) / BATCH_UNITS;
            const uint32_t *at = w.begin + s.section(part, batch, window);
            mine.begin = __ldg(at);
            mine.steps = static_cast<int>(__ldg(at + 1) - mine.begin);
            mine.start =
                static_cast<int>(__ldg(
                    w.first + (static_cast<int64_t>(window) * s.units + unit) * UNIT_ROWS + row)) *
                SEGMENT_ENTRIES;
        }
        mine.each_row = bundle_steps(mine.steps) * 32 + lane;
        passed = count(begin, first - begin);
        here = count(image, 1);
        between = count(image + 1, by - 1);
        next = count(image + by, 1);
        after_next = count(image + by + 1, by - 1);
    }
    /* Asks for what lanes take of entries 32 * round .. ; `before`: rows that begin earlier. */
    __device__ __forceinline__ void ask(int round, int begins, int *before, uint32_t *word,
                                        int *of_row) const
    {
        const int at = begins - 32 * round;
        const uint32_t starts =
            __reduce_or_sync(ALL_LANES, here > 0 && at >= 0 && at < 32 ? 1u << at : 0u);
        const int k = *before + __popc(starts & (2u << lane) - 1) - 1;
        *before += __popc(starts);
        const int e = 32 * round + lane;
        *word = 0;
        *of_row = 0;
        if (e < total) {
            const row_of_entries r = table[k];
            const int i = r.start + e;
            const int place = quick_place(r.steps, r.each_row / 32, i / SEGMENT_ENTRIES);
            *of_row = r.each_row % 32;
            *word = __ldg(reinterpret_cast<const uint32_t *>(w.ortho) +
                          static_cast<size_t>(r.begin) * (STEP_BYTES / 4) +
                          place * SEGMENT_ENTRIES + i % SEGMENT_ENTRIES);
        }
    }
    __device__ __forceinline__ void put_one(uint32_t word, int of_row, uint32_t overlay,
                                            uint32_t masks) const
    {
        const int c = static_cast<int>(word >> 1 & (WINDOW_COLUMNS - 1)) - column;
        const int strip = c / STRIP, quad = c / 2 % 4, r = rows_at + of_row;
        const __half v = __float2half_rn(alpha * half_activations::value(word >> 16));
        const uint32_t to = overlay + overlay_at(r / UNIT_ROWS, strip, r % UNIT_ROWS * 4 + quad) +
                            c / 8 % 4 * 4 + c % 2 * 2;
        asm volatile("st.shared.u16 [%0], %1;" ::"r"(to), "h"(__half_as_ushort(v)) : "memory");
        asm volatile("red.shared.or.b32 [%0], %1;" ::"r"(masks + r * 4),
                     "r"(1u << (4 * quad + strip))
                     : "memory");
    }
    /* The image's entries into the overlay, once it is blank (`wait`); then comes the next. */
    template <typename F>
    __device__ __forceinline__ void patch(uint32_t overlay, uint32_t masks, const F &wait)
    {
        int ends = here, before = 0;
#pragma unroll
        for (int step = 1; step < 32; step *= 2) {
            const int others = __shfl_up_sync(ALL_LANES, ends, step);
            ends += lane >= step ? others : 0;
        }
        const int begins = ends - here;
        total = __shfl_sync(ALL_LANES, ends, 31);
        column = image % WINDOW_IMAGES * IMAGE_COLUMNS;
        const uint32_t rows_here = __ballot_sync(ALL_LANES, here > 0);
        if (here > 0) {
            row_of_entries r = mine;
            r.start += passed - begins;
            table[__popc(rows_here & ((1u << lane) - 1))] = r;
        }
        __syncwarp();
        rows = 0;
#pragma unroll
        for (int i = 0; i < PATCH_ROUNDS; i++) {
            if (i % 2 == 0 && i * 32 >= total)
                break;
            int of_row;
            ask(i, begins, &before, &entry[i], &of_row);
            rows |= static_cast<uint32_t>(of_row) << (5 * i);
        }
        wait();
#pragma unroll
        for (int i = 0; i < PATCH_ROUNDS; i++)
            if (i * 32 + lane < total)
                put_one(entry[i], rows >> (5 * i) & 31, overlay, masks);
#pragma unroll 1
        for (int i = PATCH_ROUNDS; i * 32 < total; i++) {
            uint32_t word;
            int of_row;
            ask(i, begins, &before, &word, &of_row);
            if (i * 32 + lane < total)
                put_one(word, of_row, overlay, masks);
        }
        passed += here + between;
        image += by;
        here = next;
        between = after_next;
        next = count(image + by, 1);
        after_next = count(image + by + 1, by - 1);
        __syncwarp();
    }
};

} // namespace

} // namespace ortho_fused

#endif
