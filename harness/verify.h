/*
 * verify.h: no number without a verdict.
 *
 * GEMM tolerance. A dot product of k terms, summed in fp32 in any order, errs by at most
 * k*u*M to first order, u = 2^-24, M = sum |x||w| (the magnitude, Base and Ortho apart): too wide
 * to see one wrong weight (which moves y by about M/k). Rounding errors are as good as independent
 * with mean zero, so with probability 1 - 2 exp(-L^2/2) the error stays within L*sqrt(k)*u*M
 * (Higham and Mary, 2019, theorem 2.4). L = 8 leaves 2.5e-14 for an output: a million outputs fail
 * by chance once in 40 million runs. Ortho adds its terms, and the scale and the sum of
 * Base and Ortho a few roundings more, hence
 *     tol = 8 * sqrt(2k + 16) * 2^-24 * M + eps * |y| + tiny
 * with eps half a unit in the last place of the output's format (2^-24, 2^-11, 2^-8) and tiny half
 * of its smallest subnormal. At k = 8192 a wrong weight of average size moves y by 1.2e-4 M, the
 * tolerance is 6e-5 M in fp32.
 *
 * What is checked. Every element must be finite where the truth is. All tokens exactly for
 * m <= 32. Beyond that 32 tokens exactly (first, last, 30 by seed), and two projections r^T Y with
 * r in {-1, +1}^m against (r^T X) W^T: a single wrong element moves both by its whole error. Their
 * tolerance is the same formula with M_r[n] = sum_k |w[n,k]| sqrt(sum_t x[t,k]^2), which bounds
 * sqrt(sum_t M[t,n]^2) by Minkowski's inequality: errors of different tokens are independent too.
 *
 * With int8 activations the truth is the same, of x as it is, and the tolerance what rounding x may
 * cost at most beside it (verify_int8.c).
 */
#ifndef ORTHO_HARNESS_VERIFY_H
#define ORTHO_HARNESS_VERIFY_H

#include <ortho/variant.h>

#define OB_EXACT_TOKENS 32
#define OB_PROJECTIONS  2

typedef struct ob_verdict {
    double rel_error; /* at the worst output: |got - exact| / magnitude */
    double tolerance; /* there, in the same unit */
    char checked[160];
} ob_verdict;

/* ---- GEMM ------------------------------------------------------------------------------------ */

typedef struct ob_gemm_truth {
    int64_t n, k, m;
    ortho_dtype dtype;
    int threads;
    int tokens;      /* checked exactly */
    int projections; /* 0 or OB_PROJECTIONS */
    int64_t token[OB_EXACT_TOKENS];
    uint64_t seed;
    double *y, *magnitude; /* [tokens + projections, n] */
    double *scale;         /* [n] M_r; NULL without projections */
    /* [tokens + 1, n], the last line of a projection: what int8 activations may cost; NULL: they
     * are exact. */
    double *rounding;
} ob_gemm_truth;

typedef struct ob_gemm_inputs {
    const ortho_split *split;
    const ortho_matrix *w; /* not NULL: the truth is x * W^T */
    const void *x;         /* [m, k], host */
    ortho_dtype dtype;
    int64_t m;
    float alpha;
    int threads;
    uint64_t seed;
    ortho_activation_mode activations; /* INT8 with a split alone */
} ob_gemm_inputs;

/* Computes what every variant of a group must give. The caller frees with ob_gemm_truth_free. */
ortho_status ob_gemm_truth_make(const ob_gemm_inputs *inputs, ob_gemm_truth *out);
void ob_gemm_truth_free(ob_gemm_truth *truth);

/* verify_int8.c: truth->rounding, of a truth that has its tokens. The caller frees the truth even
 * on failure. */
ortho_status ob_gemm_rounding_make(const ob_gemm_inputs *inputs, ob_gemm_truth *truth);

/* Compares one output y [m, n] in host memory. WRONG names token, row, got and expected, or the
 * projection. `verdict` keeps the worst output over several calls. */
ortho_status ob_gemm_verify(const ob_gemm_truth *truth, const void *y, ob_verdict *verdict);

/* Where a variant computes nothing: all of y must still be the poison (0xff). WRONG says where. */
ortho_status ob_poison_verify(const void *y, size_t bytes, ob_verdict *verdict);

/* ---- sieve ----------------------------------------------------------------------------------- */

/* What the sieve was asked, in the words of kernels/sieve.h, all in host memory. */
typedef struct ob_sieve_truth {
    const ortho_matrix *w;
    const double *hessian; /* [k] */
    int64_t nnz, group;    /* effective group: k under LEGACY */
    ortho_rule rule;
    int threads;
} ob_sieve_truth;

/*
 * Checks a split against the definition, in fp64, without a sort and without an oracle: shape and
 * invariants; exactly nnz entries; each scale is the one that the rule gives; each q is the nearest
 * grid point; each val is fp16(w - s*q) bit for bit; no entry left out scores above one taken.
 * Comparisons of scores, of scale sums and of thresholds tolerate OB_TIE relative: that is where
 * implementations may differ. WRONG names row and column. */
#define OB_TIE 1e-6
ortho_status ob_sieve_verify(const ob_sieve_truth *truth, const ortho_split *split,
                             ob_verdict *verdict);

/* H as the sieve defines it: `given` [k] floats, or the mean over n of W[n,k]^2. out [k]. */
void ob_hessian_exact(const ortho_matrix *w, const float *given, double *out);

#endif
