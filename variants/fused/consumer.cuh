/*
 * consumer.cuh: the arithmetic of `fused`: what warps do with the slots of the ring.
 *
 * Warps come in sets of 8 that take slots in turn. Within a set the images of a panel are dealt to
 * the warps, three or four each where the columns are as usual. A warp adds what it finds into
 * partial sums of its own in shared memory, [rows of a batch][tokens]; once a batch is through, the
 * block adds the warps' and writes y. In a chain two buffers of partial sums take turns, so that
 * the next batch needn't wait for that.
 *
 * An Ortho step is a segment a lane: four products, a segmented sum over the lanes, one addition
 * per row and warp. No atomics: the same input gives the same bits.
 *
 * What stands between the last sum of one linear and the first product of the next is a chain of
 * latencies that no bandwidth hides. In a launch each warp brings its own columns of x and begins
 * when they are there; only Ortho, which wants all of x, meets first. In a chain the block brings x
 * together, for every column that a block asks for is one more that is asked for while others are
 * still writing it. Loop counts are uniform, addresses kept instead of computed.
 */
#ifndef ORTHO_VARIANTS_FUSED_CONSUMER_CUH
#define ORTHO_VARIANTS_FUSED_CONSUMER_CUH

#include "kernels/cuda/count_lanes.cuh"
#include "variants/fused/activations.cuh"
#include "variants/fused/ring.cuh"

namespace ortho_fused
{

namespace
{

constexpr int SET_WARPS = 8;
constexpr const char *STEP_FILE = __FILE__;

__device__ __forceinline__ uint4 load_shared_16(uint32_t at)
{
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(at));
    return v;
}

__device__ __forceinline__ uint32_t load_shared_2(uint32_t at)
{
    uint16_t v;
    asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(at));
    return v;
}

__device__ __forceinline__ float load_shared_float(uint32_t at)
{
    float v;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(at) : "memory");
    return v;
}

__device__ __forceinline__ void store_shared_float(uint32_t at, float v)
{
    asm volatile("st.shared.f32 [%0], %1;" ::"r"(at), "f"(v) : "memory");
}

__device__ __forceinline__ void store_shared_16(uint32_t at, uint4 v)
{
    asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(at), "r"(v.x), "r"(v.y), "r"(v.z),
                 "r"(v.w)
                 : "memory");
}

/* Bytes of partial sums: [warps][rows][tokens], twice where several sets work. */
__host__ __device__ constexpr int sums_bytes(int warps, int tokens)
{
    return (warps > SET_WARPS ? 2 : 1) * warps * BATCH_ROWS * tokens *
           static_cast<int>(sizeof(float));
}

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

/* T: tokens that the registers are laid out for, 1, 4 or 8. GROUPS: of an image. SETS: of warps. */
template <typename A, int T, int GROUPS, int SETS> struct consumer {
    static constexpr int WARPS = SETS * SET_WARPS, THREADS = WARPS * 32, FOURS = (T + 3) / 4;
    static constexpr int MINE = BATCH_ROWS * T * 4, BUFFER = WARPS * MINE; /* bytes of sums */

    ring r;
    cursor c;
    int lane, warp, set; /* warp of the set */
    int turn;            /* slots until this set's next one, less than SETS */
    uint32_t x;          /* shared address of [tokens][stride] 16-bit x, for this set's Base */
    int stride;          /* columns of a window, padded to images */
    int tokens;          /* 1 .. T */
    uint32_t sums;       /* shared address of the buffer at work */
    int other;           /* bytes from it to the other one */

    __device__ __forceinline__ consumer(const ring &of, const void *x_at, const void *sums_at,
                                        int how_many)
        : r(of), c(of), lane(threadIdx.x % 32),
          warp(uniform(static_cast<int>(threadIdx.x / 32)) % SET_WARPS),
          set(uniform(static_cast<int>(threadIdx.x / 32)) / SET_WARPS), turn(set),
          x(shared_address(x_at)), stride(0), tokens(how_many), sums(shared_address(sums_at)),
          other(SETS > 1 ? BUFFER : 0)
    {
    }

    static __device__ __forceinline__ void meet()
    {
        asm volatile("bar.sync 1, %0;" ::"n"(THREADS) : "memory");
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
            if (lane == 0)
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

    /* This warp's sums. */
    __device__ __forceinline__ uint32_t mine() const
    {
        return sums + (set * SET_WARPS + warp) * MINE;
    }

    template <bool FRESH>
    __device__ __forceinline__ void keep(int unit, const float sum[FOURS]) const
    {
        const uint32_t to =
            mine() + ((unit * UNIT_ROWS + lane / 4) * T + (T > 1 ? lane % 4 : 0)) * 4;
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

    /* ---- Ortho ------------------------------------------------------------------------------- */

    static constexpr int STEP_FIRST = __LINE__;
    /* One step: see layout.cuh. `to`: sums of the first row that its rows count from; `from`:
     * shared address of the window's x. */
    __device__ __forceinline__ void step(uint32_t at, uint32_t from, uint32_t to, float alpha)
    {
        ORTHO_COUNT_LANES_HERE(1);
        const uint4 e = load_shared_16(at + lane * 16);
        const int row = (e.x >> 14 & 3) | (e.y >> 12 & 12) | (e.z >> 10 & 48) | (e.w >> 8 & 192);
        const int before = __shfl_up_sync(ALL_LANES, row, 1);
        const uint32_t heads = __ballot_sync(ALL_LANES, lane == 0 || row != before);
        const int run = lane - (31 - __clz(heads & (ALL_LANES >> (31 - lane))));
        const bool last = lane == 31 || ((heads >> (lane + 1)) & 1);
#pragma unroll 1
        for (int t = 0; t < (T == 1 ? 1 : tokens); t++, from += stride * 2) {
            float sum =
                half_activations::value(e.x >> 16) * A::value(load_shared_2(from + (e.x & 0x3ffe)));
            float more =
                half_activations::value(e.y >> 16) * A::value(load_shared_2(from + (e.y & 0x3ffe)));
            sum = fmaf(half_activations::value(e.z >> 16),
                       A::value(load_shared_2(from + (e.z & 0x3ffe))), sum);
            more = fmaf(half_activations::value(e.w >> 16),
                        A::value(load_shared_2(from + (e.w & 0x3ffe))), more);
            sum += more;
#pragma unroll
            for (int d = 1; d < 32; d <<= 1) {
                const float left = __shfl_up_sync(ALL_LANES, sum, d);
                if (run >= d)
                    sum += left;
            }
            const uint32_t total_at = to + (row * T + t) * 4;
            if (last)
                store_shared_float(total_at, load_shared_float(total_at) + alpha * sum);
        }
        __syncwarp();
    }
    static constexpr int STEP_LAST = __LINE__;

    /* The steps of one linear, whose rows begin at `row` of the batch, over x at `from`. */
    __device__ __forceinline__ void steps(int count, int row, uint32_t from, float alpha)
    {
        const int most = SETS == 1 ? static_cast<int>(r.slot_bytes / STEP_BYTES)
                                   : steps_of_slot(count, r.slot_bytes / STEP_BYTES);
        const uint32_t to = mine() + row * T * 4;
        int slots_of_it = 0;
        for (int left = count; left > 0; left -= most)
            slots_of_it++;
        slots(slots_of_it, [&](uint32_t at, int i) {
#pragma unroll 1
            for (int s = warp; s < min(most, count - i * most); s += SET_WARPS)
                step(at + s * STEP_BYTES, from, to, alpha);
        });
    }

    /* ---- a batch ----------------------------------------------------------------------------- */

    /* The partial sums of a batch, all 0. */
    __device__ __forceinline__ void open()
    {
        if (SETS == 1)
            meet(); /* the batch before has been added up */
        sums += other;
        other = -other;
#pragma unroll
        for (int i = 0; i < (MINE + 511) / 512; i++)
            if (i * 512 + lane * 16 < MINE)
                store_shared_16(mine() + i * 512 + lane * 16, make_uint4(0, 0, 0, 0));
        __syncwarp();
    }

    /* The sum of all warps for a row and a token; after a meeting. */
    __device__ __forceinline__ float total(int row, int token) const
    {
        const uint32_t from = sums + (row * T + token) * 4;
        float even = 0, odd = 0;
#pragma unroll
        for (int w = 0; w < WARPS; w += 2) {
            even += load_shared_float(from + w * MINE);
            odd += load_shared_float(from + (w + 1) * MINE);
        }
        return even + odd;
    }
};

} // namespace

} // namespace ortho_fused

#endif
