/* sieve_kernels.h: the launches that make up a streaming sieve, each on a stream, each checked. */
#ifndef ORTHO_KERNELS_CUDA_SIEVE_KERNELS_H
#define ORTHO_KERNELS_CUDA_SIEVE_KERNELS_H

#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/sieve.h"
#include "kernels/cuda/status.h"

#include <math.h>

/* The sieve's kernels share one split of shared memory and L1, 132 KiB to 124 on an H100: a
 * multiprocessor must be idle to change it, and launches couldn't overlap. */
template <typename... P> ortho_status ortho_sieve_set_up(const char *name, void (*kernel)(P...))
{
    return ortho_cuda_status(
        cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 57), name);
}

/* Where a launch stands: on its own, behind all that the stream has; or behind another one of the
 * sieve, so that where the GPU can it starts while that one ends, may read W meanwhile, and waits
 * for it (ortho_cuda_wait_for_previous) before it touches anything else. */
enum ortho_sieve_place { ORTHO_SIEVE_ALONE, ORTHO_SIEVE_BEHIND };

struct ortho_sieve_shape {
    dim3 blocks;
    unsigned threads;
    size_t dynamic_shared;
};

template <typename... P, typename... A>
ortho_status ortho_sieve_launch(const char *name, ortho_sieve_place place, void (*kernel)(P...),
                                const ortho_sieve_shape &shape, cudaStream_t stream, A... arguments)
{
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = shape.blocks;
    config.blockDim = dim3(shape.threads);
    config.stream = stream;
    config.dynamicSmemBytes = shape.dynamic_shared;
    config.attrs = &attribute;
    config.numAttrs = place == ORTHO_SIEVE_BEHIND && ortho_cuda_has_programmatic_launch() ? 1 : 0;
    ortho_status status = ortho_sieve_set_up(name, kernel);
    if (status == ORTHO_OK && shape.dynamic_shared != 0)
        status = ortho_cuda_status(cudaFuncSetAttribute(kernel,
                                                        cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                        static_cast<int>(shape.dynamic_shared)),
                                   name);
    return status == ORTHO_OK
               ? ortho_cuda_status(cudaLaunchKernelEx(&config, kernel, arguments...), name)
               : status;
}

/* H and, by rule, scales and q or the rows' squares. */
ortho_status ortho_sieve_launch_statistics(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                                           cudaStream_t stream);

/* Scales and q, where the statistics didn't make them. */
ortho_status ortho_sieve_launch_fit(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                                    cudaStream_t stream);

/* The cut of `need` entries by magnitude, or by score, in two or three steps: a sample and one read
 * of all keys where ortho_sieve_is_sampled says so, then the cut itself. Scores also fill row_ptr,
 * and the stage. */
ortho_status ortho_sieve_launch_sample(const ortho_cuda_sieve_view &v, bool scores, int64_t need,
                                       ortho_dtype dtype, cudaStream_t stream);
ortho_status ortho_sieve_launch_gather(const ortho_cuda_sieve_view &v, bool scores,
                                       ortho_dtype dtype, cudaStream_t stream);
ortho_status ortho_sieve_launch_settle(const ortho_cuda_sieve_view &v, bool scores, int64_t need,
                                       ortho_dtype dtype, cudaStream_t stream);
bool ortho_sieve_is_sampled(const ortho_cuda_sieve_view &v, int64_t need);

/* How many entries a bracket lists, about. */
double ortho_sieve_listed(const ortho_cuda_sieve_view &v, int64_t need);

/* Whether scales and q are made along with the statistics: one candidate a group, whole groups in a
 * tile. */
inline bool ortho_sieve_fits_at_once(const ortho_cuda_sieve_view &v)
{
    return v.rule != ORTHO_RULE_OUTLIER && v.group <= 256;
}

/* The square root of a column's weight, in 22 bits: its product with 1.5 * 2^23 is exact. */
inline __host__ __device__ float ortho_sieve_root(float h)
{
    union {
        float f;
        uint32_t bits;
    } root = {sqrtf(h)};
    root.bits &= ~3u;
    return root.f;
}

void ortho_sieve_report_statistics(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                                   const ortho_kernel_sink *sink);
void ortho_sieve_report_fit(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                            const ortho_kernel_sink *sink);
void ortho_sieve_report_sample(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                               const ortho_kernel_sink *sink);
void ortho_sieve_report_gather(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                               const ortho_kernel_sink *sink);
void ortho_sieve_report_settle(const ortho_cuda_sieve_view &v, ortho_dtype dtype,
                               const ortho_kernel_sink *sink);

#endif
