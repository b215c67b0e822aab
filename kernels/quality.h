/*
 * quality.h: what a sieve lost. Everything compares W with V = Base + Ortho (alpha = 1), in double.
 *
 * With D = W - V, sums over all n*k elements, H the diagonal that weighs column k:
 *   rel_frobenius   sqrt(sum D^2 / sum W^2)                        no unit; 0 for an all-zero W
 *   h_weighted      sqrt(sum H D^2 / sum H W^2)                    no unit; 0 where sum H W^2 = 0
 *   snr_db          10 log10(sum W^2 / sum D^2)                    decibel; +Inf when D = 0
 *   cosine          sum W V / sqrt(sum W^2 * sum V^2)              -1..1; 1 where both are zero
 *   max_abs         max |D|                                        in W's unit
 *   clip_rate       share of elements with rint(w/s) outside [-8, 7] (w != 0 where s = 0),
 *                   whether Ortho repairs them or not              0..1
 *   bits_per_weight 8 (q + scale + row_ptr + col + val bytes) / (n k), as stored
 *   row_cv          standard deviation (over all n rows) of the rows' entry counts / their mean;
 *                   0 where there are no entries
 *   row_max         entries of the fullest row
 *   empty_rows      rows without entry / n                         0..1
 */
#ifndef ORTHO_KERNELS_QUALITY_H
#define ORTHO_KERNELS_QUALITY_H

#include <ortho/variant.h>

typedef struct ortho_quality {
    double rel_frobenius, h_weighted, snr_db, cosine, max_abs, clip_rate;
    double bits_per_weight, row_cv, empty_rows;
    int64_t nnz, row_max;
} ortho_quality;

/* Measures `split` against the W [n, k] that it came from. hessian [k]; NULL: the mean over n of
 * W[n,k]^2. threads >= 1; the result doesn't depend on it. snr_db may be +Inf: JSON can't hold it.
 * ARGUMENT when the shapes differ, MEMORY. */
ortho_status ortho_quality_measure(const ortho_matrix *w, const ortho_split *split,
                                   const float *hessian, int threads, ortho_quality *out);

#endif
