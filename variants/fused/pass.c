/*
 * pass.c: x prepared, then blocks of rows: Base segment by segment, and in between the entries.
 *
 * Workspace: sums [tokens][rows]; for each thread what entries add; x. One token: each thread
 * prepares x for itself, so that nothing waits. More: the threads share the work, and from 5 on x
 * is there once more as [k][16], for the entries.
 */
#include "variants/fused/pass.h"

#include <omp.h>
#include <string.h>

#define LINE     64
#define TOKENS   ORTHO_FUSED_TOKENS
#define ROWS     ORTHO_FUSED_ROWS
#define JOB_ROWS (ORTHO_FUSED_STREAMS * ROWS)
#define ENTRIES  (JOB_ROWS * TOKENS)

/* Up to so many tokens the entries of a row meet one token after the other, gathering its x:
 * beyond, all of them at once, from x as [k][16]. */
#define APART 4

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
static int64_t x_bytes(const ortho_fused_state *st)
{
    const ortho_fused_packed *p = &st->packed;
    int64_t straight = st->straight ? 0 : lines(p->k * (int64_t)sizeof(float));
    return 2 * lines(p->width * (int64_t)sizeof(float)) +
           lines(p->segments * (int64_t)sizeof(ortho_fused_range)) + straight;
}

static int64_t sums_stride(const ortho_fused_state *st)
{
    return st->packed.blocks * ROWS;
}

static int64_t sums_bytes(const ortho_fused_state *st, int tokens)
{
    return lines(tokens * sums_stride(st) * (int64_t)sizeof(float));
}

int64_t ortho_fused_workspace(const ortho_fused_state *st, int64_t m)
{
    int tokens = tokens_at_once(m);
    int64_t bytes = sums_bytes(st, tokens) + st->threads * ENTRIES * (int64_t)sizeof(float);
    if (tokens == 1)
        return bytes + st->threads * x_bytes(st);
    int64_t transposed = m <= APART ? 0 : st->packed.k * TOKENS * (int64_t)sizeof(float);
    return bytes + tokens * x_bytes(st) + transposed;
}

/* Where x of slot `slot` lies. */
static ortho_fused_x x_at(const ortho_fused_state *st, char *first, int slot)
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
static float *straight_x(const ortho_fused_state *st, const ortho_fused_x *x)
{
    if (st->straight)
        return x->padded;
    char *range = (char *)x->range;
    return (float *)(void *)(range + lines(st->packed.segments * (int64_t)sizeof *x->range));
}

ortho_fused_worker ortho_fused_worker_begin(const ortho_fused_state *st,
                                            const ortho_gemm_call *call, int threads)
{
    int tokens = tokens_at_once(call->m);
    ortho_fused_worker w = {
        .st = st,
        .call = call,
        .thread = omp_get_thread_num(),
        .threads = threads,
        .scale = 1,
        .sums = call->workspace,
    };
    char *entries = (char *)call->workspace + sums_bytes(st, tokens);
    char *first = entries + st->threads * ENTRIES * (int64_t)sizeof(float);
    w.entries = (float *)(void *)entries + w.thread * ENTRIES;
    if (tokens == 1)
        w.x[0] = x_at(st, first, w.thread);
    for (int i = 0; tokens > 1 && i < tokens; i++)
        w.x[i] = x_at(st, first, i);
    if (call->m > APART)
        w.transposed = (float *)(void *)(first + tokens * x_bytes(st));
    return w;
}

/* ---- activations ---------------------------------------------------------------------------- */

/* Token `token` of the call into slot i of x. */
static void load_token(const ortho_fused_worker *w, int64_t token, int i)
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
    if (w->st->int8)
        w->st->level->int8(p, x);
    else
        w->st->level->digits(p, x);
}

void ortho_fused_load(const ortho_fused_worker *w, int64_t first, int tokens)
{
    int64_t k = w->transposed == NULL || w->call->alpha == 0 ? 0 : w->st->packed.k;
    if (w->call->m == 1) {
        load_token(w, 0, 0);
        return;
    }
    for (int i = w->thread; i < TOKENS; i += w->threads) {
        if (i < tokens)
            load_token(w, first + i, i);
        const float *straight = i < tokens ? straight_x(w->st, &w->x[i]) : NULL;
        for (int64_t c = 0; c < k; c++)
            w->transposed[c * TOKENS + i] = straight != NULL ? straight[c] : 0;
    }
}

/* ---- a block of rows ------------------------------------------------------------------------ */

/* Rows [first, first + count) of the job's, all of one block, into w->entries. */
static void add_rows(const ortho_fused_worker *w, const ortho_fused_job *job, int first, int count)
{
    const ortho_fused_state *st = w->st;
    int64_t block = job->block + first / ROWS * job->step, row = block * ROWS + first % ROWS;
    int64_t left = st->packed.n - row;
    if (left <= 0)
        return;
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

/* The entries of a row, asked into the L1. gcc 12 takes a function that only prefetches for one
 * without effect and leaves its calls out: not where it's inlined before that. */
static inline __attribute__((always_inline)) void ask_row(const ortho_csr *csr, int64_t row)
{
    int64_t size = (int64_t)ortho_split_col_bytes(csr->k);
    for (int64_t i = csr->row_ptr[row]; i < csr->row_ptr[row + 1]; i += LINE / 2) {
        __builtin_prefetch((const char *)csr->col + i * size, 0, 3);
        __builtin_prefetch(csr->val + i, 0, 3);
    }
}

/* Lines of each stream that are asked for with a row of entries. */
#define ROW_LINES 2

/* Rows [from, to) of the job's, where Base has come to byte `at` of its blocks. With each row go a
 * few lines of what Base needs next, on from where it has asked, since nobody else asks the memory
 * while entries are worked; and the entries of the same row of the next block. Not all rows' at
 * once: that would wait for itself. */
static void add_rows_asking(const ortho_fused_worker *w, const ortho_fused_job *job, int64_t at,
                            int from, int to)
{
    const ortho_fused_packed *p = job->packed;
    const uint8_t *ahead = p->base + job->block * p->stride + at + ORTHO_FUSED_AHEAD;
    for (int r = from; r < to; r++) {
        for (int i = 0; i < ROW_LINES; i++, ahead += LINE)
            for (int b = 0; b < ORTHO_FUSED_STREAMS; b++)
                __builtin_prefetch(ahead + b * job->step * p->stride, 0, 2);
        int64_t next = (job->block + r / ROWS * job->step + 1) * ROWS + r % ROWS;
        if (next < p->n)
            ask_row(&p->ortho, next);
        add_rows(w, job, r, 1);
    }
}

/* Rows [from, to) of the job's, a block's at a time at most. */
static void add_rows_at_once(const ortho_fused_worker *w, const ortho_fused_job *job, int from,
                             int to)
{
    for (int count; from < to; from += count) {
        count = ROWS - from % ROWS;
        count = count < to - from ? count : to - from;
        add_rows(w, job, from, count);
    }
}

/* sum += alpha * entries. */
static void add_entries(const ortho_fused_worker *w, const ortho_fused_job *job)
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

/* Columns of Base, at least, between two shares of the entries: more of them would leave the memory
 * idle, less would cost more calls. */
#define STEP 512

/* The segment after those of the step that begins with segment `from`. */
static int64_t step_end(const ortho_fused_packed *p, int64_t from)
{
    int64_t to = from + 1, end = p->segment[from].at + STEP;
    while (to < p->segments && p->segment[to].at < end)
        to++;
    return to;
}

/* Is it worth it to go row by row? With more tokens, or without `rows`, a call for each row costs
 * more than a memory that is kept busy gives; without entries nothing keeps it waiting. */
static bool asks(const ortho_fused_worker *w, const ortho_fused_job *job)
{
    return job->tokens == 1 && job->blocks == ORTHO_FUSED_STREAMS && w->st->level->rows != NULL &&
           w->st->trips > 0;
}

/*
 * Base a few segments at a time, and in between the entries of a share of the rows. A phase of
 * entries alone would leave the memory idle, since nobody would be asking for Base: on its own it
 * costs twice what it adds so.
 */
static void run_job(const ortho_fused_worker *w, const ortho_fused_job *job)
{
    const ortho_fused_packed *p = job->packed;
    int rows = job->blocks * ROWS;
    bool entries = w->call->alpha != 0, asking = asks(w, job);
    for (int b = 0; entries && !asking && b < job->blocks; b++)
        if (job->block + b * job->step + 1 < p->blocks)
            ortho_csr_prefetch(&p->ortho, job->block + b * job->step + 1);
    if (entries)
        memset(w->entries, 0,
               sizeof(float) * (w->transposed == NULL ? (size_t)JOB_ROWS * APART : ENTRIES));
    for (int i = 0; i < job->tokens; i++)
        for (int b = 0; b < job->blocks; b++)
            memset(ortho_fused_sums(job, i, b), 0, sizeof(float) * ROWS);
    for (int64_t s = 0, to; s < p->segments; s = to) {
        to = step_end(p, s);
        w->st->level->segments(job, s, to);
        int from = (int)(rows * s / p->segments), until = (int)(rows * to / p->segments);
        int64_t at = to < p->segments ? p->segment[to].chunks_at : p->stride;
        if (entries && asking)
            add_rows_asking(w, job, at, from, until);
        else if (entries)
            add_rows_at_once(w, job, from, until);
    }
    if (entries)
        add_entries(w, job);
}

/* ---- a thread's blocks
 * -------------------------------------------------------------------------------- */

/* The first block with at least thread / threads of the bytes before it. Without Ortho, which
 * isn't looked at then, equal shares. */
static int64_t first_block(const ortho_fused_worker *w, int thread)
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
static void run_streams(const ortho_fused_worker *w, int64_t begin, int64_t end, int tokens)
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

/* The sums are rounded into y once, here. */
void ortho_fused_run(const ortho_fused_worker *w, int64_t first, int tokens)
{
    int64_t n = w->st->packed.n, begin = first_block(w, w->thread),
            end = first_block(w, w->thread + 1);
    size_t element = w->call->dtype == ORTHO_F32 ? 4 : 2;
    run_streams(w, begin, end, tokens);
    int64_t row = begin * ROWS, rows = (end * ROWS < n ? end * ROWS : n) - row;
    for (int i = 0; begin < end && i < tokens; i++) {
        float *sums = w->sums + i * sums_stride(w->st) + row;
        for (int64_t r = 0; w->scale != 1 && r < rows; r++)
            sums[r] *= w->scale;
        ortho_base_store(w->call->dtype, sums, rows,
                         (char *)w->call->y + (size_t)((first + i) * n + row) * element);
    }
}
