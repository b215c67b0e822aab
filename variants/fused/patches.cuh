/*
 * patches.cuh: Ortho of 16 tokens, on the tensor cores.
 *
 * An entry is a row of B with one value in it: 16 entries of a unit, wherever their columns are,
 * make one k-step of mma.m16n8k16, whose A fragment is gathered from x by one ldmatrix. So an entry
 * costs a sixteenth of an mma, nothing is scattered or cleared, and every product is exact. Four
 * segments side by side fill one, a segment to each lane of a quad.
 *
 * Ortho's warps go through the steps of a section in turn, rows ascending, and keep the sums of the
 * unit at work in registers; what they found of a unit they add into partial sums of their own.
 */
#ifndef ORTHO_VARIANTS_FUSED_PATCHES_CUH
#define ORTHO_VARIANTS_FUSED_PATCHES_CUH

#include "variants/fused/entries.cuh"
#include "variants/fused/tile.cuh"

namespace ortho_fused
{

namespace
{

/* Where a lane's sums of an mma's tile are: rows 2q and 2q + 1 of a token, and of the one 8 on. */
__device__ __forceinline__ uint32_t lane_sums(int lane)
{
    return (lane / 4 * UNIT_ROWS + lane % 4 * 2) * 4;
}

__device__ __forceinline__ void add_sums(uint32_t to, const float v[4])
{
#pragma unroll
    for (int half = 0; half < TILE_HALVES; half++, to += 8 * UNIT_ROWS * 4) {
        const float2 had = load_shared_8(to);
        store_shared_8(to, had.x + v[half * 2], had.y + v[half * 2 + 1]);
    }
}

/* The columns of x in shared memory, counted from their window's first. */
struct columns_here {
    int first, count;
    bool whole; /* all of the window's */
};

template <typename A> struct patches {
    static constexpr int CHAINS = 2; /* of sums that wait for each other */

    entries<A, 1> queue; /* bundles on their way */
    uint32_t ring, x;    /* shared addresses */
    columns_here here;
    uint32_t sums; /* of this warp and unit 0; units are `each` bytes apart */
    int each;
    int unit; /* at work; -1: none */
    float alpha;
    float acc[CHAINS][4];

    __device__ __forceinline__ patches(uint32_t ring_at, bundle_task *tasks, int slots,
                                       uint32_t x_at, uint32_t sums_at, int sums_apart)
        : queue(ring_at, tasks, slots, 1), ring(ring_at), x(x_at), here({0, 0, true}),
          sums(sums_at), each(sums_apart), unit(-1), alpha(0), acc{}
    {
    }
    __device__ __forceinline__ void open(int units) const
    {
        for (int u = 0; u < units; u++)
            store_shared_16(sums + u * each + queue.lane * 16, make_uint4(0, 0, 0, 0));
        __syncwarp();
    }
    /* Adds what was found of a unit, and takes up the next; -1: none. */
    __device__ __forceinline__ void turn_to(int next)
    {
        float all[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            all[i] = alpha * (acc[0][i] + acc[1][i]);
            acc[0][i] = acc[1][i] = 0;
        }
        if (unit >= 0)
            add_sums(sums + unit * each + lane_sums(queue.lane), all);
        unit = next;
    }
    /* Its column, doubled, from the first that is here on; no less than 2 * here.count where it
     * isn't here. */
    __device__ __forceinline__ uint32_t twice(uint32_t entry) const
    {
        return (entry & 0x3ffe) - 2 * static_cast<uint32_t>(here.first);
    }
    __device__ __forceinline__ bool is_here(uint32_t entry) const
    {
        return twice(entry) < 2 * static_cast<uint32_t>(here.count);
    }
    /* A segment's values, two and two; 0 where a column isn't here. */
    template <bool WHOLE> __device__ __forceinline__ uint2 values(uint4 e) const
    {
        if (!WHOLE) {
            e.x = is_here(e.x) ? e.x : 0;
            e.y = is_here(e.y) ? e.y : 0;
            e.z = is_here(e.z) ? e.z : 0;
            e.w = is_here(e.w) ? e.w : 0;
        }
        return make_uint2(__byte_perm(e.x, e.y, 0x7632), __byte_perm(e.z, e.w, 0x7632));
    }
    /* x at 16 entries, of which this lane has the one whose line it points at. */
    template <bool WHOLE>
    __device__ __forceinline__ void gather(uint32_t entry, uint32_t a[4]) const
    {
        const uint32_t at = WHOLE ? entry & 0x3ffe : is_here(entry) ? twice(entry) : 0;
        load_transposed(x + half_line(at, queue.lane / 8 % 2), a);
    }
    __device__ __forceinline__ void multiply(const uint32_t a[4], uint2 b, float to[4])
    {
        uint32_t first[A::ENTRY_DIGITS], second[A::ENTRY_DIGITS];
        A::entry_digits(b.x, first);
        A::entry_digits(b.y, second);
#pragma unroll
        for (int d = 0; d < A::ENTRY_DIGITS; d++)
            A::mma(to, a, first[d], second[d]);
    }
    /* What is in `row` of unit u, which is at work. */
    template <int N>
    __device__ __forceinline__ void multiply_unit(const uint32_t a[N][4], const uint2 b[N],
                                                  const int row[N], int u)
    {
        const int mine = u * UNIT_ROWS + queue.lane / 4;
#pragma unroll
        for (int j = 0; j < N; j++) {
            const bool is = row[j] == mine;
            multiply(a[j], make_uint2(is ? b[j].x : 0, is ? b[j].y : 0), acc[j % CHAINS]);
        }
    }
    /* Four segments of each of N steps: chains of latencies side by side. at, entry: shared
     * addresses, of this lane's segment in step 0 and of the entry whose x it points at. */
    template <int N, bool WHOLE>
    __device__ __forceinline__ void quarter(uint32_t at, uint32_t entry, int first_row,
                                            float task_alpha)
    {
        uint2 b[N];
        int row[N], others = 0;
        uint32_t a[N][4], any = 0;
#pragma unroll
        for (int j = 0; j < N; j++) {
            const uint4 e = load_shared_16(at + j * STEP_BYTES);
            b[j] = values<WHOLE>(e);
            row[j] = first_row + static_cast<int>(entries<A, 1>::row_of(e));
            any |= b[j].x | b[j].y;
            others |= (row[j] ^ unit * UNIT_ROWS) & -UNIT_ROWS; /* rows not of the unit at work */
        }
        if (!WHOLE && !__any_sync(ALL_LANES, any != 0))
            return;
#pragma unroll
        for (int j = 0; j < N; j++)
            gather<WHOLE>(load_shared_4(entry + j * STEP_BYTES), a[j]);
        if (!__any_sync(ALL_LANES, others != 0)) {
            multiply_unit<N>(a, b, row, unit);
            return;
        }
        /* Rows ascend from a lane's steps to the next lane's. */
        const int last = __shfl_sync(ALL_LANES, row[N - 1], 3) / UNIT_ROWS;
#pragma unroll 1
        for (int u = __shfl_sync(ALL_LANES, row[0], 0) / UNIT_ROWS; u <= last; u++) {
            if (u != unit)
                turn_to(u);
            alpha = task_alpha;
            multiply_unit<N>(a, b, row, u);
        }
    }
    template <int N, bool WHOLE>
    __device__ __forceinline__ void steps(uint32_t at, const bundle_task &task)
    {
        const int lane = queue.lane, first_row = task.row();
        uint32_t segment = at + lane % 4 * 16;
        uint32_t entry = at + lane % 8 / 2 * 16 + (lane % 2 + lane / 16 * 2) * 4;
        ORTHO_COUNT_LANES_HERE(N);
#pragma unroll 1
        for (int i = 0; i < SEGMENTS / 4; i++, segment += 64, entry += 64)
            quarter<N, WHOLE>(segment, entry, first_row, task.alpha);
    }
    template <bool WHOLE>
    __device__ __forceinline__ void any_steps(uint32_t at, const bundle_task &task)
    {
        const int count = task.steps();
        if (count == 4)
            steps<4, WHOLE>(at, task);
        else if (count == 3)
            steps<3, WHOLE>(at, task);
        else if (count == 2)
            steps<2, WHOLE>(at, task);
        else
            steps<1, WHOLE>(at, task);
    }
    /* Takes the bundle that is next. */
    __device__ __forceinline__ void take(const bundle_task &task)
    {
        queue.wait();
        __syncwarp(); /* every lane reads what others asked for */
        const uint32_t at = ring + queue.slot * BUNDLE_BYTES;
        if (here.whole)
            any_steps<true>(at, task);
        else
            any_steps<false>(at, task);
        queue.slot = (queue.slot + 1) & (queue.slots - 1);
        __syncwarp(); /* the slot is asked for anew */
    }
};

} // namespace

} // namespace ortho_fused

#endif
