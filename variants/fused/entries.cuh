/*
 * entries.cuh: Ortho, by warps of its own beside those of Base.
 *
 * An entry takes few instructions and many latencies, one behind the other: its column, x there,
 * the sum of its row over the lanes. Beside Base, which leaves most slots of issue free, they are
 * hidden; behind Base a launch would wait for all of them. So each of these warps streams
 * bundles of a few steps through a small ring of its own, which it fills itself, and adds what it
 * finds into partial sums of its own. No atomics: the same input gives the same bits.
 */
#ifndef ORTHO_VARIANTS_FUSED_ENTRIES_CUH
#define ORTHO_VARIANTS_FUSED_ENTRIES_CUH

#include "kernels/cuda/count_lanes.cuh"
#include "variants/fused/activations.cuh"
#include "variants/fused/sums.cuh"

namespace ortho_fused
{

namespace
{

constexpr int BUNDLE_BYTES = BUNDLE_STEPS * STEP_BYTES;
constexpr const char *STEP_FILE = __FILE__;

/* What is to be done with a bundle. */
struct bundle_task {
    uint32_t
        steps_row;  /* steps; 0: there is none. Row of the batch where its linear's begin << 8 */
    uint32_t round; /* of a chain */
    float alpha;
    uint32_t unused;

    __device__ __forceinline__ int steps() const
    {
        return static_cast<int>(steps_row & 255);
    }
    __device__ __forceinline__ int row() const
    {
        return static_cast<int>(steps_row >> 8);
    }
};

/* A warp of Ortho. A lane reads what it asked for itself, so that its ring needs no barriers:
 * slots are asked for in turn, if need be for nothing, and taken in turn. T: tokens that partial
 * sums are laid out for. */
template <typename A, int T> struct entries {
    uint32_t data;      /* shared address of this lane's part of the ring */
    bundle_task *tasks; /* of the slots, in shared memory */
    int slots;          /* 2 or 4 */
    int asked, slot;    /* the next slot to ask for; the one to take */
    int lane;
    int stride; /* columns of a window, padded to images */
    int tokens; /* 1 .. T */

    __device__ __forceinline__ entries(uint32_t data_at, bundle_task *tasks_at, int slots_of_warp,
                                       int how_many)
        : data(data_at + threadIdx.x % 32 * 16), tasks(tasks_at), slots(slots_of_warp), asked(0),
          slot(0), lane(threadIdx.x % 32), stride(0), tokens(how_many)
    {
    }

    /* Asks for a bundle, or for nothing. All slots are asked for once before the first is taken,
     * and then each as soon as it was taken. */
    __device__ __forceinline__ void ask(const uint8_t *from, const bundle_task &task)
    {
        const uint32_t to = data + asked * BUNDLE_BYTES;
        const uint64_t policy = weights_policy();
        from += lane * 16;
#pragma unroll
        for (int i = 0; i < BUNDLE_STEPS; i++)
            if (i < task.steps())
                copy_16_hinted(to + i * STEP_BYTES, from + i * STEP_BYTES, policy);
        copies_commit();
        if (lane == 0)
            tasks[asked] = task;
        __syncwarp();
        asked = (asked + 1) & (slots - 1);
    }

    /* Until the slot that is next to be taken has what this lane asked for. */
    __device__ __forceinline__ void wait() const
    {
        if (slots == 2)
            copies_wait<1>();
        else
            copies_wait<3>();
    }

    /* The bundle that is next to be taken. */
    __device__ __forceinline__ bundle_task next() const
    {
        return tasks[slot];
    }

    /* What was asked for last was nothing, in all slots: as in the beginning. */
    __device__ __forceinline__ void restart()
    {
        __syncwarp(); /* all lanes have seen that there is nothing */
        slot = asked = 0;
    }

    static constexpr int STEP_FIRST = __LINE__;
    static __device__ __forceinline__ uint32_t row_of(uint4 e)
    {
        return (e.x >> 14 & 3) | (e.y >> 12 & 12) | (e.z >> 10 & 48) | (e.w >> 8 & 192);
    }

    static __device__ __forceinline__ float product(uint32_t entry, uint32_t from)
    {
        return half_activations::value(entry >> 16) *
               A::value(load_shared_2(from + (entry & 0x3ffe)));
    }

    static __device__ __forceinline__ float product(uint32_t entry, uint32_t from, float more)
    {
        return fmaf(half_activations::value(entry >> 16),
                    A::value(load_shared_2(from + (entry & 0x3ffe))), more);
    }

    /* Sums over lanes side by side, for the last lane of each run. others: lanes that aren't the
     * first of theirs. */
    static __device__ __forceinline__ float run_sum(float v, uint32_t others, int lane)
    {
#pragma unroll 1
        for (int d = 1; others != 0; d <<= 1) { /* others: those with d lanes of their run before */
            const float left = __shfl_up_sync(ALL_LANES, v, d);
            if (others >> lane & 1)
                v += left;
            others &= others << d;
        }
        return v;
    }

    /* N steps: see layout.cuh. A row that ends within a lane is that lane's to add; what is left
     * at the lanes' ends is summed over the lanes of a row first. `to`: sums of the first row that
     * rows count from; `from`: shared address of the window's x. */
    template <int N>
    __device__ __forceinline__ void steps(uint32_t at, uint32_t from, uint32_t to,
                                          float alpha) const
    {
        uint4 e[N];
        uint32_t row[N];
        ORTHO_COUNT_LANES_HERE(N);
#pragma unroll
        for (int n = 0; n < N; n++)
            e[n] = load_shared_16(at + n * STEP_BYTES);
#pragma unroll
        for (int n = 0; n < N; n++)
            row[n] = row_of(e[n]);
        const uint32_t before = __shfl_up_sync(ALL_LANES, row[N - 1], 1);
        const uint32_t heads = __ballot_sync(ALL_LANES, lane == 0 || row[N - 1] != before);
        const bool last = (heads >> 1 | 1u << 31) >> lane & 1;
#pragma unroll 1
        for (int t = 0; t < (T == 1 ? 1 : tokens); t++, from += stride * 2, to += 4) {
            float had[N], sum[N];
#pragma unroll
            for (int n = 0; n < N; n++)
                had[n] = load_shared_float(to + row[n] * (T * 4));
#pragma unroll
            for (int n = 0; n < N; n++)
                sum[n] = product(e[n].z, from, product(e[n].x, from)) +
                         product(e[n].w, from, product(e[n].y, from));
            __syncwarp(); /* a lane may have read sums that aren't its to add to */
#pragma unroll
            for (int n = 0; n + 1 < N; n++) {
                const bool ends = row[n] != row[n + 1];
                store_if(ends, to + row[n] * (T * 4), fmaf(alpha, sum[n], had[n]));
                sum[n + 1] = ends ? sum[n + 1] : sum[n] + sum[n + 1];
            }
            __syncwarp();
            const float all = run_sum(sum[N - 1], ~heads, lane);
            const uint32_t all_at = to + row[N - 1] * (T * 4);
            if (N > 1) /* another lane may have added to it */
                had[N - 1] = load_shared_float(all_at);
            store_if(last, all_at, fmaf(alpha, all, had[N - 1]));
            __syncwarp();
        }
    }
    static constexpr int STEP_LAST = __LINE__;

    /* Takes it. from: shared address of x; to: of this warp's sums of the batch. */
    __device__ __forceinline__ void take(const bundle_task &task, uint32_t from, uint32_t to)
    {
        const uint32_t at = data + slot * BUNDLE_BYTES;
        const int count = task.steps();
        to += task.row() * (T * 4);
        wait();
        if (count == 4)
            steps<4>(at, from, to, task.alpha);
        else if (count == 3)
            steps<3>(at, from, to, task.alpha);
        else if (count == 2)
            steps<2>(at, from, to, task.alpha);
        else
            steps<1>(at, from, to, task.alpha);
        slot = (slot + 1) & (slots - 1);
    }
};

} // namespace

} // namespace ortho_fused

#endif
