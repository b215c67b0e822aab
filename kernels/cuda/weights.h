/* weights.h: the unsplit W in device memory, as a user of a dense product holds it. */
#ifndef ORTHO_KERNELS_CUDA_WEIGHTS_H
#define ORTHO_KERNELS_CUDA_WEIGHTS_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* W [n, k] of the problem, contiguous, rounded to the problem's dtype, in device memory of purpose
 * WEIGHTS that the caller frees. UNSUPPORTED where the problem brings no W. */
ortho_status ortho_cuda_dense_weights(const ortho_gemm_problem *problem,
                                      const ortho_services *services, void **out);

/* What a dense product must move and compute. */
void ortho_cuda_dense_cost(int64_t n, int64_t k, int64_t m, ortho_dtype dtype, ortho_cost *cost);

#ifdef __cplusplus
}
#endif
#endif
