/*
 * fused on CUDA, any number of tokens of one linear: y = x * (Base + alpha * Ortho)^T, by what
 * compute capability 8.0 has: the way of GPUs that have no bulk copies, and of code that isn't
 * compiled for any better.
 *
 * The arithmetic is batch.cu's and as exact. An ordinary launch.
 *
 * Expected to limit it: up to 16 tokens the memory, and latencies that only other warps hide;
 * beyond, mma and unpacking, which each tile of tokens does anew.
 */
#include "common/dtype.h"
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/status.h"
#include "variants/fused/direct.cuh"

namespace ortho_fused
{

namespace
{

typedef void direct_fn(const direct_launch);

template <typename A> direct_fn *pick_groups(int groups)
{
    return groups == 1   ? direct_kernel<A, 1>
           : groups == 2 ? direct_kernel<A, 2>
                         : direct_kernel<A, 4>;
}

direct_fn *pick(const state &s, ortho_dtype dtype)
{
    return dtype == ORTHO_F16    ? pick_groups<half_activations>(s.w.s.groups)
           : dtype == ORTHO_BF16 ? pick_groups<bfloat_activations>(s.w.s.groups)
                                 : pick_groups<float_activations>(s.w.s.groups);
}

int tile_tokens(ortho_dtype dtype)
{
    return dtype == ORTHO_F32 ? DIRECT_TOKENS<float_activations> : DIRECT_TOKENS<half_activations>;
}

/* Where other ways can run, more tokens would only cost whoever tries all ways. */
constexpr int64_t ASKED_TOKENS_MOST = 64;
constexpr int64_t TOKENS_A_LAUNCH = 32768; /* a grid dimension ends at 65,535 */

} // namespace

bool takes_direct(const state &s, const ortho_gemm_call &call)
{
    return !s.bulk || call.m <= ASKED_TOKENS_MOST;
}

ortho_status run_direct(const state &s, const ortho_gemm_call &call)
{
    const int64_t element = static_cast<int64_t>(ortho_dtype_bytes(call.dtype));
    const int tile = tile_tokens(call.dtype);
    const shape &w = s.w.s;
    direct_launch l = {};
    cudaLaunchConfig_t config = {};
    ortho_status status = ORTHO_OK;
    l.w = s.w;
    l.alpha = is_patched(s, call.alpha) ? call.alpha : 0.0f;
    l.shares = static_cast<int>(divide_up(w.units_of_batch(0, 0), DIRECT_UNITS));
    config.blockDim = dim3(DIRECT_THREADS);
    config.stream = static_cast<cudaStream_t>(call.stream);
    for (int64_t t = 0; t < call.m && status == ORTHO_OK; t += TOKENS_A_LAUNCH) {
        l.x = static_cast<const char *>(call.x) + t * w.k * element;
        l.y = static_cast<char *>(call.y) + t * w.n * element;
        l.tokens = static_cast<int>(call.m - t < TOKENS_A_LAUNCH ? call.m - t : TOKENS_A_LAUNCH);
        config.gridDim = dim3(static_cast<unsigned>(w.parts * w.batches * l.shares),
                              static_cast<unsigned>((l.tokens + tile - 1) / tile));
        (void)cudaLaunchKernelEx(&config, pick(s, call.dtype), l);
        status = ortho_cuda_launched("direct_kernel");
    }
    return status;
}

void direct_kernels(const state &s, int64_t, const ortho_kernel_sink *sink)
{
    ortho_cuda_kernel_report("direct_kernel", reinterpret_cast<const void *>(pick(s, s.dtype)),
                             DIRECT_THREADS, 0, sink);
}

} // namespace ortho_fused
