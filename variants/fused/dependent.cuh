/* dependent.cuh: a launch that begins while the one before it on the stream still runs. */
#ifndef ORTHO_VARIANTS_FUSED_DEPENDENT_CUH
#define ORTHO_VARIANTS_FUSED_DEPENDENT_CUH

#include "kernels/cuda/status.h"

namespace ortho_fused
{

namespace
{

/* `cluster`: blocks of a cluster; `memory`: bytes of dynamic shared memory of a block; `name`: the
 * kernel's, for messages. */
template <typename... A>
ortho_status launch_dependent(void (*kernel)(A...), dim3 grid, int cluster, int threads, int memory,
                              void *stream, const char *name, const A &...arguments)
{
    cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
    if (error == cudaSuccess) /* or the multiprocessor stops to make room for the next launch */
        error = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                     cudaSharedmemCarveoutMaxShared);
    cudaLaunchAttribute attributes[2] = {};
    attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[0].val.programmaticStreamSerializationAllowed = 1;
    attributes[1].id = cudaLaunchAttributeClusterDimension;
    attributes[1].val.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(static_cast<unsigned>(threads));
    config.dynamicSmemBytes = static_cast<size_t>(memory);
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = attributes;
    config.numAttrs = cluster > 1 ? 2 : 1;
    if (error == cudaSuccess)
        error = cudaLaunchKernelEx(&config, kernel, arguments...);
    return ortho_cuda_status(error, name);
}

} // namespace

} // namespace ortho_fused

#endif
