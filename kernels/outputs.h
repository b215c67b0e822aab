/*
 * outputs.h: what a sieve does to the outputs of its linear layer, Y = X W^T, on activations X that
 * no calibration saw. A diagonal H tells the same only where the columns of X don't correlate.
 *
 * With D = W - V, V = Base + Ortho (alpha = 1), sums over all tokens and rows, in double:
 *   rel_mse   sum (X D^T)^2 / sum (X W^T)^2      no unit; 0 where X W^T is all zero
 *   snr_db    -10 log10(rel_mse)                 decibel; +Inf when X D^T is all zero
 */
#ifndef ORTHO_KERNELS_OUTPUTS_H
#define ORTHO_KERNELS_OUTPUTS_H

#include <ortho/variant.h>

typedef struct ortho_output_error {
    double rel_mse, snr_db;
} ortho_output_error;

/* Measures `split` against the W [n, k] that it came from, on x [tokens, k], tokens >= 1. threads
 * >= 1; the result doesn't depend on it. ARGUMENT when the shapes differ, MEMORY. */
ortho_status ortho_output_error_measure(const ortho_matrix *w, const ortho_split *split,
                                        const float *x, int64_t tokens, int threads,
                                        ortho_output_error *out);

#endif
