/* Reads a buffer larger than the L2, which leaves the L2 full of its lines, none of them dirty. */
#include "harness/evict.h"

#include <cstdint>
#include <cuda_runtime.h>

namespace
{

constexpr int THREADS = 256;

/* What was written there never is this: the store keeps the loads, and is never made. */
constexpr uint32_t NEVER = 0x0badf00du;

__global__ void evict_kernel(const uint4 *data, size_t count, uint32_t *sink)
{
    uint32_t sum = 0;
    const size_t step = static_cast<size_t>(gridDim.x) * THREADS;
    for (size_t i = blockIdx.x * static_cast<size_t>(THREADS) + threadIdx.x; i < count; i += step) {
        const uint4 v = data[i];
        sum |= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (sum == NEVER)
        *sink = sum;
}

} // namespace

extern "C" int ob_evict_launch(const void *data, size_t bytes, void *stream)
{
    const size_t count = bytes / sizeof(uint4);
    /* Scratch is filled with one byte, so that the words of a load cancel out: sum stays 0. */
    evict_kernel<<<1024, THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<const uint4 *>(data), count,
        const_cast<uint32_t *>(static_cast<const uint32_t *>(data)));
    return static_cast<int>(cudaGetLastError());
}
