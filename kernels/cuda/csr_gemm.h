/*
 * csr_gemm.h: what the CUDA variants over CSR share: Base, the canonical row_ptr, col and val in
 * device memory, and the order of a call: the variant's Ortho kernel writes alpha * x * Ortho^T in
 * fp32 into the workspace, then Base adds it. With alpha = 0 or without entries Ortho isn't
 * launched at all: what that saves is the price of launching it apart.
 */
#ifndef ORTHO_KERNELS_CUDA_CSR_GEMM_H
#define ORTHO_KERNELS_CUDA_CSR_GEMM_H

#include "kernels/cuda/base_gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The state of a variant over CSR. Device memory, purpose WEIGHTS. */
typedef struct ortho_cuda_csr {
    ortho_cuda_base base;
    int64_t nnz;
    int32_t *row_ptr; /* [n+1] */
    void *col;        /* [nnz] uint16_t, or uint32_t where k > 65536 */
    void *val;        /* [nnz] fp16 */
    size_t bytes;     /* of the three */
} ortho_cuda_csr;

ortho_status ortho_cuda_csr_prepare(void *state, const ortho_gemm_problem *problem,
                                    const ortho_services *services);
void ortho_cuda_csr_release(void *state, const ortho_services *services);
ortho_status ortho_cuda_csr_export(const void *state, ortho_split *out,
                                   const ortho_services *services);
void ortho_cuda_csr_cost(const void *state, int64_t m, ortho_cost *cost);

/* The addend of a call, [m, n] fp32, and what Base itself needs behind it. */
size_t ortho_cuda_dual_workspace(const ortho_cuda_base *base, int64_t m);
size_t ortho_cuda_csr_workspace(const void *state, int64_t m, ortho_dtype dtype);

/* Launches a variant's Ortho kernel: alpha * x * Ortho^T into addend. */
typedef ortho_status ortho_cuda_ortho_fn(const void *state, const ortho_gemm_call *call,
                                         float *addend);

/* One call: Ortho (unless there is nothing of it), then Base. */
ortho_status ortho_cuda_dual_run(const ortho_cuda_base *base, int64_t nnz,
                                 const ortho_gemm_call *call, const void *state,
                                 ortho_cuda_ortho_fn *ortho);

/* An array of the host copied into device memory (purpose WEIGHTS), on services->stream, not waited
 * for: `from` must stay until the stream has been waited for. */
ortho_status ortho_cuda_keep(const void *from, size_t bytes, const ortho_services *services,
                             void **out);

/* Back into an array of the host; waits for services->stream. */
ortho_status ortho_cuda_fetch(void *to, const void *from, size_t bytes,
                              const ortho_services *services);

#ifdef __cplusplus
}
#endif
#endif
