/*
 * outputs.c: X lies transposed, so that a row's products run over tokens side by side and each
 * token's sum is added in the order of k, whatever the vector width. n k tokens multiply-adds for
 * D and as many for W: by far the most expensive of a sieve's figures, and computed only when asked
 * for.
 */
#include "kernels/outputs.h"

#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "kernels/split.h"

#include <math.h>
#include <stdlib.h>

#define BLOCK 256 /* tokens whose sums stay in L1 */

typedef struct job {
    const ortho_matrix *w;
    const ortho_split *split;
    const float *xt; /* [k, tokens] */
    int64_t tokens;
} job;

static float *transposed(const float *x, int64_t tokens, int64_t k)
{
    float *xt = malloc((size_t)tokens * (size_t)k * sizeof *xt);
    for (int64_t t = 0; xt != NULL && t < tokens; t++)
        for (int64_t c = 0; c < k; c++)
            xt[c * tokens + t] = x[t * k + c];
    return xt;
}

/* Row r of W and of W - V. */
static void load_row(const job *j, int64_t r, double *w, double *d)
{
    const ortho_split *s = j->split;
    const uint8_t *q = s->q + r * ((s->k + 1) / 2);
    int64_t groups = (s->k + s->group - 1) / s->group;
    for (int64_t k = 0; k < s->k; k++) {
        int nibble = k % 2 == 0 ? q[k / 2] & 15 : q[k / 2] >> 4;
        double scale = ortho_fp16_to_float(s->scale[r * groups + k / s->group]);
        w[k] = ortho_dtype_load(j->w->dtype, j->w->data, r * j->w->stride + k);
        d[k] = w[k] - scale * (nibble >= 8 ? nibble - 16 : nibble);
    }
    for (int32_t e = s->row_ptr[r]; e < s->row_ptr[r + 1]; e++)
        d[ortho_split_col(s, e)] -= ortho_fp16_to_float(s->val[e]);
}

/* The sum over tokens of (x . row)^2. */
static double energy(const job *j, const double *row)
{
    double sum = 0;
    for (int64_t begin = 0; begin < j->tokens; begin += BLOCK) {
        double y[BLOCK] = {0};
        int64_t count = j->tokens - begin < BLOCK ? j->tokens - begin : BLOCK;
        for (int64_t k = 0; k < j->split->k; k++) {
            const float *x = j->xt + k * j->tokens + begin;
            for (int64_t t = 0; t < count; t++)
                y[t] += row[k] * (double)x[t];
        }
        for (int64_t t = 0; t < count; t++)
            sum += y[t] * y[t];
    }
    return sum;
}

/* energies [2 n]: of D and of W, by row. False: no memory. */
static bool measure_rows(const job *j, int threads, double *energies)
{
    bool fine = true;
#pragma omp parallel num_threads(threads > 0 ? threads : 1) reduction(&& : fine)
    {
        double *w = malloc(2 * (size_t)j->split->k * sizeof *w);
        fine = w != NULL;
#pragma omp for schedule(static)
        for (int64_t r = 0; r < j->split->n; r++) {
            if (w == NULL)
                continue;
            load_row(j, r, w, w + j->split->k);
            energies[2 * r] = energy(j, w + j->split->k);
            energies[2 * r + 1] = energy(j, w);
        }
        free(w);
    }
    return fine;
}

ortho_status ortho_output_error_measure(const ortho_matrix *w, const ortho_split *split,
                                        const float *x, int64_t tokens, int threads,
                                        ortho_output_error *out)
{
    if (w->rows != split->n || w->cols != split->k || split->n < 1 || split->k < 1 || tokens < 1)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "output error: W is %lld x %lld, the split %lld x %lld, %lld tokens",
                          (long long)w->rows, (long long)w->cols, (long long)split->n,
                          (long long)split->k, (long long)tokens);
    float *xt = transposed(x, tokens, split->k);
    double *energies = malloc(2 * (size_t)split->n * sizeof *energies);
    job j = {w, split, xt, tokens};
    bool fine = xt != NULL && energies != NULL && measure_rows(&j, threads, energies);
    double error = 0, signal = 0;
    for (int64_t r = 0; fine && r < split->n; r++) {
        error += energies[2 * r];
        signal += energies[2 * r + 1];
    }
    free(energies);
    free(xt);
    if (!fine)
        return ortho_fail(ORTHO_E_MEMORY, "output error: no memory for %lld tokens",
                          (long long)tokens);
    *out = (ortho_output_error){.rel_mse = signal > 0 ? error / signal : 0,
                                .snr_db = error > 0 ? 10 * log10(signal / error) : INFINITY};
    return ORTHO_OK;
}
