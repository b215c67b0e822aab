/*
 * memcpy, dual GEMM: reads exactly the bytes that the canonical split holds (q, scale, row_ptr,
 * col, val), once, and computes nothing: cost()->bytes over its time is the read bandwidth that
 * floors are drawn from. A slow ceiling would flatter everybody else, so each thread reads four
 * streams at once, prefetched 1 KiB ahead, which is what reaches most here: 33-34 GB/s with two
 * threads, where one plain stream stays at 30. What was read is ORed into the workspace, so that no
 * compiler can leave the loads out.
 */
#include <ortho/variant.h>

#include <omp.h>
#include <string.h>

#define STREAMS 4
#define LINE    64
#define AHEAD   1024

extern const ortho_gemm_hooks ortho_memcpy_gemm_cpu;

typedef uint64_t line __attribute__((vector_size(LINE), aligned(LINE)));

typedef struct state {
    size_t bytes;
    line *buffer; /* whole lines; the last one padded with 0 */
    int threads;
} state;

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    state *st = opaque;
    const ortho_split *s = problem->split;
    size_t n = (size_t)s->n, nnz = (size_t)s->nnz, done = 0;
    const struct {
        const void *from;
        size_t bytes;
    } parts[] = {
        {s->q, n * (size_t)((s->k + 1) / 2)},
        {s->scale, n * (size_t)((s->k + s->group - 1) / s->group) * sizeof(uint16_t)},
        {s->row_ptr, (n + 1) * sizeof(int32_t)},
        {s->col, nnz * ortho_split_col_bytes(s->k)},
        {s->val, nnz * sizeof(uint16_t)},
    };
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        bytes += parts[i].bytes;
    size_t padded = (bytes + LINE - 1) / LINE * LINE;
    char *buffer = services->alloc(services->ctx, padded, ORTHO_HOST, ORTHO_WEIGHTS);
    if (buffer == NULL)
        return ORTHO_E_MEMORY;
    memset(buffer, 0, padded);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].bytes > 0)
            memcpy(buffer + done, parts[i].from, parts[i].bytes);
        done += parts[i].bytes;
    }
    *st = (state){.bytes = bytes, .buffer = (line *)(void *)buffer, .threads = services->threads};
    return ORTHO_OK;
}

static void release(void *opaque, const ortho_services *services)
{
    state *st = opaque;
    services->free(services->ctx, st->buffer);
    *st = (state){0};
}

/* A line a thread, where it leaves what it read. */
static size_t workspace(const void *opaque, int64_t m, ortho_dtype dtype)
{
    (void)m, (void)dtype;
    return (size_t)((const state *)opaque)->threads * LINE;
}

/* *sink: the OR of `lines` lines, read as four streams side by side. */
static void read_lines(const line *from, size_t lines, line *sink)
{
    size_t share = lines / STREAMS;
    const line *a = from, *b = a + share, *c = b + share, *d = c + share;
    line seen[STREAMS] = {{0}, {0}, {0}, {0}};
    for (size_t i = 0; i < share; i++) {
        __builtin_prefetch((const char *)(a + i) + AHEAD);
        __builtin_prefetch((const char *)(b + i) + AHEAD);
        __builtin_prefetch((const char *)(c + i) + AHEAD);
        __builtin_prefetch((const char *)(d + i) + AHEAD);
        seen[0] |= a[i];
        seen[1] |= b[i];
        seen[2] |= c[i];
        seen[3] |= d[i];
    }
    for (size_t i = STREAMS * share; i < lines; i++)
        seen[0] |= from[i];
    *sink = (seen[0] | seen[1]) | (seen[2] | seen[3]);
}

static ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = opaque;
    line *sink = call->workspace;
    int asked = call->threads < st->threads ? call->threads : st->threads;
#pragma omp parallel num_threads(asked)
    {
        size_t lines = (st->bytes + LINE - 1) / LINE;
        size_t thread = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        size_t begin = lines * thread / threads, end = lines * (thread + 1) / threads;
        read_lines(st->buffer + begin, end - begin, sink + thread);
    }
    return ORTHO_OK;
}

static void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    (void)m;
    *out = (ortho_cost){.bytes = (double)((const state *)opaque)->bytes};
}

const ortho_gemm_hooks ortho_memcpy_gemm_cpu = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_NOTHING,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
};
