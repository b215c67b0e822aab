/* hessian.c: the diagonal H from a file of calibration data: a diagonal [k] as it is, activations
 * [t, k] as the mean over t of x^2, read in pieces. */
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

static ortho_status accumulate(ortho_source *source, int64_t index, bool diagonal, double *sum)
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
    }
    free(x);
    return status;
}

ortho_status ortho_hessian_from_file(const char *path, const ortho_slice *slice, float *dst)
{
    ortho_source *source;
    int64_t index = 0;
    bool diagonal = false;
    double *sum = NULL;
    ortho_status status = ortho_reader_safetensors.open(path, &source);
    if (status != ORTHO_OK)
        return status;
    status = find(source, slice, path, &index);
    if (status != ORTHO_OK)
        goto done;
    status = as_matrix(&source->tensors[index], slice->k, &diagonal);
    if (status != ORTHO_OK)
        goto done;
    sum = calloc((size_t)slice->k, sizeof *sum);
    if (!sum) {
        status =
            ortho_fail(ORTHO_E_MEMORY, "%s: no memory for %lld columns", path, (long long)slice->k);
        goto done;
    }
    status = accumulate(source, index, diagonal, sum);
    if (status != ORTHO_OK)
        goto done;
    for (int64_t c = 0; c < slice->k; c++)
        dst[c] = (float)(sum[c] / (double)source->tensors[index].shape[0]);
done:
    free(sum);
    ortho_checkpoint_free(source);
    return status;
}
