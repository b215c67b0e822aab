/* sieve_csr.cuh: the run and kernels hooks of sieves that emit canonical CSR, around the one kernel
 * that differs. An emission has
 *
 *   NAME     its kernel's
 *   PLACE    ortho_sieve_place: BEHIND where the kernel waits for the one before it
 *   THREADS  of a block; ROWS that a block takes
 *   kernel<R, C>()   the function for a reader and a type of columns: (view, C *cols, uint16_t
 * *vals)
 */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_CSR_CUH
#define ORTHO_KERNELS_CUDA_SIEVE_CSR_CUH

#include "kernels/cuda/sieve_csr.h"
#include "kernels/cuda/sieve_device.cuh"
#include "kernels/cuda/sieve_kernels.h"

namespace ortho_sieve
{

/* Calls f with a reader and a value of the type of columns: 16 bits hold up to 65,536 of them. */
template <typename F> void with_columns(const ortho_cuda_sieve_csr *s, F f)
{
    with_reader(s->sieve.view, s->sieve.dtype, [&](auto type) {
        s->sieve.view.k > 65536 ? f(type, uint32_t()) : f(type, uint16_t());
    });
}

template <typename EMISSION>
ortho_status run_csr(void *state, const ortho_sieve_problem *problem,
                     const ortho_services *services)
{
    ortho_cuda_sieve_csr *s = static_cast<ortho_cuda_sieve_csr *>(state);
    ortho_status status = ortho_cuda_sieve_run(&s->sieve, problem, services);
    if (status != ORTHO_OK || s->sieve.view.nnz == 0)
        return status;
    const view &v = s->sieve.view;
    const unsigned blocks = static_cast<unsigned>((v.n + EMISSION::ROWS - 1) / EMISSION::ROWS);
    with_columns(s, [&](auto type, auto column) {
        typedef decltype(column) C;
        status = ortho_sieve_launch(
            EMISSION::NAME, EMISSION::PLACE, EMISSION::template kernel<decltype(type), C>(),
            {blocks, EMISSION::THREADS, 0}, static_cast<cudaStream_t>(services->stream), v,
            static_cast<C *>(s->col), static_cast<uint16_t *>(s->val));
    });
    return status;
}

template <typename EMISSION>
void report_csr_kernels(const void *state, const ortho_kernel_sink *sink)
{
    const ortho_cuda_sieve_csr *s = static_cast<const ortho_cuda_sieve_csr *>(state);
    ortho_cuda_sieve_kernels(&s->sieve, sink);
    with_columns(s, [&](auto type, auto column) {
        ortho_cuda_kernel_report(
            EMISSION::NAME,
            (const void *)EMISSION::template kernel<decltype(type), decltype(column)>(),
            EMISSION::THREADS, 0, sink);
    });
}

} // namespace ortho_sieve

#endif
