/*
 * layout.cuh: the packed weights of `fused`.
 *
 * Rows are worked in units of 8. Each of `parts` blocks of threads owns one part: a whole number of
 * units, its Base bytes and its Ortho steps contiguous and in the order in which they are consumed,
 * so that one thread can stream them with bulk copies whose addresses it computes from the sizes
 * alone. Units are dealt to the parts so that all of them have about the same number of entries.
 *
 *   part     batches of up to 16 units (128 rows: what partial sums are kept for)
 *   batch    windows of 8192 columns (what x is kept for, and what a column's 13 bits reach)
 *   window   one panel, or two of equal size where it has more than 32 images; then its Ortho steps
 *   panel    of each unit of the batch one chunk, the unit's images and then their scales
 *   image    8 rows x 128 columns, 512 B: four A fragments of mma.m16n8k16. Fragment rows 0..7 are
 *            the unit's rows at one half of the columns ("side" 0), rows 8..15 the same rows at the
 *            other half (side 1); B's columns 2t and 2t+1 are token t at side 0 and at side 1. So 8
 *            rows fill a fragment, and the fp32 tile holds up to 4 tokens: a row's sum for token t
 *            is C[row][2t] + C[row + 8][2t + 1], both in one lane.
 *            Lane 4*row + t of a warp holds 16 B, k-step j = 0..3 a word: the columns
 *            64*(j/2) + 32*side + 8t + 4*(j%2) + 0..3. Nibbles 0,4 of the word are the first two of
 *            side 0, nibbles 1,5 the last two; 2,6 and 3,7 the same of side 1. A nibble is q + 8.
 *   scales   fp16 [image][groups of an image][8 rows]: 1, 2 or 4 groups of 128, 64 or 32 columns; a
 *            longer group's scale is repeated
 *   bundle   Ortho, up to four steps, all but the last of a section alike, so many that three
 *            warps have equal shares. The segments of a section, rows ascending, go to the lanes
 *            of its bundles in turn, each lane as many as the bundle has steps, side by side: so a
 *            lane adds up most rows by itself
 *   step     512 B, a segment a lane: four entries of one row.
 *            entry = fp16 value << 16 | two bits of the row within the batch << 14 |
 *            column within the window << 1 | 1 where it only fills up
 */
#ifndef ORTHO_VARIANTS_FUSED_LAYOUT_CUH
#define ORTHO_VARIANTS_FUSED_LAYOUT_CUH

#include <cuda_runtime_api.h>
#include <stdint.h>

namespace ortho_fused
{

constexpr int UNIT_ROWS = 8, IMAGE_COLUMNS = 128, IMAGE_BYTES = 512, SCALE_BYTES = 16;
constexpr int BATCH_UNITS = 16, BATCH_ROWS = BATCH_UNITS * UNIT_ROWS;
constexpr int WINDOW_IMAGES = 64, WINDOW_COLUMNS = WINDOW_IMAGES * IMAGE_COLUMNS;
constexpr int PANEL_IMAGES = 32;
constexpr int STEP_BYTES = 512, SEGMENTS = 32, SEGMENT_ENTRIES = 4;
constexpr int BUNDLE_STEPS = 4, BUNDLE_SHARES = 3;

#define ORTHO_FUSED_SHARED __host__ __device__ __forceinline__

ORTHO_FUSED_SHARED int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* a / b of what isn't negative, rounded up. */
ORTHO_FUSED_SHARED int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* A unit of a batch of a part. */
struct unit_place {
    int part, batch, unit;
};

/* The sizes that all addresses follow from. */
struct shape {
    int64_t n, k;
    int units, images; /* of all rows; of one unit */
    int groups;        /* of an image: 1, 2 or 4 */
    int parts;         /* blocks of threads */
    int each, extra;   /* units of a part; the first `extra` parts have one more */
    int batches;       /* of the largest part */
    int windows;

    ORTHO_FUSED_SHARED int image_bytes() const
    {
        return IMAGE_BYTES + groups * SCALE_BYTES;
    }
    ORTHO_FUSED_SHARED int first_unit(int part) const
    {
        return part * each + smaller(part, extra);
    }
    ORTHO_FUSED_SHARED int units_of(int part) const
    {
        return part < parts ? each + (part < extra) : 0;
    }
    ORTHO_FUSED_SHARED int batches_of(int part) const
    {
        return (units_of(part) + BATCH_UNITS - 1) / BATCH_UNITS;
    }
    /* 0 where a part has no such batch, or there is no such part. */
    ORTHO_FUSED_SHARED int units_of_batch(int part, int batch) const
    {
        const int left = units_of(part) - batch * BATCH_UNITS;
        return left < 0 ? 0 : smaller(BATCH_UNITS, left);
    }
    ORTHO_FUSED_SHARED int images_of(int window) const
    {
        return smaller(WINDOW_IMAGES, images - window * WINDOW_IMAGES);
    }
    ORTHO_FUSED_SHARED int panels_of(int window) const
    {
        return images_of(window) > PANEL_IMAGES ? 2 : 1;
    }
    /* Images before a panel in its window, and in it. */
    ORTHO_FUSED_SHARED int panel_first(int window, int panel) const
    {
        return panel == 0 ? 0 : (images_of(window) + 1) / 2;
    }
    ORTHO_FUSED_SHARED int panel_images(int window, int panel) const
    {
        const int all = images_of(window);
        return panels_of(window) == 1 ? all : panel == 0 ? (all + 1) / 2 : all / 2;
    }
    /* Bytes before the first chunk of a panel; a chunk has panel_images * image_bytes. */
    ORTHO_FUSED_SHARED int64_t panel_at(int part, int batch, int window, int panel) const
    {
        const int64_t before =
            static_cast<int64_t>(first_unit(part) + batch * BATCH_UNITS) * images;
        const int64_t here = static_cast<int64_t>(units_of_batch(part, batch)) *
                             (window * WINDOW_IMAGES + panel_first(window, panel));
        return (before + here) * image_bytes();
    }
    ORTHO_FUSED_SHARED int64_t base_bytes() const
    {
        return static_cast<int64_t>(units) * images * image_bytes();
    }
    /* Where a unit is that counts in the order of the parts. */
    ORTHO_FUSED_SHARED unit_place place_of_unit(int unit) const
    {
        const int big = extra * (each + 1);
        const int part = unit < big ? unit / (each + 1) : extra + (unit - big) / each;
        const int local = unit - first_unit(part);
        return {part, local / BATCH_UNITS, local % BATCH_UNITS};
    }
    /* A section: the Ortho steps of one batch and window. */
    ORTHO_FUSED_SHARED int section(int part, int batch, int window) const
    {
        return (part * batches + batch) * windows + window;
    }
    ORTHO_FUSED_SHARED int sections() const
    {
        return parts * batches * windows;
    }
};

/* Steps of each bundle of a section but the last: three warps can take the same number of them. */
ORTHO_FUSED_SHARED int bundle_steps(int steps)
{
    constexpr int ROUND = BUNDLE_SHARES * BUNDLE_STEPS;
    const int bundles = (steps + ROUND - 1) / ROUND * BUNDLE_SHARES;
    return steps > 0 ? (steps + bundles - 1) / bundles : 1;
}

/* Where segment i of a section of `steps` stands, in segments. */
ORTHO_FUSED_SHARED int segment_place(int steps, int i)
{
    const int each = bundle_steps(steps), first = i / (each * SEGMENTS) * each;
    const int here = smaller(each, steps - first), inside = i - first * SEGMENTS;
    return first * SEGMENTS + inside % here * SEGMENTS + inside / here;
}

/* Where a weight's image lies, and its chunk's scales of that image. */
struct place {
    int64_t nibbles, scales;
};

/* `unit` counts in the order of the parts. */
ORTHO_FUSED_SHARED place image_place(const shape &s, int unit, int image)
{
    const unit_place u = s.place_of_unit(unit);
    const int window = image / WINDOW_IMAGES, inside = image % WINDOW_IMAGES;
    const int panel = s.panels_of(window) == 2 && inside >= s.panel_first(window, 1) ? 1 : 0;
    const int count = s.panel_images(window, panel), at = inside - s.panel_first(window, panel);
    const int64_t chunk = s.panel_at(u.part, u.batch, window, panel) +
                          static_cast<int64_t>(u.unit) * count * s.image_bytes();
    return {chunk + at * IMAGE_BYTES,
            chunk + count * IMAGE_BYTES + static_cast<int64_t>(at) * s.groups * SCALE_BYTES};
}

/* A column of an image: its lane of a quad, its word (k-step) and the shift of its nibble. */
struct nibble_place {
    int quad, word, shift;
};

ORTHO_FUSED_SHARED nibble_place nibble_of(int column)
{
    const int side = column / 32 % 2, in = column % 8;
    return {column / 8 % 4, column / 64 * 2 + in / 4, 8 * side + 4 * (in / 2 % 2) + 16 * (in % 2)};
}

} // namespace ortho_fused

#endif
