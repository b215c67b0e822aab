/*
 * accuracy: how near the split weights stay to the model's (signal to noise, or the relative error
 * where no row has that) against the bits that a weight takes, a point a variant, rule and density:
 * the median over the slices, whiskers from the worst slice to the best. Variants of one rule and
 * density must agree, so that colours are the rules'; how far they don't is told under the title.
 */
#include "common/error.h"
#include "common/stats.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 256
#define ALIKE   1e-4 /* a share: nobody sees it in a picture */
#define SLICES  4096 /* of one point; the median of so many is that of more */

typedef struct entry {
    const json_t *first;        /* a row with its variant, rule, group and density */
    int rule;                   /* series */
    double bits, value, lo, hi; /* medians; worst and best slice */
    int slices;
} entry;

typedef struct picture {
    const char *key;                             /* of the quality */
    const json_t *rules[ORTHO_PLOT_COMPETITORS]; /* a row of each rule and group */
    int rule_count;
    entry entries[ENTRIES];
    int count;
    bool same_group;
} picture;

static const char signal[] = "quality.snr_db", error[] = "quality.rel_frobenius";

static double value_of(const json_t *row, const char *key)
{
    return ortho_model_timed(row) && ortho_model_number(row, "quality.bits_per_weight") > 0
               ? ortho_model_number(row, key)
               : NAN;
}

static bool counts(const json_t *row, const char *key)
{
    return row != NULL && ortho_plot_compared(row) && !isnan(value_of(row, key)) &&
           ortho_model_number(row, "density") >= 0;
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x == NULL || y == NULL ? x == y : json_equal(x, y) == 1;
}

static bool same_rule(const json_t *a, const json_t *b)
{
    return same(a, b, "rule") && same(a, b, "group");
}

static bool same_entry(const json_t *a, const json_t *b)
{
    return same_rule(a, b) && same(a, b, "variant") && same(a, b, "backend") &&
           ortho_model_number(a, "density") == ortho_model_number(b, "density");
}

/* The series of a row's rule, made where it is new; -1: beyond the limit. */
static int rule_of(picture *p, const json_t *row)
{
    for (int r = 0; r < p->rule_count; r++)
        if (same_rule(p->rules[r], row))
            return r;
    if (p->rule_count == ORTHO_PLOT_COMPETITORS)
        return -1;
    p->same_group = p->same_group && (p->rule_count == 0 || same(p->rules[0], row, "group"));
    p->rules[p->rule_count] = row;
    return p->rule_count++;
}

static void take_entries(const json_t *results, picture *p)
{
    for (size_t i = 0; i < ortho_model_count(results) && p->count < ENTRIES; i++) {
        const json_t *row = ortho_model_row(results, i);
        bool known = !counts(row, p->key);
        for (int e = 0; e < p->count && !known; e++)
            known = same_entry(p->entries[e].first, row);
        int rule = known ? -1 : rule_of(p, row);
        if (rule >= 0)
            p->entries[p->count++] = (entry){.first = row, .rule = rule};
    }
}

/* The medians of an entry over its slices. `bits` and `values` have room for SLICES. */
static void fill(const json_t *results, const char *key, entry *e, double *bits, double *values)
{
    e->lo = INFINITY;
    e->hi = -INFINITY;
    for (size_t i = 0; i < ortho_model_count(results) && e->slices < SLICES; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (!counts(row, key) || !same_entry(e->first, row))
            continue;
        bits[e->slices] = ortho_model_number(row, "quality.bits_per_weight");
        values[e->slices] = value_of(row, key);
        e->lo = fmin(e->lo, values[e->slices]);
        e->hi = fmax(e->hi, values[e->slices++]);
    }
    e->bits = ortho_median(bits, (size_t)e->slices);
    e->value = ortho_median(values, (size_t)e->slices);
}

/* By rule, then by variant as they came, then by density: a line joins what follows. */
static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const char *one = ortho_model_string(x->first, "variant");
    const char *other = ortho_model_string(y->first, "variant");
    int names = x->rule != y->rule ? x->rule - y->rule : strcmp(one, other);
    double p = ortho_model_number(x->first, "density"), q = ortho_model_number(y->first, "density");
    return names != 0 ? names : (p > q) - (p < q);
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.key = signal, .same_group = true};
    take_entries(results, out);
    if (out->count == 0) {
        out->key = error;
        take_entries(results, out);
    }
    if (out->count == 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "no verified sieve tells its accuracy (--op sieve; there is none where "
                          "the model's weights were 4-bit already)");
    double *room = malloc(2 * SLICES * sizeof *room);
    if (room == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a picture of accuracy");
    for (int e = 0; e < out->count; e++)
        fill(results, out->key, &out->entries[e], room, room + SLICES);
    free(room);
    qsort(out->entries, (size_t)out->count, sizeof *out->entries, by_place);
    return ORTHO_OK;
}

static bool one_line(const entry *a, const entry *b)
{
    return a->rule == b->rule && same(a->first, b->first, "variant") &&
           same(a->first, b->first, "backend");
}

/* bits per weight, accuracy, worst, best, series, density, slices, rule, group, variant */
static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    for (int i = 0; i < p.count && status == ORTHO_OK; i++) {
        const entry *e = &p.entries[i];
        const double values[] = {e->bits,  e->value, e->lo,
                                 e->hi,    e->rule,  ortho_model_number(e->first, "density"),
                                 e->slices};
        if (i > 0 && !one_line(e, e - 1))
            fputc('\n', tsv); /* ends a line */
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            ortho_plot_number(values[v], tsv);
            fputc('\t', tsv);
        }
        ortho_plot_field(ortho_model_string(e->first, "rule"), tsv);
        fputc('\t', tsv);
        ortho_plot_number(ortho_model_number(e->first, "group"), tsv);
        fputc('\t', tsv);
        ortho_plot_field(ortho_model_string(e->first, "variant"), tsv);
        fputc('\n', tsv);
    }
    return status;
}

/* ---- body ----------------------------------------------------------------------------------- */

/* How far the variants of one rule and density lie apart, at most, as a share of the value. */
static double disagreement(const picture *p)
{
    double most = 0;
    for (int a = 0; a < p->count; a++)
        for (int b = 0; b < a; b++) {
            const entry *one = &p->entries[a], *other = &p->entries[b];
            if (one->rule == other->rule && ortho_model_number(one->first, "density") ==
                                                ortho_model_number(other->first, "density"))
                most = fmax(most, fabs(one->value - other->value) /
                                      fmax(fabs(one->value), fabs(other->value)));
        }
    return most;
}

static int count_variants(const picture *p)
{
    int count = 0;
    for (int a = 0; a < p->count; a++) {
        bool known = false;
        for (int b = 0; b < a; b++)
            known = known || same(p->entries[a].first, p->entries[b].first, "variant");
        count += !known;
    }
    return count;
}

static void put_headings(const picture *p, FILE *gp)
{
    char agree[96] = "", group[48] = "", subtitle[320], digits[32];
    bool decibel = p->key == signal;
    int slices = 0, variants = count_variants(p);
    for (int e = 0; e < p->count; e++)
        slices = p->entries[e].slices > slices ? p->entries[e].slices : slices;
    ortho_text_three(100 * disagreement(p), digits, sizeof digits);
    if (variants > 1 && disagreement(p) < ALIKE)
        snprintf(agree, sizeof agree, " · %d variants agree", variants);
    else if (variants > 1)
        snprintf(agree, sizeof agree, " · %d variants, up to %s %% apart", variants, digits);
    if (p->same_group && ortho_model_number(p->rules[0], "group") > 0)
        snprintf(group, sizeof group, " · groups of %s",
                 ortho_text_number(ortho_model_number(p->rules[0], "group"), digits));
    snprintf(subtitle, sizeof subtitle, "split weights against the model’s · %s%d slice%s%s%s",
             slices > 1 ? "medians, whiskers worst to best of " : "", slices,
             slices == 1 ? "" : "s", group, agree);
    ortho_plot_title(gp, "Accuracy against bits per weight", subtitle);
    ortho_plot_unit(gp, decibel ? "signal to noise, dB: higher is better"
                                : "relative Frobenius error: lower is better");
}

typedef struct range {
    double lo, hi;
} range;

static range widened(range r, double share)
{
    double room = r.hi > r.lo ? share * (r.hi - r.lo) : 0.02 * fabs(r.hi) + 0.01;
    return (range){r.lo - room, r.hi + room};
}

static void find_ranges(const picture *p, range *x, range *y)
{
    *x = *y = (range){INFINITY, -INFINITY};
    for (int i = 0; i < p->count; i++) {
        const entry *e = &p->entries[i];
        *x = (range){fmin(x->lo, e->bits), fmax(x->hi, e->bits)};
        *y = (range){fmin(y->lo, e->lo), fmax(y->hi, e->hi)};
    }
    *x = widened(*x, 0.08);
    *y = widened(*y, 0.08);
}

/* The density beside each point, where no earlier label is near. */
static void put_densities(const picture *p, range x, range y, FILE *gp)
{
    struct {
        double x, y; /* of the picture, 0 to 1 */
    } taken[ENTRIES];
    int count = 0;
    for (int i = 0; i < p->count; i++) {
        const entry *e = &p->entries[i];
        double here = (e->bits - x.lo) / (x.hi - x.lo), up = (e->value - y.lo) / (y.hi - y.lo);
        bool near = false;
        char digits[32];
        for (int t = 0; t < count; t++)
            near = near || (fabs(taken[t].x - here) < 0.075 && fabs(taken[t].y - up) < 0.05);
        if (near)
            continue;
        taken[count].x = here;
        taken[count].y = up;
        fprintf(gp,
                "if (!tty) { set label %d '%s' at first %.9g, first %.9g left offset 0.8,%s "
                "font ',9' tc rgb '#444444' front }\n",
                20 + count, ortho_text_number(ortho_model_number(e->first, "density"), digits),
                e->bits, e->value, p->key == signal ? "-0.6" : "0.6"); /* where no line rises */
        count++;
    }
}

static void put_name(const picture *p, int rule, FILE *gp)
{
    char name[80], digits[32];
    const char *word = ortho_model_string(p->rules[rule], "rule");
    double group = ortho_model_number(p->rules[rule], "group");
    snprintf(name, sizeof name, "%.40s%s%s", word != NULL ? word : "no rule",
             p->same_group || isnan(group) ? "" : " g",
             p->same_group || isnan(group) ? "" : ortho_text_number(group, digits));
    ortho_text_trim(name);
    ortho_plot_quote(name, 14, gp);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    range x, y;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# bits per weight, accuracy, worst, best, series, density, slices, rule, group, "
          "variant\n",
          gp);
    put_headings(&p, gp);
    find_ranges(&p, &x, &y);
    fprintf(gp,
            "set xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\nset format x '%%g'\n"
            "if (!tty) { set bmargin at screen 0.17\n"
            "    set xlabel 'bits per weight, beside each point the density of Ortho' "
            "offset 0,0.2 }\n",
            x.lo, x.hi, y.lo, y.hi);
    put_densities(&p, x, y, gp);
    for (int r = 0; r < p.rule_count; r++) {
        fprintf(gp,
                "%s$data using ($5 == %d ? $1 : NaN):2:3:4 with yerrorbars lc rgb '%s' lw 1 pt 0 "
                "notitle, \\\n    $data using ($5 == %d ? $1 : NaN):2 with linespoints ",
                r == 0 ? "plot " : ", \\\n    ", r, ortho_plot_color(r), r);
        ortho_plot_line(gp, r);
        fputs(" title ", gp);
        put_name(&p, r, gp);
    }
    fputc('\n', gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_accuracy = {
    .abi = ORTHO_REPORT_ABI,
    .name = "accuracy",
    .summary = "what accuracy does each further bit of a weight buy?",
    .data = write_data,
    .body = write_body,
};
