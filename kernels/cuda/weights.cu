#include "kernels/cuda/weights.h"

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/status.h"

namespace
{

__device__ __forceinline__ void put(float *to, float v)
{
    *to = v;
}
__device__ __forceinline__ void put(__half *to, float v)
{
    *to = __float2half_rn(v);
}
__device__ __forceinline__ void put(__nv_bfloat16 *to, float v)
{
    *to = __float2bfloat16_rn(v);
}

template <typename From, typename To>
__global__ void convert(const From *from, int64_t rows, int64_t cols, To *to)
{
    for (int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; i < rows * cols;
         i += static_cast<int64_t>(gridDim.x) * blockDim.x)
        put(to + i, ortho_cuda_float(from[i]));
}

template <typename From>
void convert_from(const void *from, int64_t rows, int64_t cols, ortho_dtype dtype, void *to,
                  cudaStream_t stream)
{
    const From *w = static_cast<const From *>(from);
    if (dtype == ORTHO_F16)
        convert<<<1024, 256, 0, stream>>>(w, rows, cols, static_cast<__half *>(to));
    else if (dtype == ORTHO_BF16)
        convert<<<1024, 256, 0, stream>>>(w, rows, cols, static_cast<__nv_bfloat16 *>(to));
    else
        convert<<<1024, 256, 0, stream>>>(w, rows, cols, static_cast<float *>(to));
}

size_t bytes_of(ortho_dtype dtype)
{
    return dtype == ORTHO_F32 ? 4 : 2;
}

/* W's rows packed, in its own dtype: into `to`, which is what is kept or a temporary. */
ortho_status upload(const ortho_matrix *w, void *to, cudaStream_t stream)
{
    size_t element = bytes_of(w->dtype), row = static_cast<size_t>(w->cols) * element;
    return ortho_cuda_status(
        cudaMemcpy2DAsync(to, row, w->data, static_cast<size_t>(w->stride) * element, row,
                          static_cast<size_t>(w->rows), cudaMemcpyHostToDevice, stream),
        "upload of W");
}

ortho_status upload_converted(const ortho_matrix *w, ortho_dtype dtype, const ortho_services *s,
                              void *to)
{
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    void *raw = s->alloc(s->ctx, static_cast<size_t>(w->rows * w->cols) * bytes_of(w->dtype),
                         ORTHO_DEVICE, ORTHO_WORKING);
    if (raw == nullptr)
        return ORTHO_E_MEMORY;
    ortho_status status = upload(w, raw, stream);
    if (status == ORTHO_OK) {
        if (w->dtype == ORTHO_F32)
            convert_from<float>(raw, w->rows, w->cols, dtype, to, stream);
        else if (w->dtype == ORTHO_F16)
            convert_from<__half>(raw, w->rows, w->cols, dtype, to, stream);
        else
            convert_from<__nv_bfloat16>(raw, w->rows, w->cols, dtype, to, stream);
        status = ortho_cuda_launched("convert");
    }
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaStreamSynchronize(stream), "conversion of W");
    s->free(s->ctx, raw);
    return status;
}

} // namespace

extern "C" ortho_status ortho_cuda_dense_weights(const ortho_gemm_problem *problem,
                                                 const ortho_services *s, void **out)
{
    const ortho_matrix *w = problem->w;
    if (w == nullptr)
        return s->fail(ORTHO_E_UNSUPPORTED, "a dense product needs the unsplit weights");
    void *kept = s->alloc(s->ctx, static_cast<size_t>(w->rows * w->cols) * bytes_of(problem->dtype),
                          ORTHO_DEVICE, ORTHO_WEIGHTS);
    if (kept == nullptr)
        return ORTHO_E_MEMORY;
    cudaStream_t stream = static_cast<cudaStream_t>(s->stream);
    ortho_status status = w->dtype == problem->dtype ? upload(w, kept, stream)
                                                     : upload_converted(w, problem->dtype, s, kept);
    if (status == ORTHO_OK)
        status = ortho_cuda_status(cudaStreamSynchronize(stream), "upload of W");
    if (status != ORTHO_OK)
        s->free(s->ctx, kept);
    else
        *out = kept;
    return status;
}

extern "C" void ortho_cuda_dense_cost(int64_t n, int64_t k, int64_t m, ortho_dtype dtype,
                                      ortho_cost *cost)
{
    double rows = static_cast<double>(n), columns = static_cast<double>(k),
           tokens = static_cast<double>(m), element = dtype == ORTHO_F32 ? 4 : 2;
    *cost = ortho_cost{element * (rows * columns + tokens * (rows + columns)),
                       2 * tokens * rows * columns};
}
