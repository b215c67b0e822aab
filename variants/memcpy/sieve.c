/* memcpy's sieve: copies W's rows and nothing else, the bandwidth that a sieve's reads can have. */
#include <ortho/variant.h>

#include <string.h>

typedef struct copy {
    uint8_t *bytes; /* [rows, cols] of W's dtype, contiguous */
} copy;

static size_t element_bytes(const ortho_matrix *w)
{
    return w->dtype == ORTHO_F32 ? 4 : 2;
}

static ortho_status prepare(void *state, const ortho_sieve_problem *p, const ortho_services *sv)
{
    size_t bytes = (size_t)(p->w->rows * p->w->cols) * element_bytes(p->w);
    ((copy *)state)->bytes = sv->alloc(sv->ctx, bytes, ORTHO_HOST, ORTHO_OUTPUT);
    return ((copy *)state)->bytes != NULL ? ORTHO_OK : ORTHO_E_MEMORY;
}

static ortho_status run(void *state, const ortho_sieve_problem *p, const ortho_services *sv)
{
    uint8_t *to = ((copy *)state)->bytes;
    const uint8_t *from = p->w->data;
    size_t row = (size_t)p->w->cols * element_bytes(p->w);
    size_t stride = (size_t)p->w->stride * element_bytes(p->w);
#pragma omp parallel for num_threads(sv->threads) schedule(static)
    for (int64_t r = 0; r < p->w->rows; r++)
        memcpy(to + (size_t)r * row, from + (size_t)r * stride, row);
    return ORTHO_OK;
}

static ortho_status export_split(const void *state, ortho_split *out, const ortho_services *sv)
{
    (void)state, (void)out;
    return sv->fail(ORTHO_E_UNSUPPORTED, "memcpy copies W: there is no split to export");
}

static void release(void *state, const ortho_services *sv)
{
    sv->free(sv->ctx, ((copy *)state)->bytes);
}

extern const ortho_sieve_hooks ortho_memcpy_sieve_cpu;
const ortho_sieve_hooks ortho_memcpy_sieve_cpu = {
    .state_size = sizeof(copy),
    .prepare = prepare,
    .run = run,
    .export_split = export_split,
    .release = release,
    .w_reads = {1, 1, 1},
};
