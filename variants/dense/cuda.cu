/*
 * dense on CUDA: cublasGemmEx over the unsplit W (kernels/cuda/blas.h). The denominator of every
 * speed-up.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/weights.h"

#include <limits.h>

namespace
{

struct state {
    ortho_cublas *blas;
    int64_t n, k;
    ortho_dtype dtype;
    void *w; /* [n, k] */
};

ortho_status supports(const ortho_gemm_problem *problem, const ortho_services *services)
{
    if (problem->n > INT_MAX || problem->k > INT_MAX || problem->m > INT_MAX)
        return services->fail(ORTHO_E_UNSUPPORTED, "cublasGemmEx counts in 32 bits");
    return ortho_cublas_supports(services);
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    state made = {};
    made.n = problem->n;
    made.k = problem->k;
    made.dtype = problem->dtype;
    ortho_status status = ortho_cublas_open(services, &made.blas);
    if (status != ORTHO_OK)
        return status;
    status = ortho_cuda_dense_weights(problem, services, &made.w);
    if (status != ORTHO_OK)
        ortho_cublas_close(made.blas);
    else
        *static_cast<state *>(opaque) = made;
    return status;
}

void release(void *opaque, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    ortho_cublas_close(s->blas);
    services->free(services->ctx, s->w);
    *s = state{};
}

size_t workspace(const void *, int64_t, ortho_dtype)
{
    return ORTHO_CUBLAS_WORKSPACE;
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *s = static_cast<const state *>(opaque);
    if (call->dtype != s->dtype) /* W was rounded to the problem's */
        return ortho_fail(ORTHO_E_UNSUPPORTED, "dense was prepared for %s",
                          ortho_dtype_name(s->dtype));
    const ortho_cublas_product product = {
        .n = s->n,
        .k = s->k,
        .m = call->m,
        .y_stride = s->n,
        .dtype = s->dtype,
        .w = s->w,
        .x = call->x,
        .y = call->y,
        .workspace = call->workspace,
        .stream = call->stream,
    };
    return ortho_cublas_multiply(s->blas, &product);
}

void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *s = static_cast<const state *>(opaque);
    ortho_cuda_dense_cost(s->n, s->k, m, s->dtype, out);
}

const ortho_gemm_hooks gemm = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_UNSPLIT,
    .supports = supports,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
};

} // namespace

extern "C" const ortho_variant ortho_variant_dense_cuda;
const ortho_variant ortho_variant_dense_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "dense",
    .summary = "cublasGemmEx over the unsplit weights: what a user would otherwise call",
    .backend = ORTHO_CUDA,
    .role = ORTHO_BASELINE,
    .gemm = &gemm,
};
