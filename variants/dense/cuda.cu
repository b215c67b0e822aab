/*
 * dense on CUDA: cublasGemmEx over the unsplit W, as a user calls it: default algorithm, fp16 or
 * bf16 in and out, fp32 accumulation (fp32 without TF32). The denominator of every speed-up.
 *
 * One setting isn't the default: partial sums of a split K may not be rounded to 16 bits. With it
 * allowed, some shapes were wrong by up to 1.2 times what fp32 accumulation can be.
 *
 * A handle costs milliseconds and memory of its own, so each state makes one in prepare, which
 * isn't timed, and lends it a part of the call's workspace (32 MiB, what cuBLAS itself takes on
 * Hopper): nothing is allocated while a launch is recorded. The handle remembers stream and
 * workspace from one function to the next, so calls over one state take turns on the host.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/weights.h"

#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#include <limits.h>
#include <pthread.h>

namespace
{

constexpr size_t WORKSPACE = static_cast<size_t>(32) << 20;

/* Named here because the header overloads it for C++. */
typedef cublasStatus_t gemm_fn(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                               const void *alpha, const void *a, cudaDataType, int lda,
                               const void *b, cudaDataType, int ldb, const void *beta, void *c,
                               cudaDataType, int ldc, cublasComputeType_t, cublasGemmAlgo_t);

struct functions {
    decltype(&cublasCreate_v2) create;
    decltype(&cublasDestroy_v2) destroy;
    decltype(&cublasSetStream_v2) set_stream;
    decltype(&cublasSetWorkspace_v2) set_workspace;
    decltype(&cublasSetMathMode) set_math;
    gemm_fn *gemm;
};

struct state {
    functions f;
    cublasHandle_t handle;
    pthread_mutex_t turn; /* of the handle, on the host */
    int64_t n, k;
    ortho_dtype dtype;
    void *w; /* [n, k] */
};

ortho_status bind(functions *f, const ortho_services *services)
{
    static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so",
                                        nullptr};
    const ortho_cuda_symbol symbols[] = {
        {"cublasCreate_v2", &f->create},        {"cublasDestroy_v2", &f->destroy},
        {"cublasSetStream_v2", &f->set_stream}, {"cublasSetWorkspace_v2", &f->set_workspace},
        {"cublasSetMathMode", &f->set_math},    {"cublasGemmEx", &f->gemm},
    };
    return ortho_cuda_library(names, symbols, sizeof symbols / sizeof *symbols, services);
}

ortho_status supports(const ortho_gemm_problem *problem, const ortho_services *services)
{
    functions f;
    if (problem->n > INT_MAX || problem->k > INT_MAX || problem->m > INT_MAX)
        return services->fail(ORTHO_E_UNSUPPORTED, "cublasGemmEx counts in 32 bits");
    return bind(&f, services);
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    state made = {};
    made.n = problem->n;
    made.k = problem->k;
    made.dtype = problem->dtype;
    ortho_status status = bind(&made.f, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_dense_weights(problem, services, &made.w);
    if (status != ORTHO_OK)
        return status;
    cublasStatus_t created = made.f.create(&made.handle);
    if (created == CUBLAS_STATUS_SUCCESS)
        created = made.f.set_math(made.handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
    if (created != CUBLAS_STATUS_SUCCESS) {
        if (made.handle != nullptr)
            (void)made.f.destroy(made.handle);
        services->free(services->ctx, made.w);
        return services->fail(ORTHO_E_DEVICE, "cublasCreate: status %d", static_cast<int>(created));
    }
    *static_cast<state *>(opaque) = made;
    (void)pthread_mutex_init(&static_cast<state *>(opaque)->turn, nullptr);
    return ORTHO_OK;
}

void release(void *opaque, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    (void)pthread_mutex_destroy(&s->turn);
    (void)s->f.destroy(s->handle);
    services->free(services->ctx, s->w);
    *s = state{};
}

size_t workspace(const void *, int64_t, ortho_dtype)
{
    return WORKSPACE;
}

/* cuBLAS is column-major: W [n, k] by rows is k x n by columns, so y^T = W^T^T x^T. */
cublasStatus_t multiply(const state *s, const ortho_gemm_call *call)
{
    const float one = 1, zero = 0;
    int n = static_cast<int>(s->n), k = static_cast<int>(s->k), m = static_cast<int>(call->m);
    cudaDataType type = s->dtype == ORTHO_F16    ? CUDA_R_16F
                        : s->dtype == ORTHO_BF16 ? CUDA_R_16BF
                                                 : CUDA_R_32F;
    cublasStatus_t status = s->f.set_stream(s->handle, static_cast<cudaStream_t>(call->stream));
    if (status == CUBLAS_STATUS_SUCCESS) /* a stream resets the workspace */
        status = s->f.set_workspace(s->handle, call->workspace, WORKSPACE);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    return s->f.gemm(s->handle, CUBLAS_OP_T, CUBLAS_OP_N, n, m, k, &one, s->w, type, k, call->x,
                     type, k, &zero, call->y, type, n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *s = static_cast<const state *>(opaque);
    if (call->dtype != s->dtype) /* W was rounded to the problem's */
        return ortho_fail(ORTHO_E_UNSUPPORTED, "dense was prepared for %s",
                          ortho_dtype_name(s->dtype));
    pthread_mutex_t *turn = const_cast<pthread_mutex_t *>(&s->turn);
    (void)pthread_mutex_lock(turn);
    cublasStatus_t status = multiply(s, call);
    (void)pthread_mutex_unlock(turn);
    return status == CUBLAS_STATUS_SUCCESS
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_DEVICE, "cublasGemmEx: status %d", static_cast<int>(status));
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

#else

static const ortho_gemm_hooks &gemm = ortho_cuda_headerless_gemm;

#endif

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
