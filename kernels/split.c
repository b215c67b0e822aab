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
