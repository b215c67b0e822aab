/*
 * base_gemm.h: the Base half of the dual GEMM on the GPU, y = x * Base^T + addend. Every CUDA
 * competitor stands on this one building block, so that a difference between two of them is
 * Ortho's.
 *
 * A variant's Ortho kernel runs first and leaves alpha * x * Ortho^T in fp32, [m, n], in the call's
 * workspace; Base then adds it to its own fp32 sums and rounds once to the dtype of y. Base is
 * launched as a programmatic dependent of that kernel (sm_90 and newer): it streams its weights
 * while Ortho is still at work and waits for it only before the last addition. The Ortho kernel
 * therefore calls ortho_cuda_release_dependents() (device.cuh) as early as it likes; what it writes
 * is visible to Base when it has ended, in any case.
 */
#ifndef ORTHO_KERNELS_CUDA_BASE_GEMM_H
#define ORTHO_KERNELS_CUDA_BASE_GEMM_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a launch may start while the one before it ends: programmatic dependents, sm_90 on. */
bool ortho_cuda_has_programmatic_launch(void);

/* Packed weights in device memory (purpose WEIGHTS). Lives in a variant's state. */
typedef struct ortho_cuda_base {
    int64_t n, k, group, groups; /* groups of a row */
    ortho_dtype dtype;           /* the problem's, for costs; a call says its own */
    void *q;                     /* nibbles in fragment order; layout in base_gemm.cu */
    void *scale;                 /* fp16, padded likewise */
    size_t bytes;                /* of both: what a call reads */
} ortho_cuda_base;

/* Packs the split's q and scale. Any n, k, group >= 1. Uses and waits for services->stream. */
ortho_status ortho_cuda_base_prepare(ortho_cuda_base *base, const ortho_gemm_problem *problem,
                                     const ortho_services *services);
void ortho_cuda_base_release(ortho_cuda_base *base, const ortho_services *services);

/* Unpacks q and scale into the split's host arrays. Uses and waits for services->stream. */
ortho_status ortho_cuda_base_export(const ortho_cuda_base *base, ortho_split *out,
                                    const ortho_services *services);

/* Bytes that Base itself needs of a call's workspace, a multiple of 256; often 0. */
size_t ortho_cuda_base_workspace(const ortho_cuda_base *base, int64_t m);

/* Enqueues y = x * Base^T + addend on call->stream.
 *   addend     device, fp32 [m, n]; NULL: none (alpha = 0, or no entries)
 *   workspace  ortho_cuda_base_workspace bytes of the call's, 256-byte aligned
 * With an addend the launch is a programmatic dependent of the launch before it on the stream,
 * which must be the one that makes the addend. */
ortho_status ortho_cuda_base_run(const ortho_cuda_base *base, const ortho_gemm_call *call,
                                 const float *addend, void *workspace);

/* What a call must move and compute: packed bytes + ortho_bytes, x read once, y written once. */
void ortho_cuda_base_cost(const ortho_cuda_base *base, int64_t m, int64_t nnz, size_t ortho_bytes,
                          ortho_cost *cost);

/* The kernels that a call with m tokens launches. */
void ortho_cuda_base_kernels(const ortho_cuda_base *base, int64_t m, const ortho_kernel_sink *sink);

/* Reports one kernel function's facts (registers, shared memory, spills) to a sink. `function` is
 * the kernel's host-side address, `dynamic_shared` what a launch adds. */
void ortho_cuda_kernel_report(const char *name, const void *function, int threads,
                              size_t dynamic_shared, const ortho_kernel_sink *sink);

#ifdef __cplusplus
}
#endif
#endif
