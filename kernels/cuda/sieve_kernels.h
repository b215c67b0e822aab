/* sieve_kernels.h: the launches that make up a streaming sieve, each on a stream, each checked. */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_KERNELS_H
#define ORTHO_KERNELS_CUDA_SIEVE_KERNELS_H

#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/sieve.h"
#include "kernels/cuda/status.h"

/* H and, by rule, scales and q or the rows' squares. */
ortho_status ortho_sieve_launch_statistics(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                                           cudaStream_t stream);

/* Scales and q, where the statistics didn't make them. */
ortho_status ortho_sieve_launch_fit(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                                    cudaStream_t stream);

/* The cut of `need` entries by magnitude, or by score; scores also fill row_ptr. */
ortho_status ortho_sieve_launch_select(const ortho_cuda_sieve_view &v, bool scores, int64_t need,
                                       ortho_dtype dtype, cudaStream_t stream);

/* The last step of a selection: does nothing unless the ones before left it undecided. */
ortho_status ortho_sieve_launch_exact(const ortho_cuda_sieve_view &v, bool scores, int64_t need,
                                      ortho_dtype dtype, cudaStream_t stream);

void ortho_sieve_report_statistics(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                                   const ortho_kernel_sink *sink);
void ortho_sieve_report_select(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                               const ortho_kernel_sink *sink);

void ortho_sieve_report_exact(ortho_dtype dtype, const ortho_kernel_sink *sink);

/* Whether a selection of `need` entries starts from a sample. */
bool ortho_sieve_is_sampled(const ortho_cuda_sieve_view &v, int64_t need);

#endif
