#include "harness/tune.h"

#include "common/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one case -------------------------------------------------------------------------------- */

static bool is_timed(const ob_tune_way *w)
{
    return w->status == ORTHO_CASE_OK || w->status == ORTHO_CASE_AMBIGUOUS;
}

/* The fastest but `but`; -1 where there is none. */
static int fastest(const ob_tune_case *c, int but)
{
    int best = -1;
    for (int i = 0; i < c->count; i++)
        if (i != but && is_timed(&c->way[i]) && (best < 0 || c->way[i].ns < c->way[best].ns))
            best = i;
    return best;
}

/* Whether the difference is one, and worth it. */
static bool is_better(const ob_tune_way *a, const ob_tune_way *b)
{
    return strcmp(a->l2, b->l2) == 0 && a->hi < b->lo && a->ns <= b->ns * (1 - OB_TUNE_GAIN);
}

static void choose(ob_tune_case *c)
{
    c->best = fastest(c, -1);
    if (c->best >= 0 && c->usual >= 0 && is_timed(&c->way[c->usual]) &&
        !is_better(&c->way[c->best], &c->way[c->usual]))
        c->best = c->usual;
    c->second = c->best >= 0 ? fastest(c, c->best) : -1;
}

bool ob_tune_changes(const ob_tune_case *c)
{
    return c->best >= 0 && c->best != c->usual;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int64_t whole(const json_t *row, const char *key)
{
    double value = ortho_model_number(row, key);
    return value >= 0 && value < 1e12 ? (int64_t)value : 0;
}

static ob_tune_case case_of(const json_t *row)
{
    const char *dtype = ortho_model_string(row, "dtype");
    return (ob_tune_case){.n = whole(row, "n"),
                          .k = whole(row, "k"),
                          .group = whole(row, "group"),
                          .m = whole(row, "m"),
                          .density = ortho_model_number(row, "density"),
                          .dtype = dtype != NULL ? dtype : "",
                          .usual = -1};
}

static ob_tune_way way_of(const json_t *row)
{
    const char *key = ortho_model_string(row, "key"), *l2 = ortho_model_string(row, "l2");
    return (ob_tune_way){.name = ortho_model_string(row, "way"),
                         .key = key != NULL ? key : "",
                         .status = ortho_model_status(row),
                         .reason = ortho_model_reason(row),
                         .l2 = l2 != NULL ? l2 : "",
                         .ns = ortho_model_time(row),
                         .lo = ortho_model_number(row, "time_ns.lo"),
                         .hi = ortho_model_number(row, "time_ns.hi")};
}

/* By shape, then tokens: a table's order. */
static int compare(const void *left, const void *right)
{
    const ob_tune_case *a = left, *b = right;
    const double x[] = {(double)a->n, (double)a->k, (double)a->group, a->density, (double)a->m};
    const double y[] = {(double)b->n, (double)b->k, (double)b->group, b->density, (double)b->m};
    int words = strcmp(a->dtype, b->dtype);
    for (int i = 0; i < 5; i++) {
        if (i == 4 && words != 0)
            return words;
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

/* The case that a row belongs to: the last one, or a new one; NULL without memory. */
static ob_tune_case *place_of(ob_tune *t, const json_t *row)
{
    ob_tune_case made = case_of(row);
    ob_tune_case *last = t->count > 0 ? &t->cases[t->count - 1] : NULL;
    const char *name = ortho_model_string(row, "way");
    bool seen = false; /* the same case asked for twice */
    for (int i = 0; last != NULL && i < last->count; i++)
        seen = seen || strcmp(last->way[i].name, name) == 0;
    if (last != NULL && compare(last, &made) == 0 && !seen)
        return last;
    ob_tune_case *grown = realloc(t->cases, (t->count + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    t->cases = grown;
    t->cases[t->count] = made;
    return &t->cases[t->count++];
}

static ortho_status add_row(ob_tune *t, const json_t *row)
{
    const char *variant = ortho_model_string(row, "variant");
    if (ortho_model_string(row, "way") == NULL || variant == NULL)
        return ORTHO_OK;
    if (t->variant != NULL && strcmp(t->variant, variant) != 0)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "ways of %s and of %s: a table is of one variant, which --variant names",
                          t->variant, variant);
    t->variant = variant;
    t->backend = ortho_model_string(row, "backend");
    ob_tune_case *c = place_of(t, row);
    if (c == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu cases", t->count + 1);
    if (c->count == ORTHO_WAYS_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT, "a case with more than %d ways", ORTHO_WAYS_MAX);
    if (ortho_model_true(row, "way_usual"))
        c->usual = c->count;
    c->way[c->count] = way_of(row);
    t->failed += c->way[c->count++].status == ORTHO_CASE_FAILED;
    return ORTHO_OK;
}

/* ---- the document ---------------------------------------------------------------------------- */

static bool is_unfinished(const ob_tune_case *c)
{
    for (int i = 0; i < c->count; i++)
        if (strncmp(c->way[i].reason, "interrupted", strlen("interrupted")) == 0)
            return true;
    return false;
}

/* Without what Ctrl-C cut short: the ways of a case compare only whole. And each once. */
static void tidy(ob_tune *t, bool interrupted)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (interrupted && is_unfinished(&t->cases[i])) {
            t->unfinished++;
            continue;
        }
        choose(&t->cases[i]);
        t->cases[kept++] = t->cases[i];
    }
    t->count = kept;
    if (kept > 0)
        qsort(t->cases, kept, sizeof *t->cases, compare);
    kept = 0;
    for (size_t i = 0; i < t->count; i++)
        if (kept == 0 || compare(&t->cases[kept - 1], &t->cases[i]) != 0)
            t->cases[kept++] = t->cases[i];
    t->count = kept;
}

ortho_status ob_tune_read(const json_t *results, ob_tune *out)
{
    ob_tune t = {0};
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; status == ORTHO_OK && i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row != NULL)
            status = add_row(&t, row);
    }
    if (status != ORTHO_OK) {
        ob_tune_clear(&t);
        return status;
    }
    tidy(&t, ortho_model_true(results, "context.interrupted"));
    *out = t;
    return ORTHO_OK;
}

void ob_tune_clear(ob_tune *tune)
{
    free(tune->cases);
    *tune = (ob_tune){0};
}
