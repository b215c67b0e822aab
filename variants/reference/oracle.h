/*
 * oracle.h: the truth that every GEMM is verified against, in fp64.
 *
 * It reads the canonical split (or the unsplit W) straight from the definition in
 * include/ortho/variant.h and decodes nibbles, fp16 and bf16 with code of its own: an error in
 * kernels/ or common/half.h can't hide in it.
 */
#ifndef ORTHO_VARIANTS_REFERENCE_ORACLE_H
#define ORTHO_VARIANTS_REFERENCE_ORACLE_H

#include <ortho/variant.h>

typedef struct ortho_oracle_job {
    const ortho_split *split; /* x * (Base + alpha * Ortho)^T; may be NULL where w is not */
    const ortho_matrix *w;    /* not NULL: x * W^T instead, for ORTHO_COMPUTES_UNSPLIT */
    const void *x;            /* [m, k] contiguous, of `dtype` */
    ortho_dtype dtype;        /* F32, F16 or BF16 */
    int64_t m;                /* tokens, >= 1 */
    float alpha;              /* 0: Ortho is not read */
    int threads;              /* >= 1 */
    double *y;                /* out [m, n] */
    double *magnitude;        /* out [m, n], or NULL: the sum over k of |x| * |w| with Base and
                                 Ortho counted apart (|q * s| + |alpha * val|). An error bound of
                                 any order of summation is a multiple of it. */
} ortho_oracle_job;

/* Errors: ARGUMENT (a dtype it doesn't know, m < 1), MEMORY (its own scratch, O(k)). */
ortho_status ortho_oracle_gemm(const ortho_oracle_job *job);

/* The same with the caller's scratch of ortho_oracle_scratch bytes, 64-byte aligned: allocates
 * nothing. */
size_t ortho_oracle_scratch(int64_t k, int threads);
ortho_status ortho_oracle_gemm_with(const ortho_oracle_job *job, void *scratch);

/* Rounds a double once, to nearest even, and stores it as element i of F32, F16 or BF16 data. */
void ortho_oracle_store(ortho_dtype dtype, void *data, int64_t i, double value);

#endif
