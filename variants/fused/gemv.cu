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
#include "kernels/cuda/status.h"
#include "variants/fused/consumer.cuh"
#include "variants/fused/gemv.cuh"

namespace ortho_fused
{

namespace
{

template <typename A, int T, int GROUPS>
ortho_status launch_as(const launch &l, const settings &s, cudaStream_t stream)
{
    const int memory = block_bytes(l, s, l.tokens * A::DIGITS);
    const void *kernel = reinterpret_cast<const void *>(gemv_kernel<A, T, GROUPS>);
    cudaError_t set =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
    if (set == cudaSuccess) /* or the multiprocessor stops to make room for the next launch */
        set = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                   cudaSharedmemCarveoutMaxShared);
    if (set != cudaSuccess)
        return ortho_cuda_status(set, "shared memory of gemv_kernel");
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(l.blocks));
    config.blockDim = dim3(GEMV_THREADS);
    config.dynamicSmemBytes = static_cast<size_t>(memory);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
    return ortho_cuda_status(cudaLaunchKernelEx(&config, gemv_kernel<A, T, GROUPS>, l),
                             "gemv_kernel");
}

template <typename A, int T>
ortho_status launch_groups(const launch &l, const settings &s, cudaStream_t stream)
{
    const int groups = l.jobs[0].w.s.groups;
    return groups == 1   ? launch_as<A, T, 1>(l, s, stream)
           : groups == 2 ? launch_as<A, T, 2>(l, s, stream)
                         : launch_as<A, T, 4>(l, s, stream);
}

template <typename A> ortho_status launch_tokens(const launch &l, cudaStream_t stream)
{
    const int virtual_tokens = l.tokens * A::DIGITS;
    const settings s = settings_for(l, virtual_tokens);
    launch sized = l;
    sized.slots = s.slots;
    sized.slot_bytes = s.slot_bytes;
    sized.flight = s.flight;
    return virtual_tokens == 1   ? launch_groups<A, 1>(sized, s, stream)
           : virtual_tokens <= 4 ? launch_groups<A, 4>(sized, s, stream)
                                 : launch_groups<A, 8>(sized, s, stream);
}

ortho_status launch_dtype(const launch &l, ortho_dtype dtype, cudaStream_t stream)
{
    return dtype == ORTHO_F16    ? launch_tokens<half_activations>(l, stream)
           : dtype == ORTHO_BF16 ? launch_tokens<bfloat_activations>(l, stream)
                                 : launch_tokens<float_activations>(l, stream);
}

/* The linears of a launch; the parts of each are turned by the remainders of those before it, so
 * that the units too many don't all meet in the first blocks. */
void add_jobs(launch *l, const void *const *states, const ortho_gemm_call *calls, int count)
{
    int turn = 0, units[ORTHO_GROUP_MAX], sizes[ORTHO_GROUP_MAX];
    for (int i = 0; i < count; i++) {
        const state *s = static_cast<const state *>(states[i]);
        l->jobs[i].w = s->w;
        l->jobs[i].alpha = s->nnz > 0 ? calls[i].alpha : 0.0f;
        l->jobs[i].turn = turn;
        l->blocks = s->w.s.parts > l->blocks ? s->w.s.parts : l->blocks;
        units[i] = s->w.s.units_of(0);
        turn += s->w.s.extra;
    }
    mark_rounds(units, count, sizes);
    for (int i = 0; i < count; i++) {
        l->jobs[i].turn %= l->blocks;
        l->jobs[i].round = sizes[i];
    }
    l->count = count;
}

} // namespace

typedef consumer<half_activations, 1, 1, 1> any_consumer;
const ortho_loop steps_loop = {"gemv_kernel", STEP_FILE, any_consumer::STEP_FIRST,
                               any_consumer::STEP_LAST};

ortho_status run_group(const void *const *states, const ortho_gemm_call *calls, int count)
{
    const int most = calls[0].dtype == ORTHO_F32 ? TOKENS_MOST / 3 : TOKENS_MOST;
    const size_t element = calls[0].dtype == ORTHO_F32 ? 4 : 2;
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
        status = launch_dtype(l, calls[0].dtype, static_cast<cudaStream_t>(calls[0].stream));
    }
    return status;
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    return run_group(&opaque, call, 1);
}

namespace
{

template <typename A, int T> const void *kernel_of_groups(int groups)
{
    return groups == 1   ? reinterpret_cast<const void *>(gemv_kernel<A, T, 1>)
           : groups == 2 ? reinterpret_cast<const void *>(gemv_kernel<A, T, 2>)
                         : reinterpret_cast<const void *>(gemv_kernel<A, T, 4>);
}

template <typename A> const void *kernel_of(int tokens, int groups)
{
    const int all = tokens * A::DIGITS;
    return all == 1   ? kernel_of_groups<A, 1>(groups)
           : all <= 4 ? kernel_of_groups<A, 4>(groups)
                      : kernel_of_groups<A, 8>(groups);
}

} // namespace

void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    const state *s = static_cast<const state *>(opaque);
    const int digits = s->dtype == ORTHO_F32 ? 3 : 1, most = TOKENS_MOST / digits;
    const int tokens = static_cast<int>(m < most ? m : most), groups = s->w.s.groups;
    launch l = {};
    l.jobs[0].w = s->w;
    l.count = 1;
    l.tokens = tokens;
    const settings set = settings_for(l, tokens * digits);
    const int all = tokens * digits;
    const void *kernel = s->dtype == ORTHO_F16    ? kernel_of<half_activations>(tokens, groups)
                         : s->dtype == ORTHO_BF16 ? kernel_of<bfloat_activations>(tokens, groups)
                                                  : kernel_of<float_activations>(tokens, groups);
    ortho_cuda_kernel_report("gemv_kernel", kernel, GEMV_THREADS,
                             static_cast<size_t>(block_bytes(l, set, all)), sink);
}

} // namespace ortho_fused
