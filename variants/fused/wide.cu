/*
 * fused on CUDA, many tokens in fp16: y = x * (Base + alpha * Ortho)^T with wgmma, whose weights
 * are dequantised and patched on their way into shared memory: nothing of the size of W is ever
 * written.
 *
 * Weights are rounded to fp16 once, as those of a dense fp16 layer are. That is within what
 * verification allows where rows are long (the bound grows as k^1.5, the error as its root) and no
 * few weights outweigh the others: found out when a linear is packed (rounding.cu). Where rounding
 * might show, or fp16's range is left, batch.cu takes the call.
 *
 * Expected to limit it: up to some 100 tokens x, which each block reads whole from the L2; then the
 * tensor cores.
 */
#include "kernels/cuda/base_gemm.h"
#include "variants/fused/dependent.cuh"
#include "variants/fused/wide.cuh"
#include "variants/fused/x_map.h"

namespace ortho_fused
{

namespace
{

typedef void wide_fn(const wide_launch, const CUtensorMap);

/* A kernel for so many tokens and rows a block. */
struct form {
    int tokens, rows, sharers, cluster, threads;
    bool one_tile;            /* a block */
    float image_us, block_us; /* what an image of 128 columns takes, and what is beside images */
    wide_fn *(*pick)(int groups);
    int (*bytes)(int slots);
};

template <typename F> wide_fn *pick_kernel(int groups)
{
    return groups == 1 ? wide_kernel<F, 1> : wide_kernel<F, IMAGE_STRIPS>;
}

template <typename F> int form_bytes(int slots)
{
    return F::bytes(slots);
}

template <int T, int R, int X, int S, int SETS>
constexpr form form_of(float image_us, float block_us)
{
    typedef wide_form<T, R, X, S, SETS> F;
    static_assert(F::bytes(SETS + 1) <= BLOCK_MOST, "each set has a slot, and one is multiplied");
    static_assert(F::bytes(2 * SETS - 1) <= BLOCK_MOST, "a set's first slot of the next tile is at "
                                                        "most once round");
    return {T,     F::ROWS,  X,        F::CLUSTER,     F::THREADS,
            S > 1, image_us, block_us, pick_kernel<F>, form_bytes<F>};
}

constexpr form FORMS[] = {
    form_of<32, 1, 1, 1, 3>(0.4f, 4),     form_of<32, 1, 1, 2, 3>(0.4f, 5),
    form_of<32, 1, 1, 4, 3>(0.4f, 5.5f),  form_of<64, 1, 1, 1, 2>(0.52f, 5),
    form_of<64, 1, 1, 2, 2>(0.52f, 6),    form_of<64, 1, 1, 4, 2>(0.52f, 6.5f),
    form_of<128, 1, 2, 1, 2>(0.75f, 5),   form_of<128, 1, 1, 2, 2>(0.8f, 6),
    form_of<128, 1, 1, 4, 2>(0.8f, 6.5f), form_of<256, 1, 2, 1, 1>(1.0f, 6),
    form_of<256, 2, 2, 1, 1>(1.9f, 6)};
static_assert(sizeof FORMS / sizeof *FORMS == WIDE_FORMS, "ways.cu names them");

/* Tiles of y that a form cuts it into: so many a cluster's, of which so many have the same rows. */
struct tiling {
    int64_t tiles, token_tiles;
    int64_t clusters; /* that a launch has */
};

tiling tiling_of(const form &f, const state &s, int64_t m)
{
    tiling t = {};
    const int64_t rows = static_cast<int64_t>(f.rows) * f.sharers;
    t.token_tiles = (m + f.tokens - 1) / f.tokens;
    t.tiles = (static_cast<int64_t>(s.w.s.units) * UNIT_ROWS + rows - 1) / rows * t.token_tiles;
    const int64_t most = s.multiprocessors / f.cluster;
    t.clusters = f.one_tile || t.tiles < most ? t.tiles : most;
    return t;
}

/* A multiprocessor has a block at a time, and the 18 or less of a GPC share their clusters. */
float expected_us(const form &f, const state &s, int64_t m)
{
    constexpr int GPC = 18;
    const int64_t fit = f.cluster <= 2 ? s.multiprocessors / f.cluster
                                       : s.multiprocessors / GPC * (GPC / f.cluster),
                  most = fit > 0 ? fit : 1, rounds = (tiling_of(f, s, m).tiles + most - 1) / most;
    const float images =
        static_cast<float>(s.w.s.images) / static_cast<float>(f.one_tile ? f.cluster : 1);
    return static_cast<float>(rounds) * (f.block_us + f.image_us * images);
}

int slots_of(const form &f)
{
    int slots = 2;
    while (slots < WIDE_SLOTS_MOST && f.bytes(slots + 1) <= BLOCK_MOST)
        slots++;
    return slots;
}

/* Outputs that the kernel mends itself: more are better dealt to blocks of their own. */
constexpr int64_t MENDED_INSIDE = 4096;

bool mends_itself(const state &s, int64_t m)
{
    return s.mended.count * m <= MENDED_INSIDE;
}

constexpr int64_t WIDE_TOKENS_MOST = 65535 * 64; /* a grid's dimension */

} // namespace

bool takes_rounded(const state &s, const ortho_gemm_call &call)
{
    return call.dtype == ORTHO_F16 && s.w.s.k % 8 == 0 &&
           reinterpret_cast<uintptr_t>(call.x) % 16 == 0 &&
           (!is_patched(s, call.alpha) || s.indexed) && may_round(s.rounded, call.alpha);
}

bool takes_at_any_alpha(const state &s, int64_t m, ortho_dtype dtype,
                        bool (*takes)(const state &, const ortho_gemm_call &))
{
    ortho_gemm_call call = {};
    call.m = m;
    call.dtype = dtype;
    bool any = false;
    for (float alpha : ROUNDED_ALPHAS) {
        call.alpha = alpha;
        any = any || takes(s, call);
    }
    return any;
}

bool takes_wide(const state &s, const ortho_gemm_call &call)
{
    return s.hopper && call.m >= ROUNDED_TOKENS_LEAST && call.m <= WIDE_TOKENS_MOST &&
           takes_rounded(s, call) && can_map_x();
}

float wide_us(const state &s, int64_t m, int form)
{
    return expected_us(FORMS[form], s, m);
}

int wide_form(const state &s, int64_t m)
{
    int best = 0;
    float least = expected_us(FORMS[0], s, m);
    for (int i = 1; i < WIDE_FORMS; i++) {
        const float us = expected_us(FORMS[i], s, m);
        if (us < least) {
            best = i;
            least = us;
        }
    }
    return best;
}

ortho_status run_wide(const state &s, const ortho_gemm_call &call, int chosen)
{
    const form &f = FORMS[chosen];
    const tiling t = tiling_of(f, s, call.m);
    const bool inside = is_mended(s, call.alpha) && mends_itself(s, call.m);
    const wide_launch l = {s.w,
                           static_cast<const __half *>(call.x),
                           call.y,
                           is_patched(s, call.alpha) ? call.alpha : 0.0f,
                           static_cast<int>(call.m),
                           slots_of(f),
                           static_cast<int>(t.tiles),
                           static_cast<int>(t.token_tiles),
                           s.w.s.n % UNIT_ROWS == 0 &&
                               reinterpret_cast<uintptr_t>(call.y) % 16 == 0,
                           inside ? s.mended : mended_rows{}};
    CUtensorMap map;
    if (!map_x(call, s.w.s.k, call.m, f.tokens / f.sharers, &map))
        return ortho_fail(ORTHO_E_DEVICE, "the driver refuses to describe x for TMA");
    const ortho_status status = launch_dependent(
        f.pick(s.w.s.groups), dim3(static_cast<unsigned>(t.clusters * f.cluster)), f.cluster,
        f.threads, f.bytes(l.slots), call.stream, "wide_kernel", l, map);
    return status == ORTHO_OK && !inside ? mend(s, call) : status;
}

void wide_kernels(const state &s, int64_t m, int chosen, const ortho_kernel_sink *sink)
{
    const form &f = FORMS[chosen];
    ortho_cuda_kernel_report("wide_kernel", reinterpret_cast<const void *>(f.pick(s.w.s.groups)),
                             f.threads, static_cast<size_t>(f.bytes(slots_of(f))), sink);
    if (!mends_itself(s, m))
        mend_kernels(s, m, sink);
}

} // namespace ortho_fused
