/*
 * fused, dual GEMM on the CPU: one pass over the weights for up to 16 tokens. While a block's 16
 * rows have their sums in the L1 cache, the entries of these rows are added. Threads get blocks by
 * the bytes that they hold, Base and entries alike: a row that is full of entries costs its share.
 * A block is one thread's, in one order: the same y whatever the number of threads.
 *
 * Workspace: sums [tokens][rows], then x. One token: each thread prepares x for itself, so that
 * nothing waits. More: the threads share the work, and x once more as [k][16] for the entries, and
 * each has a little square of sums [16][16] for them.
 */
#include "variants/fused/levels.h"

#include "kernels/cpu.h"

#include <omp.h>
#include <string.h>

extern const ortho_gemm_hooks ortho_fused_gemm_cpu;

#define LINE     64
#define TOKENS   ORTHO_FUSED_TOKENS
#define ROWS     ORTHO_FUSED_ROWS
#define JOB_ROWS (ORTHO_FUSED_STREAMS * ROWS)
#define ENTRIES  (JOB_ROWS * TOKENS)

/* Up to so many tokens the entries of a row meet one token after the other, gathering its x:
 * beyond, all of them at once, from x as [k][16]. */
#define APART 4

typedef struct state {
    ortho_fused_packed packed;
    const ortho_fused_level *level;
    const ortho_spmm_kernels *spmm;
    ortho_dtype dtype; /* the problem's, for costs */
    int threads;       /* for which the workspace is sized */
    int trips;         /* vectors of 16 entries that a row is taken for */
    bool straight;     /* no padding between segments: x padded is x as it is */
} state;

static const ortho_fused_level *pick_level(void)
{
#if defined(__x86_64__)
    switch (ortho_cpu_detect()) {
    case ORTHO_CPU_AVX512:
        return &ortho_fused_level_avx512;
    case ORTHO_CPU_AVX2:
        return &ortho_fused_level_avx2;
    case ORTHO_CPU_PORTABLE:
        break;
    }
#endif
    return &ortho_fused_level_portable;
}

/* A vector of entries more costs 7 cycles with each row that doesn't need it, a row that needs more
 * than usual a mispredicted branch, some 20: whatever makes these rows cheapest. */
static int usual_trips(const ortho_csr *csr)
{
    enum { MOST = 8 };
    int64_t rows[MOST + 2] = {0}, best = INT64_MAX;
    int chosen = 1;
    for (int64_t r = 0; r < csr->n; r++) {
        int64_t trips = (csr->row_ptr[r + 1] - csr->row_ptr[r] + 15) / 16;
        rows[trips <= MOST ? trips : MOST + 1]++;
    }
    for (int usual = 1; usual <= MOST; usual++) {
        int64_t cost = 0;
        for (int trips = 0; trips <= MOST + 1; trips++)
            cost += rows[trips] * (trips > usual ? 20 + 7 * trips : 7 * usual);
        if (cost < best) {
            best = cost;
            chosen = usual;
        }
    }
    return chosen;
}

static ortho_status prepare(void *opaque, const ortho_gemm_problem *problem,
                            const ortho_services *services)
{
    state *st = opaque;
    ortho_fused_packed packed;
    ortho_status status = ortho_fused_pack(&packed, problem->split, services);
    if (status != ORTHO_OK)
        return status;
    const ortho_fused_segment *last = packed.segment + packed.segments - 1;
    *st = (state){
        .packed = packed,
        .level = pick_level(),
        .spmm = ortho_spmm_pick(),
        .dtype = problem->dtype,
        .threads = services->threads,
        .trips = usual_trips(&packed.ortho),
        .straight = last->at == last->column,
    };
    return ORTHO_OK;
}

static void release(void *opaque, const ortho_services *services)
{
    ortho_fused_packed_free(&((state *)opaque)->packed, services);
}

static void cost(const void *opaque, int64_t m, ortho_cost *out)
{
    const state *st = opaque;
    const ortho_fused_packed *p = &st->packed;
    double element = st->dtype == ORTHO_F32 ? 4 : 2, n = (double)p->n, k = (double)p->k;
    out->bytes = (double)(ortho_fused_base_bytes(p) + ortho_csr_bytes(&p->ortho)) +
                 (double)m * (n + k) * element;
    out->flops = 2 * (double)m * (n * k + (double)p->ortho.nnz);
}

static ortho_status export_split(const void *opaque, ortho_split *out,
                                 const ortho_services *services)
{
    (void)services;
    ortho_fused_unpack(&((const state *)opaque)->packed, out);
    return ORTHO_OK;
}

/* ---- workspace ------------------------------------------------------------------------------ */

static int tokens_at_once(int64_t m)
{
    return m < TOKENS ? (int)m : TOKENS;
}

static int64_t lines(int64_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

/* Bytes of one token's x: padded, digits, ranges, and as it is where that differs. */
static int64_t x_bytes(const state *st)
{
    const ortho_fused_packed *p = &st->packed;
    int64_t straight = st->straight ? 0 : lines(p->k * (int64_t)sizeof(float));
    return 2 * lines(p->width * (int64_t)sizeof(float)) +
           lines(p->segments * (int64_t)sizeof(ortho_fused_range)) + straight;
}

static int64_t sums_stride(const state *st)
{
    return st->packed.blocks * ROWS;
}

static int64_t sums_bytes(const state *st, int tokens)
{
    return lines(tokens * sums_stride(st) * (int64_t)sizeof(float));
}

static size_t workspace(const void *opaque, int64_t m)
{
    const state *st = opaque;
    int tokens = tokens_at_once(m);
    int64_t bytes = sums_bytes(st, tokens) + st->threads * ENTRIES * (int64_t)sizeof(float);
    if (tokens == 1)
        return (size_t)(bytes + st->threads * x_bytes(st));
    int64_t transposed = m <= APART ? 0 : st->packed.k * TOKENS * (int64_t)sizeof(float);
    return (size_t)(bytes + tokens * x_bytes(st) + transposed);
}

/* One thread's view of a call. */
typedef struct worker {
    const state *st;
    const ortho_gemm_call *call;
    int thread, threads;
    float *sums;             /* [tokens][sums_stride] */
    ortho_fused_x x[TOKENS]; /* tokens of this pass */
    const float *entries_x;  /* [k] for one token, [k][16] for more */
    float *transposed;       /* the latter; NULL for one token */
    float *entries;          /* [rows of a job] for one token, [rows][16] for more */
} worker;

/* Where x of slot `slot` lies. */
static ortho_fused_x x_at(const state *st, char *first, int slot)
{
    const ortho_fused_packed *p = &st->packed;
    char *at = first + slot * x_bytes(st);
    int64_t floats = lines(p->width * (int64_t)sizeof(float));
    return (ortho_fused_x){
        .padded = (float *)(void *)at,
        .digits = (int8_t *)at + floats,
        .range = (ortho_fused_range *)(void *)(at + 2 * floats),
    };
}

/* x as it is, of a token that lies so. */
static float *straight_x(const state *st, const ortho_fused_x *x)
{
    if (st->straight)
        return x->padded;
    char *range = (char *)x->range;
    return (float *)(void *)(range + lines(st->packed.segments * (int64_t)sizeof *x->range));
}

static worker worker_begin(const state *st, const ortho_gemm_call *call, int threads)
{
    int tokens = tokens_at_once(call->m);
    worker w = {.st = st,
                .call = call,
                .thread = omp_get_thread_num(),
                .threads = threads,
                .sums = call->workspace};
    w.entries = w.sums + sums_bytes(st, tokens) / (int64_t)sizeof(float) + w.thread * ENTRIES;
    char *first = (char *)call->workspace + sums_bytes(st, tokens) +
                  st->threads * ENTRIES * (int64_t)sizeof(float);
    if (tokens == 1) {
        w.x[0] = x_at(st, first, w.thread);
        return w;
    }
    for (int i = 0; i < tokens; i++)
        w.x[i] = x_at(st, first, i);
    if (call->m > APART)
        w.transposed = (float *)(void *)(first + tokens * x_bytes(st));
    return w;
}

/* ---- activations ---------------------------------------------------------------------------- */

/* Token `token` of the call into slot i of x. */
static void load_token(const worker *w, int64_t token, int i)
{
    const ortho_fused_packed *p = &w->st->packed;
    const ortho_fused_x *x = &w->x[i];
    float *straight = straight_x(w->st, x);
    size_t element = w->call->dtype == ORTHO_F32 ? 4 : 2;
    ortho_base_load(w->call->dtype, (const char *)w->call->x + (size_t)(token * p->k) * element,
                    p->k, straight);
    for (int64_t s = 0; s < p->segments; s++) {
        const ortho_fused_segment *segment = p->segment + s;
        float *to = x->padded + segment->at;
        if (!w->st->straight)
            memcpy(to, straight + segment->column, (size_t)segment->columns * sizeof *to);
        for (int c = segment->columns; c < segment->chunks * ORTHO_FUSED_COLUMNS; c++)
            to[c] = 0;
    }
    w->st->level->digits(p, x);
}

/* Shares tokens [first, first + tokens) among the threads. */
static void load_tokens(const worker *w, int64_t first, int tokens)
{
    int64_t k = w->transposed == NULL || w->call->alpha == 0 ? 0 : w->st->packed.k;
    for (int i = w->thread; i < TOKENS; i += w->threads) {
        if (i < tokens)
            load_token(w, first + i, i);
        const float *straight = i < tokens ? straight_x(w->st, &w->x[i]) : NULL;
        for (int64_t c = 0; c < k; c++)
            w->transposed[c * TOKENS + i] = straight != NULL ? straight[c] : 0;
    }
}

/* ---- a block of rows ------------------------------------------------------------------------ */

/* A line of x comes round every so many blocks: where entries are rare the stream of Base drives
 * x out of the caches, and each of them would wait for its x. */
#define WARM_TURN 16

static void keep_warm(const worker *w, int64_t block)
{
    const char *x = (const char *)straight_x(w->st, &w->x[0]);
    int64_t bytes = w->st->packed.k * (int64_t)sizeof(float);
    for (int64_t at = block % WARM_TURN * LINE; at < bytes; at += WARM_TURN * LINE)
        __builtin_prefetch(x + at, 0, 3);
}

/* Rows [first, first + count) of the job's, all of one block, into w->entries. */
static void add_rows(const worker *w, const ortho_fused_job *job, int first, int count)
{
    const state *st = w->st;
    int64_t block = job->block + first / ROWS * job->step, row = block * ROWS + first % ROWS;
    int64_t left = st->packed.n - row;
    ortho_patch patch = {.block = block,
                         .row = row,
                         .rows = left < count ? (int)left : count,
                         .tokens = w->transposed == NULL ? 1 : job->tokens,
                         .stride = w->transposed == NULL ? 1 : TOKENS,
                         .x = w->transposed,
                         .sum = w->entries + first * TOKENS,
                         .alpha = 1};
    if (w->transposed != NULL) {
        st->spmm->csr_vector(&st->packed.ortho, &patch);
        return;
    }
    for (int i = 0; i < job->tokens; i++) {
        patch.x = straight_x(st, &w->x[i]);
        patch.sum = w->entries + i * JOB_ROWS + first;
        if (st->level->rows != NULL)
            st->level->rows(&st->packed.ortho, &patch, st->trips);
        else
            st->spmm->csr_vector(&st->packed.ortho, &patch);
    }
}

/* The job's rows up to `due`, a block's at a time at most. */
static int add_rows_until(const worker *w, const ortho_fused_job *job, int done, int due)
{
    while (done < due) {
        int count = ROWS - done % ROWS;
        count = count < due - done ? count : due - done;
        add_rows(w, job, done, count);
        done += count;
    }
    return done;
}

/* sum += alpha * entries. */
static void add_entries(const worker *w, const ortho_fused_job *job)
{
    int row_step = w->transposed == NULL ? 1 : TOKENS, token_step = row_step == 1 ? JOB_ROWS : 1;
    for (int i = 0; i < job->tokens; i++)
        for (int b = 0; b < job->blocks; b++) {
            float *sum = ortho_fused_sums(job, i, b);
            const float *entries = w->entries + b * ROWS * row_step + i * token_step;
            for (int r = 0; r < ROWS; r++)
                sum[r] += w->call->alpha * entries[r * row_step];
        }
}

/*
 * Base segment by segment, and in between the entries of a share of the rows. A phase of entries
 * alone would leave the memory idle, since nobody would be asking for Base: on its own it costs
 * three times what it adds so.
 */
static void run_job(const worker *w, const ortho_fused_job *job)
{
    const ortho_fused_packed *p = job->packed;
    int rows = job->blocks * ROWS, done = 0;
    bool entries = w->call->alpha != 0;
    for (int b = 0; entries && b < job->blocks; b++)
        if (job->block + b * job->step + 1 < p->blocks)
            ortho_csr_prefetch(&p->ortho, job->block + b * job->step + 1);
    if (entries)
        memset(w->entries, 0,
               sizeof(float) * (w->transposed == NULL ? (size_t)JOB_ROWS * APART : ENTRIES));
    if (entries && job->tokens == 1)
        keep_warm(w, job->block);
    for (int i = 0; i < job->tokens; i++)
        for (int b = 0; b < job->blocks; b++)
            memset(ortho_fused_sums(job, i, b), 0, sizeof(float) * ROWS);
    for (int64_t s = 0; s < p->segments; s++) {
        w->st->level->segment(job, s);
        if (entries)
            done = add_rows_until(w, job, done, (int)(rows * (s + 1) / p->segments));
    }
    if (entries)
        add_entries(w, job);
}

/* ---- the run -------------------------------------------------------------------------------- */

/* The first block with at least thread / threads of the bytes before it. Without Ortho, which
 * isn't looked at then, equal shares. */
static int64_t first_block(const worker *w, int thread)
{
    const ortho_fused_packed *p = &w->st->packed;
    int64_t low = 0, high = p->blocks;
    if (w->call->alpha == 0)
        return high * thread / w->threads;
    double wanted = (double)ortho_fused_bytes_before(p, high) * thread / w->threads;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if ((double)ortho_fused_bytes_before(p, middle) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* This thread's blocks as so many streams side by side, each of them on its own stretch: what is
 * asked of the memory ahead of a stream is what that stream comes to. Then those left over. */
static void run_streams(const worker *w, int64_t begin, int64_t end, int tokens)
{
    ortho_fused_job job = {
        .packed = &w->st->packed,
        .step = (end - begin) / ORTHO_FUSED_STREAMS,
        .blocks = ORTHO_FUSED_STREAMS,
        .x = w->x,
        .tokens = tokens,
        .stride = sums_stride(w->st),
    };
    for (job.block = begin; job.block < begin + job.step; job.block++) {
        job.sum = w->sums + job.block * ROWS;
        run_job(w, &job);
    }
    job.block = begin + ORTHO_FUSED_STREAMS * job.step;
    job.blocks = 1;
    for (; job.block < end; job.block++) {
        job.sum = w->sums + job.block * ROWS;
        run_job(w, &job);
    }
}

/* This thread's blocks, and their sums rounded into y: once, here. */
static void run_blocks(const worker *w, int64_t first, int tokens)
{
    int64_t n = w->st->packed.n, begin = first_block(w, w->thread),
            end = first_block(w, w->thread + 1);
    size_t element = w->call->dtype == ORTHO_F32 ? 4 : 2;
    run_streams(w, begin, end, tokens);
    int64_t row = begin * ROWS, rows = (end * ROWS < n ? end * ROWS : n) - row;
    for (int i = 0; begin < end && i < tokens; i++)
        ortho_base_store(w->call->dtype, w->sums + i * sums_stride(w->st) + row, rows,
                         (char *)w->call->y + (size_t)((first + i) * n + row) * element);
}

static void run_tokens(const worker *w)
{
    for (int64_t first = 0; first < w->call->m; first += TOKENS) {
        int64_t left = w->call->m - first;
        int tokens = left < TOKENS ? (int)left : TOKENS;
        load_tokens(w, first, tokens);
#pragma omp barrier
        run_blocks(w, first, tokens);
#pragma omp barrier
    }
}

static int threads_of(const state *st, const ortho_gemm_call *call)
{
    return call->threads < st->threads ? call->threads : st->threads;
}

static ortho_status run(const void *opaque, const ortho_gemm_call *call)
{
    const state *st = opaque;
#pragma omp parallel num_threads(threads_of(st, call))
    {
        worker w = worker_begin(st, call, omp_get_num_threads());
        if (call->m == 1) {
            load_token(&w, 0, 0);
            run_blocks(&w, 0, 1);
        } else {
            run_tokens(&w);
        }
    }
    return ORTHO_OK;
}

const ortho_gemm_hooks ortho_fused_gemm_cpu = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = release,
    .cost = cost,
    .export_split = export_split,
};
