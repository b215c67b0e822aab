/*
 * csr_gemm.h: the dual GEMM of a variant that keeps Ortho as CSR: Base shared by all competitors,
 * Ortho patched onto each block of rows. What differs between two such variants is the patch.
 *
 * The hooks below are those of ortho_gemm_hooks over this state; a variant's own prepare calls
 * ortho_csr_gemm_prepare with its patch.
 */
#ifndef ORTHO_KERNELS_CSR_GEMM_H
#define ORTHO_KERNELS_CSR_GEMM_H

#include "kernels/spmm.h"

/* Adds alpha times the product of a block's rows of Ortho to its sums. */
typedef void (*ortho_csr_patch)(const ortho_csr *, const ortho_patch *);

typedef struct ortho_csr_gemm {
    ortho_base base;
    ortho_csr ortho;
    ortho_csr_patch patch;
} ortho_csr_gemm;

ortho_status ortho_csr_gemm_prepare(ortho_csr_gemm *state, ortho_csr_patch patch,
                                    const ortho_gemm_problem *problem,
                                    const ortho_services *services);
void ortho_csr_gemm_release(void *state, const ortho_services *services);
size_t ortho_csr_gemm_workspace(const void *state, int64_t m, ortho_dtype dtype);
ortho_status ortho_csr_gemm_run(const void *state, const ortho_gemm_call *call);
ortho_status ortho_csr_gemm_export(const void *state, ortho_split *out,
                                   const ortho_services *services);
void ortho_csr_gemm_cost(const void *state, int64_t m, ortho_cost *out);

#endif
