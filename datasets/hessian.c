/* hessian.c: the diagonal H from a file of calibration data: a diagonal [k] as it is, activations
 * [t, k] as the mean over t of x^2, read in pieces; and activations to judge a sieve by, kept. */
#include "common/error.h"
#include "datasets/checkpoint.h"
#include "datasets/datasets.h"
#include "datasets/reject.h"

#include "common/dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const ortho_reader ortho_reader_safetensors;

#define PIECE_ELEMENTS (1 << 20)

static ortho_status find(ortho_source *source, const ortho_slice *slice, const char *path,
                         int64_t *index)
{
    for (int64_t i = 0; i < ortho_checkpoint_count(source); i++)
        if (strcmp(ortho_checkpoint_tensor(source, i)->name, slice->tensor->name) == 0) {
            *index = i;
            return ORTHO_OK;
        }
    return ortho_fail(ORTHO_E_NOT_FOUND, "%s: no tensor is called \"%s\"", path,
                      slice->tensor->name);
}

/* Makes [k] readable by rows: it becomes [1, k]. */
static ortho_status as_matrix(ortho_tensor *t, int64_t k, bool *diagonal)
{
    ortho_place place = {t->file, t->name, t->begin};
    *diagonal = t->rank == 1;
    if (*diagonal) {
        t->shape[1] = t->shape[0];
        t->shape[0] = 1;
        t->rank = 2;
    }
    if (t->rank != 2 || t->shape[1] != k || t->shape[0] < 1)
        return ortho_reject(ORTHO_E_ARGUMENT, place,
                            "wants [%lld], a diagonal, or [t, %lld], activations", (long long)k,
                            (long long)k);
    return ORTHO_OK;
}

static ortho_status bad_value(const ortho_tensor *t, int64_t row, int64_t column, float value)
{
    int64_t bytes = ortho_dtype_block_bytes(t->dtype);
    ortho_place place = {t->file, t->name,
                         t->begin + (uint64_t)((row * t->shape[1] + column) * bytes)};
    return ortho_reject(ORTHO_E_NONFINITE, place, "row %lld, column %lld is %g", (long long)row,
                        (long long)column, (double)value);
}

/* Adds one row's contribution. */
static ortho_status add_row(const ortho_tensor *t, bool diagonal, int64_t row, const float *x,
                            double *sum)
{
    for (int64_t c = 0; c < t->shape[1]; c++) {
        if (!isfinite(x[c]) || (diagonal && x[c] < 0))
            return bad_value(t, row, c, x[c]);
        sum[c] += diagonal ? (double)x[c] : (double)x[c] * (double)x[c];
    }
    return ORTHO_OK;
}

/* `keep` [t, k]: where the rows go as well; NULL: nowhere. */
static ortho_status accumulate(ortho_source *source, int64_t index, bool diagonal, double *sum,
                               float *keep)
{
    const ortho_tensor *t = ortho_checkpoint_tensor(source, index);
    int64_t tokens = t->shape[0], k = t->shape[1];
    int64_t step = k < PIECE_ELEMENTS ? PIECE_ELEMENTS / k : 1;
    step = step < tokens ? step : tokens;
    float *x = malloc((size_t)step * (size_t)k * sizeof *x);
    if (!x)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for activations", t->file);
    ortho_status status = ORTHO_OK;
    for (int64_t row = 0; row < tokens && status == ORTHO_OK; row += step) {
        int64_t rows = tokens - row < step ? tokens - row : step;
        status = ortho_checkpoint_read_f32(source, index, row, rows, x);
        for (int64_t r = 0; r < rows && status == ORTHO_OK; r++)
            status = add_row(t, diagonal, row + r, x + r * k, sum);
        if (status == ORTHO_OK && keep != NULL)
            memcpy(keep + row * k, x, (size_t)rows * (size_t)k * sizeof *x);
    }
    free(x);
    return status;
}

/* H of the tensor at index; its rows too where `keep` isn't NULL and it holds activations: *keep is
 * the caller's then. */
static ortho_status weigh(ortho_source *source, int64_t index, int64_t k, float *h, float **keep)
{
    ortho_tensor *t = &source->tensors[index];
    bool diagonal = false;
    float *rows = NULL;
    ortho_status status = as_matrix(t, k, &diagonal);
    if (status != ORTHO_OK)
        return status;
    double *sum = calloc((size_t)k, sizeof *sum);
    bool keeps = keep != NULL && !diagonal;
    if (keeps) /* the header was held against the file's length: t * k floats can be counted */
        rows = malloc((size_t)t->shape[0] * (size_t)k * sizeof *rows);
    status = sum != NULL && (rows != NULL || !keeps)
                 ? accumulate(source, index, diagonal, sum, rows)
                 : ortho_fail(ORTHO_E_MEMORY, "%s: no memory for %lld x %lld activations", t->file,
                              (long long)t->shape[0], (long long)k);
    for (int64_t c = 0; c < k && status == ORTHO_OK; c++)
        h[c] = (float)(sum[c] / (double)t->shape[0]);
    free(sum);
    if (keeps && status == ORTHO_OK)
        *keep = rows;
    else
        free(rows);
    return status;
}

ortho_status ortho_hessian_from_file(const char *path, const ortho_slice *slice, float *dst)
{
    ortho_source *source;
    int64_t index = 0;
    ortho_status status = ortho_reader_safetensors.open(path, &source);
    if (status != ORTHO_OK)
        return status;
    status = find(source, slice, path, &index);
    if (status == ORTHO_OK)
        status = weigh(source, index, slice->k, dst, NULL);
    ortho_checkpoint_free(source);
    return status;
}

ortho_status ortho_activations_from_file(const char *path, const ortho_slice *slice,
                                         ortho_activations *out)
{
    ortho_source *source;
    ortho_activations made = {0};
    int64_t index = 0;
    ortho_status status = ortho_reader_safetensors.open(path, &source);
    if (status != ORTHO_OK)
        return status;
    status = find(source, slice, path, &index);
    if (status == ORTHO_OK) {
        made.h = malloc((size_t)slice->k * sizeof *made.h);
        status = made.h != NULL ? weigh(source, index, slice->k, made.h, &made.x)
                                : ortho_fail(ORTHO_E_MEMORY, "%s: no memory for %lld columns", path,
                                             (long long)slice->k);
    }
    if (status == ORTHO_OK) {
        made.tokens = made.x != NULL ? source->tensors[index].shape[0] : 0;
        *out = made;
    } else {
        free(made.h);
    }
    ortho_checkpoint_free(source);
    return status;
}

void ortho_activations_free(ortho_activations *a)
{
    free(a->x);
    free(a->h);
    *a = (ortho_activations){0};
}
