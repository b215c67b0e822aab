/* sieve_csr.h: hooks of a streaming sieve that emits canonical CSR; variants differ in the walk.
 * The state is an ortho_split whose arrays are the outputs. */
#ifndef ORTHO_KERNELS_SIEVE_CSR_H
#define ORTHO_KERNELS_SIEVE_CSR_H

#include "kernels/sieve.h"

typedef struct ortho_sieve_csr {
    ortho_split split;
} ortho_sieve_csr;

ortho_status ortho_sieve_csr_prepare(void *state, const ortho_sieve_problem *problem,
                                     const ortho_services *services);
ortho_status ortho_sieve_csr_run(ortho_sieve_csr *state, const ortho_sieve_problem *problem,
                                 ortho_sieve_walk walk, const ortho_services *services);
ortho_status ortho_sieve_csr_export(const void *state, ortho_split *out,
                                    const ortho_services *services);
void ortho_sieve_csr_release(void *state, const ortho_services *services);

/* Copies all five arrays of a split into one of the same sizes; ARGUMENT when they differ. */
ortho_status ortho_split_copy(const ortho_split *from, ortho_split *to,
                              const ortho_services *services);

/* Copies q and scale only. */
ortho_status ortho_split_copy_base(const ortho_split *from, ortho_split *to,
                                   const ortho_services *services);

#endif
