/*
 * chunks.cuh: dequantises and patches rows of W into global memory, by rows, for a product that
 * takes fp16: each weight once, whatever the number of tokens.
 *
 * A block has a unit's 8 rows and up to PIECE_IMAGES images of one window in shared memory: Base
 * goes there first, then each of the unit's entries to its weight, then whole lines leave. A piece
 * that isn't the window's only one looks at all of the window's entries and takes its own.
 */
#ifndef ORTHO_VARIANTS_FUSED_CHUNKS_CUH
#define ORTHO_VARIANTS_FUSED_CHUNKS_CUH

#include "variants/fused/section.cuh"
#include "variants/fused/weights.cuh"

namespace ortho_fused
{

namespace
{

constexpr int UNPACK_THREADS = 128, UNPACK_WARPS = UNPACK_THREADS / 32;
constexpr int PIECE_IMAGES = 12, WARP_IMAGES = PIECE_IMAGES / UNPACK_WARPS;
static_assert(PIECE_IMAGES % UNPACK_WARPS == 0, "or a warp would leave some out");
/* Behind each line, so that two rows' pieces of 64 bytes don't meet in banks. */
constexpr int LINE_GAP = 64;

struct unpack_launch {
    linear w;
    __half *to;      /* [rows, k] */
    float alpha;     /* 0 where there are no entries */
    int first, rows; /* of W */
    int pieces;      /* of a window */
};

constexpr int piece_memory(int images)
{
    return UNIT_ROWS * (images * IMAGE_COLUMNS * 2 + LINE_GAP);
}

/* A block's rows and columns. unit: in the order of the parts. */
struct piece {
    int unit, window, image, images;
    int line; /* bytes */
    uint32_t memory;

    __device__ __forceinline__ explicit piece(const unpack_launch &l)
        : unit(static_cast<int>(blockIdx.x)), window(static_cast<int>(blockIdx.y) / l.pieces),
          memory(shared_address(ortho_cuda_dynamic_shared()))
    {
        const int at = static_cast<int>(blockIdx.y) % l.pieces, all = l.w.s.images_of(window);
        const int begin = all * at / l.pieces, end = all * (at + 1) / l.pieces;
        image = window * WINDOW_IMAGES + begin;
        images = end - begin;
        line = images * IMAGE_COLUMNS * 2 + LINE_GAP;
    }
};

/* A lane's part of an image: its words, and its row's scales of the strips. */
template <int GROUPS> struct packed_image {
    uint4 words;
    uint16_t scale[GROUPS];

    __device__ __forceinline__ void load(const linear &w, int unit, int image, int lane)
    {
        const place at = image_place(w.s, unit, image);
        words = __ldg(reinterpret_cast<const uint4 *>(w.base + at.nibbles) + lane);
#pragma unroll
        for (int i = 0; i < GROUPS; i++) {
            const int group = GROUPS == 1 ? 0 : i * w.s.groups / GROUPS;
            scale[i] = __ldg(reinterpret_cast<const uint16_t *>(w.base + at.scales) +
                             group * UNIT_ROWS + lane / 4);
        }
    }
    __device__ __forceinline__ uint32_t twice(int strip) const
    {
        return scale[GROUPS == 1 ? 0 : strip] * 0x10001u;
    }
    /* to: the image's first column of the lane's row. */
    __device__ __forceinline__ void unpack(uint32_t to, int lane) const
    {
        const uint32_t at = to + lane % 4 * 16;
        uint4 out[2];
        unpack_weights(words.x, words.y, twice(0), twice(1), out);
        store_shared_16(at, out[0]);
        store_shared_16(at + 64, out[1]);
        unpack_weights(words.z, words.w, twice(2), twice(3), out);
        store_shared_16(at + 128, out[0]);
        store_shared_16(at + 192, out[1]);
    }
};

/* What a warp unpacks: every UNPACK_WARPS-th image of a piece. */
template <int GROUPS> struct warp_images {
    packed_image<GROUPS> of[WARP_IMAGES];
    int lane, warp;

    __device__ __forceinline__ warp_images(const linear &w, const piece &p)
        : lane(threadIdx.x % 32), warp(threadIdx.x / 32)
    {
#pragma unroll
        for (int i = 0; i < WARP_IMAGES; i++)
            if (warp + i * UNPACK_WARPS < p.images)
                of[i].load(w, p.unit, p.image + warp + i * UNPACK_WARPS, lane);
    }
    __device__ __forceinline__ void unpack(const piece &p) const
    {
        const uint32_t to = p.memory + lane / 4 * p.line;
#pragma unroll
        for (int i = 0; i < WARP_IMAGES; i++)
            if (warp + i * UNPACK_WARPS < p.images)
                of[i].unpack(to + (warp + i * UNPACK_WARPS) * IMAGE_COLUMNS * 2, lane);
    }
};

/* A segment's entries to their weights, those that are the piece's. */
__device__ __forceinline__ void patch(const piece &p, uint4 segment, uint16_t alpha)
{
    const uint32_t words[4] = {segment.x, segment.y, segment.z, segment.w};
    const uint32_t line = p.memory + row_of(segment) * p.line,
                   before = p.image % WINDOW_IMAGES * IMAGE_COLUMNS,
                   columns = p.images * IMAGE_COLUMNS;
#pragma unroll
    for (int i = 0; i < SEGMENT_ENTRIES; i++) {
        const uint32_t column = (words[i] & 0x3fff) / 2 - before;
        if ((words[i] & FILL) == 0 && column < columns)
            add_entry(line + column * 2, words[i], alpha);
    }
}

/* row: the unit's first. */
__device__ __forceinline__ void store_lines(const unpack_launch &l, const piece &p, int row)
{
    const int column = p.image * IMAGE_COLUMNS;
    const int pieces =
        static_cast<int>(min(l.w.s.k - column, static_cast<int64_t>(p.images) * IMAGE_COLUMNS)) / 8;
    const int rows = min(l.rows - (row - l.first), UNIT_ROWS);
    for (int r = threadIdx.x / 32; r < rows; r += UNPACK_WARPS) {
        uint4 *const to = reinterpret_cast<uint4 *>(
            l.to + static_cast<int64_t>(row - l.first + r) * l.w.s.k + column);
        for (int i = threadIdx.x % 32; i < pieces; i += 32)
            to[i] = load_shared_16(p.memory + r * p.line + i * 16);
    }
}

/* Grid: all units of W, of which those are unpacked that have rows of the launch; pieces of all
 * windows. k % 8 == 0. */
template <int GROUPS>
__global__ void __launch_bounds__(UNPACK_THREADS, 8) unpack_kernel(const unpack_launch l)
{
    const piece p(l);
    const int row = static_cast<int>(__ldg(l.w.unit + p.unit)) * UNIT_ROWS;
    if (l.rows < l.w.s.n && (row < l.first || row >= l.first + l.rows))
        return; /* all threads alike */
    const warp_images<GROUPS> images(l.w, p);
    if (l.alpha == 0) {
        images.unpack(p);
    } else {
        const unit_segments s(l.w, p.unit, p.window);
        const segment_order order(s.steps, bundle_steps(s.steps));
        images.unpack(p);
        const auto segment_at = [&](int i) {
            return load_segment(l.w, s.section + static_cast<uint32_t>(order.place_of(i)));
        };
        int i = s.begin + static_cast<int>(threadIdx.x);
        uint4 segment = i < s.end ? segment_at(i) : make_uint4(FILL, FILL, FILL, FILL);
        __syncthreads();
        const uint16_t alpha = __half_as_ushort(__float2half_rn(l.alpha));
        for (; i < s.end; i += UNPACK_THREADS) {
            patch(p, segment, alpha);
            if (i + UNPACK_THREADS < s.end)
                segment = segment_at(i + UNPACK_THREADS);
        }
    }
    __syncthreads();
    ortho_cuda_wait_for_previous(); /* which may still read what was there */
    store_lines(l, p, row);
}

} // namespace

} // namespace ortho_fused

#endif
