/*
 * memcpy, dual GEMM on CUDA: reads exactly the bytes that the canonical split holds, once, 16 at a
 * time, and computes nothing: cost()->bytes over its time is the read bandwidth that floors are
 * drawn from. A slow ceiling would flatter everybody else, so each thread has UNROLL loads in
 * flight and the grid fills the chip. What was read is ORed into the workspace, so that no load can
 * be left out.
 */
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/status.h"

#include <string.h>

namespace
{

constexpr int THREADS = 512, UNROLL = 8;

struct state {
    size_t bytes, padded; /* of the split; of the buffer, whole 16-byte words */
    uint4 *buffer;
    unsigned blocks;
};

__global__ void __launch_bounds__(THREADS)
    read_kernel(const uint4 *from, size_t words, uint32_t *sink)
{
    uint32_t seen = 0;
    const size_t stride = static_cast<size_t>(gridDim.x) * THREADS;
    size_t i = blockIdx.x * static_cast<size_t>(THREADS) + threadIdx.x;
    for (; i + (UNROLL - 1) * stride < words; i += UNROLL * stride) {
        uint4 v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            v[u] = __ldcs(from + i + u * stride);
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            seen |= v[u].x | v[u].y | v[u].z | v[u].w;
    }
    for (; i < words; i += stride) {
        uint4 v = __ldcs(from + i);
        seen |= v.x | v.y | v.z | v.w;
    }
    sink[blockIdx.x * static_cast<size_t>(THREADS) + threadIdx.x] = seen;
}

struct part {
    const void *from;
    size_t bytes;
};

ortho_status upload(const state *st, const part *parts, int count, const ortho_services *s)
{
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    char *to = reinterpret_cast<char *>(st->buffer);
    ortho_status status =
        ortho_cuda_status(cudaMemsetAsync(to, 0, st->padded, stream), "clearing a buffer");
    for (int i = 0; status == ORTHO_OK && i < count; i++) {
        if (parts[i].bytes > 0)
            status = ortho_cuda_status(
                cudaMemcpyAsync(to, parts[i].from, parts[i].bytes, cudaMemcpyHostToDevice, stream),
                "upload of a split");
        to += parts[i].bytes;
    }
    return status == ORTHO_OK
               ? ortho_cuda_status(cudaStreamSynchronize(stream), "upload of a split")
               : status;
}

/* As many blocks as run at once, unless the words are fewer. */
unsigned blocks_for(size_t words)
{
    int device = 0, sms = 0, each = 0;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, read_kernel, THREADS, 0) !=
            cudaSuccess)
        return 132;
    size_t most = static_cast<size_t>(sms) * static_cast<size_t>(each > 0 ? each : 1);
    size_t useful = (words + THREADS - 1) / THREADS;
    return static_cast<unsigned>(useful < 1 ? 1 : useful < most ? useful : most);
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    const ortho_split *s = problem->split;
    size_t n = static_cast<size_t>(s->n), nnz = static_cast<size_t>(s->nnz);
    const part parts[] = {
        {s->q, n * static_cast<size_t>((s->k + 1) / 2)},
        {s->scale, n * static_cast<size_t>((s->k + s->group - 1) / s->group) * 2},
        {s->row_ptr, (n + 1) * sizeof(int32_t)},
        {s->col, nnz * ortho_split_col_bytes(s->k)},
        {s->val, nnz * 2},
    };
    state made = {};
    for (const part &p : parts)
        made.bytes += p.bytes;
    made.padded = (made.bytes + 15) / 16 * 16;
    made.blocks = blocks_for(made.padded / 16);
    made.buffer = static_cast<uint4 *>(
        services->alloc(services->ctx, made.padded, ORTHO_DEVICE, ORTHO_WEIGHTS));
    if (made.buffer == nullptr)
        return ORTHO_E_MEMORY;
    ortho_status status = upload(&made, parts, sizeof parts / sizeof *parts, services);
    if (status != ORTHO_OK)
        services->free(services->ctx, made.buffer);
    else
        *static_cast<state *>(opaque) = made;
    return status;
}

void release(void *opaque, const ortho_services *services)
{
    services->free(services->ctx, static_cast<state *>(opaque)->buffer);
    *static_cast<state *>(opaque) = state{};
}

size_t workspace(const void *opaque, int64_t, ortho_dtype)
{
    return static_cast<const state *>(opaque)->blocks * static_cast<size_t>(THREADS) *
           sizeof(uint32_t);
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = static_cast<const state *>(opaque);
    read_kernel<<<st->blocks, THREADS, 0, static_cast<cudaStream_t>(call->stream)>>>(
        st->buffer, st->padded / 16, static_cast<uint32_t *>(call->workspace));
    return ortho_cuda_launched("read_kernel");
}

void cost(const void *opaque, int64_t, ortho_cost *out)
{
    *out = ortho_cost{static_cast<double>(static_cast<const state *>(opaque)->bytes), 0};
}

void kernels(const void *, int64_t, const ortho_kernel_sink *sink)
{
    ortho_cuda_kernel_report("read_kernel", (const void *)read_kernel, THREADS, 0, sink);
}

} // namespace

extern "C" const ortho_gemm_hooks ortho_memcpy_gemm_cuda;
const ortho_gemm_hooks ortho_memcpy_gemm_cuda = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_NOTHING,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .kernels = kernels,
};
