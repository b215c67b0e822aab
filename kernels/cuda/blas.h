/*
 * blas.h: cuBLAS, bound at run time (library.h), as a user calls it: default algorithm, fp16 or
 * bf16 in and out with fp32 accumulation, fp32 without TF32.
 *
 * One setting isn't the default: partial sums of a split K may not be rounded to 16 bits. With it
 * allowed, some shapes were wrong by up to 1.2 times what fp32 accumulation can be.
 */
#ifndef ORTHO_KERNELS_CUDA_BLAS_H
#define ORTHO_KERNELS_CUDA_BLAS_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle costs milliseconds and memory of its own, so a device has one, which all who open it
 * share. It remembers stream and workspace from one call to the next: calls take turns on the host.
 */
typedef struct ortho_cublas ortho_cublas;

/* What cuBLAS itself takes on Hopper. Lent by each call: nothing is allocated while a launch is
 * recorded. */
#define ORTHO_CUBLAS_WORKSPACE ((size_t)32 << 20)

/* y = x W^T: W [n, k] by rows, x [m, k], y [m, n] whose rows are y_stride elements apart; all of
 * one dtype, in device memory. */
typedef struct ortho_cublas_product {
    int64_t n, k, m, y_stride; /* all < 2^31 */
    ortho_dtype dtype;
    const void *w, *x;
    void *y;
    void *workspace; /* ORTHO_CUBLAS_WORKSPACE bytes, 256-byte aligned */
    void *stream;
} ortho_cublas_product;

/* UNSUPPORTED, with what to install, where the library is missing, or its header was where this was
 * built. */
ortho_status ortho_cublas_supports(const ortho_services *services);

/* The current device's; DEVICE where cuBLAS refuses. Until as many closes as opens. */
ortho_status ortho_cublas_open(const ortho_services *services, ortho_cublas **out);
void ortho_cublas_close(ortho_cublas *blas); /* NULL is allowed */

/* Enqueues; can be recorded. DEVICE where cuBLAS refuses. */
ortho_status ortho_cublas_multiply(ortho_cublas *blas, const ortho_cublas_product *product);

#ifdef __cplusplus
}
#endif
#endif
