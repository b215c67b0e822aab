/* Each row's sums are its own and are added in row order, so that threads don't change a bit. */
#include "kernels/quality.h"

#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "kernels/split.h"

#include <math.h>
#include <stdlib.h>

typedef struct row_sums {
    double ww, vv, wv, dd, hww, hdd, max_abs;
    int64_t clipped;
} row_sums;

static double *column_means(const ortho_matrix *w, const float *hessian)
{
    double *h = calloc((size_t)w->cols + 1, sizeof *h);
    if (h == NULL)
        return NULL;
    if (hessian != NULL) {
        for (int64_t k = 0; k < w->cols; k++)
            h[k] = hessian[k];
        return h;
    }
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t k = 0; k < w->cols; k++) {
            double x = ortho_dtype_load(w->dtype, w->data, r * w->stride + k);
            h[k] += x * x;
        }
    for (int64_t k = 0; k < w->cols; k++)
        h[k] /= (double)w->rows;
    return h;
}

static int nibble(const ortho_split *s, int64_t r, int64_t k)
{
    int byte = s->q[r * ((s->k + 1) / 2) + k / 2];
    int low = k % 2 == 0 ? byte & 15 : byte >> 4;
    return low >= 8 ? low - 16 : low;
}

static void measure_row(const ortho_matrix *w, const ortho_split *s, const double *h, int64_t r,
                        row_sums *out)
{
    row_sums a = {0};
    int64_t groups = (s->k + s->group - 1) / s->group;
    int64_t entry = s->row_ptr[r], end = s->row_ptr[r + 1];
    for (int64_t k = 0; k < s->k; k++) {
        double x = ortho_dtype_load(w->dtype, w->data, r * w->stride + k);
        double scale = ortho_fp16_to_float(s->scale[r * groups + k / s->group]);
        double v = scale * nibble(s, r, k);
        if (entry < end && ortho_split_col(s, entry) == k)
            v += ortho_fp16_to_float(s->val[entry++]);
        double d = x - v, grid = scale > 0 ? rint(x / scale) : (x != 0 ? 8 : 0);
        a.clipped += grid < -8 || grid > 7;
        a.ww += x * x;
        a.vv += v * v;
        a.wv += x * v;
        a.dd += d * d;
        a.hww += h[k] * x * x;
        a.hdd += h[k] * d * d;
        a.max_abs = fabs(d) > a.max_abs ? fabs(d) : a.max_abs;
    }
    *out = a;
}

static void rows_statistics(const ortho_split *s, ortho_quality *q)
{
    double squares = 0, mean = (double)s->nnz / (double)s->n;
    int64_t empty = 0;
    q->nnz = s->nnz;
    q->row_max = 0;
    for (int64_t r = 0; r < s->n; r++) {
        int64_t count = s->row_ptr[r + 1] - s->row_ptr[r];
        double off = (double)count - mean;
        squares += off * off;
        empty += count == 0;
        q->row_max = count > q->row_max ? count : q->row_max;
    }
    q->row_cv = s->nnz > 0 ? sqrt(squares / (double)s->n) / mean : 0;
    q->empty_rows = (double)empty / (double)s->n;
}

static void combine(const row_sums *rows, const ortho_split *s, ortho_quality *q)
{
    row_sums t = {0};
    double elements = (double)s->n * (double)s->k;
    for (int64_t r = 0; r < s->n; r++) {
        t.ww += rows[r].ww;
        t.vv += rows[r].vv;
        t.wv += rows[r].wv;
        t.dd += rows[r].dd;
        t.hww += rows[r].hww;
        t.hdd += rows[r].hdd;
        t.clipped += rows[r].clipped;
        t.max_abs = rows[r].max_abs > t.max_abs ? rows[r].max_abs : t.max_abs;
    }
    double norms = sqrt(t.ww) * sqrt(t.vv);
    q->rel_frobenius = t.ww > 0 ? sqrt(t.dd / t.ww) : 0;
    q->h_weighted = t.hww > 0 ? sqrt(t.hdd / t.hww) : 0;
    q->snr_db = t.dd > 0 ? 10 * log10(t.ww / t.dd) : INFINITY;
    q->cosine = norms > 0 ? t.wv / norms : (t.ww == t.vv ? 1 : 0);
    q->max_abs = t.max_abs;
    q->clip_rate = (double)t.clipped / elements;
    q->bits_per_weight =
        8.0 * (double)(ortho_split_base_bytes(s) + ortho_split_ortho_bytes(s)) / elements;
}

ortho_status ortho_quality_measure(const ortho_matrix *w, const ortho_split *split,
                                   const float *hessian, int threads, ortho_quality *out)
{
    if (w->rows != split->n || w->cols != split->k || split->n < 1 || split->k < 1)
        return ortho_fail(ORTHO_E_ARGUMENT, "quality: W is %lld x %lld, the split %lld x %lld",
                          (long long)w->rows, (long long)w->cols, (long long)split->n,
                          (long long)split->k);
    double *h = column_means(w, hessian);
    row_sums *rows = malloc((size_t)split->n * sizeof *rows);
    if (h == NULL || rows == NULL) {
        free(rows);
        free(h);
        return ortho_fail(ORTHO_E_MEMORY, "quality: no memory for %lld rows", (long long)split->n);
    }
#pragma omp parallel for num_threads(threads > 0 ? threads : 1) schedule(static)
    for (int64_t r = 0; r < split->n; r++)
        measure_row(w, split, h, r, &rows[r]);
    ortho_quality q;
    combine(rows, split, &q);
    rows_statistics(split, &q);
    *out = q;
    free(rows);
    free(h);
    return ORTHO_OK;
}
