#include "kernels/select.h"

#include "common/error.h"

#include <omp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BINS         2048
#define ROWS_A_TURN  8    /* rows that a thread takes at a time, and between looks at its bound */
#define GATHER_LIMIT 1024 /* candidates of 16 bytes that are gathered instead of counted again */

/* The passes' digits, from the top of the 31 bits down. */
typedef struct digit {
    int shift, bins;
} digit;

static const digit digits[] = {{20, 2048}, {10, 1024}, {0, 1024}};

typedef struct counter {
    _Alignas(64) uint32_t bin[BINS];
    uint32_t bound; /* keys below can't be selected any more */
    uint64_t fresh; /* counted since the bound was last raised */
} counter;

typedef struct candidate {
    uint32_t key, col;
    int64_t row;
} candidate;

typedef struct selection {
    const ortho_select_problem *p;
    const ortho_keys *source;
    counter *counters;
    uint32_t lo, hi;     /* undecided keys: [lo, hi) */
    int64_t need, among; /* how many of the undecided ones to take, how many there are */
    candidate *gathered;
    atomic_size_t gathered_count;
} selection;

typedef void row_visit(selection *s, const digit *d, int64_t row);

int ortho_cut_bound(const ortho_cut *cut, int64_t row, int64_t col, uint32_t *bound)
{
    *bound = cut->key;
    if (row < cut->row)
        return ORTHO_CHUNK;
    if (row > cut->row || cut->col < col) {
        ++*bound;
        return ORTHO_CHUNK;
    }
    return cut->col - col + 1 < ORTHO_CHUNK ? (int)(cut->col - col + 1) : ORTHO_CHUNK;
}

int ortho_cut_collect(const ortho_cut *cut, int64_t row, int64_t col, int count,
                      const ortho_quant_ops *ops, const uint32_t *keys, uint8_t *index)
{
    uint32_t bound;
    int split = ortho_cut_bound(cut, row, col, &bound), kept = 0;
    int found = ops->collect(keys, count, bound, 0x80000000u, index);
    if (split >= count)
        return found;
    for (int i = 0; i < found; i++)
        if (index[i] < split || keys[index[i]] > bound)
            index[kept++] = index[i];
    return kept;
}

static int chunk_of(const selection *s, int64_t col)
{
    return s->p->k - col < ORTHO_CHUNK ? (int)(s->p->k - col) : ORTHO_CHUNK;
}

static void raise_bound(counter *c, const digit *d, int64_t need)
{
    int64_t above = 0;
    int bin = d->bins;
    while (bin > 0 && above < need)
        above += c->bin[--bin];
    uint32_t bound = (uint32_t)bin << d->shift;
    if (above >= need && bound > c->bound)
        c->bound = bound;
    c->fresh = 0;
}

static void count_row(selection *s, const digit *d, int64_t row)
{
    _Alignas(64) uint32_t keys[ORTHO_CHUNK];
    uint8_t index[ORTHO_CHUNK];
    counter *c = &s->counters[omp_get_thread_num()];
    uint32_t mask = (uint32_t)d->bins - 1;
    for (int64_t col = 0; col < s->p->k; col += ORTHO_CHUNK) {
        int count = chunk_of(s, col);
        s->source->keys(s->source->ctx, row, col, count, keys);
        int found = s->p->ops->collect(keys, count, c->bound, s->hi, index);
        for (int i = 0; i < found; i++)
            c->bin[keys[index[i]] >> d->shift & mask]++;
        c->fresh += (uint64_t)found;
    }
    if (d == digits && row % ROWS_A_TURN == ROWS_A_TURN - 1 && c->fresh >= (uint64_t)s->need / 8)
        raise_bound(c, d, s->need);
}

static void prepare_and_count_row(selection *s, const digit *d, int64_t row)
{
    s->source->prepare(s->source->ctx, row);
    count_row(s, d, row);
}

static void prepare_row(selection *s, const digit *d, int64_t row)
{
    (void)d;
    s->source->prepare(s->source->ctx, row);
}

/* Undecided entries are stored; those above them are counted for their row right away. */
static void gather_row(selection *s, const digit *d, int64_t row)
{
    _Alignas(64) uint32_t keys[ORTHO_CHUNK];
    uint8_t index[ORTHO_CHUNK];
    int32_t decided = 0;
    (void)d;
    for (int64_t col = 0; col < s->p->k; col += ORTHO_CHUNK) {
        int count = chunk_of(s, col);
        s->source->keys(s->source->ctx, row, col, count, keys);
        int found = s->p->ops->collect(keys, count, s->lo, 0x80000000u, index);
        for (int i = 0; i < found; i++) {
            uint32_t key = keys[index[i]];
            decided += key >= s->hi;
            if (key < s->hi)
                s->gathered[atomic_fetch_add(&s->gathered_count, 1)] =
                    (candidate){key, (uint32_t)(col + index[i]), row};
        }
    }
    if (s->p->row_count != NULL)
        s->p->row_count[row] = decided;
}

static void each_row(selection *s, row_visit *visit, const digit *d)
{
#pragma omp parallel for num_threads(s->p->threads) schedule(dynamic, ROWS_A_TURN)
    for (int64_t row = 0; row < s->p->n; row++)
        visit(s, d, row);
}

/* Finds the bin in which the need-th largest key lies, and narrows [lo, hi) to it. */
static void settle(selection *s, const digit *d)
{
    int64_t above = 0, inside = 0;
    int bin = d->bins;
    while (bin > 0 && above + inside < s->need) {
        above += inside;
        inside = 0;
        bin--;
        for (int t = 0; t < s->p->threads; t++)
            inside += s->counters[t].bin[bin];
    }
    s->lo = (s->lo & ~(((uint32_t)d->bins << d->shift) - 1)) + ((uint32_t)bin << d->shift);
    s->hi = s->lo + (1u << d->shift);
    s->lo = s->lo > 0 ? s->lo : 1; /* 0 is padding */
    s->need -= above;
    s->among = inside;
}

static void narrow(selection *s, const digit *d, row_visit *visit)
{
    for (int t = 0; t < s->p->threads; t++) {
        memset(s->counters[t].bin, 0, sizeof s->counters[t].bin);
        s->counters[t].bound = s->lo;
        s->counters[t].fresh = 0;
    }
    each_row(s, visit, d);
    settle(s, d);
}

static int by_rank(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return x->col < y->col ? -1 : x->col > y->col;
}

static ortho_status finish_by_gathering(selection *s, ortho_cut *cut)
{
    const ortho_services *sv = s->p->services;
    s->gathered =
        sv->alloc(sv->ctx, (size_t)s->among * sizeof *s->gathered, ORTHO_HOST, ORTHO_WORKING);
    if (s->gathered == NULL)
        return ORTHO_E_MEMORY;
    atomic_store(&s->gathered_count, 0);
    each_row(s, gather_row, NULL);
    qsort(s->gathered, (size_t)s->among, sizeof *s->gathered, by_rank);
    const candidate *last = &s->gathered[s->need - 1];
    *cut = (ortho_cut){last->key, last->row, last->col};
    for (int64_t i = 0; s->p->row_count != NULL && i < s->need; i++)
        s->p->row_count[s->gathered[i].row]++;
    sv->free(sv->ctx, s->gathered);
    return ORTHO_OK;
}

/* Every undecided key equals lo: walks them in order until `need` are taken. Serial, but only where
 * more than GATHER_LIMIT keys tie. */
static void finish_by_walking(selection *s, ortho_cut *cut)
{
    _Alignas(64) uint32_t keys[ORTHO_CHUNK];
    uint8_t index[ORTHO_CHUNK];
    for (int64_t row = 0; row < s->p->n; row++)
        for (int64_t col = 0; col < s->p->k; col += ORTHO_CHUNK) {
            int count = chunk_of(s, col);
            s->source->keys(s->source->ctx, row, col, count, keys);
            int found = s->p->ops->collect(keys, count, s->lo, s->hi, index);
            if (found >= s->need) {
                *cut = (ortho_cut){s->lo, row, col + index[s->need - 1]};
                return;
            }
            s->need -= found;
        }
}

static void count_selected(selection *s, const ortho_cut *cut)
{
#pragma omp parallel for num_threads(s->p->threads) schedule(dynamic, ROWS_A_TURN)
    for (int64_t row = 0; row < s->p->n; row++) {
        _Alignas(64) uint32_t keys[ORTHO_CHUNK];
        uint8_t index[ORTHO_CHUNK];
        int64_t selected = 0;
        for (int64_t col = 0; col < s->p->k; col += ORTHO_CHUNK) {
            int count = chunk_of(s, col);
            s->source->keys(s->source->ctx, row, col, count, keys);
            selected += ortho_cut_collect(cut, row, col, count, s->p->ops, keys, index);
        }
        s->p->row_count[row] = (int32_t)selected;
    }
}

static ortho_status run(selection *s, ortho_cut *cut)
{
    const int last = (int)(sizeof digits / sizeof *digits) - 1;
    bool all = s->need == s->among, none = s->need == 0;
    int i = 0;
    if (all || none)
        each_row(s, prepare_row, NULL);
    else
        narrow(s, &digits[i], prepare_and_count_row);
    ortho_status status = s->source->check(s->source->ctx);
    if (status != ORTHO_OK)
        return status;
    while (!all && !none && s->need < s->among && s->among > GATHER_LIMIT && i < last)
        narrow(s, &digits[++i], count_row);
    if (none)
        *cut = (ortho_cut){ORTHO_KEY_TOP, -1, 0};
    else if (all || s->need == s->among)
        *cut = (ortho_cut){s->lo, INT64_MAX, 0};
    else if (s->among <= GATHER_LIMIT)
        return finish_by_gathering(s, cut);
    else
        finish_by_walking(s, cut);
    if (s->p->row_count != NULL)
        count_selected(s, cut);
    return ORTHO_OK;
}

ortho_status ortho_select(const ortho_select_problem *p, const ortho_keys *source, ortho_cut *out)
{
    const ortho_services *sv = p->services;
    selection s = {.p = p, .source = source, .lo = 1, .hi = 0x80000000u, .need = p->need};
    s.among = p->n * p->k;
    s.counters =
        sv->alloc(sv->ctx, (size_t)p->threads * sizeof *s.counters, ORTHO_HOST, ORTHO_WORKING);
    if (s.counters == NULL)
        return ORTHO_E_MEMORY;
    ortho_status status = run(&s, out);
    sv->free(sv->ctx, s.counters);
    return status;
}
