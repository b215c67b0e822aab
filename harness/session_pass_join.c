/*
 * Linears that share x as one problem: the rows of their weights, and of their splits, appended in
 * order. What a split's slices were sieved to stays as it is: nothing is sieved anew.
 */
#include "harness/session_pass.h"

#include "common/dtype.h"
#include "common/error.h"
#include "kernels/split.h"

#include <string.h>

static int32_t *append_rows(const ortho_split *part, int32_t first, int32_t *row_ptr)
{
    for (int64_t row = 0; row < part->n; row++)
        row_ptr[row] = first + part->row_ptr[row];
    return row_ptr + part->n;
}

static void append(const ortho_split *part, ortho_split *whole, int64_t row, int64_t entry)
{
    size_t q = (size_t)((part->k + 1) / 2), col = ortho_split_col_bytes(part->k);
    size_t scales = (size_t)((part->k + part->group - 1) / part->group);
    size_t rows = (size_t)part->n, entries = (size_t)part->nnz;
    memcpy(whole->q + (size_t)row * q, part->q, rows * q);
    memcpy(whole->scale + (size_t)row * scales, part->scale, rows * scales * sizeof *part->scale);
    if (entries == 0)
        return;
    memcpy((char *)whole->col + (size_t)entry * col, part->col, entries * col);
    memcpy(whole->val + entry, part->val, entries * sizeof *part->val);
}

ortho_status ob_splits_join(const ortho_split *const *parts, int count,
                            const ortho_services *services, ortho_split *out)
{
    int64_t n = 0, nnz = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i]->k != parts[0]->k || parts[i]->group != parts[0]->group)
            return ortho_fail(ORTHO_E_ARGUMENT, "splits of unlike k or group can't be one");
        n += parts[i]->n;
        nnz += parts[i]->nnz;
    }
    ortho_split whole;
    ortho_status status =
        ortho_split_alloc(n, parts[0]->k, parts[0]->group, nnz, services, ORTHO_OUTPUT, &whole);
    if (status != ORTHO_OK)
        return status;
    int64_t row = 0, entry = 0;
    int32_t *row_ptr = whole.row_ptr;
    for (int i = 0; i < count; i++) {
        row_ptr = append_rows(parts[i], (int32_t)entry, row_ptr);
        append(parts[i], &whole, row, entry);
        row += parts[i]->n;
        entry += parts[i]->nnz;
    }
    *row_ptr = (int32_t)nnz;
    *out = whole;
    return ORTHO_OK;
}

/* Rows of one part, from its own stride and dtype. */
static void copy_weights(const ortho_matrix *part, ortho_dtype dtype, char *to)
{
    size_t from_bytes = ortho_dtype_bytes(part->dtype), to_bytes = ortho_dtype_bytes(dtype);
    for (int64_t r = 0; r < part->rows; r++) {
        const char *row = (const char *)part->data + (size_t)(r * part->stride) * from_bytes;
        char *at = to + (size_t)(r * part->cols) * to_bytes;
        if (part->dtype == dtype) {
            memcpy(at, row, (size_t)part->cols * to_bytes);
            continue;
        }
        for (int64_t c = 0; c < part->cols; c++)
            ortho_dtype_store(dtype, at, c, ortho_dtype_load(part->dtype, row, c));
    }
}

ortho_status ob_weights_join(const ortho_matrix *const *parts, int count,
                             const ortho_services *services, ortho_matrix *out)
{
    ortho_matrix whole = {
        .cols = parts[0]->cols, .stride = parts[0]->cols, .dtype = parts[0]->dtype};
    for (int i = 0; i < count; i++) {
        if (parts[i]->cols != whole.cols)
            return ortho_fail(ORTHO_E_ARGUMENT, "weights of unlike k can't be one");
        whole.rows += parts[i]->rows;
        if (parts[i]->dtype != parts[0]->dtype)
            whole.dtype = ORTHO_F32;
    }
    size_t row_bytes = (size_t)whole.cols * ortho_dtype_bytes(whole.dtype);
    char *data =
        services->alloc(services->ctx, (size_t)whole.rows * row_bytes, ORTHO_HOST, ORTHO_WORKING);
    if (data == NULL)
        return ORTHO_E_MEMORY;
    char *at = data;
    for (int i = 0; i < count; i++) {
        copy_weights(parts[i], whole.dtype, at);
        at += (size_t)parts[i]->rows * row_bytes;
    }
    whole.data = data;
    *out = whole;
    return ORTHO_OK;
}

void ob_output_part(const void *joined, ob_joined where, void *out)
{
    size_t row = (size_t)where.n * where.element;
    for (int64_t t = 0; t < where.m; t++)
        memcpy((char *)out + (size_t)t * row,
               (const char *)joined + (size_t)(t * where.all + where.at) * where.element, row);
}
