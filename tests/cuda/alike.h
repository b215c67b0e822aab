/* alike.h: whether outputs that lie one behind the other in device memory have the same bits. */
#ifndef ORTHO_TESTS_CUDA_ALIKE_H
#define ORTHO_TESTS_CUDA_ALIKE_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The number of the first of `count` outputs of `bytes` each (a multiple of 4) that differs from
 * the wanted one, into *first; -1 where there is none. Waits for the stream. */
cudaError_t find_unlike(const void *wanted, const void *outputs, size_t bytes, int count,
                        cudaStream_t stream, int *first);

#ifdef __cplusplus
}
#endif

#endif
