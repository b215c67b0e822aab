/* Kernels whose counts are known beforehand (selftest.h). Each is as plain as its count demands. */
#include "harness/selftest_kernels.h"

#include <cstdint>
#include <cuda_runtime.h>

namespace
{

constexpr int BLOCKS = OB_SELFTEST_BLOCKS, THREADS = OB_SELFTEST_THREADS, WARP = 32;

__device__ __forceinline__ int thread_number()
{
    return static_cast<int>(blockIdx.x) * THREADS + static_cast<int>(threadIdx.x);
}

constexpr int LOOP_FIRST = __LINE__;
/* Unlike trip counts alone tear the warp: at each multiple of the step one lane leaves. */
__device__ __forceinline__ uint32_t ramp(uint32_t trips, uint32_t value)
{
#pragma unroll 1
    for (uint32_t i = 0; i < trips; i++)
        value = value * 1664525u + 1013904223u;
    return value;
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"selftest_ramp", __FILE__, LOOP_FIRST, LOOP_LAST};

__global__ void __launch_bounds__(THREADS) selftest_ramp(uint32_t *out)
{
    const uint32_t lane = threadIdx.x % WARP;
    out[thread_number()] = ramp((lane + 1) * OB_SELFTEST_STEP, threadIdx.x);
}

/* Each lane reads its own row of 32 words: all 32 lanes want the one bank. */
__global__ void __launch_bounds__(THREADS) selftest_banks(uint32_t *out)
{
    __shared__ uint32_t words[WARP * WARP];
    for (int i = static_cast<int>(threadIdx.x); i < WARP * WARP; i += THREADS)
        words[i] = static_cast<uint32_t>(i);
    __syncthreads();
    const volatile uint32_t *row = words + threadIdx.x % WARP * WARP;
    uint32_t sum = 0;
    for (int i = 0; i < OB_SELFTEST_READS; i++)
        sum += row[i % WARP];
    out[thread_number()] = sum;
}

__global__ void __launch_bounds__(THREADS) selftest_copy(const uint4 *from, uint4 *to, size_t count)
{
    const size_t step = static_cast<size_t>(gridDim.x) * THREADS;
    for (size_t i = static_cast<size_t>(thread_number()); i < count; i += step)
        to[i] = from[i];
}

/* 96 values that are all in use until the end, and no registers for a third of them: blocks of 1024
 * threads leave a thread 64. */
__global__ void __launch_bounds__(1024) selftest_spill(float *out, float x)
{
    constexpr int VALUES = 96;
    float value[VALUES];
    const float own = static_cast<float>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < VALUES; i++)
        value[i] = own * x + static_cast<float>(i);
#pragma unroll 1
    for (int round = 0; round < 4; round++)
#pragma unroll
        for (int i = 0; i < VALUES; i++)
            value[i] = value[i] * value[(i + 1) % VALUES] + x;
    float sum = 0;
#pragma unroll
    for (int i = 0; i < VALUES; i++)
        sum += value[i];
    out[thread_number()] = sum;
}

__global__ void __launch_bounds__(THREADS) selftest_fma(float *out, float x, float y)
{
    float value = static_cast<float>(threadIdx.x);
    for (int i = 0; i < OB_SELFTEST_FMAS; i++)
        value = __fmaf_rn(value, x, y);
    out[thread_number()] = value;
}

} // namespace

extern "C" int ob_selftest_launch(ob_selftest_kernel kernel, const ob_selftest_memory *memory)
{
    switch (kernel) {
    case OB_SELFTEST_RAMP:
        selftest_ramp<<<BLOCKS, THREADS>>>(static_cast<uint32_t *>(memory->to));
        break;
    case OB_SELFTEST_BANKS:
        selftest_banks<<<BLOCKS, THREADS>>>(static_cast<uint32_t *>(memory->to));
        break;
    case OB_SELFTEST_COPY:
        selftest_copy<<<1024, THREADS>>>(static_cast<const uint4 *>(memory->from),
                                         static_cast<uint4 *>(memory->to),
                                         memory->bytes / sizeof(uint4));
        break;
    case OB_SELFTEST_SPILL:
        selftest_spill<<<BLOCKS, THREADS>>>(static_cast<float *>(memory->to), 0.5f);
        break;
    case OB_SELFTEST_FMA:
        selftest_fma<<<BLOCKS, THREADS>>>(static_cast<float *>(memory->to), 0.5f, 1.0f);
        break;
    default:
        return static_cast<int>(cudaErrorInvalidValue);
    }
    return static_cast<int>(cudaGetLastError());
}

extern "C" const ortho_loop *ob_selftest_loop(void)
{
    return &loop;
}
