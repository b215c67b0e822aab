/*
 * outputs.c: X lies transposed, so that a row's products run over tokens side by side and each
 * token's sum is added in the order of k, whatever the vector width. It takes n k tokens
 * multiply-adds: by far the most expensive of a sieve's figures, computed only when asked for.
 */
#include "kernels/outputs.h"

#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "kernels/split.h"

#include <stdlib.h>

#define BLOCK 256 /* tokens whose sums stay in L1 */

typedef struct job {
    const ortho_matrix *w;
    const ortho_split *split; /* NULL: W itself */
    const float *xt;          /* [k, tokens] */
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

/* Row r of W, or of W - V. */
static void load_row(const job *j, int64_t r, double *row)
{
    const ortho_split *s = j->split;
    for (int64_t k = 0; k < j->w->cols; k++)
        row[k] = ortho_dtype_load(j->w->dtype, j->w->data, r * j->w->stride + k);
    if (s == NULL)
        return;
    const uint8_t *q = s->q + r * ((s->k + 1) / 2);
    int64_t groups = (s->k + s->group - 1) / s->group;
    for (int64_t k = 0; k < s->k; k++) {
        int nibble = k % 2 == 0 ? q[k / 2] & 15 : q[k / 2] >> 4;
        double scale = ortho_fp16_to_float(s->scale[r * groups + k / s->group]);
        row[k] -= scale * (nibble >= 8 ? nibble - 16 : nibble);
    }
    for (int32_t e = s->row_ptr[r]; e < s->row_ptr[r + 1]; e++)
        row[ortho_split_col(s, e)] -= ortho_fp16_to_float(s->val[e]);
}

/* y [count] += a row's columns from k on, four at a time, times x's. */
static void add_columns(const job *j, const double *row, int64_t begin, int64_t count, double *y)
{
    int64_t k = 0, step = j->tokens;
    const float *x = j->xt + begin;
    for (; k + 4 <= j->w->cols; k += 4, x += 4 * step)
        for (int64_t t = 0; t < count; t++) {
            double sum = y[t] + row[k] * (double)x[t];
            sum += row[k + 1] * (double)x[step + t];
            sum += row[k + 2] * (double)x[2 * step + t];
            y[t] = sum + row[k + 3] * (double)x[3 * step + t];
        }
    for (; k < j->w->cols; k++, x += step)
        for (int64_t t = 0; t < count; t++)
            y[t] += row[k] * (double)x[t];
}

/* The sum over tokens of (x . row)^2. */
static double energy(const job *j, const double *row)
{
    double sum = 0;
    for (int64_t begin = 0; begin < j->tokens; begin += BLOCK) {
        double y[BLOCK] = {0};
        int64_t count = j->tokens - begin < BLOCK ? j->tokens - begin : BLOCK;
        add_columns(j, row, begin, count, y);
        for (int64_t t = 0; t < count; t++)
            sum += y[t] * y[t];
    }
    return sum;
}

/* energies [n], by row. False: no memory. */
static bool measure_rows(const job *j, int threads, double *energies)
{
    bool fine = true;
#pragma omp parallel num_threads(threads > 0 ? threads : 1) reduction(&& : fine)
    {
        double *row = malloc((size_t)j->w->cols * sizeof *row);
        fine = row != NULL;
#pragma omp for schedule(static)
        for (int64_t r = 0; r < j->w->rows; r++) {
            if (row == NULL)
                continue;
            load_row(j, r, row);
            energies[r] = energy(j, row);
        }
        free(row);
    }
    return fine;
}

ortho_status ortho_output_energy(const ortho_matrix *w, const ortho_split *split, const float *x,
                                 int64_t tokens, int threads, double *out)
{
    bool fits = split == NULL || (w->rows == split->n && w->cols == split->k);
    if (!fits || w->rows < 1 || w->cols < 1 || tokens < 1)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "outputs: W is %lld x %lld, its split another or %lld tokens too few",
                          (long long)w->rows, (long long)w->cols, (long long)tokens);
    float *xt = transposed(x, tokens, w->cols);
    double sum = 0, *energies = malloc((size_t)w->rows * sizeof *energies);
    job j = {w, split, xt, tokens};
    bool fine = xt != NULL && energies != NULL && measure_rows(&j, threads, energies);
    for (int64_t r = 0; fine && r < w->rows; r++)
        sum += energies[r];
    free(energies);
    free(xt);
    if (!fine)
        return ortho_fail(ORTHO_E_MEMORY, "outputs: no memory for %lld tokens", (long long)tokens);
    *out = sum;
    return ORTHO_OK;
}
