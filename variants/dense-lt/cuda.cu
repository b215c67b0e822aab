/*
 * dense-lt on CUDA: cublasLtMatmul over the unsplit W with the best of its own heuristics: prepare
 * asks for up to CANDIDATES algorithms, times each on the real operands and keeps the fastest. It
 * stands beside dense, which is what users call; a reduction in less than fp32 isn't asked for, so
 * that the result is the product.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/status.h"
#include "kernels/cuda/weights.h"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <float.h>

namespace
{

constexpr size_t WORKSPACE = static_cast<size_t>(32) << 20;
constexpr int CANDIDATES = 8, LAUNCHES = 5;

struct functions {
    decltype(&cublasLtCreate) create;
    decltype(&cublasLtDestroy) destroy;
    decltype(&cublasLtMatmul) matmul;
    decltype(&cublasLtMatmulDescCreate) desc_create;
    decltype(&cublasLtMatmulDescDestroy) desc_destroy;
    decltype(&cublasLtMatmulDescSetAttribute) desc_set;
    decltype(&cublasLtMatrixLayoutCreate) layout_create;
    decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
    decltype(&cublasLtMatmulPreferenceCreate) preference_create;
    decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
    decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
    decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
};

struct state {
    functions f;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t w_layout, x_layout, y_layout; /* of the problem's m */
    cublasLtMatmulAlgo_t algorithm;
    int64_t n, k, m;
    ortho_dtype dtype;
    void *w; /* [n, k] */
};

ortho_status bind(functions *f, const ortho_services *services)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                        nullptr};
    const ortho_cuda_symbol symbols[] = {
        {"cublasLtCreate", &f->create},
        {"cublasLtDestroy", &f->destroy},
        {"cublasLtMatmul", &f->matmul},
        {"cublasLtMatmulDescCreate", &f->desc_create},
        {"cublasLtMatmulDescDestroy", &f->desc_destroy},
        {"cublasLtMatmulDescSetAttribute", &f->desc_set},
        {"cublasLtMatrixLayoutCreate", &f->layout_create},
        {"cublasLtMatrixLayoutDestroy", &f->layout_destroy},
        {"cublasLtMatmulPreferenceCreate", &f->preference_create},
        {"cublasLtMatmulPreferenceDestroy", &f->preference_destroy},
        {"cublasLtMatmulPreferenceSetAttribute", &f->preference_set},
        {"cublasLtMatmulAlgoGetHeuristic", &f->heuristic},
    };
    return ortho_cuda_library(names, symbols, sizeof symbols / sizeof *symbols, services);
}

ortho_status supports(const ortho_gemm_problem *, const ortho_services *services)
{
    functions f;
    return bind(&f, services);
}

cudaDataType type_of(ortho_dtype dtype)
{
    return dtype == ORTHO_F16 ? CUDA_R_16F : dtype == ORTHO_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* Column-major: y^T [n, m] = (W^T)^T [n, k] * x^T [k, m]. */
cublasStatus_t describe(state *s)
{
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const uint64_t n = static_cast<uint64_t>(s->n), k = static_cast<uint64_t>(s->k),
                   m = static_cast<uint64_t>(s->m);
    cudaDataType type = type_of(s->dtype);
    cublasStatus_t status = s->f.desc_create(&s->product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS)
        status =
            s->f.desc_set(s->product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = s->f.layout_create(&s->w_layout, type, k, n, s->k);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = s->f.layout_create(&s->x_layout, type, k, m, s->k);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = s->f.layout_create(&s->y_layout, type, n, m, s->n);
    return status;
}

struct operands {
    const void *x;
    void *y, *workspace;
    cudaStream_t stream;
};

cublasStatus_t multiply(const state *s, const cublasLtMatmulAlgo_t *algorithm, const operands *o)
{
    const float one = 1, zero = 0;
    return s->f.matmul(s->handle, s->product, &one, s->w, s->w_layout, o->x, s->x_layout, &zero,
                       o->y, s->y_layout, o->y, s->y_layout, algorithm, o->workspace, WORKSPACE,
                       o->stream);
}

/* Microseconds of one launch, the least of several; FLT_MAX where it can't run. */
float time_one(const state *s, const cublasLtMatmulAlgo_t *algorithm, const operands *o,
               cudaEvent_t start, cudaEvent_t stop)
{
    float least = FLT_MAX;
    for (int i = 0; i < LAUNCHES; i++) {
        float ms = 0;
        if (cudaEventRecord(start, o->stream) != cudaSuccess ||
            multiply(s, algorithm, o) != CUBLAS_STATUS_SUCCESS ||
            cudaEventRecord(stop, o->stream) != cudaSuccess ||
            cudaStreamSynchronize(o->stream) != cudaSuccess ||
            cudaEventElapsedTime(&ms, start, stop) != cudaSuccess)
            return FLT_MAX;
        least = i > 0 && ms < least ? ms : least; /* the first one warms up */
    }
    return least;
}

ortho_status ask(const state *s, cublasLtMatmulHeuristicResult_t *results, int *count,
                 const ortho_services *services)
{
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_INPLACE |
                             CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const size_t workspace = WORKSPACE;
    cublasLtMatmulPreference_t preference = nullptr;
    cublasStatus_t status = s->f.preference_create(&preference);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = s->f.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                     &workspace, sizeof workspace);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = s->f.preference_set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                     &schemes, sizeof schemes);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = s->f.heuristic(s->handle, s->product, s->w_layout, s->x_layout, s->y_layout,
                                s->y_layout, preference, CANDIDATES, results, count);
    if (preference != nullptr)
        (void)s->f.preference_destroy(preference);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && *count == 0))
        return services->fail(ORTHO_E_UNSUPPORTED, "cuBLASLt has no algorithm for this product");
    return status == CUBLAS_STATUS_SUCCESS
               ? ORTHO_OK
               : services->fail(ORTHO_E_DEVICE, "cublasLt's heuristic: status %d",
                                static_cast<int>(status));
}

/* Times the candidates over operands of zeros, which is enough to rank them. */
ortho_status search(state *s, const ortho_services *services)
{
    cublasLtMatmulHeuristicResult_t results[CANDIDATES];
    int count = 0;
    size_t element = s->dtype == ORTHO_F32 ? 4 : 2;
    size_t x = static_cast<size_t>(s->m * s->k) * element;
    size_t y = static_cast<size_t>(s->m * s->n) * element;
    ortho_status status = ask(s, results, &count, services);
    if (status != ORTHO_OK)
        return status;
    void *room[3] = {services->alloc(services->ctx, x, ORTHO_DEVICE, ORTHO_WORKING),
                     services->alloc(services->ctx, y, ORTHO_DEVICE, ORTHO_WORKING),
                     services->alloc(services->ctx, WORKSPACE, ORTHO_DEVICE, ORTHO_WORKING)};
    operands o = {room[0], room[1], room[2], static_cast<cudaStream_t>(services->stream)};
    cudaEvent_t start = nullptr, stop = nullptr;
    if (room[0] == nullptr || room[1] == nullptr || room[2] == nullptr)
        status = ORTHO_E_MEMORY;
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaMemsetAsync(room[0], 0, x, o.stream), "clearing x");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaEventCreate(&start), "an event");
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaEventCreate(&stop), "an event");
    float least = FLT_MAX;
    for (int i = 0; status == ORTHO_OK && i < count; i++) {
        float ms = time_one(s, &results[i].algo, &o, start, stop);
        if (ms < least) {
            least = ms;
            s->algorithm = results[i].algo;
        }
    }
    if (status == ORTHO_OK && least == FLT_MAX)
        status = services->fail(ORTHO_E_UNSUPPORTED, "none of cuBLASLt's algorithms ran");
    (void)cudaGetLastError();
    if (start != nullptr)
        (void)cudaEventDestroy(start);
    if (stop != nullptr)
        (void)cudaEventDestroy(stop);
    for (int i = 3; i-- > 0;)
        services->free(services->ctx, room[i]);
    return status;
}

void release(void *opaque, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    cublasLtMatrixLayout_t layouts[] = {s->w_layout, s->x_layout, s->y_layout};
    for (cublasLtMatrixLayout_t layout : layouts)
        if (layout != nullptr)
            (void)s->f.layout_destroy(layout);
    if (s->product != nullptr)
        (void)s->f.desc_destroy(s->product);
    if (s->handle != nullptr)
        (void)s->f.destroy(s->handle);
    services->free(services->ctx, s->w);
    *s = state{};
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    state made = {};
    made.n = problem->n;
    made.k = problem->k;
    made.m = problem->m;
    made.dtype = problem->dtype;
    ortho_status status = bind(&made.f, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_dense_weights(problem, services, &made.w);
    if (status != ORTHO_OK)
        return status;
    cublasStatus_t created = made.f.create(&made.handle);
    if (created == CUBLAS_STATUS_SUCCESS)
        created = describe(&made);
    if (created != CUBLAS_STATUS_SUCCESS)
        status = services->fail(ORTHO_E_DEVICE, "cublasLt: status %d", static_cast<int>(created));
    if (status == ORTHO_OK)
        status = search(&made, services);
    if (status != ORTHO_OK)
        release(&made, services);
    else
        *static_cast<state *>(opaque) = made;
    return status;
}

size_t workspace(const void *, int64_t, ortho_dtype)
{
    return WORKSPACE;
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *s = static_cast<const state *>(opaque);
    if (call->m != s->m || call->dtype != s->dtype)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "dense-lt was prepared for %lld tokens of %s",
                          static_cast<long long>(s->m), ortho_dtype_name(s->dtype));
    operands o = {call->x, call->y, call->workspace, static_cast<cudaStream_t>(call->stream)};
    cublasStatus_t status = multiply(s, &s->algorithm, &o);
    return status == CUBLAS_STATUS_SUCCESS
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_DEVICE, "cublasLtMatmul: status %d", static_cast<int>(status));
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

extern "C" const ortho_variant ortho_variant_dense_lt_cuda;
const ortho_variant ortho_variant_dense_lt_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "dense-lt",
    .summary = "the fastest of cublasLt's heuristics over the unsplit weights",
    .backend = ORTHO_CUDA,
    .role = ORTHO_BASELINE,
    .gemm = &gemm,
};
