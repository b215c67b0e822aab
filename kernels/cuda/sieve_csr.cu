#include "kernels/cuda/sieve_csr.h"

#include "kernels/cuda/status.h"

namespace
{

size_t entries(const ortho_cuda_sieve_csr *s)
{
    return static_cast<size_t>(s->sieve.view.nnz);
}

} // namespace

ortho_status ortho_cuda_sieve_csr_prepare(void *state, const ortho_sieve_problem *problem,
                                          const ortho_services *services)
{
    ortho_cuda_sieve_csr made = {};
    ortho_status status = ortho_cuda_sieve_prepare(&made.sieve, problem, services);
    if (status != ORTHO_OK)
        return status;
    made.col =
        services->alloc(services->ctx, entries(&made) * ortho_split_col_bytes(made.sieve.view.k),
                        ORTHO_DEVICE, ORTHO_OUTPUT);
    made.val = services->alloc(services->ctx, entries(&made) * 2, ORTHO_DEVICE, ORTHO_OUTPUT);
    if (made.col == nullptr || made.val == nullptr) {
        ortho_cuda_sieve_csr_release(&made, services);
        return ORTHO_E_MEMORY;
    }
    *static_cast<ortho_cuda_sieve_csr *>(state) = made;
    return ORTHO_OK;
}

ortho_status ortho_cuda_sieve_csr_export(const void *state, ortho_split *out,
                                         const ortho_services *services)
{
    const ortho_cuda_sieve_csr *s = static_cast<const ortho_cuda_sieve_csr *>(state);
    ortho_status status = ortho_cuda_sieve_export(&s->sieve, out, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaMemcpy(out->col, s->col,
                                              entries(s) * ortho_split_col_bytes(s->sieve.view.k),
                                              cudaMemcpyDeviceToHost),
                                   "reading the columns");
    if (status == ORTHO_OK)
        status =
            ortho_cuda_status(cudaMemcpy(out->val, s->val, entries(s) * 2, cudaMemcpyDeviceToHost),
                              "reading the values");
    return status;
}

void ortho_cuda_sieve_csr_release(void *state, const ortho_services *services)
{
    ortho_cuda_sieve_csr *s = static_cast<ortho_cuda_sieve_csr *>(state);
    services->free(services->ctx, s->val);
    services->free(services->ctx, s->col);
    ortho_cuda_sieve_release(&s->sieve, services);
    *s = ortho_cuda_sieve_csr{};
}
