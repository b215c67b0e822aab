/* COO and block-CSR, from the canonical CSR and back. */
#include "kernels/split.h"

#include "common/error.h"

#include <string.h>

ortho_status ortho_coo_from_csr(const ortho_split *s, const ortho_services *sv,
                                ortho_purpose purpose, ortho_coo *out)
{
    size_t entries = (size_t)s->nnz;
    ortho_coo c = {.n = s->n, .k = s->k, .nnz = s->nnz};
    c.row = sv->alloc(sv->ctx, entries * sizeof *c.row, ORTHO_HOST, purpose);
    c.col = sv->alloc(sv->ctx, entries * sizeof *c.col, ORTHO_HOST, purpose);
    c.val = sv->alloc(sv->ctx, entries * sizeof *c.val, ORTHO_HOST, purpose);
    if (c.row == NULL || c.col == NULL || c.val == NULL) {
        ortho_coo_free(&c, sv);
        return ORTHO_E_MEMORY;
    }
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++) {
            c.row[i] = (int32_t)r;
            c.col[i] = (int32_t)ortho_split_col(s, i);
        }
    memcpy(c.val, s->val, entries * sizeof *c.val);
    *out = c;
    return ORTHO_OK;
}

void ortho_coo_free(ortho_coo *c, const ortho_services *sv)
{
    sv->free(sv->ctx, c->val);
    sv->free(sv->ctx, c->col);
    sv->free(sv->ctx, c->row);
    memset(c, 0, sizeof *c);
}

static void set_column(ortho_split *s, int64_t i, int64_t col)
{
    if (s->k > 65536)
        ((uint32_t *)s->col)[i] = (uint32_t)col;
    else
        ((uint16_t *)s->col)[i] = (uint16_t)col;
}

static ortho_status check_sizes(const ortho_split *s, int64_t n, int64_t k, int64_t nnz)
{
    if (s->n == n && s->k == k && s->nnz == nnz)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_ARGUMENT,
                      "%lld x %lld with %lld entries does not fit a split of %lld x %lld with %lld",
                      (long long)n, (long long)k, (long long)nnz, (long long)s->n, (long long)s->k,
                      (long long)s->nnz);
}

ortho_status ortho_csr_from_coo(const ortho_coo *c, ortho_split *out)
{
    ortho_status status = check_sizes(out, c->n, c->k, c->nnz);
    if (status != ORTHO_OK)
        return status;
    memset(out->row_ptr, 0, (size_t)(c->n + 1) * sizeof *out->row_ptr);
    for (int64_t i = 0; i < c->nnz; i++) {
        out->row_ptr[c->row[i] + 1]++;
        set_column(out, i, c->col[i]);
    }
    for (int64_t r = 0; r < c->n; r++)
        out->row_ptr[r + 1] += out->row_ptr[r];
    memcpy(out->val, c->val, (size_t)c->nnz * sizeof *c->val);
    return ORTHO_OK;
}

static int64_t tiles_of(const ortho_bcsr *b)
{
    return (b->k + b->tile_cols - 1) / b->tile_cols;
}

static int64_t buckets_of(const ortho_bcsr *b)
{
    return (b->n + b->block_rows - 1) / b->block_rows * tiles_of(b);
}

static int64_t bucket_of(const ortho_bcsr *b, int64_t row, int64_t col)
{
    return row / b->block_rows * tiles_of(b) + col / b->tile_cols;
}

/* bucket_ptr[b + 1] counts, then starts, then (as the fill moves on) ends of bucket b. */
static void fill_buckets(const ortho_split *s, ortho_bcsr *b)
{
    int64_t buckets = buckets_of(b);
    int32_t *ptr = b->bucket_ptr;
    memset(ptr, 0, (size_t)(buckets + 1) * sizeof *ptr);
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++)
            ptr[bucket_of(b, r, ortho_split_col(s, i)) + 1]++;
    int32_t start = 0;
    for (int64_t i = 1; i <= buckets; i++) {
        int32_t count = ptr[i];
        ptr[i] = start;
        start += count;
    }
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++) {
            int64_t col = ortho_split_col(s, i);
            int32_t at = ptr[bucket_of(b, r, col) + 1]++;
            b->row[at] = (uint16_t)(r % b->block_rows);
            b->col[at] = (uint16_t)(col % b->tile_cols);
            b->val[at] = s->val[i];
        }
}

ortho_status ortho_bcsr_from_csr(const ortho_split *s, int32_t block_rows, int32_t tile_cols,
                                 const ortho_services *sv, ortho_purpose purpose, ortho_bcsr *out)
{
    if (block_rows < 1 || block_rows > 65536 || tile_cols < 1 || tile_cols > 65536)
        return ortho_fail(ORTHO_E_ARGUMENT, "buckets of %d rows x %d columns: 1 to 65536 each",
                          block_rows, tile_cols);
    size_t entries = (size_t)s->nnz;
    ortho_bcsr b = {
        .n = s->n, .k = s->k, .nnz = s->nnz, .block_rows = block_rows, .tile_cols = tile_cols};
    b.bucket_ptr = sv->alloc(sv->ctx, (size_t)(buckets_of(&b) + 1) * sizeof *b.bucket_ptr,
                             ORTHO_HOST, purpose);
    b.row = sv->alloc(sv->ctx, entries * sizeof *b.row, ORTHO_HOST, purpose);
    b.col = sv->alloc(sv->ctx, entries * sizeof *b.col, ORTHO_HOST, purpose);
    b.val = sv->alloc(sv->ctx, entries * sizeof *b.val, ORTHO_HOST, purpose);
    if (b.bucket_ptr == NULL || b.row == NULL || b.col == NULL || b.val == NULL) {
        ortho_bcsr_free(&b, sv);
        return ORTHO_E_MEMORY;
    }
    fill_buckets(s, &b);
    *out = b;
    return ORTHO_OK;
}

void ortho_bcsr_free(ortho_bcsr *b, const ortho_services *sv)
{
    sv->free(sv->ctx, b->val);
    sv->free(sv->ctx, b->col);
    sv->free(sv->ctx, b->row);
    sv->free(sv->ctx, b->bucket_ptr);
    memset(b, 0, sizeof *b);
}

/* Tiles of a row block ascend, and so do columns within them: appending in bucket order to each
 * row's own end gives canonical order. */
ortho_status ortho_csr_from_bcsr(const ortho_bcsr *b, ortho_split *out)
{
    ortho_status status = check_sizes(out, b->n, b->k, b->nnz);
    if (status != ORTHO_OK)
        return status;
    int64_t tiles = tiles_of(b), buckets = buckets_of(b);
    int32_t *ptr = out->row_ptr;
    memset(ptr, 0, (size_t)(b->n + 1) * sizeof *ptr);
    for (int64_t i = 0; i < buckets; i++)
        for (int32_t e = b->bucket_ptr[i]; e < b->bucket_ptr[i + 1]; e++)
            ptr[i / tiles * b->block_rows + b->row[e] + 1]++;
    int32_t start = 0;
    for (int64_t r = 1; r <= b->n; r++) {
        int32_t count = ptr[r];
        ptr[r] = start;
        start += count;
    }
    for (int64_t i = 0; i < buckets; i++)
        for (int32_t e = b->bucket_ptr[i]; e < b->bucket_ptr[i + 1]; e++) {
            int32_t at = ptr[i / tiles * b->block_rows + b->row[e] + 1]++;
            set_column(out, at, i % tiles * b->tile_cols + b->col[e]);
            out->val[at] = b->val[e];
        }
    return ORTHO_OK;
}
