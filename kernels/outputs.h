/*
 * outputs.h: what a sieve does to the outputs of its linear layer, Y = X W^T, on activations X that
 * no calibration saw. A diagonal H tells the same only where the columns of X don't correlate.
 *
 * The energy of a matrix A [n, k] under X [tokens, k] is the sum of (X A^T)^2 over tokens and rows,
 * in double. With D = W - V, V = Base + Ortho (alpha = 1):
 *   output_rel_mse   energy of D / energy of W    no unit
 *   output_snr_db    -10 log10(output_rel_mse)    decibel; +Inf where D has none
 */
#ifndef ORTHO_KERNELS_OUTPUTS_H
#define ORTHO_KERNELS_OUTPUTS_H

#include <ortho/variant.h>

/* The energy of W - V under x [tokens, k], tokens >= 1; split NULL: that of W. threads >= 1; the
 * result doesn't depend on it. ARGUMENT when the shapes differ, MEMORY. */
ortho_status ortho_output_energy(const ortho_matrix *w, const ortho_split *split, const float *x,
                                 int64_t tokens, int threads, double *out);

#endif
