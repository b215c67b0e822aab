/* section.cuh: the entries of a unit's 8 rows in a window of columns: where their segments are. */
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

/* The segments of a unit's rows in a window. */
struct unit_section {
    const uint8_t *counts; /* of the unit's rows, of all images */
    const uint8_t *steps_at;
    int steps, each; /* of the section; of all bundles but the last */
    uint32_t inverse, inverse_last;
    int begins; /* of row lane % 8, the first segment */

    /* unit < units */
    __device__ __forceinline__ void turn_to(const linear &w, int unit, int window)
    {
        const shape &s = w.s;
        const unit_place at = s.place_of_unit(unit);
        const uint32_t *const begin = w.begin + s.section(at.part, at.batch, window);
        const uint32_t first = __ldg(begin), last = __ldg(begin + 1);
        begins = static_cast<int>(
            __ldg(w.first + (static_cast<int64_t>(window) * s.units + unit) * UNIT_ROWS +
                  threadIdx.x % UNIT_ROWS));
        counts = w.count + static_cast<int64_t>(unit) * s.images * UNIT_ROWS;
        steps_at = w.ortho + static_cast<size_t>(first) * STEP_BYTES;
        steps = static_cast<int>(last - first);
        each = bundle_steps(steps);
        inverse = inverse_of(each);
        inverse_last = inverse_of(steps > 0 ? steps - (steps - 1) / each * each : 1);
    }
    /* Entries of row lane % 8 in images [from, to). */
    __device__ __forceinline__ int count(int from, int to) const
    {
        int sum = 0;
#pragma unroll 1
        for (int i = from + static_cast<int>(threadIdx.x) % 32 / UNIT_ROWS; i < to;
             i += 32 / UNIT_ROWS)
            sum += __ldg(counts + i * UNIT_ROWS + threadIdx.x % UNIT_ROWS);
        sum += __shfl_xor_sync(ALL_LANES, sum, 8);
        return sum + __shfl_xor_sync(ALL_LANES, sum, 16);
    }
    __device__ __forceinline__ uint4 segment(int i) const
    {
        return __ldg(reinterpret_cast<const uint4 *>(steps_at) + place_of(i));
    }
    /* segment_place() without a division. */
    __device__ __forceinline__ int place_of(int i) const
    {
        const int begin = quotient_by(i / SEGMENTS, inverse) * each;
        const int inside = i - begin * SEGMENTS, left = steps - begin, of = min(each, left);
        const int lane = quotient_by(inside, left > each ? inverse : inverse_last);
        return (begin + inside - lane * of) * SEGMENTS + lane;
    }
};

/* The row of the unit: two bits of the row are in each entry of a segment. */
__device__ __forceinline__ uint32_t row_of(uint4 segment)
{
    return (segment.x >> 14 & 3) | (segment.y >> 12 & 4);
}

} // namespace

} // namespace ortho_fused

#endif
