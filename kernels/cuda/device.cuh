/* device.cuh: what device code of several files needs. */
#ifndef ORTHO_KERNELS_CUDA_DEVICE_CUH
#define ORTHO_KERNELS_CUDA_DEVICE_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

/* Lets the launch behind this one start, where it is a programmatic dependent: sm_90 and newer. */
__device__ __forceinline__ void ortho_cuda_release_dependents()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* Waits until the launch before this one has ended and its writes are visible. */
__device__ __forceinline__ void ortho_cuda_wait_for_previous()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* A block's dynamic shared memory, in 16-byte words. */
__device__ __forceinline__ uint4 *ortho_cuda_dynamic_shared()
{
    extern __shared__ uint4 ortho_cuda_dynamic_words[];
    return ortho_cuda_dynamic_words;
}

/* An element of x as float; T is float, __half or __nv_bfloat16. */
__device__ __forceinline__ float ortho_cuda_float(float v)
{
    return v;
}
__device__ __forceinline__ float ortho_cuda_float(__half v)
{
    return __half2float(v);
}
__device__ __forceinline__ float ortho_cuda_float(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

#endif
