/* section.cuh: where the entries of a unit's 8 rows are in a window of columns. */
#ifndef ORTHO_VARIANTS_FUSED_SECTION_CUH
#define ORTHO_VARIANTS_FUSED_SECTION_CUH

#include "variants/fused/jobs.cuh"
#include "variants/fused/tile.cuh"

namespace ortho_fused
{

namespace
{

constexpr uint32_t FILL = 1; /* an entry that only fills up */

/* x / d of a small x (below 2^13), by 65536 / d rounded up. */
__device__ __forceinline__ int quotient_by(int x, uint32_t inverse)
{
    return static_cast<int>(static_cast<uint32_t>(x) * inverse >> 16);
}

/* d = 1 .. 4 */
__device__ __forceinline__ uint32_t inverse_of(int d)
{
    return d == 1 ? 65536 : d == 2 ? 32768 : d == 3 ? 21846 : 16384;
}

/* segment_place() of a section, without a division. */
struct segment_order {
    int steps, each; /* of the section; of all bundles but the last */
    uint32_t inverse, inverse_last;

    /* steps > 0, as all of them where a segment is asked for. */
    __device__ __forceinline__ segment_order(int of, int bundle)
        : steps(of), each(bundle), inverse(inverse_of(bundle)),
          inverse_last(inverse_of(of - quotient_by(of - 1, inverse) * bundle))
    {
    }
    __device__ __forceinline__ int place_of(int i) const
    {
        const int begin = quotient_by(i / SEGMENTS, inverse) * each;
        const int inside = i - begin * SEGMENTS, left = steps - begin, of = min(each, left);
        const int lane = quotient_by(inside, left > each ? inverse : inverse_last);
        return (begin + inside - lane * of) * SEGMENTS + lane;
    }
};

/* The segments of a unit in a window: all rows' follow each other. */
struct unit_segments {
    uint32_t section; /* its first segment, of all */
    int steps;        /* of the section */
    int begin, end;   /* the unit's segments, from the section's first */

    /* unit < units, in the order of the parts. */
    __device__ __forceinline__ unit_segments(const linear &w, int unit, int window)
    {
        const unit_place at = w.s.place_of_unit(unit);
        const uint32_t *const from = w.begin + w.s.section(at.part, at.batch, window);
        const uint32_t *const first =
            w.first + (static_cast<int64_t>(window) * w.s.units + unit) * UNIT_ROWS;
        const bool is_last = at.unit + 1 == w.s.units_of_batch(at.part, at.batch);
        const uint32_t step = __ldg(from);
        section = step * SEGMENTS;
        steps = static_cast<int>(__ldg(from + 1) - step);
        begin = static_cast<int>(__ldg(first));
        end = is_last ? steps * SEGMENTS : static_cast<int>(__ldg(first + UNIT_ROWS));
    }
};

/* Segment i as it stands; which of its section's that is, segment_order says. */
__device__ __forceinline__ uint4 load_segment(const linear &w, uint32_t i)
{
    return __ldg(reinterpret_cast<const uint4 *>(w.ortho) + i);
}

/* The row of the unit: two bits of the row are in each entry of a segment. */
__device__ __forceinline__ uint32_t row_of(uint4 segment)
{
    return (segment.x >> 14 & 3) | (segment.y >> 12 & 4);
}

} // namespace

} // namespace ortho_fused

#endif
