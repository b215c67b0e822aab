#include "alike.h"

#include <stdint.h>

namespace
{

__global__ void note_unlike(const uint32_t *wanted, const uint32_t *outputs, size_t words,
                            size_t all, unsigned *first)
{
    for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < all;
         i += static_cast<size_t>(gridDim.x) * blockDim.x)
        if (outputs[i] != wanted[i % words])
            atomicMin(first, static_cast<unsigned>(i / words));
}

} // namespace

cudaError_t find_unlike(const void *wanted, const void *outputs, size_t bytes, int count,
                        cudaStream_t stream, int *first)
{
    unsigned *found = nullptr;
    cudaError_t error = cudaMallocAsync(reinterpret_cast<void **>(&found), sizeof *found, stream);
    if (error != cudaSuccess)
        return error;
    error = cudaMemsetAsync(found, 0xff, sizeof *found, stream);
    if (error == cudaSuccess) {
        note_unlike<<<1024, 256, 0, stream>>>(static_cast<const uint32_t *>(wanted),
                                              static_cast<const uint32_t *>(outputs), bytes / 4,
                                              bytes / 4 * static_cast<size_t>(count), found);
        error = cudaGetLastError();
    }
    if (error == cudaSuccess)
        error = cudaMemcpyAsync(first, found, sizeof *found, cudaMemcpyDeviceToHost, stream);
    if (error == cudaSuccess)
        error = cudaStreamSynchronize(stream);
    const cudaError_t freed = cudaFreeAsync(found, stream);
    return error != cudaSuccess ? error : freed;
}
