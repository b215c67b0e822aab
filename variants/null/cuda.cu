/* null on CUDA: one empty kernel, so that what it costs is what a launch costs in a graph. */
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/status.h"

static __global__ void nothing()
{
}

static ortho_status prepare(void *, const ortho_gemm_problem *, const ortho_services *)
{
    return ORTHO_OK;
}

static ortho_status run(const void *, const ortho_gemm_call *call)
{
    nothing<<<1, 32, 0, (cudaStream_t)call->stream>>>();
    return ortho_cuda_launched("an empty kernel");
}

static void release(void *, const ortho_services *)
{
}

static void kernels(const void *, int64_t, const ortho_kernel_sink *sink)
{
    ortho_cuda_kernel_report("nothing", (const void *)nothing, 32, 0, sink);
}

static const ortho_gemm_hooks gemm = {
    .state_size = 0,
    .computes = ORTHO_COMPUTES_NOTHING,
    .prepare = prepare,
    .run = run,
    .release = release,
    .kernels = kernels,
};

extern "C" const ortho_variant ortho_variant_null_cuda;
const ortho_variant ortho_variant_null_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "null",
    .summary = "launches an empty kernel: the price of a launch",
    .backend = ORTHO_CUDA,
    .role = ORTHO_HARNESS,
    .gemm = &gemm,
};
