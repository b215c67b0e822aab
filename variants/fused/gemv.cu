/*
 * fused on CUDA, single and grouped launch: y = x * (Base + alpha * Ortho)^T for up to 8 tokens, of
 * one linear or of several that share x.
 *
 * A block a multiprocessor; block i has part i of each linear. The launch is a programmatic
 * dependent of the one before it on the stream, whoever that is: its weights are on their way into
 * shared memory while that one still runs, and it waits only before it reads x. It lets the launch
 * behind it start at once, so that two of them share a multiprocessor.
 *
 * Expected to limit it: DRAM; where a linear is small, the chain wait, x, sums, y.
 */
#include "common/dtype.h"
#include "kernels/cuda/base_gemm.h"
#include "variants/fused/consumer.cuh"
#include "variants/fused/dependent.cuh"
#include "variants/fused/gemv.cuh"

#include <algorithm>

namespace ortho_fused
{

namespace
{

typedef void gemv_fn(const launch);

template <typename A, int T> gemv_fn *pick_groups(int groups)
{
    return groups == 1   ? gemv_kernel<A, T, 1>
           : groups == 2 ? gemv_kernel<A, T, 2>
                         : gemv_kernel<A, T, 4>;
}

template <typename A> gemv_fn *pick_tokens(int laid, int groups)
{
    return laid == 1   ? pick_groups<A, 1>(groups)
           : laid == 4 ? pick_groups<A, 4>(groups)
                       : pick_groups<A, 8>(groups);
}

int digits_of(ortho_dtype dtype)
{
    return dtype == ORTHO_F32 ? float_activations::DIGITS : 1;
}

/* The kernel for a launch, whose ring is sized for it. */
gemv_fn *pick(launch *l, ortho_dtype dtype, int *memory)
{
    const int virtual_tokens = l->tokens * digits_of(dtype), laid = laid_out(virtual_tokens);
    const int groups = l->jobs[0].w.s.groups;
    size_ring(l, virtual_tokens);
    *memory = block_bytes(*l, virtual_tokens);
    return dtype == ORTHO_F16    ? pick_tokens<half_activations>(laid, groups)
           : dtype == ORTHO_BF16 ? pick_tokens<bfloat_activations>(laid, groups)
                                 : pick_tokens<float_activations>(laid, groups);
}

ortho_status enqueue(launch *l, ortho_dtype dtype, void *stream)
{
    int memory = 0;
    gemv_fn *kernel = pick(l, dtype, &memory);
    return launch_dependent(kernel, dim3(static_cast<unsigned>(l->blocks)), 1, GEMV_THREADS, memory,
                            stream, "gemv_kernel", *l);
}

} // namespace

bool has_bulk_copies()
{
    int device = 0, major = 0, shared = 0;
    cudaFuncAttributes kernel = {};
    if (cudaGetDevice(&device) == cudaSuccess &&
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
        cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) ==
            cudaSuccess &&
        cudaFuncGetAttributes(&kernel, gemv_kernel<half_activations, 1, 1>) == cudaSuccess)
        /* Compiled for older GPUs the kernels are empty, whatever they run on. */
        return major >= 9 && kernel.ptxVersion >= 90 && shared >= BLOCK_MOST;
    (void)cudaGetLastError(); /* or the next launch would be blamed for it */
    return false;
}

typedef entries<half_activations, 1> any_entries;
const ortho_loop steps_loop = {"gemv_kernel", STEP_FILE, any_entries::STEP_FIRST,
                               any_entries::STEP_LAST};

ortho_status run_few(const void *const *states, const ortho_gemm_call *calls, int count)
{
    const int most = TOKENS_MOST / digits_of(calls[0].dtype);
    const size_t element = ortho_dtype_bytes(calls[0].dtype);
    const state *first = static_cast<const state *>(states[0]);
    launch l = {};
    add_jobs(&l, states, calls, count);
    ortho_status status = ORTHO_OK;
    for (int64_t t = 0; t < calls[0].m && status == ORTHO_OK; t += most) {
        const char *x =
            static_cast<const char *>(calls[0].x) + static_cast<size_t>(t * first->w.s.k) * element;
        l.x = x;
        l.tokens = static_cast<int>(calls[0].m - t < most ? calls[0].m - t : most);
        for (int i = 0; i < count; i++)
            l.jobs[i].y = static_cast<char *>(calls[i].y) +
                          static_cast<size_t>(t * l.jobs[i].w.s.n) * element;
        status = enqueue(&l, calls[0].dtype, calls[0].stream);
    }
    return status;
}

namespace
{

void kernels_alone(const state &s, int64_t m, int way, const ortho_kernel_sink *sink)
{
    if (way == WAY_DIRECT)
        direct_kernels(s, m, sink);
    else if (way == WAY_CUBLAS)
        chunk_kernels(s, m, sink);
    else if (way < WAY_CUBLAS)
        narrow_kernels(s, m, way - WAY_NARROW, sink);
    else if (way < WAY_WIDE)
        once_kernels(s, m, way - WAY_ONCE, sink);
    else
        wide_kernels(s, m, way - WAY_WIDE, sink);
}

} // namespace

size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype)
{
    const state &s = *static_cast<const state *>(opaque);
    return std::max(chunk_workspace(s, m, dtype), once_workspace(s, m, dtype));
}

void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    const state *s = static_cast<const state *>(opaque);
    const int way = usual_way(*s, m);
    if (way >= WAY_DIRECT) {
        kernels_alone(*s, m, way, sink);
        return;
    }
    if (way == WAY_MMA16) {
        batch_kernels(opaque, m, sink);
        return;
    }
    const int64_t most = TOKENS_MOST / digits_of(s->dtype);
    int memory = 0;
    ortho_gemm_call call = {};
    launch l = {};
    call.alpha = 1.0f;
    add_jobs(&l, &opaque, &call, 1);
    l.tokens = static_cast<int>(m < most ? m : most);
    const void *kernel = reinterpret_cast<const void *>(pick(&l, s->dtype, &memory));
    ortho_cuda_kernel_report("gemv_kernel", kernel, GEMV_THREADS, static_cast<size_t>(memory),
                             sink);
}

} // namespace ortho_fused
