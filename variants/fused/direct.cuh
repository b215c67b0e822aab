/*
 * direct.cuh: the kernel of direct.cu: 16 tokens at once, by what compute capability 8.0 has.
 *
 * A block has up to four units of a batch of a part, and all of their columns, so that nothing is
 * added across blocks. Its warps are dealt the images of each panel. x comes as A fragments
 * straight from memory, eight columns side by side a load; words and scales likewise, of all units
 * at once. Sums stay in registers.
 *
 * Ortho comes first, into sums of each warp's own in shared memory: a warp looks at a step at a
 * time, a segment a lane, and takes those of its block's units one by one, a token a lane, two of
 * the four entries either half of the warp. In the end the warps' sums are added in order: no
 * atomics, so that the same input gives the same bits.
 *
 * x in fp32 is three rows of a tile a token, one for each digit; entries meet it as it is, in the
 * first of them.
 */
#ifndef ORTHO_VARIANTS_FUSED_DIRECT_CUH
#define ORTHO_VARIANTS_FUSED_DIRECT_CUH

#include "variants/fused/outputs.cuh"
#include "variants/fused/patches.cuh"
#include "variants/fused/products.cuh"
#include "variants/fused/state.h"

namespace ortho_fused
{

namespace
{

constexpr int DIRECT_WARPS = 8, DIRECT_THREADS = DIRECT_WARPS * 32, DIRECT_UNITS = 4;
constexpr int DIRECT_SUMS = DIRECT_UNITS * UNIT_SUM_BYTES; /* of a warp, [unit][token][row] */

struct direct_launch {
    linear w;
    const void *x; /* [tokens, k] */
    void *y;       /* [tokens, n] */
    float alpha;   /* 0 also where there are no entries */
    int tokens;
    int shares; /* blocks of the largest batch */
};

/* Tokens of a tile. */
template <typename A> constexpr int DIRECT_TOKENS = TILE_TOKENS / A::DIGITS;

/* Whose a block is: units of a batch, counted from its first. */
struct direct_place {
    int part, batch, first, count; /* count: 0 where a batch has fewer units than the largest */

    __device__ __forceinline__ explicit direct_place(const direct_launch &l)
    {
        const shape &s = l.w.s;
        const int of_batch = static_cast<int>(blockIdx.x) / l.shares;
        const int share = static_cast<int>(blockIdx.x) % l.shares;
        part = of_batch / s.batches;
        batch = of_batch % s.batches;
        const int units = s.units_of_batch(part, batch);
        const int shares = (units + DIRECT_UNITS - 1) / DIRECT_UNITS;
        first = share < shares ? share * units / shares : 0;
        count = share < shares ? (share + 1) * units / shares - first : 0;
    }
};

/* ---- x --------------------------------------------------------------------------------------- */

/* Eight numbers of 16 bits, the first in the low half of x. */
__device__ __forceinline__ uint4 packed_eight(const uint16_t v[8])
{
    uint32_t two[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
        two[i] = v[2 * i] | static_cast<uint32_t>(v[2 * i + 1]) << 16;
    return make_uint4(two[0], two[1], two[2], two[3]);
}

/* Eight columns that are all there, or all not. */
template <typename A>
__device__ __forceinline__ uint4 whole_eight(const __half *from, bool there, int)
{
    return there ? __ldg(reinterpret_cast<const uint4 *>(from)) : make_uint4(0, 0, 0, 0);
}

template <typename A>
__device__ __forceinline__ uint4 whole_eight(const __nv_bfloat16 *from, bool there, int)
{
    return there ? __ldg(reinterpret_cast<const uint4 *>(from)) : make_uint4(0, 0, 0, 0);
}

template <typename A>
__device__ __forceinline__ uint4 whole_eight(const float *from, bool there, int digit)
{
    float4 v[2] = {};
    if (there)
        v[0] = __ldg(reinterpret_cast<const float4 *>(from)),
        v[1] = __ldg(reinterpret_cast<const float4 *>(from) + 1);
    const float all[8] = {v[0].x, v[0].y, v[0].z, v[0].w, v[1].x, v[1].y, v[1].z, v[1].w};
    uint16_t digits[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        digits[i] = A::digit(all[i], digit);
    return packed_eight(digits);
}

/* Eight columns, of which `left` are there; zeros else. */
template <typename A>
__device__ __forceinline__ uint4 some_eight(const typename A::element *from, int64_t left,
                                            int digit)
{
    uint16_t v[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        v[i] = i < left ? A::digit(from[i], digit) : 0;
    return packed_eight(v);
}

/* x of a tile: of a lane, eight columns of each strip and of two rows, 8 apart. Where there are
 * fewer tokens, lanes repeat the last one: nobody looks at its sums, and nobody has to branch. */
template <typename A> struct direct_source {
    typedef typename A::element element;

    const element *row[TILE_HALVES]; /* the lane's first column */
    int digit[TILE_HALVES];
    int64_t left; /* columns from the lane's first one on */
    bool vectors; /* 16 bytes at once may be read */

    /* x: of the tile's first token. */
    __device__ __forceinline__ direct_source(const element *x, int64_t k, int tokens, int lane)
        : left(k - lane % 4 * 8), vectors(k % 8 == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0)
    {
#pragma unroll
        for (int half = 0; half < TILE_HALVES; half++) {
            const int of_tile = half * 8 + lane / 4;
            row[half] = x + min(of_tile / A::DIGITS, tokens - 1) * k + lane % 4 * 8;
            digit[half] = of_tile % A::DIGITS;
        }
    }
    /* 64 * (strip / 2) + 32 * (strip % 2) columns on from an image's first, which is `column`. */
    __device__ __forceinline__ uint4 eight(int half, int64_t column, int strip) const
    {
        const int64_t at = column + strip * STRIP_COLUMNS;
        return vectors ? whole_eight<A>(row[half] + at, at < left, digit[half])
                       : some_eight<A>(row[half] + at, left - at, digit[half]);
    }
    /* A fragments of an image: a strip is side strip % 2 of two words, whose columns stand side by
     * side. */
    __device__ __forceinline__ void load(int64_t column, tile_image &to) const
    {
#pragma unroll
        for (int half = 0; half < TILE_HALVES; half++)
#pragma unroll
            for (int strip = 0; strip < IMAGE_STRIPS; strip++) {
                const uint4 v = eight(half, column, strip);
                const int step = strip / 2 * 4 + strip % 2;
                to.a[step][half] = v.x;
                to.a[step][2 + half] = v.y;
                to.a[step + 2][half] = v.z;
                to.a[step + 2][2 + half] = v.w;
            }
    }
};

/* ---- Base ------------------------------------------------------------------------------------ */

/* An image of each unit, on its way. Where there are fewer units the last one comes again. */
template <int GROUPS> struct direct_words {
    uint4 words[DIRECT_UNITS];
    uint32_t scales[DIRECT_UNITS][GROUPS]; /* of the lane's two rows */

    /* chunk: of the first unit, `images` images. */
    __device__ __forceinline__ void load(const uint8_t *chunk, int units, int images, int image,
                                         int lane)
    {
        const int each = images * (IMAGE_BYTES + GROUPS * SCALE_BYTES);
        const uint8_t *const mine = chunk + image * IMAGE_BYTES + lane * 16;
        const uint8_t *const scale =
            chunk + images * IMAGE_BYTES + image * GROUPS * SCALE_BYTES + lane % 4 * 4;
#pragma unroll
        for (int u = 0; u < DIRECT_UNITS; u++) {
            const int at = min(u, units - 1) * each;
            words[u] = __ldg(reinterpret_cast<const uint4 *>(mine + at));
#pragma unroll
            for (int g = 0; g < GROUPS; g++)
                scales[u][g] =
                    __ldg(reinterpret_cast<const uint32_t *>(scale + at + g * SCALE_BYTES));
        }
    }
};

/* Adds a warp's images of a panel. column: the panel's first. */
template <typename A, int GROUPS>
__device__ __forceinline__ void direct_panel(const direct_source<A> &x, const uint8_t *chunk,
                                             int units, int images, int64_t column, int warp,
                                             float sum[DIRECT_UNITS][4])
{
    typedef image_products<A, GROUPS> image_by_unit;
    const int lane = threadIdx.x % 32;
#pragma unroll 1
    for (int i = warp; i < images; i += DIRECT_WARPS) {
        direct_words<GROUPS> w;
        tile_image image;
        float start[GROUPS][TILE_HALVES];
        w.load(chunk, units, images, i, lane);
        x.load(column + i * IMAGE_COLUMNS, image);
        image_by_unit::load_start(image, start);
#pragma unroll
        for (int u = 0; u < DIRECT_UNITS; u++)
            if (u < units)
                image_by_unit::multiply(
                    image, start, w.words[u], [&](int g) { return w.scales[u][g]; }, sum[u]);
    }
}

/* Base of a warp's images. */
template <typename A, int GROUPS>
__device__ __forceinline__ void direct_base(const direct_launch &l, const direct_place &at,
                                            const direct_source<A> &x, int warp,
                                            float sum[DIRECT_UNITS][4])
{
    const shape &s = l.w.s;
#pragma unroll 1
    for (int w = 0; w < s.windows; w++)
#pragma unroll 1
        for (int p = 0; p < s.panels_of(w); p++) {
            const int images = s.panel_images(w, p), first = s.panel_first(w, p);
            const uint8_t *const chunk =
                l.w.base + s.panel_at(at.part, at.batch, w, p) +
                static_cast<int64_t>(at.first) * images * (IMAGE_BYTES + GROUPS * SCALE_BYTES);
            const int64_t column = static_cast<int64_t>(w) * WINDOW_COLUMNS + first * IMAGE_COLUMNS;
            direct_panel<A, GROUPS>(x, chunk, at.count, images, column, warp, sum);
        }
}

/* ---- Ortho ----------------------------------------------------------------------------------- */

/* A warp's entries, of a token a lane. */
template <typename A> struct direct_entries {
    typedef typename A::element element;
    static constexpr int STRIP = 4; /* segments at once: chains of latencies side by side */
    static constexpr uint32_t FILL = 1;

    const element *x;      /* of the lane's token, the window's first column */
    bool counts;           /* the lane has a token */
    uint32_t sums;         /* shared address: of this warp and the lane's token */
    int lane, first, rows; /* the block's rows of the batch */
    int row;               /* at work; -1: none */
    float sum;

    /* One that only fills up adds nothing, whatever x is where it stands. */
    __device__ __forceinline__ float product(uint32_t entry, float v) const
    {
        return (entry & FILL) == 0 && counts ? half_activations::value(entry >> 16) * v : 0.0f;
    }
    /* Adds what was found of a row, and takes up the next; -1: none. */
    __device__ __forceinline__ void turn_to(int next)
    {
        const float all = sum + __shfl_xor_sync(ALL_LANES, sum, 16);
        const uint32_t to = sums + row / UNIT_ROWS * UNIT_SUM_BYTES + row % UNIT_ROWS * 4;
        if (row >= 0 && lane < 16)
            store_shared_float(to, load_shared_float(to) + all);
        row = next;
        sum = 0;
    }
    /* The next segments of those in `left`, a lane each, whose rows are `of`. */
    __device__ __forceinline__ void strip(uint4 e, int of, uint32_t &left)
    {
        uint32_t entry[STRIP][2];
        int at[STRIP];
        float v[STRIP][2];
#pragma unroll
        for (int j = 0; j < STRIP; j++) {
            const bool is = left != 0;
            const int from = is ? __ffs(static_cast<int>(left)) - 1 : 0;
            const uint32_t a = __shfl_sync(ALL_LANES, e.x, from),
                           b = __shfl_sync(ALL_LANES, e.y, from),
                           c = __shfl_sync(ALL_LANES, e.z, from),
                           d = __shfl_sync(ALL_LANES, e.w, from);
            const int its = __shfl_sync(ALL_LANES, of, from);
            at[j] = is ? its : -1;
            entry[j][0] = (lane < 16 ? a : c) | (is ? 0 : FILL);
            entry[j][1] = (lane < 16 ? b : d) | (is ? 0 : FILL);
            left &= left - 1; /* of nothing, nothing */
        }
#pragma unroll
        for (int j = 0; j < STRIP; j++)
#pragma unroll
            for (int i = 0; i < 2; i++) /* x is there also where an entry only fills up */
                v[j][i] = ortho_cuda_float(x[(entry[j][i] & 0x3ffe) >> 1]);
#pragma unroll
        for (int j = 0; j < STRIP; j++) {
            if (at[j] != row)
                turn_to(at[j]);
            sum += product(entry[j][0], v[j][0]) + product(entry[j][1], v[j][1]);
        }
    }
    /* A section's steps, dealt to the warps. */
    __device__ __forceinline__ void section(const uint8_t *from, int steps, int warp)
    {
#pragma unroll 1
        for (int i = warp; i < steps; i += DIRECT_WARPS) {
            const uint4 e =
                __ldg(reinterpret_cast<const uint4 *>(from + i * int64_t(STEP_BYTES)) + lane);
            const int of = static_cast<int>(entries<A, 1>::row_of(e)) - first;
            uint32_t left = __ballot_sync(ALL_LANES, of >= 0 && of < rows);
#pragma unroll 1
            while (left != 0)
                strip(e, of, left);
        }
    }
};

/* A warp's entries of its block's units: into its own sums, all of which it sets. */
template <typename A>
__device__ __forceinline__ void direct_ortho(const direct_launch &l, const direct_place &at,
                                             const typename A::element *x, int tokens, int warp,
                                             uint32_t sums)
{
    const shape &s = l.w.s;
    const int lane = threadIdx.x % 32, mine = lane % 16 / A::DIGITS;
#pragma unroll
    for (int u = 0; u < DIRECT_UNITS; u++)
        store_shared_16(sums + u * UNIT_SUM_BYTES + lane * 16, make_uint4(0, 0, 0, 0));
    __syncwarp();
    direct_entries<A> e = {x + min(mine, tokens - 1) * s.k,
                           lane % 16 % A::DIGITS == 0 && mine < tokens,
                           sums + lane % 16 * UNIT_ROWS * 4,
                           lane,
                           at.first * UNIT_ROWS,
                           at.count * UNIT_ROWS,
                           -1,
                           0.0f};
#pragma unroll 1
    for (int w = 0; w < s.windows; w++, e.x += WINDOW_COLUMNS) {
        const uint32_t *const begin = l.w.begin + s.section(at.part, at.batch, w);
        const uint32_t first = __ldg(begin);
        e.section(l.w.ortho + static_cast<size_t>(first) * STEP_BYTES,
                  static_cast<int>(__ldg(begin + 1) - first), warp);
    }
    e.turn_to(-1);
    __syncwarp();
}

/* ---- y --------------------------------------------------------------------------------------- */

/* A warp's sums of Base join those of its entries. */
__device__ __forceinline__ void direct_keep(const float sum[DIRECT_UNITS][4], uint32_t sums,
                                            float alpha)
{
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int u = 0; u < DIRECT_UNITS; u++)
#pragma unroll
        for (int half = 0; half < TILE_HALVES; half++) {
            const uint32_t to =
                sums + u * UNIT_SUM_BYTES + lane_sums(lane) + half * 8 * UNIT_ROWS * 4;
            const float2 had = alpha != 0 ? load_shared_8(to) : make_float2(0, 0);
            store_shared_8(to, fmaf(alpha, had.x, sum[u][half * 2]),
                           fmaf(alpha, had.y, sum[u][half * 2 + 1]));
        }
}

/* Adds up the warps' sums, and a token's digits, and writes y. */
template <typename A>
__device__ __forceinline__ void direct_store(const direct_launch &l, const direct_place &at,
                                             int first, int tokens, uint32_t sums)
{
    constexpr int EACH = DIRECT_TOKENS<A> * 2; /* fours of rows of a unit */
    const shape &s = l.w.s;
    const uint32_t *unit = l.w.unit + s.first_unit(at.part) + at.batch * BATCH_UNITS + at.first;
#pragma unroll 1
    for (int i = threadIdx.x; i < at.count * EACH; i += DIRECT_THREADS) {
        const int u = i / EACH, token = i % EACH / 2, four = i % 2;
        uint32_t from = sums + u * UNIT_SUM_BYTES + (token * A::DIGITS * 2 + four) * 16;
        float4 sum = total(from, DIRECT_WARPS, DIRECT_SUMS);
#pragma unroll
        for (int d = 1; d < A::DIGITS; d++) {
            const float4 v = total(from + d * UNIT_ROWS * 4, DIRECT_WARPS, DIRECT_SUMS);
            sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
        }
        const int64_t row = static_cast<int64_t>(__ldg(unit + u)) * UNIT_ROWS + four * 4;
        if (token < tokens)
            store_rows<A>(static_cast<typename A::element *>(l.y) + (first + token) * s.n + row,
                          s.n - row, sum);
    }
}

template <typename A, int GROUPS>
__global__ void __launch_bounds__(DIRECT_THREADS, 2)
    direct_kernel(const __grid_constant__ direct_launch l)
{
    __shared__ __align__(16) unsigned char memory[DIRECT_WARPS * DIRECT_SUMS];
    const direct_place at(l);
    if (at.count == 0)
        return;
    const uint32_t sums = shared_address(memory);
    const int warp = uniform(static_cast<int>(threadIdx.x / 32)), lane = threadIdx.x % 32;
    const int first = static_cast<int>(blockIdx.y) * DIRECT_TOKENS<A>;
    const int tokens = min(DIRECT_TOKENS<A>, l.tokens - first);
    const typename A::element *x = static_cast<const typename A::element *>(l.x) + first * l.w.s.k;
    float sum[DIRECT_UNITS][4] = {};
    if (l.alpha != 0)
        direct_ortho<A>(l, at, x, tokens, warp, sums + warp * DIRECT_SUMS);
    direct_base<A, GROUPS>(l, at, direct_source<A>(x, l.w.s.k, tokens, lane), warp, sum);
    direct_keep(sum, sums + warp * DIRECT_SUMS, l.alpha);
    __syncthreads();
    direct_store<A>(l, at, first, tokens, sums);
}

} // namespace

} // namespace ortho_fused

#endif
