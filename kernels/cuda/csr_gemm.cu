#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/status.h"

namespace
{

size_t padded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

size_t addend_bytes(const ortho_cuda_base *base, int64_t m)
{
    return padded(static_cast<size_t>(m * base->n) * sizeof(float));
}

} // namespace

extern "C" ortho_status ortho_cuda_keep(const void *from, size_t bytes, const ortho_services *s,
                                        void **out)
{
    *out = s->alloc(s->ctx, bytes, ORTHO_DEVICE, ORTHO_WEIGHTS);
    if (*out == nullptr)
        return ORTHO_E_MEMORY;
    return ortho_cuda_status(cudaMemcpyAsync(*out, from, bytes, cudaMemcpyHostToDevice,
                                             static_cast<cudaStream_t>(s->stream)),
                             "upload of Ortho");
}

extern "C" ortho_status ortho_cuda_fetch(void *to, const void *from, size_t bytes,
                                         const ortho_services *s)
{
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    ortho_status status = ortho_cuda_status(
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "reading Ortho back");
    return status == ORTHO_OK
               ? ortho_cuda_status(cudaStreamSynchronize(stream), "reading Ortho back")
               : status;
}

extern "C" ortho_status ortho_cuda_csr_prepare(void *state, const ortho_gemm_problem *problem,
                                               const ortho_services *services)
{
    const ortho_split *s = problem->split;
    ortho_cuda_csr made = {};
    size_t entries = static_cast<size_t>(s->nnz), rows = static_cast<size_t>(s->n) + 1;
    size_t col_bytes = entries * ortho_split_col_bytes(s->k), val_bytes = entries * 2;
    ortho_status status = ortho_cuda_base_prepare(&made.base, problem, services);
    if (status != ORTHO_OK)
        return status;
    made.nnz = s->nnz;
    made.bytes = rows * sizeof(int32_t) + col_bytes + val_bytes;
    void *row_ptr = nullptr;
    status = ortho_cuda_keep(s->row_ptr, rows * sizeof(int32_t), services, &row_ptr);
    made.row_ptr = static_cast<int32_t *>(row_ptr);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(s->col, col_bytes, services, &made.col);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(s->val, val_bytes, services, &made.val);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(
            cudaStreamSynchronize(static_cast<cudaStream_t>(services->stream)), "upload of Ortho");
    if (status != ORTHO_OK)
        ortho_cuda_csr_release(&made, services);
    else
        *static_cast<ortho_cuda_csr *>(state) = made;
    return status;
}

extern "C" void ortho_cuda_csr_release(void *state, const ortho_services *services)
{
    ortho_cuda_csr *s = static_cast<ortho_cuda_csr *>(state);
    services->free(services->ctx, s->val);
    services->free(services->ctx, s->col);
    services->free(services->ctx, s->row_ptr);
    ortho_cuda_base_release(&s->base, services);
    *s = ortho_cuda_csr{};
}

extern "C" ortho_status ortho_cuda_csr_export(const void *state, ortho_split *out,
                                              const ortho_services *services)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(state);
    size_t nnz = static_cast<size_t>(s->nnz);
    ortho_status status = ortho_cuda_base_export(&s->base, out, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_fetch(out->row_ptr, s->row_ptr,
                                  static_cast<size_t>(s->base.n + 1) * sizeof(int32_t), services);
    if (status == ORTHO_OK)
        status =
            ortho_cuda_fetch(out->col, s->col, nnz * ortho_split_col_bytes(s->base.k), services);
    return status == ORTHO_OK ? ortho_cuda_fetch(out->val, s->val, nnz * 2, services) : status;
}

extern "C" void ortho_cuda_csr_cost(const void *state, int64_t m, ortho_cost *cost)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(state);
    ortho_cuda_base_cost(&s->base, m, s->nnz, s->bytes, cost);
}

extern "C" size_t ortho_cuda_dual_workspace(const ortho_cuda_base *base, int64_t m)
{
    return addend_bytes(base, m) + ortho_cuda_base_workspace(base, m);
}

extern "C" size_t ortho_cuda_csr_workspace(const void *state, int64_t m, ortho_dtype)
{
    return ortho_cuda_dual_workspace(&static_cast<const ortho_cuda_csr *>(state)->base, m);
}

extern "C" ortho_status ortho_cuda_dual_run(const ortho_cuda_base *base, int64_t nnz,
                                            const ortho_gemm_call *call, const void *state,
                                            ortho_cuda_ortho_fn *ortho)
{
    char *workspace = static_cast<char *>(call->workspace);
    void *rest = workspace + addend_bytes(base, call->m);
    float *addend = reinterpret_cast<float *>(workspace);
    if (call->alpha == 0 || nnz == 0)
        return ortho_cuda_base_run(base, call, nullptr, rest);
    ortho_status status = ortho(state, call, addend);
    return status == ORTHO_OK ? ortho_cuda_base_run(base, call, addend, rest) : status;
}
