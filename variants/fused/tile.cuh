/*
 * tile.cuh: x of 16 tokens in shared memory, transposed, from which come A fragments of
 * mma.m16n8k16: those of an image for Base, those of any 16 columns for Ortho.
 *
 * A line holds one column of x for all tokens, so that a fragment is one ldmatrix whatever its
 * columns are. A warp brings strips of 32 columns, eight of a token a lane, and stmatrix turns
 * them; Base reads them back in the order that an image's words have (layout.cuh).
 */
#ifndef ORTHO_VARIANTS_FUSED_TILE_CUH
#define ORTHO_VARIANTS_FUSED_TILE_CUH

#include "variants/fused/activations.cuh"
#include "variants/fused/ring.cuh"

namespace ortho_fused
{

namespace
{

constexpr int STRIP_COLUMNS = 32; /* what a warp moves at once */
constexpr int IMAGE_STRIPS = IMAGE_COLUMNS / STRIP_COLUMNS, TILE_HALVES = 2;

/* Where the half of a column's line is: tokens 0 to 7 or 8 to 15. Lines that stmatrix stores at
 * once differ in bits 0, 3 and 4 of the column, and must not in banks: bit 3 turns line bit 1, bit
 * 4 the halves. twice: the column, doubled, as entries have it. */
__device__ __forceinline__ uint32_t half_line(uint32_t twice, uint32_t half)
{
    return (twice << 4) ^ (twice << 2 & 64) ^ (twice >> 1 & 16) ^ (half << 4);
}

/* Columns of 16 tokens: of a lane, eight of each strip and of two tokens, 8 apart. Where there are
 * fewer tokens, lanes repeat the last one: nobody looks at its sums, and nobody has to branch. */
template <typename E> struct tile_source {
    const E *row[TILE_HALVES]; /* the lane's first column */
    int64_t columns, left;     /* from the first that is wanted, and from the lane's, to the end */
    bool vectors;              /* 16 bytes at once may be read */

    /* x: column 0 of the first token; column: the first one that is wanted. */
    __device__ __forceinline__ tile_source(const E *x, int64_t k, int64_t column, int tokens,
                                           int lane)
        : columns(k - column), left(k - column - lane % 4 * 8),
          vectors(k % 8 == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0)
    {
#pragma unroll
        for (int half = 0; half < TILE_HALVES; half++) {
            row[half] = x + min(half * 8 + lane / 4, tokens - 1) * k + column + lane % 4 * 8;
            /* Or the compiler keeps an address for each load, and spills them. */
            keep_address(row[half]);
        }
    }
};

/* Eight columns or those of them that are there; a call, since few images want it. */
static __device__ __noinline__ uint4 load_columns(const uint16_t *from, int left)
{
    uint64_t low = 0, high = 0;
#pragma unroll 1
    for (int i = 0; i < min(left, 8); i++)
        (i < 4 ? low : high) |= static_cast<uint64_t>(from[i]) << (i % 4 * 16);
    return make_uint4(static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32),
                      static_cast<uint32_t>(high), static_cast<uint32_t>(high >> 32));
}

/* Asks for all columns of an image: its strips as they are, 16 bytes a lane, to where its lines
 * will stand. Copies that pass the L1 by: beside all that shared memory it is too small for as many
 * loads. */
template <typename E>
__device__ __forceinline__ void ask_image(const tile_source<E> &from, int image, uint32_t to,
                                          int lane)
{
#pragma unroll
    for (int i = 0; i < IMAGE_STRIPS * TILE_HALVES; i++)
        copy_16(to + i * 512 + lane * 16, from.row[i % TILE_HALVES] + image * IMAGE_COLUMNS +
                                              i / TILE_HALVES * STRIP_COLUMNS);
}

/* Brings an image some of whose columns are there, to the same place. */
template <typename E>
__device__ __forceinline__ void bring_some(const tile_source<E> &from, int image, uint32_t to,
                                           int lane)
{
#pragma unroll 1
    for (int i = 0; i < IMAGE_STRIPS * TILE_HALVES; i++) {
        const int at = image * IMAGE_COLUMNS + i / TILE_HALVES * STRIP_COLUMNS;
        const int64_t left = min(from.left - at, static_cast<int64_t>(8));
        const E *row = i % TILE_HALVES == 0 ? from.row[0] : from.row[1];
        store_shared_16(
            to + i * 512 + lane * 16,
            load_columns(reinterpret_cast<const uint16_t *>(row + at), static_cast<int>(left)));
    }
}

/* An image's strips, eight columns of a token a lane, become its lines. */
__device__ __forceinline__ void store_lines(uint32_t at, const uint4 v[IMAGE_STRIPS * TILE_HALVES],
                                            int lane)
{
    const uint32_t column = lane % 8 / 2 * 8 + lane / 8 * 2 + lane % 2; /* of this lane's line */
#pragma unroll
    for (int i = 0; i < IMAGE_STRIPS * TILE_HALVES; i++)
        store_transposed(
            at + half_line(2 * (i / TILE_HALVES * STRIP_COLUMNS + column), i % TILE_HALVES), v[i]);
}

/* What a warp has brought, in its place. */
__device__ __forceinline__ void transpose_image(uint32_t at, int lane)
{
    uint4 v[IMAGE_STRIPS * TILE_HALVES];
#pragma unroll
    for (int i = 0; i < IMAGE_STRIPS * TILE_HALVES; i++)
        v[i] = load_shared_16(at + i * 512 + lane * 16);
    __syncwarp();
    store_lines(at, v, lane);
}

/* The same of all columns of an image at once, through registers: for a warp that doesn't want to
 * wait for what it has asked for otherwise. */
template <typename E>
__device__ __forceinline__ void bring_lines(const tile_source<E> &from, int image, uint32_t to,
                                            int lane)
{
    uint4 v[IMAGE_STRIPS * TILE_HALVES];
#pragma unroll
    for (int i = 0; i < IMAGE_STRIPS * TILE_HALVES; i++)
        v[i] = __ldcg(reinterpret_cast<const uint4 *>(
            from.row[i % TILE_HALVES] + image * IMAGE_COLUMNS + i / TILE_HALVES * STRIP_COLUMNS));
    store_lines(to, v, lane);
}

/* An image of x as A fragments of its eight k-steps, k-step 2 * word + side. */
struct tile_image {
    uint32_t a[8][4];

    /* From shared memory; zeros where there is no such image. */
    __device__ __forceinline__ void load(uint32_t from, bool exists, int lane)
    {
        const uint32_t column = lane % 8 / 2 * 8 + lane / 16 * 2 + lane % 2;
#pragma unroll
        for (int step = 0; step < 8; step++) {
            const uint32_t at = step / 4 * 64 + step % 2 * 32 + step / 2 % 2 * 4 + column;
            a[step][0] = a[step][1] = a[step][2] = a[step][3] = 0;
            if (exists)
                load_transposed(from + half_line(2 * at, lane / 8 % 2), a[step]);
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
