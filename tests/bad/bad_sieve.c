/* Deliberately broken sieves, one a BAD_ macro, around the real one. BAD_NOT is right. */
#include "kernels/sieve.h"
#include "kernels/split.h"

#include <string.h>

typedef struct state {
    ortho_split s;
} state;

static ortho_status prepare(void *state_, const ortho_sieve_problem *p, const ortho_services *sv)
{
    return ortho_split_alloc(p->w->rows, p->w->cols, ortho_sieve_group(p), p->nnz, sv, ORTHO_OUTPUT,
                             &((state *)state_)->s);
}

static void take_row(void *ctx, int64_t row, int64_t first, int64_t count, const uint32_t *col,
                     const uint16_t *val)
{
    ortho_split *s = ctx;
    (void)row;
    for (int64_t i = 0; i < count; i++) {
        ((uint16_t *)s->col)[first + i] = (uint16_t)col[i];
        s->val[first + i] = val[i];
    }
}

static ortho_status run(void *state_, const ortho_sieve_problem *p, const ortho_services *sv)
{
    state *st = state_;
    ortho_sieve_emit emit = {.ctx = &st->s, .row = take_row};
#ifdef BAD_NOTHING
    return ORTHO_OK;
#endif
    ortho_status status =
        ortho_sieve_stream(p, ORTHO_WALK_SCALAR, st->s.q, st->s.scale, st->s.row_ptr, &emit, sv);
#ifdef BAD_INPUT
    ((float *)p->w->data)[3] += 1.0f;
#endif
#ifdef BAD_LATER
    static int calls;
    if (++calls > 30)
        st->s.val[0] ^= 1;
#endif
    return status;
}

/* Moves the first entry of some row to a free neighbouring column, with the value that belongs
 * there as far as anyone can tell from the split: only its score gives it away. */
#ifdef BAD_CHOICE
static void move_entry(ortho_split *s)
{
    for (int64_t r = 0; r < s->n; r++) {
        int32_t i = s->row_ptr[r];
        if (i == s->row_ptr[r + 1])
            continue;
        uint16_t *col = s->col;
        if (col[i] > 0) {
            col[i]--;
            return;
        }
    }
}
#endif

static ortho_status export_split(const void *state_, ortho_split *out, const ortho_services *sv)
{
    const ortho_split *s = &((const state *)state_)->s;
    int64_t groups = (s->k + s->group - 1) / s->group;
    (void)sv;
    memcpy(out->q, s->q, (size_t)(s->n * ((s->k + 1) / 2)));
    memcpy(out->scale, s->scale, (size_t)(s->n * groups) * sizeof *s->scale);
    memcpy(out->row_ptr, s->row_ptr, (size_t)(s->n + 1) * sizeof *s->row_ptr);
    memcpy(out->col, s->col, (size_t)s->nnz * sizeof(uint16_t));
    memcpy(out->val, s->val, (size_t)s->nnz * sizeof *s->val);
#ifdef BAD_ENTRY /* one value, by its last bit */
    out->val[s->nnz / 2] ^= 1;
#endif
#ifdef BAD_FEW
    out->row_ptr[s->n]--;
#endif
#ifdef BAD_SCALE
    out->scale[1]++;
#endif
#ifdef BAD_Q
    out->q[0] ^= 1;
#endif
#ifdef BAD_CHOICE
    move_entry(out);
#endif
#ifdef BAD_BOUNDS
    out->val[s->nnz] = 1;
#endif
    return ORTHO_OK;
}

static void release(void *state_, const ortho_services *sv)
{
    ortho_split_free(&((state *)state_)->s, sv);
}

static const ortho_sieve_hooks sieve = {
    .state_size = sizeof(state),
    .prepare = prepare,
    .run = run,
#ifndef BAD_HOOK
    .export_split = export_split,
#endif
    .release = release,
};

static const ortho_variant variant = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "bad",
    .summary = "a sieve that must be caught",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .sieve = &sieve,
};

__attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void);

const ortho_variant *ortho_plugin(void)
{
    (void)export_split;
    return &variant;
}
