#include "common/error.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/status.h"

#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#include <pthread.h>

namespace
{

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

} // namespace

/* A device's; opened by nobody where users is 0. */
struct ortho_cublas {
    int users;
    functions f;
    cublasHandle_t handle;
    pthread_mutex_t turn; /* of the handle, on the host */
};

namespace
{

constexpr int DEVICES = 64;

pthread_mutex_t all_turn = PTHREAD_MUTEX_INITIALIZER; /* of `of_device` but the handles' use */
ortho_cublas of_device[DEVICES];

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

ortho_status create(ortho_cublas *blas, const ortho_services *services)
{
    const ortho_status status = bind(&blas->f, services);
    if (status != ORTHO_OK)
        return status;
    cublasStatus_t created = blas->f.create(&blas->handle);
    if (created == CUBLAS_STATUS_SUCCESS) {
        created = blas->f.set_math(blas->handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
        if (created == CUBLAS_STATUS_SUCCESS)
            return ORTHO_OK;
        (void)blas->f.destroy(blas->handle);
    }
    return services->fail(ORTHO_E_DEVICE, "cublasCreate: status %d", static_cast<int>(created));
}

/* cuBLAS is column-major: W [n, k] by rows is k x n by columns, so y^T = W^T^T x^T. */
cublasStatus_t multiply(const ortho_cublas *blas, const ortho_cublas_product *p)
{
    const float one = 1, zero = 0;
    const int n = static_cast<int>(p->n), k = static_cast<int>(p->k), m = static_cast<int>(p->m);
    const cudaDataType type = p->dtype == ORTHO_F16    ? CUDA_R_16F
                              : p->dtype == ORTHO_BF16 ? CUDA_R_16BF
                                                       : CUDA_R_32F;
    cublasStatus_t status = blas->f.set_stream(blas->handle, static_cast<cudaStream_t>(p->stream));
    if (status == CUBLAS_STATUS_SUCCESS) /* a stream resets the workspace */
        status = blas->f.set_workspace(blas->handle, p->workspace, ORTHO_CUBLAS_WORKSPACE);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    return blas->f.gemm(blas->handle, CUBLAS_OP_T, CUBLAS_OP_N, n, m, k, &one, p->w, type, k, p->x,
                        type, k, &zero, p->y, type, static_cast<int>(p->y_stride),
                        CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

} // namespace

ortho_status ortho_cublas_supports(const ortho_services *services)
{
    functions f;
    return bind(&f, services);
}

ortho_status ortho_cublas_open(const ortho_services *services, ortho_cublas **out)
{
    int device = 0;
    ortho_status status = ortho_cuda_status(cudaGetDevice(&device), "cudaGetDevice");
    if (status == ORTHO_OK && device >= DEVICES)
        status = services->fail(ORTHO_E_UNSUPPORTED, "cuBLAS is kept for GPUs 0 to %d, not for %d",
                                DEVICES - 1, device);
    if (status != ORTHO_OK)
        return status;
    ortho_cublas *blas = of_device + device;
    (void)pthread_mutex_lock(&all_turn);
    if (blas->users == 0)
        status = create(blas, services);
    if (status == ORTHO_OK && blas->users++ == 0)
        (void)pthread_mutex_init(&blas->turn, nullptr);
    (void)pthread_mutex_unlock(&all_turn);
    *out = status == ORTHO_OK ? blas : nullptr;
    return status;
}

void ortho_cublas_close(ortho_cublas *blas)
{
    if (blas == nullptr)
        return;
    (void)pthread_mutex_lock(&all_turn);
    if (--blas->users == 0) {
        (void)pthread_mutex_destroy(&blas->turn);
        (void)blas->f.destroy(blas->handle);
    }
    (void)pthread_mutex_unlock(&all_turn);
}

ortho_status ortho_cublas_multiply(ortho_cublas *blas, const ortho_cublas_product *product)
{
    (void)pthread_mutex_lock(&blas->turn);
    const cublasStatus_t status = multiply(blas, product);
    (void)pthread_mutex_unlock(&blas->turn);
    return status == CUBLAS_STATUS_SUCCESS
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_DEVICE, "cublasGemmEx: status %d", static_cast<int>(status));
}

#else

ortho_status ortho_cublas_supports(const ortho_services *services)
{
    return ortho_cuda_headerless_gemm.supports(nullptr, services);
}

ortho_status ortho_cublas_open(const ortho_services *services, ortho_cublas **out)
{
    *out = nullptr;
    return ortho_cublas_supports(services);
}

void ortho_cublas_close(ortho_cublas *)
{
}

ortho_status ortho_cublas_multiply(ortho_cublas *, const ortho_cublas_product *)
{
    return ortho_fail(ORTHO_E_UNSUPPORTED, "built without cuBLAS's header");
}

#endif
