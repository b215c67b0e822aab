/* status.h: CUDA's error codes as ours. Every launch and every call is checked where it is made. */
#ifndef ORTHO_KERNELS_CUDA_STATUS_H
#define ORTHO_KERNELS_CUDA_STATUS_H

#include "common/error.h"

#include <cuda_runtime_api.h>

/* OK, or a failure that names `what` was done and CUDA's own word: MEMORY where the device is full,
 * DEVICE otherwise. */
static inline ortho_status ortho_cuda_status(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return ORTHO_OK;
    return ortho_fail(error == cudaErrorMemoryAllocation ? ORTHO_E_MEMORY : ORTHO_E_DEVICE,
                      "%s: %s (%s)", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

/* The launch just made; clears the error, so that the next launch isn't blamed for it. */
static inline ortho_status ortho_cuda_launched(const char *kernel)
{
    return ortho_cuda_status(cudaGetLastError(), kernel);
}

#endif
