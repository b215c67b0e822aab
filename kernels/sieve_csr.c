#include "kernels/sieve_csr.h"

#include "kernels/split.h"

#include <string.h>

ortho_status ortho_split_copy_base(const ortho_split *from, ortho_split *to,
                                   const ortho_services *sv)
{
    if (from->n != to->n || from->k != to->k || from->nnz != to->nnz || from->group != to->group)
        return sv->fail(ORTHO_E_ARGUMENT,
                        "a split of %lld x %lld (group %lld, %lld entries) was to be written to one"
                        " of %lld x %lld (group %lld, %lld entries)",
                        (long long)from->n, (long long)from->k, (long long)from->group,
                        (long long)from->nnz, (long long)to->n, (long long)to->k,
                        (long long)to->group, (long long)to->nnz);
    int64_t groups = (from->k + from->group - 1) / from->group;
    memcpy(to->q, from->q, (size_t)(from->n * ((from->k + 1) / 2)));
    memcpy(to->scale, from->scale, (size_t)(from->n * groups) * sizeof *to->scale);
    return ORTHO_OK;
}

ortho_status ortho_split_copy(const ortho_split *from, ortho_split *to, const ortho_services *sv)
{
    ortho_status status = ortho_split_copy_base(from, to, sv);
    if (status != ORTHO_OK)
        return status;
    size_t entries = (size_t)from->nnz;
    memcpy(to->row_ptr, from->row_ptr, (size_t)(from->n + 1) * sizeof *to->row_ptr);
    memcpy(to->col, from->col, entries * ortho_split_col_bytes(from->k));
    memcpy(to->val, from->val, entries * sizeof *to->val);
    return ORTHO_OK;
}

ortho_status ortho_sieve_csr_prepare(void *state, const ortho_sieve_problem *p,
                                     const ortho_services *services)
{
    ortho_sieve_csr *s = state;
    return ortho_split_alloc(p->w->rows, p->w->cols, ortho_sieve_group(p), p->nnz, services,
                             ORTHO_OUTPUT, &s->split);
}

static void write_row(void *ctx, int64_t row, int64_t first, int64_t count, const uint32_t *col,
                      const uint16_t *val)
{
    ortho_split *s = ctx;
    (void)row;
    if (s->k > 65536)
        memcpy((uint32_t *)s->col + first, col, (size_t)count * sizeof *col);
    else
        for (int64_t i = 0; i < count; i++)
            ((uint16_t *)s->col)[first + i] = (uint16_t)col[i];
    memcpy(s->val + first, val, (size_t)count * sizeof *val);
}

ortho_status ortho_sieve_csr_run(ortho_sieve_csr *state, const ortho_sieve_problem *problem,
                                 ortho_sieve_walk walk, const ortho_services *services)
{
    ortho_split *s = &state->split;
    ortho_sieve_emit emit = {.ctx = s, .row = write_row};
    return ortho_sieve_stream(problem, walk, s->q, s->scale, s->row_ptr, &emit, services);
}

ortho_status ortho_sieve_csr_export(const void *state, ortho_split *out,
                                    const ortho_services *services)
{
    return ortho_split_copy(&((const ortho_sieve_csr *)state)->split, out, services);
}

void ortho_sieve_csr_release(void *state, const ortho_services *services)
{
    ortho_split_free(&((ortho_sieve_csr *)state)->split, services);
}
