/*
 * consumer.cuh: the arithmetic of Base: what its warps do with the slots of the ring. That of Ortho
 * is in entries.cuh.
 *
 * Warps come in sets of 8 that take slots in turn. Within a set the images of a panel are dealt to
 * the warps, three or four each where the columns are as usual. A warp adds what it finds into
 * partial sums of its own (sums.cuh).
 *
 * What stands between the last sum of one linear and the first product of the next is a chain of
 * latencies that no bandwidth hides. In a launch each warp brings its own columns of x and begins
 * when they are there; only Ortho wants all of x. In a chain the block brings x together, for every
 * column that a block asks for is one more that is asked for while others are still writing it.
 * Loop counts are uniform, addresses kept instead of computed.
 */
#ifndef ORTHO_VARIANTS_FUSED_CONSUMER_CUH
#define ORTHO_VARIANTS_FUSED_CONSUMER_CUH

#include "variants/fused/activations.cuh"
#include "variants/fused/sums.cuh"

namespace ortho_fused
{

namespace
{

/* Where a warp's images of a panel are: those of the panel from `first` of the window on, `own` of
 * them before this warp's, `here` its own. */
struct share {
    int first, images, own, here;
};

__device__ __forceinline__ share share_of(int first, int images, int warp)
{
    const int each = (images + SET_WARPS - 1) / SET_WARPS;
    return {first, images, warp * each, max(0, min(each, images - warp * each))};
}

/* T: tokens that the registers are laid out for, 1, 4 or 8. GROUPS: of an image. SETS: of warps.
 * ORTHO: warps of Ortho beside them. */
template <typename A, int T, int GROUPS, int SETS, int ORTHO> struct consumer {
    static constexpr int FOURS = (T + 3) / 4;

    ring r;
    cursor c;
    int lane, warp, set; /* warp of the set */
    int turn;            /* slots until this set's next one, less than SETS */
    uint32_t x;          /* shared address of [tokens][stride] 16-bit x */
    int stride;          /* columns of a window, padded to images */
    int tokens;          /* 1 .. T */
    partial_sums<T, SETS, ORTHO> sums;

    __device__ __forceinline__ consumer(const ring &of, uint32_t x_at, uint32_t sums_at,
                                        int how_many)
        : r(of), c(of), lane(threadIdx.x % 32),
          warp(uniform(static_cast<int>(threadIdx.x / 32)) % SET_WARPS),
          set(uniform(static_cast<int>(threadIdx.x / 32)) / SET_WARPS), turn(set), x(x_at),
          stride(0), tokens(how_many), sums(sums_at)
    {
    }

    /* Calls f(shared address, i) for those of the next `count` slots that are this set's. */
    template <typename F> __device__ __forceinline__ void slots(int count, const F &f)
    {
        if (SETS > 1) {
#pragma unroll 1
            for (int i = 0; i < min(turn, count); i++)
                c.next(r);
        }
#pragma unroll 1
        for (int i = turn; i < count; i += SETS) {
            barrier_wait(c.full(), c.phase);
            f(c.data, i);
            __syncwarp();
            if (lane < ARRIVING_LANES)
                barrier_arrive(c.empty());
            c.next(r);
            if (SETS > 1 && i + 1 < count)
                c.next(r);
        }
        if (SETS > 1)
            turn = (turn + count) % SETS;
    }

    /* ---- Base -------------------------------------------------------------------------------- */

    /* B fragments of an image: four k-steps for each four tokens. Where there are fewer tokens,
     * lanes repeat the last one: nobody looks at its sums, and nobody has to branch. */
    __device__ __forceinline__ void load_x(int image, uint32_t b[FOURS][8]) const
    {
#pragma unroll
        for (int four = 0; four < FOURS; four++) {
            const int token = T == 1 ? 0 : min(four * 4 + lane / 8, tokens - 1);
            const uint32_t at = x + (token * stride + image * IMAGE_COLUMNS + lane % 8 * 8) * 2;
            const uint4 u = load_shared_16(at), v = load_shared_16(at + 128);
            b[four][0] = u.x, b[four][1] = u.y, b[four][2] = u.z, b[four][3] = u.w;
            b[four][4] = v.x, b[four][5] = v.y, b[four][6] = v.z, b[four][7] = v.w;
        }
    }

    /* The product of one image and one group of four tokens, by lane 4*row + t: that of row `row`
     * and token t, in GROUPS parts. weights(j, a) gives the A fragment of k-step j. */
    template <typename F>
    static __device__ __forceinline__ void products(const uint32_t b[8], float out[GROUPS],
                                                    const F &weights)
    {
        constexpr int ACCUMULATORS = GROUPS == 1 ? 1 : 2;
        float acc[ACCUMULATORS][4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            float *d = acc[j * ACCUMULATORS / 4];
            uint32_t a[4];
            weights(j, a);
            if (j % (4 / ACCUMULATORS) == 0)
                A::first_mma(d, a, b[2 * j], b[2 * j + 1]);
            else
                A::mma(d, a, b[2 * j], b[2 * j + 1]);
        }
#pragma unroll
        for (int i = 0; i < GROUPS; i++)
            out[i] = GROUPS == 4 ? acc[i / 2 % ACCUMULATORS][i % 2 * 3]
                                 : acc[i % ACCUMULATORS][0] + acc[i % ACCUMULATORS][3];
    }

    /* The same product of what nibbles have too many: to be added. */
    __device__ __forceinline__ void load_start(const uint32_t b[FOURS][8],
                                               float start[FOURS][GROUPS]) const
    {
#pragma unroll
        for (int four = 0; four < FOURS; four++)
            products(b[four], start[four], [](int, uint32_t a[4]) {
                a[0] = a[1] = A::FIRST;
                a[2] = a[3] = A::SECOND;
            });
    }

    /* Adds one image's products to sum[FOURS]. */
    __device__ __forceinline__ void image(const uint32_t b[FOURS][8],
                                          const float start[FOURS][GROUPS], uint32_t words_at,
                                          uint32_t scales_at, float sum[FOURS]) const
    {
        const uint4 words = load_shared_16(words_at);
        const uint32_t w[4] = {words.x, words.y, words.z, words.w};
        float scale[GROUPS];
#pragma unroll
        for (int i = 0; i < GROUPS; i++)
            scale[i] = half_activations::value(load_shared_2(scales_at + i * SCALE_BYTES));
#pragma unroll
        for (int four = 0; four < FOURS; four++) {
            float product[GROUPS];
            products(b[four], product, [&](int j, uint32_t a[4]) { A::unpack(w[j], a); });
#pragma unroll
            for (int i = 0; i < GROUPS; i++)
                sum[four] = fmaf(scale[i], product[i] + start[four][i], sum[four]);
        }
    }

    __device__ __forceinline__ int number() const
    {
        return set * SET_WARPS + warp;
    }

    template <bool FRESH>
    __device__ __forceinline__ void keep(int unit, const float sum[FOURS]) const
    {
        const uint32_t to =
            sums.of(number()) + ((unit * UNIT_ROWS + lane / 4) * T + (T > 1 ? lane % 4 : 0)) * 4;
#pragma unroll
        for (int four = 0; four < FOURS; four++)
            if (T > 1 || lane % 4 == 0)
                store_shared_float(to + four * 16,
                                   FRESH ? sum[four]
                                         : load_shared_float(to + four * 16) + sum[four]);
    }

    /* `chunks` of a panel, 1 << shift of them a unit; H images a warp, or where EXACT is false up
     * to H. x stays in registers where there is room: a register spilled is one too many, since
     * beside the ring the L1 can't hold local memory. FRESH: nothing was added for these rows yet.
     */
    template <int H, bool EXACT, bool FRESH>
    __device__ __forceinline__ void panel(const share &s, int chunks, int shift)
    {
        constexpr bool KEEP = EXACT && FOURS == 1;
        uint32_t b[KEEP ? H : 1][FOURS][8];
        float start[H][FOURS][GROUPS];
#pragma unroll
        for (int h = 0; h < H; h++)
            if (EXACT || h < s.here) {
                load_x(s.first + s.own + h, b[KEEP ? h : 0]);
                load_start(b[KEEP ? h : 0], start[h]);
            }
        const uint32_t words_at = s.own * IMAGE_BYTES + lane * 16;
        const uint32_t scales_at =
            s.images * IMAGE_BYTES + s.own * GROUPS * SCALE_BYTES + lane / 4 * 2;
        slots(chunks, [&](uint32_t at, int i) {
            float sum[FOURS] = {};
#pragma unroll
            for (int h = 0; h < H; h++)
                if (EXACT || h < s.here) {
                    if (!KEEP)
                        load_x(s.first + s.own + h, b[0]);
                    image(b[KEEP ? h : 0], start[h], at + words_at + h * IMAGE_BYTES,
                          at + scales_at + h * GROUPS * SCALE_BYTES, sum);
                }
            keep<FRESH>(i >> shift, sum);
        });
    }

    template <bool FRESH>
    __device__ __forceinline__ void any_panel(const share &s, int chunks, int shift)
    {
        if (s.images == 3 * SET_WARPS)
            panel<3, true, FRESH>(s, chunks, shift);
        else if (s.images == 4 * SET_WARPS)
            panel<4, true, FRESH>(s, chunks, shift);
        else
            panel<4, false, FRESH>(s, chunks, shift);
    }
};

} // namespace

} // namespace ortho_fused

#endif
