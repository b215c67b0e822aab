/* The canonical split and its two other forms. Conversions are counting sorts: O(nnz + buckets). */
#include "kernels/split.h"

#include "common/error.h"

#include <string.h>

static int64_t groups_of(const ortho_split *s)
{
    return (s->k + s->group - 1) / s->group;
}

size_t ortho_split_base_bytes(const ortho_split *s)
{
    return (size_t)s->n * ((size_t)((s->k + 1) / 2) + (size_t)groups_of(s) * sizeof *s->scale);
}

size_t ortho_split_ortho_bytes(const ortho_split *s)
{
    return (size_t)(s->n + 1) * sizeof *s->row_ptr +
           (size_t)s->nnz * (ortho_split_col_bytes(s->k) + sizeof *s->val);
}

ortho_status ortho_split_alloc(int64_t n, int64_t k, int64_t group, int64_t nnz,
                               const ortho_services *sv, ortho_purpose purpose, ortho_split *out)
{
    if (n < 1 || k < 1 || n > INT32_MAX - 1 || k > INT32_MAX || group < 1 || nnz < 0 ||
        nnz > INT32_MAX || nnz > n * k)
        return ortho_fail(ORTHO_E_ARGUMENT, "no split has %lld x %lld, group %lld, %lld entries",
                          (long long)n, (long long)k, (long long)group, (long long)nnz);
    ortho_split s = {.n = n, .k = k, .group = group, .nnz = nnz};
    size_t entries = (size_t)nnz, rows = (size_t)n;
    s.q = sv->alloc(sv->ctx, rows * (size_t)((k + 1) / 2), ORTHO_HOST, purpose);
    s.scale = sv->alloc(sv->ctx, rows * (size_t)groups_of(&s) * 2, ORTHO_HOST, purpose);
    s.row_ptr = sv->alloc(sv->ctx, (rows + 1) * sizeof *s.row_ptr, ORTHO_HOST, purpose);
    s.col = sv->alloc(sv->ctx, entries * ortho_split_col_bytes(k), ORTHO_HOST, purpose);
    s.val = sv->alloc(sv->ctx, entries * sizeof *s.val, ORTHO_HOST, purpose);
    if (s.q == NULL || s.scale == NULL || s.row_ptr == NULL || s.col == NULL || s.val == NULL) {
        ortho_split_free(&s, sv);
        return ORTHO_E_MEMORY;
    }
    memset(s.row_ptr, 0, (rows + 1) * sizeof *s.row_ptr);
    *out = s;
    return ORTHO_OK;
}

void ortho_split_free(ortho_split *s, const ortho_services *sv)
{
    sv->free(sv->ctx, s->val);
    sv->free(sv->ctx, s->col);
    sv->free(sv->ctx, s->row_ptr);
    sv->free(sv->ctx, s->scale);
    sv->free(sv->ctx, s->q);
    memset(s, 0, sizeof *s);
}

static ortho_status check_base(const ortho_split *s)
{
    int64_t groups = groups_of(s), bytes = (s->k + 1) / 2;
    for (int64_t r = 0; r < s->n; r++) {
        for (int64_t g = 0; g < groups; g++) {
            uint16_t half = s->scale[r * groups + g];
            if ((half & 0x7c00u) == 0x7c00u || (half & 0x8000u) != 0)
                return ortho_fail(ORTHO_E_FORMAT, "row %lld: scale %lld is negative or not finite",
                                  (long long)r, (long long)g);
        }
        if (s->k % 2 != 0 && s->q[(r + 1) * bytes - 1] >> 4 != 0)
            return ortho_fail(ORTHO_E_FORMAT, "row %lld: the padding nibble is not 0",
                              (long long)r);
    }
    return ORTHO_OK;
}

/* row_ptr must bound every access before a column is read. */
static ortho_status check_row_ptr(const ortho_split *s)
{
    if (s->row_ptr[0] != 0 || s->row_ptr[s->n] != s->nnz)
        return ortho_fail(ORTHO_E_FORMAT, "row_ptr runs from %d to %d, not from 0 to %lld",
                          s->row_ptr[0], s->row_ptr[s->n], (long long)s->nnz);
    for (int64_t r = 0; r < s->n; r++)
        if (s->row_ptr[r] > s->row_ptr[r + 1])
            return ortho_fail(ORTHO_E_FORMAT, "row %lld: row_ptr falls from %d to %d", (long long)r,
                              s->row_ptr[r], s->row_ptr[r + 1]);
    return ORTHO_OK;
}

static ortho_status check_columns(const ortho_split *s)
{
    for (int64_t r = 0; r < s->n; r++) {
        int64_t before = -1;
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++) {
            int64_t col = ortho_split_col(s, i);
            if (col >= s->k)
                return ortho_fail(ORTHO_E_FORMAT, "row %lld: column %lld, but k = %lld",
                                  (long long)r, (long long)col, (long long)s->k);
            if (col <= before)
                return ortho_fail(ORTHO_E_FORMAT, "row %lld: column %lld after %lld", (long long)r,
                                  (long long)col, (long long)before);
            before = col;
        }
    }
    return ORTHO_OK;
}

ortho_status ortho_split_check(const ortho_split *s)
{
    if (s->n < 1 || s->k < 1 || s->group < 1 || s->nnz < 0 || s->nnz > INT32_MAX)
        return ortho_fail(ORTHO_E_FORMAT, "no split has %lld x %lld, group %lld, %lld entries",
                          (long long)s->n, (long long)s->k, (long long)s->group, (long long)s->nnz);
    ortho_status status = check_base(s);
    if (status == ORTHO_OK)
        status = check_row_ptr(s);
    return status == ORTHO_OK ? check_columns(s) : status;
}
