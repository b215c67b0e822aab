/*
 * csr, dual GEMM on CUDA: a thread a row over row_ptr, 32 consecutive rows a warp. Neighbouring
 * lanes read entries that lie a row apart, so loads don't coalesce, and a warp takes as long as its
 * longest row; what helps is several entries of a row in flight at once (UNROLL). Expected:
 * latency-bound, longest row / UNROLL round trips to the L2.
 */
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/status.h"

extern "C" void ortho_csr_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

namespace
{

constexpr int THREADS = 64, UNROLL = 8; /* small blocks: 8192 rows are 128 of them */

constexpr int LOOP_FIRST = __LINE__;
/* The Ortho loop: entries [begin, end) of a row times the x of a token. */
template <typename X, typename C>
__device__ __forceinline__ float row_sum(const C *cols, const __half *vals, const X *xt,
                                         int32_t begin, int32_t end)
{
    float sum = 0;
#pragma unroll UNROLL
    for (int32_t i = begin; i < end; i++) {
        ORTHO_COUNT_LANES_HERE(1);
        sum += __half2float(vals[i]) * ortho_cuda_float(__ldg(xt + cols[i]));
    }
    return sum;
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"csr_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

template <typename X, typename C>
__global__ void __launch_bounds__(THREADS)
    csr_kernel(const int32_t *row_ptr, const C *cols, const __half *vals, const X *x, int64_t n,
               int64_t k, int64_t m, float alpha, float *addend)
{
    ortho_cuda_release_dependents();
    int64_t r = blockIdx.x * static_cast<int64_t>(THREADS) + threadIdx.x;
    if (r >= n)
        return;
    const int32_t begin = row_ptr[r], end = row_ptr[r + 1];
    for (int64_t token = blockIdx.y; token < m; token += gridDim.y) {
        const float sum = row_sum(cols, vals, x + token * k, begin, end);
        addend[token * n + r] = alpha * sum;
    }
}

template <typename X, typename C>
void launch(const ortho_cuda_csr *s, const ortho_gemm_call *call, float *addend)
{
    dim3 grid(static_cast<unsigned>((s->base.n + THREADS - 1) / THREADS),
              static_cast<unsigned>(call->m < 65535 ? call->m : 65535));
    csr_kernel<X, C><<<grid, THREADS, 0, static_cast<cudaStream_t>(call->stream)>>>(
        s->row_ptr, static_cast<const C *>(s->col), static_cast<const __half *>(s->val),
        static_cast<const X *>(call->x), s->base.n, s->base.k, call->m, call->alpha, addend);
}

template <typename X>
void launch_wide(const ortho_cuda_csr *s, const ortho_gemm_call *call, float *addend)
{
    if (s->base.k > 65536)
        launch<X, uint32_t>(s, call, addend);
    else
        launch<X, uint16_t>(s, call, addend);
}

ortho_status multiply(const void *opaque, const ortho_gemm_call *call, float *addend)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(opaque);
    if (call->dtype == ORTHO_F16)
        launch_wide<__half>(s, call, addend);
    else if (call->dtype == ORTHO_BF16)
        launch_wide<__nv_bfloat16>(s, call, addend);
    else
        launch_wide<float>(s, call, addend);
    return ortho_cuda_launched("csr_kernel");
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(opaque);
    return ortho_cuda_dual_run(&s->base, s->nnz, call, s, multiply);
}

/* The 16-bit column kernels, which all but very wide layers use. */
void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(opaque);
    const void *kernel = s->base.dtype == ORTHO_F16 ? (const void *)csr_kernel<__half, uint16_t>
                         : s->base.dtype == ORTHO_BF16
                             ? (const void *)csr_kernel<__nv_bfloat16, uint16_t>
                             : (const void *)csr_kernel<float, uint16_t>;
    if (s->nnz > 0)
        ortho_cuda_kernel_report("csr_kernel", kernel, THREADS, 0, sink);
    ortho_cuda_base_kernels(&s->base, m, sink);
}

} // namespace

extern "C" const ortho_gemm_hooks ortho_csr_gemm_cuda;
const ortho_gemm_hooks ortho_csr_gemm_cuda = {
    .state_size = sizeof(ortho_cuda_csr),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = ortho_cuda_csr_prepare,
    .workspace = ortho_cuda_csr_workspace,
    .run = run,
    .release = ortho_cuda_csr_release,
    .cost = ortho_cuda_csr_cost,
    .lanes = ortho_csr_lanes,
    .loop = &loop,
    .kernels = kernels,
    .export_split = ortho_cuda_csr_export,
};
