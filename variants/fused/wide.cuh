/*
 * wide.cuh: the kernel of wide.cu: fp16, weights as the first operand of wgmma.
 *
 * W comes packed into registers, straight from memory, where nibbles become fragments, are scaled
 * and have their entries of Ortho added (overlay.cuh): one rounding to fp16, like the weights of a
 * dense layer. x is the second operand, in shared memory as TMA brings it. Products are added
 * up in fp32 over all of K.
 *
 * A block: two warpgroups that multiply, and eight warps that put Ortho into overlays. Either a
 * warpgroup has 64 rows and all images, or both have the same 64 rows and every other image, and
 * their sums are added at the end. While one warpgroup unpacks weights, the other's products keep
 * the tensor cores busy.
 */
#ifndef ORTHO_VARIANTS_FUSED_WIDE_CUH
#define ORTHO_VARIANTS_FUSED_WIDE_CUH

#include "variants/fused/fragments.cuh"
#include "variants/fused/wgmma.cuh"

#include <cuda.h>

namespace ortho_fused
{

namespace
{

constexpr int WIDE_GROUPS = 2, GROUP_WARPS = 4, GROUP_THREADS = GROUP_WARPS * 32;
/* Of a warpgroup: two for its two sets of 32 rows, and these for every other of its images. */
constexpr int ROW_SETS = OVERLAY_ROWS / 32, PATCHER_TURNS = 2,
              GROUP_PATCHERS = ROW_SETS * PATCHER_TURNS;
constexpr int WIDE_THREADS = WIDE_GROUPS * (GROUP_THREADS + GROUP_PATCHERS * 32);
constexpr int WIDE_MULTIPLIER_REGISTERS = 208, WIDE_PATCHER_REGISTERS = 48; /* of 128 */
constexpr int WIDE_SLOTS_MOST = 12;
constexpr int WIDE_AHEAD = 2; /* images whose weights are asked for before one is unpacked */
constexpr int GROUP_UNITS = OVERLAY_UNITS;

/* What a launch depends on. x's tensor map is beside it. */
struct wide_launch {
    linear w;
    void *y; /* [tokens, n] */
    float alpha;
    int tokens, slots;
};

/* T tokens a block; SHARED: both warpgroups have the same rows. */
template <int T, bool SHARED> struct wide_sizes {
    static constexpr int UNITS = SHARED ? GROUP_UNITS : GROUP_UNITS * WIDE_GROUPS;
    static constexpr int ROWS = UNITS * UNIT_ROWS;
    static constexpr int HALF_BYTES = T * 128, X_BYTES = 2 * HALF_BYTES; /* 64 columns a half */
    static constexpr int LINE = ROWS + 4; /* floats of a token of y's sums: no conflicts */
    static constexpr int SUMS_BYTES = T * LINE * 4;
    static constexpr int OVERLAY_ALL =
        WIDE_GROUPS * PATCHER_TURNS * (OVERLAY_BYTES + OVERLAY_MASKS);
    static constexpr int BARRIERS_BYTES = (2 * WIDE_SLOTS_MOST + 4 * PATCHER_TURNS) * 8;

    /* Beside x's slots; the last KiB is for alignment. */
    static ORTHO_FUSED_SHARED int fixed_bytes(bool patched)
    {
        return (patched ? OVERLAY_ALL : 0) + BARRIERS_BYTES + 1024;
    }
};

/* Where things are in shared memory. x's slots come first: they have to be aligned to a KiB; in the
 * end the sums of y stand where x was, and overlays. */
template <int T, bool SHARED> struct wide_memory {
    typedef wide_sizes<T, SHARED> sizes;
    uint32_t x, overlays, masks, barriers;
    int slots;

    __device__ __forceinline__ wide_memory(const void *memory, int count, bool patched)
        : x((shared_address(memory) + 1023) & ~1023u), slots(count)
    {
        overlays = x + slots * sizes::X_BYTES;
        masks = overlays + (patched ? WIDE_GROUPS * PATCHER_TURNS * OVERLAY_BYTES : 0);
        barriers = masks + (patched ? WIDE_GROUPS * PATCHER_TURNS * OVERLAY_MASKS : 0);
    }
    /* Slots that are used in turn: a warpgroup with images of its own has its own. */
    __device__ __forceinline__ int ring() const
    {
        return SHARED ? slots / WIDE_GROUPS : slots;
    }
    __device__ __forceinline__ uint32_t full(int slot) const
    {
        return barriers + slot * 16;
    }
    __device__ __forceinline__ uint32_t empty(int slot) const
    {
        return full(slot) + 8;
    }
    __device__ __forceinline__ uint32_t patched(int overlay) const
    {
        return full(WIDE_SLOTS_MOST + overlay);
    }
    __device__ __forceinline__ uint32_t blank(int overlay) const
    {
        return patched(overlay) + 8;
    }
    __device__ __forceinline__ void open() const
    {
        for (int i = 0; i < slots; i++) {
            barrier_init(full(i), 1);
            barrier_init(empty(i), (SHARED ? 1 : WIDE_GROUPS) * GROUP_WARPS * ARRIVING_LANES);
        }
        for (int i = 0; i < WIDE_GROUPS * PATCHER_TURNS; i++) {
            barrier_init(patched(i), ROW_SETS * ARRIVING_LANES);
            barrier_init(blank(i), GROUP_WARPS * ARRIVING_LANES);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
};

/* A place in turn, and which time round. */
struct turn {
    int at;
    uint32_t phase;

    __device__ __forceinline__ void next(int count)
    {
        if (++at == count) {
            at = 0;
            phase ^= 1;
        }
    }
};

/* ---- feeding --------------------------------------------------------------------------------- */

__device__ __forceinline__ void bring_x(const CUtensorMap *map, uint32_t to, int column, int token,
                                        uint32_t full)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(map), "r"(column), "r"(token), "r"(full)
                 : "memory");
}

/* A thread that asks for x: of the images first, first + by, ... one a slot. */
template <int T, bool SHARED> struct feeder {
    typedef wide_sizes<T, SHARED> sizes;
    const wide_memory<T, SHARED> &m;
    const CUtensorMap *map;
    int first_slot, image, images, by;
    turn slot;

    __device__ __forceinline__ feeder(const wide_memory<T, SHARED> &of, const CUtensorMap *x,
                                      int group, int all)
        : m(of), map(x), first_slot(SHARED ? group * m.ring() : 0), image(SHARED ? group : 0),
          images(all), by(SHARED ? WIDE_GROUPS : 1), slot{0, 1}
    {
    }
    /* The next image, once its slot has been read. */
    __device__ __forceinline__ void feed()
    {
        if (image >= images)
            return;
        const int at = first_slot + slot.at;
        const uint32_t full = m.full(at), to = m.x + at * sizes::X_BYTES;
        barrier_wait(m.empty(at), slot.phase);
        barrier_expect(full, sizes::X_BYTES);
#pragma unroll
        for (int half = 0; half < 2; half++)
            bring_x(map, to + half * sizes::HALF_BYTES, image * IMAGE_COLUMNS + half * 64,
                    blockIdx.y * T, full);
        image += by;
        slot.next(m.ring());
    }
};

/* ---- multiplying ----------------------------------------------------------------------------- */

template <int T, bool SHARED, int GROUPS, bool PATCHED> struct multiplier {
    typedef wide_sizes<T, SHARED> sizes;
    static constexpr int BY = SHARED ? WIDE_GROUPS : 1; /* images from one of its own to the next */
    const wide_memory<T, SHARED> &m;
    int lane, warp, group;
    float sum[T / 2];
    turn slot, overlay;

    __device__ __forceinline__ explicit multiplier(const wide_memory<T, SHARED> &of)
        : m(of), lane(threadIdx.x % 32), warp(uniform(threadIdx.x / 32 % GROUP_WARPS)),
          group(uniform(threadIdx.x / GROUP_THREADS)), slot{0, 0}, overlay{0, 0}
    {
#pragma unroll
        for (int i = 0; i < T / 2; i++)
            sum[i] = 0;
    }
    __device__ __forceinline__ void arrive(uint32_t barrier) const
    {
        __syncwarp();
        if (lane < ARRIVING_LANES)
            barrier_arrive(barrier);
    }
    /* An image's weights, patched. */
    __device__ __forceinline__ void unpack(fragments<GROUPS> &f, const packed_rows<GROUPS> &p)
    {
        const int o = group * PATCHER_TURNS + overlay.at;
        const uint32_t over = m.overlays + o * OVERLAY_BYTES, masks = m.masks + o * OVERLAY_MASKS;
        if (PATCHED)
            barrier_wait(m.patched(o), overlay.phase);
#pragma unroll
        for (int u = 0; u < 2; u++) {
            const int mine = warp * 2 + u;
            patch_words patch;
            if (PATCHED)
                patch.take(over, masks + (mine * UNIT_ROWS + lane / 4) * 4, mine, lane);
            else
                patch.none();
            f.unpack(p, u, lane, patch);
        }
        if (PATCHED) {
            __syncwarp();
            if (lane < 2 * UNIT_ROWS)
                asm volatile(
                    "st.shared.u32 [%0], %1;" ::"r"(masks + (warp * 2 * UNIT_ROWS + lane) * 4),
                    "r"(0)
                    : "memory");
            arrive(m.blank(o));
            overlay.next(PATCHER_TURNS);
        }
    }
    /* Begins an image's products, once its x is there. */
    __device__ __forceinline__ void multiply(const fragments<GROUPS> &f)
    {
        const int at = my_slot();
        const uint32_t x = m.x + at * sizes::X_BYTES;
        barrier_wait(m.full(at), slot.phase);
        __syncwarp();
        wgmma_fence();
#pragma unroll
        for (int step = 0; step < 8; step++)
            wgmma<T>::run(sum, f.a[step],
                          wgmma_tile(x + step / 4 * sizes::HALF_BYTES) + step % 4 * 2);
        wgmma_commit();
    }
    __device__ __forceinline__ int my_slot() const
    {
        return slot.at + (SHARED ? group * m.ring() : 0);
    }
    /* One image. Its packed weights make room for those of the image that is WIDE_AHEAD further. */
    __device__ __forceinline__ void step(weight_stream<GROUPS> &stream,
                                         packed_rows<GROUPS> &weights, int image,
                                         feeder<T, SHARED> &x)
    {
        fragments<GROUPS> f;
        unpack(f, weights);
        if (image + WIDE_AHEAD * BY < stream.w.s.images)
            weights = stream.ask(image + WIDE_AHEAD * BY);
        multiply(f);
        wgmma_wait<0>();
        arrive(m.empty(my_slot()));
        slot.next(m.ring());
        /* Into this slot; where both warpgroups read it, the one before: nobody waits long. */
        if (feeds() && (SHARED || image > 0))
            x.feed();
    }
    __device__ __forceinline__ bool feeds() const
    {
        return lane == 0 && warp == 0 && (SHARED || group == 0);
    }
    __device__ __forceinline__ void run(const linear &w, int first, const CUtensorMap *map)
    {
        const int images = w.s.images;
        weight_stream<GROUPS> stream(w, first + (SHARED ? 0 : group * GROUP_UNITS) + warp * 2);
        feeder<T, SHARED> x(m, map, group, images);
        packed_rows<GROUPS> coming[WIDE_AHEAD] = {};
        const int begin = SHARED ? group : 0;
#pragma unroll
        for (int i = 0; i < WIDE_AHEAD; i++)
            if (begin + i * BY < images)
                coming[i] = stream.ask(begin + i * BY);
        if (feeds()) {
            ortho_cuda_wait_for_previous();
            for (int i = 0; i < m.ring(); i++)
                x.feed();
        }
        __syncwarp();
#pragma unroll 1
        for (int image = begin; image < images; image += WIDE_AHEAD * BY)
#pragma unroll
            for (int i = 0; i < WIDE_AHEAD; i++)
                if (image + i * BY < images)
                    step(stream, coming[i], image + i * BY, x);
    }
    /* Sums to where x was; `add`: to those that are there. */
    __device__ __forceinline__ void keep(bool add) const
    {
        const int row = (SHARED ? 0 : group * OVERLAY_ROWS) + warp * 16 + lane / 4;
        const uint32_t to = m.x + (lane % 4 * 2 * sizes::LINE + row) * 4;
#pragma unroll
        for (int j = 0; j < T / 8; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const uint32_t at = to + ((8 * j + i % 2) * sizes::LINE + i / 2 * 8) * 4;
                store_shared_float(at,
                                   add ? load_shared_float(at) + sum[4 * j + i] : sum[4 * j + i]);
            }
    }
};

/* ---- y --------------------------------------------------------------------------------------- */

/* Eight rows of a token, of which `left` are there. */
__device__ __forceinline__ void store_unit(__half *to, int64_t left, const float v[8])
{
    __half2 two[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
        two[i] = __floats2half2_rn(v[2 * i], v[2 * i + 1]);
    if (left >= UNIT_ROWS && reinterpret_cast<uintptr_t>(to) % sizeof two == 0) {
        *reinterpret_cast<uint4 *>(to) = *reinterpret_cast<const uint4 *>(two);
        return;
    }
#pragma unroll
    for (int i = 0; i < UNIT_ROWS; i++)
        if (i < left)
            to[i] = i % 2 == 0 ? __low2half(two[i / 2]) : __high2half(two[i / 2]);
}

template <int T, bool SHARED>
__device__ __forceinline__ void store_wide(const wide_launch &l, uint32_t sums, int first)
{
    typedef wide_sizes<T, SHARED> sizes;
    const shape &s = l.w.s;
#pragma unroll 1
    for (int at = threadIdx.x; at < T * sizes::UNITS; at += WIDE_GROUPS * GROUP_THREADS) {
        const int unit = at % sizes::UNITS, token = blockIdx.y * T + at / sizes::UNITS;
        if (first + unit >= s.units || token >= l.tokens)
            continue;
        const uint32_t from = sums + (at / sizes::UNITS * sizes::LINE + unit * UNIT_ROWS) * 4;
        const uint4 low = load_shared_16(from), high = load_shared_16(from + 16);
        const float v[8] = {__uint_as_float(low.x),  __uint_as_float(low.y),
                            __uint_as_float(low.z),  __uint_as_float(low.w),
                            __uint_as_float(high.x), __uint_as_float(high.y),
                            __uint_as_float(high.z), __uint_as_float(high.w)};
        const int64_t row = static_cast<int64_t>(__ldg(l.w.unit + first + unit)) * UNIT_ROWS;
        store_unit(static_cast<__half *>(l.y) + static_cast<int64_t>(token) * s.n + row, s.n - row,
                   v);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* A warp's entries: of 32 rows, and of every other image that the rows' warpgroup has. */
template <int T, bool SHARED>
__device__ __forceinline__ void patch_wide(const wide_launch &l, const wide_memory<T, SHARED> &m,
                                           int first, int number, row_of_entries *found_rows)
{
    constexpr int STRIDE = SHARED ? WIDE_GROUPS : 1, BY = STRIDE * PATCHER_TURNS;
    const int group = number / GROUP_PATCHERS, row = number % ROW_SETS * 32,
              my_turn = number / ROW_SETS % PATCHER_TURNS;
    const int start = (SHARED ? group : 0) + my_turn * STRIDE;
    const shape &s = l.w.s;
    patcher p(l.w, l.alpha, first + (SHARED ? 0 : group * GROUP_UNITS) + row / UNIT_ROWS, row,
              found_rows);
    const int o = group * PATCHER_TURNS + my_turn;
    const uint32_t overlay = m.overlays + o * OVERLAY_BYTES, masks = m.masks + o * OVERLAY_MASKS;
    uint32_t phase = 1;
#pragma unroll 1
    for (int w = 0; w < s.windows; w++) {
        static_assert(WINDOW_IMAGES % BY == 0, "images of all windows are dealt alike");
        const int begin = w * WINDOW_IMAGES, end = begin + s.images_of(w);
        p.turn_to(w, begin, begin + start, BY, end);
#pragma unroll 1
        while (p.image < end) {
            p.patch(overlay, masks, [&] { barrier_wait(m.blank(o), phase); });
            if (p.lane < ARRIVING_LANES)
                barrier_arrive(m.patched(o));
            phase ^= 1;
        }
    }
}

template <int T, bool SHARED>
__device__ __forceinline__ void blank_overlays(const wide_memory<T, SHARED> &m)
{
    const uint32_t end = m.overlays + wide_sizes<T, SHARED>::OVERLAY_ALL;
    for (uint32_t at = m.overlays + threadIdx.x * 16; at < end; at += WIDE_THREADS * 16)
        store_shared_16(at, make_uint4(0, 0, 0, 0));
}

template <int T, bool SHARED, int GROUPS, bool PATCHED>
__global__ void __launch_bounds__(WIDE_THREADS, 1)
    wide_kernel(const __grid_constant__ wide_launch l, const __grid_constant__ CUtensorMap map)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    constexpr int MULTIPLIERS = WIDE_GROUPS * GROUP_THREADS;
    ortho_cuda_release_dependents();
    const wide_memory<T, SHARED> m(dynamic_shared(), l.slots, PATCHED);
    const int first = blockIdx.x * wide_sizes<T, SHARED>::UNITS;
    if (threadIdx.x == 0) {
        meetings_open(MULTIPLIERS);
        m.open();
    }
    if (PATCHED)
        blank_overlays(m);
    __syncthreads();
    const int warp = uniform(static_cast<int>(threadIdx.x / 32));
    if (warp < WIDE_GROUPS * GROUP_WARPS) {
        take_registers<WIDE_MULTIPLIER_REGISTERS>();
        multiplier<T, SHARED, GROUPS, PATCHED> b(m);
        b.run(l.w, first, &map);
        meeting_sync<MEETING, MULTIPLIERS>(); /* nobody needs x any more */
        if (!SHARED || b.group > 0)
            b.keep(false);
        meeting_sync<MEETING, MULTIPLIERS>();
        if (SHARED) {
            if (b.group == 0)
                b.keep(true);
            meeting_sync<MEETING, MULTIPLIERS>();
        }
        ortho_cuda_wait_for_previous();
        store_wide<T, SHARED>(l, m.x, first);
    } else {
        give_registers<WIDE_PATCHER_REGISTERS>();
        __shared__ row_of_entries found_rows[WIDE_GROUPS * GROUP_PATCHERS][32];
        const int number = warp - WIDE_GROUPS * GROUP_WARPS;
        if (PATCHED)
            patch_wide<T, SHARED>(l, m, first, number, found_rows[number]);
    }
#else
    asm volatile("trap;"); /* there is no wgmma: better no result than a wrong one */
#endif
}

} // namespace

} // namespace ortho_fused

#endif
