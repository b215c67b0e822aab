/*
 * warp-per-row, dual GEMM on CUDA: a warp a row, lane l takes entries l, l + 32, ...: loads of
 * columns and values coalesce, x is gathered from the L1, and a shuffle tree adds the lanes.
 * Several tokens share an entry's loads. Only the last round of a row is ragged; a long row keeps
 * one warp busy alone.
 */
#include "kernels/cuda/count_lanes.cuh"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/status.h"

extern "C" void ortho_warp_per_row_lanes(const ortho_split *split, int64_t m,
                                         const ortho_lane_sink *sink);

namespace
{

constexpr int WARPS = 4, TOKENS = 8;

__device__ __forceinline__ float add_lanes(float v)
{
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, distance);
    return v;
}

/* A row's entries [begin, end), and the x of T tokens from the one at x on, of which `tokens` are
 * there. */
template <typename X, typename C> struct row_entries {
    const C *cols;
    const __half *vals;
    int32_t begin, end;
    const X *x;
    int64_t k, tokens;
};

constexpr int LOOP_FIRST = __LINE__;
/* The Ortho loop: the entries of one lane. */
template <typename X, typename C, int T>
__device__ __forceinline__ void lane_sums(const row_entries<X, C> &r, int lane, float sum[T])
{
#pragma unroll 2
    for (int32_t i = r.begin + lane; i < r.end; i += 32) {
        ORTHO_COUNT_LANES_HERE(1);
        float value = __half2float(r.vals[i]);
        const X *at = r.x + r.cols[i];
#pragma unroll
        for (int t = 0; t < T; t++)
            if (T == 1 || t < r.tokens)
                sum[t] += value * ortho_cuda_float(__ldg(at + t * r.k));
    }
}
constexpr int LOOP_LAST = __LINE__;

const ortho_loop loop = {"warp_per_row_kernel", __FILE__, LOOP_FIRST, LOOP_LAST};

template <typename X, typename C, int T>
__global__ void __launch_bounds__(WARPS * 32)
    warp_per_row_kernel(const int32_t *row_ptr, const C *cols, const __half *vals, const X *x,
                        int64_t n, int64_t k, int64_t m, float alpha, float *addend)
{
    ortho_cuda_release_dependents();
    const int lane = threadIdx.x % 32;
    const int64_t r = blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / 32;
    if (r >= n)
        return;
    const int32_t begin = row_ptr[r], end = row_ptr[r + 1];
    for (int64_t token = blockIdx.y * static_cast<int64_t>(T); token < m;
         token += gridDim.y * static_cast<int64_t>(T)) {
        float sum[T] = {};
        lane_sums<X, C, T>({cols, vals, begin, end, x + token * k, k, m - token}, lane, sum);
#pragma unroll
        for (int t = 0; t < T; t++) {
            float total = add_lanes(sum[t]);
            if (lane == 0 && token + t < m)
                addend[(token + t) * n + r] = alpha * total;
        }
    }
}

template <typename X, typename C, int T>
void launch(const ortho_cuda_csr *s, const ortho_gemm_call *call, float *addend)
{
    int64_t tiles = (call->m + T - 1) / T;
    dim3 grid(static_cast<unsigned>((s->base.n + WARPS - 1) / WARPS),
              static_cast<unsigned>(tiles < 65535 ? tiles : 65535));
    warp_per_row_kernel<X, C, T><<<grid, WARPS * 32, 0, static_cast<cudaStream_t>(call->stream)>>>(
        s->row_ptr, static_cast<const C *>(s->col), static_cast<const __half *>(s->val),
        static_cast<const X *>(call->x), s->base.n, s->base.k, call->m, call->alpha, addend);
}

template <typename X>
void launch_as(const ortho_cuda_csr *s, const ortho_gemm_call *call, float *addend)
{
    bool wide = s->base.k > 65536;
    if (call->m == 1)
        wide ? launch<X, uint32_t, 1>(s, call, addend) : launch<X, uint16_t, 1>(s, call, addend);
    else
        wide ? launch<X, uint32_t, TOKENS>(s, call, addend)
             : launch<X, uint16_t, TOKENS>(s, call, addend);
}

ortho_status multiply(const void *opaque, const ortho_gemm_call *call, float *addend)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(opaque);
    if (call->dtype == ORTHO_F16)
        launch_as<__half>(s, call, addend);
    else if (call->dtype == ORTHO_BF16)
        launch_as<__nv_bfloat16>(s, call, addend);
    else
        launch_as<float>(s, call, addend);
    return ortho_cuda_launched("warp_per_row_kernel");
}

ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(opaque);
    return ortho_cuda_dual_run(&s->base, s->nnz, call, s, multiply);
}

template <int T> const void *kernel_of(ortho_dtype dtype)
{
    return dtype == ORTHO_F16    ? (const void *)warp_per_row_kernel<__half, uint16_t, T>
           : dtype == ORTHO_BF16 ? (const void *)warp_per_row_kernel<__nv_bfloat16, uint16_t, T>
                                 : (const void *)warp_per_row_kernel<float, uint16_t, T>;
}

void kernels(const void *opaque, int64_t m, const ortho_kernel_sink *sink)
{
    const ortho_cuda_csr *s = static_cast<const ortho_cuda_csr *>(opaque);
    const void *kernel = m == 1 ? kernel_of<1>(s->base.dtype) : kernel_of<TOKENS>(s->base.dtype);
    if (s->nnz > 0)
        ortho_cuda_kernel_report("warp_per_row_kernel", kernel, WARPS * 32, 0, sink);
    ortho_cuda_base_kernels(&s->base, m, sink);
}

} // namespace

extern "C" const ortho_gemm_hooks ortho_warp_per_row_gemm_cuda;
const ortho_gemm_hooks ortho_warp_per_row_gemm_cuda = {
    .state_size = sizeof(ortho_cuda_csr),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = ortho_cuda_csr_prepare,
    .workspace = ortho_cuda_csr_workspace,
    .run = run,
    .release = ortho_cuda_csr_release,
    .cost = ortho_cuda_csr_cost,
    .lanes = ortho_warp_per_row_lanes,
    .loop = &loop,
    .kernels = kernels,
    .export_split = ortho_cuda_csr_export,
};
