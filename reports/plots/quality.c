/*
 * quality: the H-weighted error of a split against the bits that a weight takes, a line a rule and
 * group, a point a density: which of them loses least at equal bits? A point is the geometric mean
 * over the slices, so that a slice with a large error doesn't outweigh the others; one that lacks
 * slices that another has is left out, for their means don't compare. The error is that under
 * activations which the sieve didn't see, where rows have it (--held-out), else under its own H.
 * Only rows of one variant count (all variants of a rule make the same split) and, made weights
 * being no trained ones, only rows that are as synthetic as the first.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POINTS 256

typedef struct point {
    const json_t *first; /* a row with its rule, group and density */
    int line;            /* series */
    double logs, bits;   /* sums over slices, then means */
    double lo, hi;       /* best and worst slice */
    int slices;
} point;

typedef struct picture {
    const char *key;                             /* of the error */
    const json_t *lines[ORTHO_PLOT_COMPETITORS]; /* a row of each rule and group */
    int line_count;
    point points[POINTS];
    int count, slices; /* points; slices of each */
} picture;

static const char held_out[] = "quality.held_out.h_weighted", own[] = "quality.h_weighted";

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
    return x == NULL || y == NULL ? x == y : json_equal(x, y) == 1;
}

/* One scale serves a whole row, however long it is. */
static bool is_by_row(const json_t *row)
{
    const char *rule = ortho_model_string(row, "rule"), *word = ortho_model_string(row, "group");
    return (rule != NULL && strcmp(rule, "legacy") == 0) ||
           (word != NULL && strcmp(word, "row") == 0) ||
           ortho_model_number(row, "group") == ortho_model_number(row, "k");
}

static bool same_line(const json_t *a, const json_t *b)
{
    return same(a, b, "rule") &&
           (is_by_row(a) ? is_by_row(b) : !is_by_row(b) && same(a, b, "group"));
}

static bool counts(const json_t *row, const char *key)
{
    return row != NULL && ortho_plot_compared(row) && ortho_model_timed(row) &&
           ortho_model_number(row, key) > 0 && ortho_model_number(row, "density") >= 0 &&
           ortho_model_number(row, "quality.bits_per_weight") > 0;
}

/* Whether a row belongs to the picture that `first`, the first that counts, begins. */
static bool belongs(const json_t *row, const json_t *first)
{
    return same(row, first, "variant") && same(row, first, "backend") &&
           same(row, first, "synthetic");
}

static int line_of(picture *p, const json_t *row)
{
    for (int i = 0; i < p->line_count; i++)
        if (same_line(p->lines[i], row))
            return i;
    if (p->line_count == ORTHO_PLOT_COMPETITORS)
        return -1;
    p->lines[p->line_count] = row;
    return p->line_count++;
}

static point *point_of(picture *p, const json_t *row)
{
    for (int i = 0; i < p->count; i++)
        if (same_line(p->points[i].first, row) &&
            ortho_model_number(p->points[i].first, "density") == ortho_model_number(row, "density"))
            return &p->points[i];
    int line = p->count < POINTS ? line_of(p, row) : -1;
    if (line < 0)
        return NULL;
    p->points[p->count] = (point){.first = row, .line = line, .lo = INFINITY};
    return &p->points[p->count++];
}

static void take_rows(const json_t *results, picture *p)
{
    const json_t *first = NULL;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (!counts(row, p->key))
            continue;
        first = first != NULL ? first : row;
        point *at = belongs(row, first) ? point_of(p, row) : NULL;
        if (at == NULL)
            continue;
        double error = ortho_model_number(row, p->key);
        at->logs += log(error);
        at->bits += ortho_model_number(row, "quality.bits_per_weight");
        at->lo = fmin(at->lo, error);
        at->hi = fmax(at->hi, error);
        at->slices++;
    }
}

/* Leaves out what lacks slices; by line, then by density: a line joins what follows. */
static void keep_whole(picture *p)
{
    int kept = 0;
    for (int i = 0; i < p->count; i++)
        p->slices = p->points[i].slices > p->slices ? p->points[i].slices : p->slices;
    for (int i = 0; i < p->count; i++)
        if (p->points[i].slices == p->slices) {
            p->points[kept] = p->points[i];
            p->points[kept].logs /= p->slices;
            p->points[kept++].bits /= p->slices;
        }
    p->count = kept;
}

static int by_place(const void *a, const void *b)
{
    const point *x = a, *y = b;
    double p = ortho_model_number(x->first, "density"), q = ortho_model_number(y->first, "density");
    return x->line != y->line ? x->line - y->line : (p > q) - (p < q);
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    static const char *const keys[] = {held_out, own};
    for (int i = 0; i < 2; i++) {
        *out = (picture){.key = keys[i]};
        take_rows(results, out);
        keep_whole(out);
        if (out->count > 1) {
            qsort(out->points, (size_t)out->count, sizeof *out->points, by_place);
            return ORTHO_OK;
        }
    }
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "it needs sieves of two densities, as from --op sieve --density 0,0.01,0.05 "
                      "(there is no quality where the model's weights were 4-bit already)");
}

/* "outlier g128", "legacy row" */
static void name_line(const json_t *row, char out[64])
{
    char digits[32];
    const char *rule = ortho_model_string(row, "rule");
    double group = ortho_model_number(row, "group");
    bool known = !isnan(group) && !is_by_row(row);
    snprintf(out, 64, "%.20s %s%s", rule != NULL ? rule : "no rule",
             known            ? "g"
             : is_by_row(row) ? "row"
                              : "",
             known ? ortho_text_number(group, digits) : "");
    ortho_text_trim(out);
}

/* bits per weight, error, best, worst, series, density, slices, rule, line's name */
static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    for (int i = 0; i < p.count && status == ORTHO_OK; i++) {
        const point *at = &p.points[i];
        const double values[] = {at->bits,  exp(at->logs), at->lo,
                                 at->hi,    at->line,      ortho_model_number(at->first, "density"),
                                 at->slices};
        char name[64];
        if (i > 0 && at->line != p.points[i - 1].line)
            fputc('\n', tsv); /* ends a line */
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            ortho_plot_number(values[v], tsv);
            fputc('\t', tsv);
        }
        ortho_plot_field(ortho_model_string(at->first, "rule"), tsv);
        fputc('\t', tsv);
        name_line(at->first, name);
        ortho_plot_field(name, tsv);
        fputc('\n', tsv);
    }
    return status;
}

/* ---- body ----------------------------------------------------------------------------------- */

static void put_headings(const picture *p, FILE *gp)
{
    char subtitle[240];
    snprintf(subtitle, sizeof subtitle,
             "%s of %d slice%s · along a line the density of Ortho rises · %s",
             p->slices > 1 ? "geometric mean" : "error", p->slices, p->slices > 1 ? "s" : "",
             p->key == held_out ? "judged by activations that the sieve didn’t see"
                                : "judged by the H that the sieve used");
    ortho_plot_title(gp, "H-weighted error against bits per weight", subtitle);
    ortho_plot_unit(gp, "H-weighted error: lower is better");
}

/* Errors often lie within one decade, where 1, 2 and 5 are too few. */
static void put_more_tics(double lo, double hi, FILE *gp)
{
    static const double steps[] = {1.5, 3, 4, 6, 7, 8};
    const char *before = "set ytics add (";
    if (!(lo > 1e-30 && hi < 10 * lo))
        return;
    for (double decade = pow(10, floor(log10(lo))); decade <= hi; decade *= 10)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            if (decade * steps[i] >= lo && decade * steps[i] <= hi) {
                fprintf(gp, "%s'%.3g' %.6g", before, decade * steps[i], decade * steps[i]);
                before = ", ";
            }
    fputs(*before == ',' ? ")\n" : "", gp);
}

static void put_axes(const picture *p, FILE *gp)
{
    double left = INFINITY, right = 0, lo = INFINITY, hi = 0;
    for (int i = 0; i < p->count; i++) {
        left = fmin(left, p->points[i].bits);
        right = fmax(right, p->points[i].bits);
        lo = fmin(lo, exp(p->points[i].logs));
        hi = fmax(hi, exp(p->points[i].logs));
    }
    double room = 0.05 * (right - left) + 0.01;
    ortho_plot_log_axis(gp, 'y', lo / 1.08, hi * 1.08);
    put_more_tics(lo / 1.08, hi * 1.08, gp);
    fprintf(gp,
            "set xrange [%.9g:%.9g]\nset format x '%%g'\n"
            "if (!tty) { set bmargin at screen 0.17\n    set xlabel 'bits per weight, scales and "
            "Ortho included' offset 0,0.2 }\n",
            left - room, right + room);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# bits per weight, error, best, worst, series, density, slices, rule, name\n", gp);
    put_headings(&p, gp);
    put_axes(&p, gp);
    for (int i = 0; i < p.line_count; i++) {
        char name[64];
        fprintf(gp, "%s$data using ($5 == %d ? $1 : NaN):2 with linespoints ",
                i == 0 ? "plot " : ", \\\n    ", i);
        ortho_plot_line(gp, i);
        fputs(" title ", gp);
        name_line(p.lines[i], name);
        ortho_plot_quote(name, 16, gp);
    }
    fputc('\n', gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_quality = {
    .abi = ORTHO_REPORT_ABI,
    .name = "quality",
    .summary = "which rule and group of the sieve loses least at equal bits?",
    .data = write_data,
    .body = write_body,
};
