/*
 * random_linears.h: linears whose shapes, entries and activations a seed decides, for the tests
 * that hold `fused` against the fp64 reference: one alone, two or three over one x, or a chain of
 * up to five. Case i of a seed is the same whatever came before it.
 */
#ifndef ORTHO_TESTS_UNIT_RANDOM_LINEARS_H
#define ORTHO_TESTS_UNIT_RANDOM_LINEARS_H

#include "common/account.h"
#include "common/dtype.h"
#include "common/half.h"
#include "common/random.h"
#include "kernels/split.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_MOST = 5, RANDOM_ROWS = 9000, RANDOM_TALL = 40000, RANDOM_COLUMNS = 20000 };

/* A chain's, of multiples of 8. */
enum { RANDOM_CHAIN_COLUMNS = 8192 };

typedef enum random_form { RANDOM_SINGLE, RANDOM_GROUP, RANDOM_CHAIN } random_form;
typedef enum random_rows { RANDOM_EVEN, RANDOM_HOLES, RANDOM_FULL, RANDOM_LOGNORMAL } random_rows;

typedef struct random_linear {
    int64_t n, k, group;
    double density;
    random_rows rows;
    float alpha;
    int64_t x_at; /* of a chain */
    float scale;
    ortho_activation_mode activations;
    ortho_split split;
} random_linear;

typedef struct random_case {
    uint64_t seed;
    int number;
    random_form form;
    int count;
    int64_t m;
    ortho_dtype dtype;
    int x_off, y_off; /* elements from an aligned address */
    bool positive;    /* no activation is negative */
    random_linear linear[RANDOM_MOST];
    ortho_random random;
} random_case;

/* ---- numbers --------------------------------------------------------------------------------- */

static inline int random_below(ortho_random *g, int n)
{
    return (int)ortho_random_below(g, (size_t)n);
}

static inline double random_part(ortho_random *g) /* 0 .. 1 */
{
    return (double)(ortho_random_next(g) >> 11) * 0x1p-53;
}

/* 1 .. most, each power of two as likely as the next. */
static inline int64_t random_size(ortho_random *g, int64_t most)
{
    return (int64_t)exp(random_part(g) * log((double)most + 1));
}

static inline int64_t random_eights(ortho_random *g, int64_t most)
{
    const int64_t size = random_size(g, most) / 8 * 8;
    return size > 0 ? size : 8;
}

/* ---- a case ---------------------------------------------------------------------------------- */

static inline int64_t random_group(ortho_random *g, int64_t k, bool coarse)
{
    static const int64_t groups[] = {32, 64, 128, 256, INT64_MAX};
    const int64_t group = groups[coarse ? 2 + random_below(g, 3) : random_below(g, 5)];
    return group < k ? group : k;
}

static inline void random_entries(ortho_random *g, random_linear *l)
{
    static const float alphas[] = {1, 0.5f, 0, -0.5f};
    const double part = random_part(g);
    l->density = random_below(g, 8) == 0 ? 0 : 0.3 * part * part;
    l->rows = (random_rows)random_below(g, 4);
    l->alpha = alphas[random_below(g, 4)];
    l->scale = 1;
}

/* Linears over one x, of `most` weights together. */
static inline void random_shapes(random_case *c, int64_t most)
{
    ortho_random *g = &c->random;
    int64_t k, all;
    do {
        k = random_size(g, RANDOM_COLUMNS);
        all = 0;
        for (int i = 0; i < c->count; i++) {
            c->linear[i].n = random_size(g, random_below(g, 8) == 0 ? RANDOM_TALL : RANDOM_ROWS);
            all += c->linear[i].n * k;
        }
    } while (all > most);
    for (int i = 0; i < c->count; i++) {
        c->linear[i].k = k;
        c->linear[i].group = random_group(g, k, false);
    }
}

/* Many tokens and long rows, whose x and k are multiples of 16 bytes: what kernels of their own are
 * for. No chains. */
static inline void random_many(random_case *c, int64_t most)
{
    ortho_random *g = &c->random;
    const int64_t k = 2048 + 8 * random_below(g, 1100);
    if (c->form == RANDOM_CHAIN) {
        c->form = RANDOM_SINGLE;
        c->count = 1;
    }
    c->m = 9 + random_below(g, 258);
    c->dtype = random_below(g, 4) > 0 ? ORTHO_F16 : ORTHO_BF16;
    c->x_off = 8 * random_below(g, 2);
    for (int i = 0; i < c->count; i++) {
        random_linear *l = &c->linear[i];
        l->n = random_size(g, most / c->count / k);
        l->k = k;
        l->group = random_group(g, k, false);
        l->scale = 1;
    }
}

/* Steps over the chain's x or over what those before gave; of groups that are alike. */
static inline void random_steps(random_case *c, int64_t most)
{
    ortho_random *g = &c->random;
    int64_t outputs = 0, narrowest = INT64_MAX;
    for (int i = 0; i < c->count; i++) {
        random_linear *l = &c->linear[i];
        int64_t widest = RANDOM_CHAIN_COLUMNS;
        l->x_at = -1;
        if (i > 0 && random_below(g, 4) > 0) {
            l->x_at = random_below(g, (int)(outputs / 8)) * 8;
            widest = outputs - l->x_at < widest ? outputs - l->x_at : widest;
        }
        do {
            l->k = random_eights(g, widest);
            l->n = random_eights(g, RANDOM_ROWS);
        } while (l->n * l->k > most / c->count);
        outputs += l->n;
        narrowest = l->k < narrowest ? l->k : narrowest;
    }
    const int64_t fine = narrowest > 64 ? 32 * random_below(g, 3) : 0;
    for (int i = 0; i < c->count; i++) {
        random_linear *l = &c->linear[i];
        l->group = fine > 0 ? fine : random_group(g, l->k, true);
        l->scale = (random_below(g, 2) == 0 ? 1 : -1) / sqrtf((float)l->k / 8.0f);
    }
}

/* Everything but the splits. `most`: weights of all its linears. */
static inline random_case random_case_draw(uint64_t seed, int number, int64_t most, bool many)
{
    random_case c = {.seed = seed, .number = number};
    c.random = ortho_random_seeded(seed + (uint64_t)number * 0x9e3779b97f4a7c15u);
    ortho_random *g = &c.random;
    const int form = random_below(g, 4);
    c.form = form < 2 ? RANDOM_SINGLE : form == 2 ? RANDOM_GROUP : RANDOM_CHAIN;
    c.count = form < 2 ? 1 : 2 + random_below(g, form == 2 ? 2 : 4);
    c.m = form == 3 ? 1 : 1 + random_below(g, random_below(g, 4) == 0 ? 40 : 8);
    c.dtype = form == 3 ? (random_below(g, 2) == 0 ? ORTHO_F16 : ORTHO_BF16)
                        : (ortho_dtype)random_below(g, 3);
    c.x_off = form == 3 || random_below(g, 2) == 0 ? 0 : random_below(g, 8);
    c.y_off = form == 3 || random_below(g, 2) == 0 ? 0 : random_below(g, 8);
    c.positive = random_below(g, 4) == 0;
    for (int i = 0; i < c.count; i++)
        random_entries(g, &c.linear[i]);
    if (many)
        random_many(&c, most);
    else if (form == 3)
        random_steps(&c, most);
    else
        random_shapes(&c, most);
    return c;
}

/* What repeats it, and what it is. */
static inline void random_case_name(const random_case *c, char text[800])
{
    static const char *const forms[] = {"one", "a group of", "a chain of"};
    static const char *const rows[] = {"even", "holes", "one full", "lognormal"};
    int at = snprintf(text, 800,
                      "ORTHO_RANDOM_SEED=%llu ORTHO_RANDOM_CASE=%d: %s %d, %s%s, %d tokens, x + "
                      "%d, y + %d",
                      (unsigned long long)c->seed, c->number, forms[c->form], c->count,
                      ortho_dtype_name(c->dtype), c->positive ? " >= 0" : "", (int)c->m, c->x_off,
                      c->y_off);
    for (int i = 0; i < c->count && at < 700; i++) {
        const random_linear *l = &c->linear[i];
        at += snprintf(text + at, 800 - (size_t)at, "; %d x %d, group %d, %.4f %s, alpha %g%s",
                       (int)l->n, (int)l->k, (int)l->group, l->density, rows[l->rows],
                       (double)l->alpha, l->activations == ORTHO_ACTIVATIONS_INT8 ? ", int8" : "");
        if (c->form == RANDOM_CHAIN)
            at += snprintf(text + at, 800 - (size_t)at, ", x_at %d", (int)l->x_at);
    }
}

/* ---- splits and activations ------------------------------------------------------------------ */

static inline double random_length(ortho_random *g, const random_linear *l, int64_t row)
{
    const double even = l->density * (double)l->k;
    switch (l->rows) {
    case RANDOM_EVEN:
        return even;
    case RANDOM_HOLES:
        return random_below(g, 3) == 0 ? 3 * even : 0;
    case RANDOM_FULL:
        return row == l->n / 2 ? 0.95 * (double)l->k : even;
    case RANDOM_LOGNORMAL:
        return even * exp(2 * (random_part(g) + random_part(g) + random_part(g) - 1.5));
    }
    return 0;
}

static inline void random_lengths(ortho_random *g, const random_linear *l, int32_t *row_ptr)
{
    row_ptr[0] = 0;
    for (int64_t r = 0; r < l->n; r++) {
        int64_t length = l->density > 0 ? (int64_t)(random_length(g, l, r) + random_part(g)) : 0;
        length = length < l->k ? length : l->k;
        row_ptr[r + 1] = row_ptr[r] + (int32_t)length;
    }
}

/* Without Ortho (alpha = 0) every value is a NaN: nobody may read them. */
static inline void random_values(ortho_random *g, const random_linear *l, ortho_split *s)
{
    for (int64_t r = 0; r < l->n; r++) {
        const int64_t first = s->row_ptr[r], length = s->row_ptr[r + 1] - first;
        for (int64_t i = 0; i < length; i++) {
            const int64_t from = i * l->k / length, to = (i + 1) * l->k / length;
            const int64_t column = from + random_below(g, (int)(to - from));
            if (l->k > 65536)
                ((uint32_t *)s->col)[first + i] = (uint32_t)column;
            else
                ((uint16_t *)s->col)[first + i] = (uint16_t)column;
            s->val[first + i] =
                l->alpha == 0 ? 0x7e00 : ortho_float_to_fp16((float)(0.6 * random_part(g) - 0.3));
        }
    }
}

static inline void random_split(ortho_random *g, random_linear *l)
{
    const ortho_services services = ortho_services_default();
    const int64_t groups = (l->k + l->group - 1) / l->group, bytes = (l->k + 1) / 2;
    int32_t *row_ptr = malloc((size_t)(l->n + 1) * sizeof *row_ptr);
    assert_non_null(row_ptr);
    random_lengths(g, l, row_ptr);
    ortho_split *s = &l->split;
    assert_int_equal(
        ortho_split_alloc(l->n, l->k, l->group, row_ptr[l->n], &services, ORTHO_WORKING, s),
        ORTHO_OK);
    memcpy(s->row_ptr, row_ptr, (size_t)(l->n + 1) * sizeof *row_ptr);
    free(row_ptr);
    for (int64_t i = 0; i < l->n * bytes; i++)
        s->q[i] = (uint8_t)(ortho_random_next(g) >> 40 & (i % bytes == l->k / 2 ? 15 : 255));
    for (int64_t i = 0; i < l->n * groups; i++) /* some are 0 */
        s->scale[i] = random_below(g, 16) == 0
                          ? 0
                          : ortho_float_to_fp16((float)(0.005 + 0.02 * random_part(g)));
    random_values(g, l, s);
}

/* Columns of the case's x. */
static inline int64_t random_width(const random_case *c)
{
    int64_t width = 0;
    for (int i = 0; i < c->count; i++)
        if ((c->form != RANDOM_CHAIN || c->linear[i].x_at < 0) && c->linear[i].k > width)
            width = c->linear[i].k;
    return width;
}

static inline void random_activations(random_case *c, void *x)
{
    const int64_t count = c->m * random_width(c);
    for (int64_t i = 0; i < count; i++) {
        const double v = random_part(&c->random);
        ortho_dtype_store(c->dtype, x, i, (float)(c->positive ? v : 2 * v - 1));
    }
}

#endif
