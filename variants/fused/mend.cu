/*
 * fused on CUDA: the few rows that rounding their weights to fp16 would bring out of verification's
 * bound, with weights in fp32. Behind a kernel that rounded all of them: their outputs are
 * replaced. wide.cu's does without where they are few (multiplier.cuh).
 *
 * A block has a row and some tokens. It begins when the blocks of the kernel in front have, where a
 * multiprocessor has room, and waits for the end of that kernel only to store. x is there by then:
 * who is in front lets it begin after waiting for x itself (wide_memory.cuh), or ends first.
 */
#include "common/half.h"
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/csr_gemm.h"
#include "variants/fused/dependent.cuh"
#include "variants/fused/mend.cuh"
#include "variants/fused/state.h"

namespace ortho_fused
{

namespace
{

constexpr int MEND_THREADS = 256, MEND_WARPS = MEND_THREADS / 32;
constexpr int MEND_TOKENS = 4; /* of a block, where there are many */
constexpr int64_t MANY_TOKENS = 1024;

struct mend_launch {
    mended_rows rows;
    const __half *x; /* [tokens, k] */
    __half *y;       /* [tokens, n] */
    int64_t n, k;
    int64_t tokens;
};

/* The sum over a block, in its first thread. */
__device__ __forceinline__ float sum_of_block(float v, float *warps)
{
    v = mended_warp_sum(v);
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
    mended_products<T, 2>(w, l.x + token * l.k, l.k, l.tokens - token, threadIdx.x, MEND_THREADS,
                          sum);
    const int64_t row = __ldg(l.rows.row + blockIdx.y);
    for (int t = 0; t < T; t++)
        sum[t] = sum_of_block(sum[t], warps[t]);
    ortho_cuda_wait_for_previous(); /* which stores these outputs, too */
    for (int t = 0; t < T; t++)
        if (threadIdx.x == 0 && token + t < l.tokens)
            l.y[(token + t) * l.n + row] = __float2half_rn(sum[t]);
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
    if (!is_mended(s, call.alpha))
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
