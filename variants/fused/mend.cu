/*
 * fused on CUDA: the few rows that rounding their weights to fp16 would bring out of verification's
 * bound, once more, with weights in fp32. Behind a kernel that rounded all of them: their outputs
 * are replaced.
 *
 * A block has a row and some tokens: its weights are asked for before the kernel in front has
 * ended, and x once it has. So few rows cost what a launch costs, and what reading x from the L2
 * does.
 */
#include "common/half.h"
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/csr_gemm.h"
#include "variants/fused/activations.cuh"
#include "variants/fused/dependent.cuh"
#include "variants/fused/state.h"

namespace ortho_fused
{

namespace
{

constexpr int MEND_THREADS = 256, MEND_WARPS = MEND_THREADS / 32;
constexpr int MEND_TOKENS = 4; /* of a block, where there are many */
constexpr int64_t MANY_TOKENS = 1024;
constexpr int EIGHTS = 2; /* columns by eights that a thread asks for at once */

struct mend_launch {
    mended_rows rows;
    const __half *x; /* [tokens, k] */
    __half *y;       /* [tokens, n] */
    int64_t n, k;
    int64_t tokens;
};

struct eight {
    float4 first, second;

    __device__ __forceinline__ void load(const float *w)
    {
        first = __ldg(reinterpret_cast<const float4 *>(w));
        second = __ldg(reinterpret_cast<const float4 *>(w) + 1);
    }
    __device__ __forceinline__ float multiply_add(uint4 x, float sum) const
    {
        const float2 a = half_activations::pair(x.x), b = half_activations::pair(x.y),
                     c = half_activations::pair(x.z), d = half_activations::pair(x.w);
        sum = fmaf(a.x, first.x, fmaf(a.y, first.y, sum));
        sum = fmaf(b.x, first.z, fmaf(b.y, first.w, sum));
        sum = fmaf(c.x, second.x, fmaf(c.y, second.y, sum));
        return fmaf(d.x, second.z, fmaf(d.y, second.w, sum));
    }
};

/* The sum over a block, in its first thread. */
__device__ __forceinline__ float sum_of_block(float v, float *warps)
{
    for (int d = 16; d > 0; d /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0;
    if (threadIdx.x == 0)
        for (int i = 0; i < MEND_WARPS; i++)
            sum += warps[i];
    return sum;
}

/* Grid: tokens by T, rows. k % 8 == 0, x aligned to 16 bytes. */
template <int T> __global__ void __launch_bounds__(MEND_THREADS) mend_kernel(const mend_launch l)
{
    __shared__ float warps[T][MEND_WARPS];
    const float *const w = l.rows.w + blockIdx.y * l.k;
    const int64_t token = blockIdx.x * static_cast<int64_t>(T);
    float sum[T] = {};
    for (int64_t from = threadIdx.x * 8; from < l.k; from += EIGHTS * MEND_THREADS * 8) {
        eight of[EIGHTS];
#pragma unroll
        for (int i = 0; i < EIGHTS; i++)
            if (from + i * MEND_THREADS * 8 < l.k)
                of[i].load(w + from + i * MEND_THREADS * 8);
        if (from == threadIdx.x * 8)
            ortho_cuda_wait_for_previous();
#pragma unroll
        for (int i = 0; i < EIGHTS; i++)
#pragma unroll
            for (int t = 0; t < T; t++) {
                const int64_t column = from + i * MEND_THREADS * 8;
                if (column < l.k && token + t < l.tokens)
                    sum[t] = of[i].multiply_add(
                        *reinterpret_cast<const uint4 *>(l.x + (token + t) * l.k + column), sum[t]);
            }
    }
    ortho_cuda_wait_for_previous(); /* those whose columns are beyond the last */
    for (int t = 0; t < T; t++) {
        const float v = sum_of_block(sum[t], warps[t]);
        if (threadIdx.x == 0 && token + t < l.tokens)
            l.y[(token + t) * l.n + __ldg(l.rows.row + blockIdx.y)] = __float2half_rn(v);
    }
}

typedef void mend_fn(const mend_launch);

/* A kernel, and the tokens of a block. */
struct mender {
    mend_fn *kernel;
    int tokens;
};

mender pick_mender(int64_t m)
{
    return m >= MANY_TOKENS ? mender{mend_kernel<MEND_TOKENS>, MEND_TOKENS}
                            : mender{mend_kernel<1>, 1};
}

/* A row's Base + Ortho, each rounded to fp32 once. */
void exact_row(const ortho_split *split, int64_t row, float *w)
{
    const int64_t groups = (split->k + split->group - 1) / split->group;
    const uint8_t *q = split->q + row * ((split->k + 1) / 2);
    for (int64_t c = 0; c < split->k; c++)
        w[c] = static_cast<float>(weight_of(q[c / 2], c)) *
               ortho_fp16_to_float(split->scale[row * groups + c / split->group]);
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
    const mender by = pick_mender(call.m);
    const dim3 grid(static_cast<unsigned>((call.m + by.tokens - 1) / by.tokens),
                    static_cast<unsigned>(s.mended.count));
    return launch_dependent(by.kernel, grid, 1, MEND_THREADS, 0, call.stream, "mend_kernel", l);
}

void mend_kernels(const state &s, int64_t m, const ortho_kernel_sink *sink)
{
    if (s.mended.count > 0)
        ortho_cuda_kernel_report("mend_kernel",
                                 reinterpret_cast<const void *>(pick_mender(m).kernel),
                                 MEND_THREADS, 0, sink);
}

} // namespace ortho_fused
