/* sieve_csr.h: the state and hooks of a CUDA sieve that emits canonical CSR; variants bring the
 * emission. */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_CSR_H
#define ORTHO_KERNELS_CUDA_SIEVE_CSR_H

#include "kernels/cuda/sieve.h"

#include <cuda_runtime_api.h>

typedef struct ortho_cuda_sieve_csr {
    ortho_cuda_sieve sieve;
    void *col, *val; /* [nnz] u16 or u32; fp16. Purpose OUTPUT */
} ortho_cuda_sieve_csr;

ortho_status ortho_cuda_sieve_csr_prepare(void *state, const ortho_sieve_problem *problem,
                                          const ortho_services *services);
ortho_status ortho_cuda_sieve_csr_export(const void *state, ortho_split *out,
                                         const ortho_services *services);
void ortho_cuda_sieve_csr_release(void *state, const ortho_services *services);

#endif
