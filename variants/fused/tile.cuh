/*
 * tile.cuh: x of 16 tokens: in registers, as A fragments of mma.m16n8k16 for Base, and transposed
 * in shared memory for Ortho.
 *
 * Eight columns of a token that a lane loads at once are what it holds of four A fragments: an
 * image's words have their columns in that order (layout.cuh). Transposed, a line holds one column
 * of x for all tokens, so that an A fragment can be gathered from any 16 columns by one ldmatrix.
 */
#ifndef ORTHO_VARIANTS_FUSED_TILE_CUH
#define ORTHO_VARIANTS_FUSED_TILE_CUH

#include "variants/fused/activations.cuh"
#include "variants/fused/ring.cuh"

namespace ortho_fused
{

namespace
{

constexpr int TILE_TOKENS = 16, TILE_LINE = TILE_TOKENS * 2; /* bytes of a column */
constexpr int STRIP_COLUMNS = 32;                            /* what a warp moves at once */
constexpr int IMAGE_STRIPS = IMAGE_COLUMNS / STRIP_COLUMNS, TILE_HALVES = 2;
constexpr int IMAGE_TILE_BYTES = IMAGE_COLUMNS * TILE_LINE;

/* Four registers of all lanes to or from four 8 x 8 matrices, a line's address from each lane. */
__device__ __forceinline__ void load_transposed(uint32_t at, uint32_t v[4])
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "r"(at));
}

__device__ __forceinline__ void store_transposed(uint32_t at, uint4 v)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(at),
                 "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
#endif
}

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
            asm volatile("" : "+l"(row[half]));
        }
    }
};

/* Eight columns or those of them that are there: kept apart, for it would be unrolled everywhere.
 */
static __device__ __noinline__ uint4 load_columns(const uint16_t *from, int left)
{
    uint64_t low = 0, high = 0;
#pragma unroll 1
    for (int i = 0; i < min(left, 8); i++)
        (i < 4 ? low : high) |= static_cast<uint64_t>(from[i]) << (i % 4 * 16);
    return make_uint4(static_cast<uint32_t>(low), static_cast<uint32_t>(low >> 32),
                      static_cast<uint32_t>(high), static_cast<uint32_t>(high >> 32));
}

/* An image of x as loads leave it. */
struct raw_image {
    uint4 v[IMAGE_STRIPS][TILE_HALVES];

    /* All columns of which are there. */
    template <typename E>
    __device__ __forceinline__ void load(const tile_source<E> &from, int image)
    {
#pragma unroll
        for (int s = 0; s < IMAGE_STRIPS; s++)
#pragma unroll
            for (int half = 0; half < TILE_HALVES; half++)
                v[s][half] = __ldcg(reinterpret_cast<const uint4 *>(
                    from.row[half] + image * IMAGE_COLUMNS + s * STRIP_COLUMNS));
    }
    /* Some or none of which are. */
    template <typename E>
    __device__ __forceinline__ void load_some(const tile_source<E> &from, int image, bool exists)
    {
#pragma unroll
        for (int s = 0; s < IMAGE_STRIPS; s++)
#pragma unroll
            for (int half = 0; half < TILE_HALVES; half++) {
                const int at = image * IMAGE_COLUMNS + s * STRIP_COLUMNS;
                const int64_t left = exists ? from.left - at : 0;
                v[s][half] = load_columns(reinterpret_cast<const uint16_t *>(from.row[half] + at),
                                          static_cast<int>(min(left, static_cast<int64_t>(8))));
            }
    }
    /* Into the image's lines of shared memory. */
    __device__ __forceinline__ void store(uint32_t to, int lane) const
    {
        const uint32_t column =
            lane % 8 / 2 * 8 + lane / 8 * 2 + lane % 2; /* of this lane's line */
#pragma unroll
        for (int s = 0; s < IMAGE_STRIPS; s++)
#pragma unroll
            for (int half = 0; half < TILE_HALVES; half++)
                store_transposed(to + half_line(2 * (s * STRIP_COLUMNS + column), half),
                                 v[s][half]);
    }
};

/* The same as A fragments of its eight k-steps, k-step 2 * word + side. */
struct tile_image {
    uint32_t a[8][4];

    __device__ __forceinline__ void take(const raw_image &raw)
    {
#pragma unroll
        for (int step = 0; step < 8; step++) {
            const int word = step / 2, strip = word / 2 * 2 + step % 2;
            const uint4 &low = raw.v[strip][0], &high = raw.v[strip][1];
            a[step][0] = word % 2 == 0 ? low.x : low.z;
            a[step][1] = word % 2 == 0 ? high.x : high.z;
            a[step][2] = word % 2 == 0 ? low.y : low.w;
            a[step][3] = word % 2 == 0 ? high.y : high.w;
            /* Or the compiler leaves them as they were loaded, and moves them with each use. */
            asm volatile(""
                         : "+r"(a[step][0]), "+r"(a[step][1]), "+r"(a[step][2]), "+r"(a[step][3]));
        }
    }
};

} // namespace

} // namespace ortho_fused

#endif
