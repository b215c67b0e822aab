/*
 * fused on CUDA: the few rows that rounding their weights to fp16 would bring out of verification's
 * bound, once more, with weights in fp32. Behind a kernel that rounded all of them: their outputs
 * are replaced.
 *
 * A warp has a token and goes through the rows. So few rows cost what a launch costs, and what
 * reading x from the L2 does.
 */
#include "common/half.h"
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/device.cuh"
#include "variants/fused/dependent.cuh"
#include "variants/fused/state.h"

#include <cuda_fp16.h>
#include <stdlib.h>

namespace ortho_fused
{

namespace
{

constexpr int MEND_THREADS = 256, MEND_WARPS = MEND_THREADS / 32;
constexpr int ROWS_AT_ONCE = 4;

struct mend_launch {
    mended_rows rows;
    const __half *x; /* [tokens, k] */
    __half *y;       /* [tokens, n] */
    int64_t n, k;
    int64_t tokens;
};

__device__ __forceinline__ float2 halves(uint32_t two)
{
    return __half22float2(*reinterpret_cast<const __half2 *>(&two));
}

/* sum += x w of eight columns */
__device__ __forceinline__ float multiply_add(uint4 x, const float4 *w, float sum)
{
    const float4 a = __ldg(w), b = __ldg(w + 1);
    const float2 first = halves(x.x), second = halves(x.y), third = halves(x.z),
                 fourth = halves(x.w);
    sum = fmaf(first.x, a.x, fmaf(first.y, a.y, sum));
    sum = fmaf(second.x, a.z, fmaf(second.y, a.w, sum));
    sum = fmaf(third.x, b.x, fmaf(third.y, b.y, sum));
    return fmaf(fourth.x, b.z, fmaf(fourth.y, b.w, sum));
}

/* Grid: tokens by MEND_WARPS, rows by ROWS_AT_ONCE. k % 8 == 0, x aligned to 16 bytes. */
__global__ void __launch_bounds__(MEND_THREADS) mend_kernel(const mend_launch l)
{
    const int lane = threadIdx.x % 32;
    const int64_t token = blockIdx.x * static_cast<int64_t>(MEND_WARPS) + threadIdx.x / 32;
    const int first = static_cast<int>(blockIdx.y) * ROWS_AT_ONCE;
    ortho_cuda_wait_for_previous();
    if (token >= l.tokens)
        return;
    const uint4 *const x = reinterpret_cast<const uint4 *>(l.x + token * l.k);
    float sum[ROWS_AT_ONCE] = {};
    for (int64_t i = lane; i < l.k / 8; i += 32) {
        const uint4 eight = __ldg(x + i);
#pragma unroll
        for (int r = 0; r < ROWS_AT_ONCE; r++)
            if (first + r < l.rows.count)
                sum[r] = multiply_add(
                    eight, reinterpret_cast<const float4 *>(l.rows.w + (first + r) * l.k + i * 8),
                    sum[r]);
    }
#pragma unroll
    for (int r = 0; r < ROWS_AT_ONCE; r++) {
        for (int d = 16; d > 0; d /= 2)
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], d);
        if (lane == 0 && first + r < l.rows.count)
            l.y[token * l.n + __ldg(l.rows.row + first + r)] = __float2half_rn(sum[r]);
    }
}

/* A row's Base + Ortho, each rounded to fp32 once. */
void exact_row(const ortho_split *split, int64_t row, float *w)
{
    const int64_t groups = (split->k + split->group - 1) / split->group;
    const uint8_t *q = split->q + row * ((split->k + 1) / 2);
    for (int64_t c = 0; c < split->k; c++) {
        const int weight = static_cast<int>(((c & 1 ? q[c / 2] >> 4 : q[c / 2]) & 15u) ^ 8u) - 8;
        w[c] = static_cast<float>(weight) *
               ortho_fp16_to_float(split->scale[row * groups + c / split->group]);
    }
    for (int64_t i = split->row_ptr[row]; i < split->row_ptr[row + 1]; i++)
        w[ortho_split_col(split, i)] += ortho_fp16_to_float(split->val[i]);
}

} // namespace

ortho_status keep_mended(const rounding &r, const ortho_split *split, const ortho_services *s,
                         mended_rows *out)
{
    *out = {};
    if (r.mended == 0)
        return ORTHO_OK;
    const size_t bytes = static_cast<size_t>(r.mended) * static_cast<size_t>(split->k) * 4;
    float *w = static_cast<float *>(s->alloc(s->ctx, bytes, ORTHO_HOST, ORTHO_WORKING));
    if (w == nullptr)
        return ORTHO_E_MEMORY;
    for (int i = 0; i < r.mended; i++)
        exact_row(split, r.row[i], w + i * split->k);
    void *weights = nullptr, *rows = nullptr;
    ortho_status status = ortho_cuda_keep(w, bytes, s, &weights);
    if (status == ORTHO_OK)
        status = ortho_cuda_keep(r.row, static_cast<size_t>(r.mended) * sizeof *r.row, s, &rows);
    const ortho_status waited = ortho_cuda_status(
        cudaStreamSynchronize(static_cast<cudaStream_t>(s->stream)), "upload of a layer");
    s->free(s->ctx, w);
    out->w = static_cast<const float *>(weights);
    out->row = static_cast<const int32_t *>(rows);
    out->count = r.mended;
    out->bytes = bytes + static_cast<size_t>(r.mended) * sizeof *r.row;
    return status != ORTHO_OK ? status : waited;
}

void free_mended(mended_rows *rows, const ortho_services *s)
{
    s->free(s->ctx, const_cast<int32_t *>(rows->row));
    s->free(s->ctx, const_cast<float *>(rows->w));
    *rows = {};
}

ortho_status mend(const state &s, const ortho_gemm_call &call)
{
    if (s.mended.count == 0 || call.alpha != MENDED_ALPHA)
        return ORTHO_OK;
    const mend_launch l = {s.mended,
                           static_cast<const __half *>(call.x),
                           static_cast<__half *>(call.y),
                           s.w.s.n,
                           s.w.s.k,
                           call.m};
    const dim3 grid(static_cast<unsigned>((call.m + MEND_WARPS - 1) / MEND_WARPS),
                    static_cast<unsigned>((s.mended.count + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE));
    return launch_dependent(mend_kernel, grid, 1, MEND_THREADS, 0, call.stream, "mend_kernel", l);
}

void mend_kernels(const state &s, const ortho_kernel_sink *sink)
{
    if (s.mended.count > 0)
        ortho_cuda_kernel_report("mend_kernel", reinterpret_cast<const void *>(mend_kernel),
                                 MEND_THREADS, 0, sink);
}

} // namespace ortho_fused
