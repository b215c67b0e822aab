/*
 * fused on CUDA, 9 tokens and more of one linear or of several that share x:
 * y = x * (Base + alpha * Ortho)^T, 16 tokens at a time, by clusters of two or four blocks that
 * split K.
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

typedef void narrow_fn(const narrow_group);

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

bool make_group(const void *const *states, const ortho_gemm_call *calls, int count, int form,
                narrow_group *g)
{
    int64_t entries[GROUP_LINEARS];
    *g = {};
    g->count = count;
    for (int i = 0; i < count; i++) {
        const state &s = state_of(states, i);
        narrow_launch &l = g->of[i];
        l.w = s.w;
        l.x = calls[i].x;
        l.y = calls[i].y;
        l.alpha = is_patched(s, calls[i].alpha) ? calls[i].alpha : 0.0f;
        l.tokens = static_cast<int>(calls[i].m);
        l.blocks = form == 0 ? 2 : 4;
        entries[i] = l.alpha != 0 ? s.nnz : 0;
    }
    return narrow_plan(g, entries, state_of(states, 0).multiprocessors);
}

constexpr int64_t NARROW_TOKENS_MOST = 1024; /* beyond, nobody would ask */

} // namespace

bool takes_narrow(const state &s, const ortho_gemm_call &call)
{
    return s.hopper && takes_batch(call.dtype, call.m) && call.m <= NARROW_TOKENS_MOST &&
           s.w.s.windows == 1 && (!is_patched(s, call.alpha) || s.indexed);
}

ortho_status run_narrow(const void *const *states, const ortho_gemm_call *calls, int count,
                        int form)
{
    narrow_group g;
    if (!make_group(states, calls, count, form, &g))
        return ortho_fail(ORTHO_E_UNSUPPORTED, "fused: a unit of this layer is too large");
    const narrow_launch &l = g.of[0];
    const dim3 grid(static_cast<unsigned>(g.clusters() * l.blocks),
                    static_cast<unsigned>((l.tokens + TILE_TOKENS - 1) / TILE_TOKENS));
    return launch_dependent(pick(state_of(states, 0), calls[0].dtype), grid, l.blocks,
                            NARROW_THREADS, narrow_bytes(g), calls[0].stream, "narrow_kernel", g);
}

void narrow_kernels(const state &s, int64_t m, int form, const ortho_kernel_sink *sink)
{
    const void *const opaque = &s;
    ortho_gemm_call call = {};
    narrow_group g;
    call.m = m;
    call.alpha = 1.0f;
    if (make_group(&opaque, &call, 1, form, &g))
        ortho_cuda_kernel_report("narrow_kernel", reinterpret_cast<const void *>(pick(s, s.dtype)),
                                 NARROW_THREADS, static_cast<size_t>(narrow_bytes(g)), sink);
}

} // namespace ortho_fused
