/*
 * fused on CUDA, 9 tokens and more of one linear: y = x * (Base + alpha * Ortho)^T, 16 tokens at a
 * time, by clusters of two or four blocks that split K.
 *
 * The arithmetic is batch.cu's and as exact. A linear has at most 8192 columns, and an index of its
 * entries if it has any.
 *
 * Expected to limit it: DRAM; where a linear is small, the chain from the launch before to x, to
 * sums, to y.
 */
#include "kernels/cuda/base_gemm.h"
#include "variants/fused/dependent.cuh"
#include "variants/fused/narrow.cuh"

namespace ortho_fused
{

namespace
{

typedef void narrow_fn(const narrow_launch);

template <typename A> narrow_fn *pick_groups(int groups)
{
    return groups == 1   ? narrow_kernel<A, 1>
           : groups == 2 ? narrow_kernel<A, 2>
                         : narrow_kernel<A, 4>;
}

narrow_fn *pick(const state &s, ortho_dtype dtype)
{
    return dtype == ORTHO_F16 ? pick_groups<half_activations>(s.w.s.groups)
                              : pick_groups<bfloat_activations>(s.w.s.groups);
}

bool make_launch(const state &s, const ortho_gemm_call &call, int form, narrow_launch *l)
{
    *l = {};
    l->w = s.w;
    l->x = call.x;
    l->y = call.y;
    l->alpha = is_patched(s, call.alpha) ? call.alpha : 0.0f;
    l->tokens = static_cast<int>(call.m);
    l->blocks = form == 0 ? 2 : 4;
    return narrow_plan(l, l->alpha != 0 ? s.nnz : 0, s.multiprocessors);
}

constexpr int64_t NARROW_TOKENS_MOST = 1024; /* beyond, nobody would ask */

} // namespace

bool takes_narrow(const state &s, const ortho_gemm_call &call)
{
    return s.hopper && takes_batch(call.dtype, call.m) && call.m <= NARROW_TOKENS_MOST &&
           s.w.s.windows == 1 && (!is_patched(s, call.alpha) || s.indexed);
}

ortho_status run_narrow(const state &s, const ortho_gemm_call &call, int form)
{
    narrow_launch l;
    if (!make_launch(s, call, form, &l))
        return ortho_fail(ORTHO_E_UNSUPPORTED, "fused: a unit of this layer is too large");
    const dim3 grid(static_cast<unsigned>(l.clusters * l.blocks),
                    static_cast<unsigned>((l.tokens + TILE_TOKENS - 1) / TILE_TOKENS));
    return launch_dependent(pick(s, call.dtype), grid, l.blocks, NARROW_THREADS, l.at.bytes,
                            call.stream, "narrow_kernel", l);
}

void narrow_kernels(const state &s, int64_t m, int form, const ortho_kernel_sink *sink)
{
    ortho_gemm_call call = {};
    narrow_launch l;
    call.m = m;
    call.alpha = 1.0f;
    if (make_launch(s, call, form, &l))
        ortho_cuda_kernel_report("narrow_kernel", reinterpret_cast<const void *>(pick(s, s.dtype)),
                                 NARROW_THREADS, static_cast<size_t>(l.at.bytes), sink);
}

} // namespace ortho_fused
