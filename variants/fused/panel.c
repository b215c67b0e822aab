/*
 * panel.c: weights unpacked once for many tokens, then plain fp32 products.
 *
 * A thread takes rows a few blocks at a time and goes through their slabs: unpacks a panel, adds
 * alpha times the entries that lie in it, and multiplies it with every tile of x. The sums stay in
 * fp32 until a slab's are added to those of the slabs before, and are rounded into y once. Tokens
 * come in batches whose x over a slab stays in the L2 cache.
 *
 * Bound by the FMAs of `multiply`: unpacking costs about 3 operations for a vector of weights,
 * which then meets each token once. So Ortho costs what adding its entries to the panels does, a
 * few cycles an entry and batch.
 *
 * Which blocks a thread takes is decided while it runs, what becomes of them isn't: y is the same
 * whatever the threads, and a token's is the same in any batch.
 *
 * Workspace: x of a batch, slab after slab; for each thread sums [tokens][rows] and its panels.
 */
#include "variants/fused/panel.h"

#include <omp.h>
#include <string.h>

#define LINE   64
#define ROWS   ORTHO_FUSED_ROWS
#define TOKENS 192 /* of a batch: x over a slab is 192 KiB */
#define GROUP  4   /* blocks that share a slab of x, at most */
#define STRIDE (GROUP * ROWS)

/* Groups for a thread, at least: the last ones to end are to be short. */
#define SHARES 4

/* One thread's view of a batch. */
typedef struct worker {
    const ortho_fused_state *st;
    const ortho_gemm_call *call;
    int thread, threads;
    int64_t first; /* token */
    int tokens;    /* of this batch */
    float *x;      /* [slabs][tiles][columns][tokens of the tile] */
    float *panels; /* [blocks of a tile][ORTHO_FUSED_PANEL_FLOATS] */
    float *sums;   /* [tokens][STRIDE] */
} worker;

/* ---- workspace ------------------------------------------------------------------------------ */

bool ortho_fused_takes_panels(const ortho_fused_state *st, int64_t m)
{
    return !st->int8 && m > 1;
}

bool ortho_fused_likes_panels(const ortho_fused_state *st, int64_t m)
{
    return ortho_fused_takes_panels(st, m) && m >= st->level->panels->from;
}

/* Of each batch, at most: batches of nearly the same size. */
static int batch_tokens(int64_t m)
{
    int64_t batches = (m + TOKENS - 1) / TOKENS;
    return (int)((m + batches - 1) / batches);
}

static int64_t lines(int64_t floats)
{
    return (floats * (int64_t)sizeof(float) + LINE - 1) / LINE * LINE;
}

static int64_t panels_bytes(const ortho_fused_state *st)
{
    return lines(st->level->panels->blocks * ORTHO_FUSED_PANEL_FLOATS);
}

static int64_t thread_bytes(const ortho_fused_state *st, int tokens)
{
    return panels_bytes(st) + lines((int64_t)tokens * STRIDE);
}

/* Enough for fewer tokens as well, whose batches may be larger: 193 are 97 and 96. */
int64_t ortho_fused_panels_workspace(const ortho_fused_state *st, int64_t m)
{
    int tokens = m < TOKENS ? (int)m : TOKENS;
    return lines(tokens * st->packed.k) + st->threads * thread_bytes(st, tokens);
}

static worker worker_begin(const ortho_fused_state *st, const ortho_gemm_call *call, int threads)
{
    int tokens = batch_tokens(call->m), thread = omp_get_thread_num();
    char *own = (char *)call->workspace + lines(tokens * st->packed.k);
    own += thread * thread_bytes(st, tokens);
    return (worker){
        .st = st,
        .call = call,
        .thread = thread,
        .threads = threads,
        .x = call->workspace,
        .panels = (float *)(void *)own,
        .sums = (float *)(void *)(own + panels_bytes(st)),
    };
}

/* ---- slabs and tiles ------------------------------------------------------------------------ */

static int64_t segment_end(const ortho_fused_packed *p, int64_t s)
{
    return p->segment[s].column + p->segment[s].columns;
}

/* The segment after those of the slab that begins with segment `from`. */
static int64_t slab_end(const ortho_fused_packed *p, int64_t from)
{
    int64_t to = from + 1, most = p->segment[from].column + ORTHO_FUSED_PANEL;
    while (to < p->segments && segment_end(p, to) <= most)
        to++;
    return to;
}

/* Tiles of nearly the same size: 16 tokens are 6, 5 and 5, not 6, 6 and 4. */
static int tile_count(const worker *w)
{
    int most = w->st->level->panels->tokens;
    return (w->tokens + most - 1) / most;
}

static int tile_first(const worker *w, int tile)
{
    return w->tokens * tile / tile_count(w);
}

/* Where x of a tile over the slab from column `column` on, `columns` wide, lies. */
static float *tile_x(const worker *w, int64_t column, int64_t columns, int tile)
{
    return w->x + w->tokens * column + tile_first(w, tile) * columns;
}

static void pack_tile(const worker *w, int64_t column, int64_t columns, int tile)
{
    int first = tile_first(w, tile), tokens = tile_first(w, tile + 1) - first;
    int64_t k = w->st->packed.k;
    size_t element = w->call->dtype == ORTHO_F32 ? 4 : 2;
    float *to = tile_x(w, column, columns, tile), line[ORTHO_FUSED_PANEL];
    for (int i = 0; i < tokens; i++) {
        int64_t at = (w->first + first + i) * k + column;
        ortho_base_load(w->call->dtype, (const char *)w->call->x + (size_t)at * element, columns,
                        line);
        for (int64_t c = 0; c < columns; c++)
            to[c * tokens + i] = line[c];
    }
}

/* This thread's share of the batch's x. */
static void pack(const worker *w)
{
    const ortho_fused_packed *p = &w->st->packed;
    int tiles = tile_count(w), turn = 0;
    for (int64_t s = 0, to; s < p->segments; s = to) {
        to = slab_end(p, s);
        int64_t column = p->segment[s].column, columns = segment_end(p, to - 1) - column;
        for (int tile = 0; tile < tiles; tile++)
            if (turn++ % w->threads == w->thread)
                pack_tile(w, column, columns, tile);
    }
}

/* ---- blocks of rows ------------------------------------------------------------------------- */

/* Rows of `blocks` blocks on their way through the slabs. */
typedef struct group {
    int64_t block;
    int blocks;            /* 1 .. GROUP */
    int32_t entry[STRIDE]; /* of each row, the first that lies in no slab so far */
} group;

/* The panels of `blocks` blocks from the group's block b on. */
static void make_panels(const worker *w, group *g, ortho_fused_slab *slab, int b, int blocks)
{
    const ortho_fused_packed *p = &w->st->packed;
    for (int i = 0; i < blocks; i++) {
        int64_t block = g->block + b + i, left = p->n - block * ROWS;
        slab->block = block;
        slab->panel = w->panels + (int64_t)i * ORTHO_FUSED_PANEL_FLOATS;
        w->st->level->panels->unpack(p, slab);
        if (w->call->alpha != 0)
            w->st->level->panels->patch(&p->ortho, slab, left < ROWS ? (int)left : ROWS,
                                        g->entry + (b + i) * ROWS);
    }
}

/* sums += x . weights over segments [from, to). */
static void add_slab(const worker *w, group *g, int64_t from, int64_t to)
{
    const ortho_fused_packed *p = &w->st->packed;
    const ortho_fused_panels *panels = w->st->level->panels;
    int64_t column = p->segment[from].column;
    ortho_fused_slab slab = {.from = from,
                             .to = to,
                             .column = column,
                             .columns = segment_end(p, to - 1) - column,
                             .alpha = w->call->alpha};
    int tiles = tile_count(w);
    for (int b = 0, blocks; b < g->blocks; b += blocks) {
        blocks = g->blocks - b < panels->blocks ? g->blocks - b : panels->blocks;
        make_panels(w, g, &slab, b, blocks);
        for (int tile = 0; tile < tiles; tile++) {
            int first = tile_first(w, tile);
            panels->multiply(&(ortho_fused_tile){
                .panels = w->panels,
                .blocks = blocks,
                .x = tile_x(w, column, slab.columns, tile),
                .columns = slab.columns,
                .tokens = tile_first(w, tile + 1) - first,
                .sum = w->sums + (int64_t)first * STRIDE + (int64_t)b * ROWS,
                .stride = STRIDE,
            });
        }
    }
}

/* The sums are rounded into y once, here. */
static void store(const worker *w, const group *g)
{
    int64_t n = w->st->packed.n, row = g->block * ROWS, rows = (int64_t)g->blocks * ROWS;
    size_t element = w->call->dtype == ORTHO_F32 ? 4 : 2;
    rows = rows < n - row ? rows : n - row;
    for (int i = 0; i < w->tokens; i++)
        ortho_base_store(w->call->dtype, w->sums + (int64_t)i * STRIDE, rows,
                         (char *)w->call->y + (size_t)((w->first + i) * n + row) * element);
}

static void run_blocks(const worker *w, int64_t block, int blocks)
{
    const ortho_fused_packed *p = &w->st->packed;
    group g = {.block = block, .blocks = blocks};
    for (int64_t r = 0; r < (int64_t)blocks * ROWS && block * ROWS + r < p->n; r++)
        g.entry[r] = p->ortho.row_ptr[block * ROWS + r];
    memset(w->sums, 0, (size_t)w->tokens * STRIDE * sizeof(float));
    for (int64_t s = 0, to; s < p->segments; s = to) {
        to = slab_end(p, s);
        add_slab(w, &g, s, to);
    }
    store(w, &g);
}

/* Blocks of a group: fewer where a thread would have too few groups. */
static int group_blocks(const worker *w)
{
    int64_t least = w->st->level->panels->blocks;
    int64_t blocks = w->st->packed.blocks / ((int64_t)w->threads * SHARES) / least * least;
    return (int)(blocks < least ? least : blocks > GROUP ? GROUP : blocks);
}

void ortho_fused_panels_run(const ortho_fused_state *st, const ortho_gemm_call *call, int threads)
{
    worker w = worker_begin(st, call, threads);
    int most = batch_tokens(call->m);
    int64_t all = st->packed.blocks, step = group_blocks(&w);
    for (; w.first < call->m; w.first += w.tokens) {
        int64_t left = call->m - w.first;
        w.tokens = left < most ? (int)left : most;
        pack(&w);
#pragma omp barrier
#pragma omp for schedule(dynamic)
        for (int64_t block = 0; block < all; block += step)
            run_blocks(&w, block, (int)(all - block < step ? all - block : step));
    }
}
