/*
 * cusparse on CUDA: Base, and cuSPARSE for Ortho: SpMV for one token, SpMM for more. What a user
 * would otherwise pick for the sparse half. It leaves alpha * x * Ortho^T in fp32 as Base's addend.
 *
 * fp16 activations go with the split's fp16 values; for bf16 and fp32 the values are kept as fp32
 * (bf16 can't hold them) and bf16 activations are converted to fp32 in the workspace first. The
 * handle is the state's own, and calls over one state take turns on the host, since it remembers
 * its stream; descriptors are made a call, on the host, since x and y change. Buffers are sized in
 * prepare. Nothing is preprocessed: that would tie the matrix to one buffer, and a call brings its
 * own.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/library.h"
#include "kernels/cuda/status.h"

#if __has_include(<cusparse.h>)
#include <cusparse.h>
#include <pthread.h>

namespace
{

struct functions {
    decltype(&cusparseCreate) create;
    decltype(&cusparseDestroy) destroy;
    decltype(&cusparseSetStream) set_stream;
    decltype(&cusparseCreateCsr) create_csr;
    decltype(&cusparseDestroySpMat) destroy_matrix;
    decltype(&cusparseCreateDnVec) create_vector;
    decltype(&cusparseDestroyDnVec) destroy_vector;
    decltype(&cusparseCreateDnMat) create_dense;
    decltype(&cusparseDestroyDnMat) destroy_dense;
    decltype(&cusparseSpMV_bufferSize) spmv_size;
    decltype(&cusparseSpMV) spmv;
    decltype(&cusparseSpMM_bufferSize) spmm_size;
    decltype(&cusparseSpMM) spmm;
};

struct state {
    functions f;
    cusparseHandle_t handle;
    pthread_mutex_t turn; /* of the handle, on the host */
    ortho_cuda_base base;
    int64_t nnz, m;
    void *row_ptr, *col, *val; /* i32 [n+1], i32 [nnz], fp16 or fp32 [nnz] */
    size_t bytes, buffer;      /* of the three; what cuSPARSE asks for at m tokens */
};

ortho_status bind(functions *f, const ortho_services *services)
{
    static const char *const names[] = {"libcusparse.so.12", "libcusparse.so.13", "libcusparse.so",
                                        nullptr};
    const ortho_cuda_symbol symbols[] = {
        {"cusparseCreate", &f->create},
        {"cusparseDestroy", &f->destroy},
        {"cusparseSetStream", &f->set_stream},
        {"cusparseCreateCsr", &f->create_csr},
        {"cusparseDestroySpMat", &f->destroy_matrix},
        {"cusparseCreateDnVec", &f->create_vector},
        {"cusparseDestroyDnVec", &f->destroy_vector},
        {"cusparseCreateDnMat", &f->create_dense},
        {"cusparseDestroyDnMat", &f->destroy_dense},
        {"cusparseSpMV_bufferSize", &f->spmv_size},
        {"cusparseSpMV", &f->spmv},
        {"cusparseSpMM_bufferSize", &f->spmm_size},
        {"cusparseSpMM", &f->spmm},
    };
    return ortho_cuda_library(names, symbols, sizeof symbols / sizeof *symbols, services);
}

ortho_status supports(const ortho_gemm_problem *, const ortho_services *services)
{
    functions f;
    return bind(&f, services);
}

size_t padded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

cudaDataType type_of(const state *s)
{
    return s->base.dtype == ORTHO_F16 ? CUDA_R_16F : CUDA_R_32F;
}

/* Where a call's temporaries lie in its workspace. */
struct places {
    size_t addend, x, buffer, base, end;
};

places places_of(const state *s, int64_t m)
{
    places p = {};
    size_t tokens = static_cast<size_t>(m), n = static_cast<size_t>(s->base.n),
           k = static_cast<size_t>(s->base.k);
    p.x = padded(tokens * n * sizeof(float));
    p.buffer = p.x + (s->base.dtype == ORTHO_BF16 ? padded(tokens * k * sizeof(float)) : 0);
    p.base = p.buffer + padded(s->buffer);
    p.end = p.base + ortho_cuda_base_workspace(&s->base, m);
    return p;
}

/* ---- one product ----------------------------------------------------------------------------- */

/* cuSPARSE's descriptors of a call. */
struct product {
    cusparseSpMatDescr_t matrix;
    cusparseDnVecDescr_t x, y;   /* one token */
    cusparseDnMatDescr_t xs, ys; /* several: column-major [k, m] and [n, m] */
};

cusparseStatus_t open_product(const state *s, int64_t m, const void *x, float *y, product *out)
{
    cudaDataType type = type_of(s);
    *out = product{};
    cusparseStatus_t status =
        s->f.create_csr(&out->matrix, s->base.n, s->base.k, s->nnz, s->row_ptr, s->col, s->val,
                        CUSPARSE_INDEX_32I, CUSPARSE_INDEX_32I, CUSPARSE_INDEX_BASE_ZERO, type);
    if (status == CUSPARSE_STATUS_SUCCESS && m == 1)
        status = s->f.create_vector(&out->x, s->base.k, const_cast<void *>(x), type);
    if (status == CUSPARSE_STATUS_SUCCESS && m == 1)
        status = s->f.create_vector(&out->y, s->base.n, y, CUDA_R_32F);
    if (status == CUSPARSE_STATUS_SUCCESS && m > 1)
        status = s->f.create_dense(&out->xs, s->base.k, m, s->base.k, const_cast<void *>(x), type,
                                   CUSPARSE_ORDER_COL);
    if (status == CUSPARSE_STATUS_SUCCESS && m > 1)
        status =
            s->f.create_dense(&out->ys, s->base.n, m, s->base.n, y, CUDA_R_32F, CUSPARSE_ORDER_COL);
    return status;
}

void close_product(const state *s, product *p)
{
    if (p->ys != nullptr)
        (void)s->f.destroy_dense(p->ys);
    if (p->xs != nullptr)
        (void)s->f.destroy_dense(p->xs);
    if (p->y != nullptr)
        (void)s->f.destroy_vector(p->y);
    if (p->x != nullptr)
        (void)s->f.destroy_vector(p->x);
    if (p->matrix != nullptr)
        (void)s->f.destroy_matrix(p->matrix);
}

/* buffer NULL: only asks how many bytes it needs. */
cusparseStatus_t multiply(const state *s, int64_t m, float alpha, const product *p, void *buffer,
                          size_t *bytes)
{
    const float zero = 0;
    const cusparseOperation_t plain = CUSPARSE_OPERATION_NON_TRANSPOSE;
    if (m == 1)
        return bytes != nullptr ? s->f.spmv_size(s->handle, plain, &alpha, p->matrix, p->x, &zero,
                                                 p->y, CUDA_R_32F, CUSPARSE_SPMV_ALG_DEFAULT, bytes)
                                : s->f.spmv(s->handle, plain, &alpha, p->matrix, p->x, &zero, p->y,
                                            CUDA_R_32F, CUSPARSE_SPMV_ALG_DEFAULT, buffer);
    return bytes != nullptr
               ? s->f.spmm_size(s->handle, plain, plain, &alpha, p->matrix, p->xs, &zero, p->ys,
                                CUDA_R_32F, CUSPARSE_SPMM_ALG_DEFAULT, bytes)
               : s->f.spmm(s->handle, plain, plain, &alpha, p->matrix, p->xs, &zero, p->ys,
                           CUDA_R_32F, CUSPARSE_SPMM_ALG_DEFAULT, buffer);
}

__global__ void widen(const __nv_bfloat16 *from, int64_t count, float *to)
{
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < count;
         i += static_cast<int64_t>(gridDim.x) * blockDim.x)
        to[i] = __bfloat162float(from[i]);
}

/* ---- hooks ----------------------------------------------------------------------------------- */

/* Columns as i32, values as they are multiplied, row_ptr: host copies, then the device's. */
ortho_status upload(state *s, const ortho_split *split, const ortho_services *services)
{
    size_t nnz = static_cast<size_t>(split->nnz), rows = static_cast<size_t>(split->n) + 1;
    bool wide = type_of(s) == CUDA_R_32F;
    size_t val_bytes = nnz * (wide ? sizeof(float) : sizeof(uint16_t));
    int32_t *col = static_cast<int32_t *>(
        services->alloc(services->ctx, nnz * sizeof(int32_t), ORTHO_HOST, ORTHO_WORKING));
    float *val = static_cast<float *>(
        services->alloc(services->ctx, nnz * sizeof(float), ORTHO_HOST, ORTHO_WORKING));
    ortho_status status = col != nullptr && val != nullptr ? ORTHO_OK : ORTHO_E_MEMORY;
    for (size_t i = 0; status == ORTHO_OK && i < nnz; i++) {
        col[i] = static_cast<int32_t>(ortho_split_col(split, static_cast<int64_t>(i)));
        val[i] = __half2float(reinterpret_cast<const __half *>(split->val)[i]);
    }
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(split->row_ptr, rows * sizeof(int32_t), services, &s->row_ptr);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(col, nnz * sizeof(int32_t), services, &s->col);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(wide ? static_cast<const void *>(val) : split->val, val_bytes,
                                 services, &s->val);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(
            cudaStreamSynchronize(static_cast<cudaStream_t>(services->stream)), "upload of Ortho");
    services->free(services->ctx, val);
    services->free(services->ctx, col);
    s->bytes = rows * sizeof(int32_t) + nnz * sizeof(int32_t) + val_bytes;
    return status;
}

/* cuSPARSE looks at sizes and types alone here; the pointers only mustn't be NULL. */
ortho_status size_buffer(state *s, const ortho_services *services)
{
    product p;
    cusparseStatus_t status = open_product(s, s->m, s->val, static_cast<float *>(s->val), &p);
    if (status == CUSPARSE_STATUS_SUCCESS)
        status = multiply(s, s->m, 1, &p, nullptr, &s->buffer);
    close_product(s, &p);
    return status == CUSPARSE_STATUS_SUCCESS
               ? ORTHO_OK
               : services->fail(ORTHO_E_DEVICE, "cuSPARSE's buffer size: status %d",
                                static_cast<int>(status));
}

void discard(state *s, const ortho_services *services)
{
    if (s->handle != nullptr)
        (void)s->f.destroy(s->handle);
    services->free(services->ctx, s->val);
    services->free(services->ctx, s->col);
    services->free(services->ctx, s->row_ptr);
    ortho_cuda_base_release(&s->base, services);
    *s = state{};
}

void release(void *opaque, const ortho_services *services)
{
    state *s = static_cast<state *>(opaque);
    (void)pthread_mutex_destroy(&s->turn);
    discard(s, services);
}

ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                     const ortho_services *services)
{
    state made = {};
    made.nnz = problem->split->nnz;
    made.m = problem->m;
    ortho_status status = bind(&made.f, services);
    if (status == ORTHO_OK)
        status = ortho_cuda_base_prepare(&made.base, problem, services);
    if (status != ORTHO_OK)
        return status;
    status = upload(&made, problem->split, services);
    cusparseStatus_t created = CUSPARSE_STATUS_SUCCESS;
    if (status == ORTHO_OK)
        created = made.f.create(&made.handle);
    if (created != CUSPARSE_STATUS_SUCCESS)
        status =
            services->fail(ORTHO_E_DEVICE, "cusparseCreate: status %d", static_cast<int>(created));
    if (status == ORTHO_OK && made.nnz > 0)
        status = size_buffer(&made, services);
    if (status != ORTHO_OK) {
        discard(&made, services);
        return status;
    }
    *static_cast<state *>(opaque) = made;
    (void)pthread_mutex_init(&static_cast<state *>(opaque)->turn, nullptr);
    return ORTHO_OK;
}

size_t workspace(const void *opaque, int64_t m, ortho_dtype)
{
    return places_of(static_cast<const state *>(opaque), m).end;
}

ortho_status multiply_ortho(const state *s, const ortho_gemm_call *call, const places &at)
{
    char *workspace = static_cast<char *>(call->workspace);
    cudaStream_t stream = static_cast<cudaStream_t>(call->stream);
    const void *x = call->x;
    if (s->base.dtype == ORTHO_BF16) {
        widen<<<256, 256, 0, stream>>>(static_cast<const __nv_bfloat16 *>(x), call->m * s->base.k,
                                       reinterpret_cast<float *>(workspace + at.x));
        ortho_status status = ortho_cuda_launched("widen");
        if (status != ORTHO_OK)
            return status;
        x = workspace + at.x;
    }
    product p;
    cusparseStatus_t status = open_product(s, call->m, x, reinterpret_cast<float *>(workspace), &p);
    pthread_mutex_t *turn = const_cast<pthread_mutex_t *>(&s->turn);
    (void)pthread_mutex_lock(turn);
    if (status == CUSPARSE_STATUS_SUCCESS)
        status = s->f.set_stream(s->handle, stream);
    if (status == CUSPARSE_STATUS_SUCCESS)
        status = multiply(s, call->m, call->alpha, &p, workspace + at.buffer, nullptr);
    (void)pthread_mutex_unlock(turn);
    close_product(s, &p);
    return status == CUSPARSE_STATUS_SUCCESS
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_DEVICE, "cuSPARSE's product: status %d",
                            static_cast<int>(status));
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *s = static_cast<const state *>(opaque);
    places at = places_of(s, call->m);
    char *workspace = static_cast<char *>(call->workspace);
    if (call->alpha == 0 || s->nnz == 0)
        return ortho_cuda_base_run(&s->base, call, nullptr, workspace + at.base);
    if (call->m != s->m || call->dtype != s->base.dtype)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "cusparse was prepared for %lld tokens of %s",
                          static_cast<long long>(s->m), ortho_dtype_name(s->base.dtype));
    ortho_status status = multiply_ortho(s, call, at);
    return status == ORTHO_OK
               ? ortho_cuda_base_run(&s->base, call, reinterpret_cast<const float *>(workspace),
                                     workspace + at.base)
               : status;
}

void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *s = static_cast<const state *>(opaque);
    ortho_cuda_base_cost(&s->base, m, s->nnz, s->bytes, out);
}

void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    ortho_cuda_base_kernels(&static_cast<const state *>(opaque)->base, m, sink);
}

const ortho_gemm_hooks gemm = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .supports = supports,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .kernels = kernels,
};

} // namespace

#else

static const ortho_gemm_hooks &gemm = ortho_cuda_headerless_gemm;

#endif

extern "C" const ortho_variant ortho_variant_cusparse_cuda;
const ortho_variant ortho_variant_cusparse_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "cusparse",
    .summary = "Base, and cuSPARSE's SpMV or SpMM for Ortho",
    .backend = ORTHO_CUDA,
    .role = ORTHO_COMPETITOR,
    .gemm = &gemm,
};
