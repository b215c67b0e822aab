/*
 * sieve.h: the mathematics of the sieve on the CPU, as building blocks that never hold an N*K
 * temporary. Every variant but `coo` (the patient) and the oracle is made of these.
 *
 * The definition all implementations share, bit for bit where it can be:
 *   H[k]      mean over n of W[n,k]^2, summed in double; or as given
 *   group     g weights along k share one fp16 scale s > 0 (an all-zero group has s = 0, q = 0)
 *   grid      q = clamp(rint(w / s), -8, 7) with s rounded to fp16 first; e = w - s*q in float
 *   residual  s = fp16(absmax/7) per group, score e^2 * H
 *   legacy    s = fp16(absmax/7) per row, score e^2 / H (0 where H is 0)
 *   outlier   B1 = floor(nnz/2) entries of the largest |w| / rms(row) are kept out of the fit (ties
 *             by row, then column); s = the first of 16 candidates fp16(absmax_kept/7 * (1 -
 * c/32)), c = 0..15, with the least sum over kept of H * e^2; excluded weights are still quantised
 * (clamped) so that alpha = 0 is the best Base alone; the other nnz - B1 are the largest e^2 * H
 * among the kept. Ortho     val = fp16(w - s*q) at the chosen positions.
 */
#ifndef ORTHO_KERNELS_SIEVE_H
#define ORTHO_KERNELS_SIEVE_H

#include <ortho/variant.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a streaming sieve walks its rows: the variants differ here. */
typedef enum ortho_sieve_walk {
    ORTHO_WALK_SCALAR = 0, /* portable inner loops: a thread a row */
    ORTHO_WALK_VECTOR      /* inner loops vectorised along the row, AVX2 / AVX-512 when there */
} ortho_sieve_walk;

/* Where the chosen entries go: called for whole rows, in any order, from several threads. */
typedef struct ortho_sieve_emit {
    void *ctx;
    /* After selection, once: row_ptr [n+1] of the result. Optional. */
    ortho_status (*rows)(void *ctx, const int32_t *row_ptr);
    /* Entries of one row, columns ascending. */
    void (*row)(void *ctx, int64_t row, int64_t first, int64_t count, const uint32_t *col,
                const uint16_t *val);
} ortho_sieve_emit;

/* Runs the streaming sieve: writes q and scale (canonical layout), hands the entries to `emit`.
 * Working memory: O(n + k) plus histograms, from services with purpose WORKING. */
ortho_status ortho_sieve_stream(const ortho_sieve_problem *problem, ortho_sieve_walk walk,
                                uint8_t *q, uint16_t *scale, int32_t *row_ptr,
                                const ortho_sieve_emit *emit, const ortho_services *services);

/* Passes over W of ortho_sieve_stream, by rule, where H comes from the weights (it saves the first
 * where not) and no more than a thousand scores share the last undecided bin: H; rms and first
 * digit, second digit, gathering of the outliers; fit and first digit, second digit, gathering,
 * emission. */
#define ORTHO_SIEVE_W_READS                                                                        \
    {                                                                                              \
        [ORTHO_RULE_OUTLIER] = 8, [ORTHO_RULE_RESIDUAL] = 5, [ORTHO_RULE_LEGACY] = 5               \
    }

/* Groups along k: the problem's, k under LEGACY. */
int64_t ortho_sieve_group(const ortho_sieve_problem *problem);

/* floor(density * n * k), exact for the decimal that density stands for: the largest m whose share
 * m / (n * k), as a double, is <= density. density is 0..1, n * k < 2^53. */
int64_t ortho_sieve_budget(double density, int64_t n, int64_t k);

#ifdef __cplusplus
}
#endif

#endif
