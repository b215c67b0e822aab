/*
 * ortho.h: the public C API of libortho.
 *
 * LibOrtho splits a weight matrix W [n, k] into a dense INT4 Base and a sparse high-precision
 * Ortho (the sieve), and computes Y = X * Base^T + alpha * X * Ortho^T (the dual GEMM).
 *
 * Conventions that hold for every call:
 *   - it returns an ortho_status; on anything but ORTHO_OK, ortho_last_message() tells in words
 *     what happened and what to do, for the calling thread, until its next failing call;
 *   - an output parameter is set only on success;
 *   - nothing aborts, nothing prints, no global state changes;
 *   - matrices are row-major; sizes are in elements unless a name says bytes.
 */
#ifndef ORTHO_ORTHO_H
#define ORTHO_ORTHO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORTHO_VERSION_MAJOR 0
#define ORTHO_VERSION_MINOR 1
#define ORTHO_VERSION_PATCH 0

#if defined(__GNUC__)
#define ORTHO_API __attribute__((visibility("default")))
#else
#define ORTHO_API
#endif

typedef enum ortho_status {
    ORTHO_OK = 0,
    ORTHO_E_ARGUMENT = 1,    /* the caller passed something that can never work */
    ORTHO_E_MEMORY = 2,      /* an allocation failed */
    ORTHO_E_IO = 3,          /* the operating system refused a read or a write */
    ORTHO_E_FORMAT = 4,      /* a file contradicts its own format */
    ORTHO_E_NONFINITE = 5,   /* NaN or Inf where a weight must be finite */
    ORTHO_E_UNSUPPORTED = 6, /* legal, but this build, machine or variant can't: a skip */
    ORTHO_E_NOT_FOUND = 7,   /* no such file, model, tensor, variant */
    ORTHO_E_CANCELLED = 8,   /* a progress callback or a signal asked to stop */
    ORTHO_E_DEVICE = 9,      /* the GPU's driver reported an error */
    ORTHO_E_WRONG = 10,      /* a result failed verification */
    ORTHO_E_INTERNAL = 11    /* a bug of ours */
} ortho_status;

/* Every dtype that a safetensors or GGUF file may name. Only F32, F16, BF16 and the GGUF blocks are
 * decoded; the others are named, sized and refused with a clear word. */
typedef enum ortho_dtype {
    ORTHO_F32 = 0,
    ORTHO_F16,
    ORTHO_BF16,
    ORTHO_F64,
    ORTHO_I8,
    ORTHO_U8,
    ORTHO_I16,
    ORTHO_U16,
    ORTHO_I32,
    ORTHO_U32,
    ORTHO_I64,
    ORTHO_U64,
    ORTHO_BOOL,
    ORTHO_F8_E4M3,
    ORTHO_F8_E5M2,
    ORTHO_F8_E8M0,
    ORTHO_F6_E2M3,
    ORTHO_F6_E3M2,
    ORTHO_F4,
    ORTHO_C64,
    ORTHO_Q4_0, /* GGUF: 32 weights in 18 bytes, (q - 8) * d */
    ORTHO_Q4_1, /* GGUF: 32 weights in 20 bytes, q * d + m */
    ORTHO_Q8_0, /* GGUF: 32 weights in 34 bytes, q * d */
    ORTHO_DTYPE_COUNT
} ortho_dtype;

typedef enum ortho_rule {
    ORTHO_RULE_OUTLIER = 0, /* half by |w| / row-rms, kept out of the grid fit; half by e^2 * H */
    ORTHO_RULE_RESIDUAL,    /* absmax/7 per group, score e^2 * H */
    ORTHO_RULE_LEGACY       /* absmax/7 per row whatever the group, score e^2 / H: the original */
} ortho_rule;

/* A row-major matrix in host memory that the caller owns. stride: elements between rows, >= cols.
 */
typedef struct ortho_matrix {
    int64_t rows, cols, stride;
    ortho_dtype dtype; /* ORTHO_F32, ORTHO_F16 or ORTHO_BF16 */
    const void *data;
} ortho_matrix;

typedef struct ortho_sieve_options {
    size_t size;    /* sizeof(ortho_sieve_options): lets later versions add fields */
    double density; /* 0 to 1: exactly floor(density * n * k) entries go to Ortho */
    ortho_rule rule;
    int32_t group;   /* weights along k that share a scale: 32, 64, 128, or 0 for the whole row */
    int32_t threads; /* CPU threads of the sieve and of forwards; 0: all that OpenMP sees now */
} ortho_sieve_options;

typedef struct ortho_layer ortho_layer; /* a sieved linear layer; opaque */

/* What ortho_layer_inspect tells. Bytes are those that the layer holds, weights and index. */
typedef struct ortho_layer_info {
    size_t size; /* sizeof(ortho_layer_info), set by the caller */
    int64_t n, k, nnz;
    int32_t group;
    ortho_rule rule;
    float alpha;
    size_t bytes;
    const char *variant; /* the variant that serves it; static storage */
} ortho_layer_info;

/* The library's version, as ORTHO_VERSION_*: major * 10000 + minor * 100 + patch. Compare it with
 * the header's before the first call: a different major number means another ABI. */
ORTHO_API int ortho_version(void);

/* A short English name of a status ("format"); "unknown" for any other number. Static storage. */
ORTHO_API const char *ortho_status_name(ortho_status status);

/* The last failing call's message in this thread; "" when none failed. Valid until the thread's
 * next failing call. */
ORTHO_API const char *ortho_last_message(void);

/* Sieves W into a new layer that the caller frees with ortho_layer_free.
 *   w        [n, k], finite; not modified, not kept
 *   hessian  [k], finite, non-negative diagonal; NULL: the mean over n of W[n,k]^2; not kept
 *   options  NULL: density 0.01, rule outlier, group 128, all threads. Bytes beyond the struct that
 *            this version knows must be 0
 * alpha starts at 1. The layer holds its weights once, packed for the variant that serves it.
 * Errors: ARGUMENT, MEMORY, NONFINITE (names row and column, or the entry of the hessian),
 * UNSUPPORTED (dtype; an option of a later version). */
ORTHO_API ortho_status ortho_layer_sieve(const ortho_matrix *w, const float *hessian,
                                         const ortho_sieve_options *options, ortho_layer **out);

/* y [m, n] = x [m, k] * (Base + alpha * Ortho)^T. x and y share `dtype` (F32, F16, BF16), are
 * contiguous and don't overlap. Sums are fp32 whatever the dtype, and rounded once. stream: NULL
 * (the CPU). Safe to call from several threads on one layer as long as none sets alpha. m = 0 does
 * nothing and succeeds.
 * Errors: ARGUMENT (NULL, m < 0, overlap), UNSUPPORTED (dtype, stream), MEMORY; y is untouched
 * then. A workspace is taken from the layer's own pool, so that calls of one size allocate once. */
ORTHO_API ortho_status ortho_layer_forward(const ortho_layer *layer, const void *x, int64_t m,
                                           ortho_dtype dtype, void *y, void *stream);

/* The kill switch. alpha = 0 computes Base alone, whatever Ortho holds. alpha must be finite:
 * ARGUMENT otherwise, and the old one stays. */
ORTHO_API ortho_status ortho_layer_set_alpha(ortho_layer *layer, float alpha);

/* Fills *info, whose size the caller has set; ARGUMENT when that is too small or a pointer NULL. */
ORTHO_API ortho_status ortho_layer_inspect(const ortho_layer *layer, ortho_layer_info *info);

/* Frees the layer. NULL is allowed. */
ORTHO_API void ortho_layer_free(ortho_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
