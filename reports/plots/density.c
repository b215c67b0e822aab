/*
 * density: time against the density of Ortho, one line a variant with its 95 % confidence band, for
 * one slice. The density's axis is logarithmic, and the time's where the times span 4 times or
 * more: a cost in proportion to the entries is a straight line then. Rows that weren't made by the
 * sieve are named in the title. A case without a verified time is a gap in its line.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DENSITIES 32

typedef struct picture {
    ortho_series series;
    const json_t *first; /* a row of the slice and setting shown */
    double densities[DENSITIES];
    int count;
    double lo, hi; /* of the times, ns */
    int points[ORTHO_PLOT_SERIES];
    int gaps; /* cases of these lines without a verified time */
} picture;

/* All that must agree for two rows to stand in one line, the density apart. */
static bool same_line(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"op",    "backend", "layer", "proj",       "tensor",
                                       "n",     "k",       "m",     "rule",       "group",
                                       "dtype", "alpha",   "l2",    "ortho_rows", "linears"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
        if ((x == NULL) != (y == NULL) || (x != NULL && !json_equal(x, y)))
            return false;
    }
    return true;
}

static bool counts(const json_t *row)
{
    return row != NULL && ortho_plot_compared(row) && ortho_model_timed(row) &&
           ortho_model_number(row, "density") > 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void gather_densities(const json_t *results, picture *p)
{
    p->count = 0;
    for (size_t i = 0; i < ortho_model_count(results) && p->count < DENSITIES; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (!counts(row) || !same_line(row, p->first))
            continue;
        double density = ortho_model_number(row, "density");
        bool known = false;
        for (int d = 0; d < p->count; d++)
            known = known || p->densities[d] == density;
        if (!known)
            p->densities[p->count++] = density;
    }
    qsort(p->densities, (size_t)p->count, sizeof *p->densities, by_value);
}

/* The first slice and setting that was run at two densities or more; GEMMs before sieves. */
static bool find_lines(const json_t *results, const char *op, picture *p)
{
    const json_t *tried = NULL; /* skips the rows of the line that failed last: they come in runs */
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        const char *its = ortho_model_string(row, "op");
        if (!counts(row) || its == NULL || strcmp(its, op) != 0 ||
            (tried != NULL && same_line(row, tried)))
            continue;
        p->first = tried = row;
        gather_densities(results, p);
        if (p->count >= 2)
            return true;
    }
    return false;
}

static bool in_picture(const picture *p, const json_t *row)
{
    return row != NULL && ortho_plot_compared(row) && ortho_series_of(&p->series, row) >= 0 &&
           ortho_model_number(row, "density") > 0 && same_line(row, p->first);
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.lo = INFINITY};
    ortho_series_collect(results, &out->series);
    if (!find_lines(results, "gemm", out) && !find_lines(results, "sieve", out))
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "it needs two densities of one slice, as from --density 0.005,0.01,0.05");
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (!in_picture(out, row))
            continue;
        double time = ortho_model_time(row), lo = ortho_model_number(row, "time_ns.lo");
        out->gaps += isnan(time);
        if (isnan(time))
            continue;
        out->points[ortho_series_of(&out->series, row)]++;
        out->lo = fmin(out->lo, lo > 0 ? fmin(lo, time) : time);
        out->hi = fmax(out->hi, fmax(time, ortho_model_number(row, "time_ns.hi")));
    }
    return ORTHO_OK;
}

/* The row of a series at a density; NULL when it wasn't run. */
static const json_t *find_row(const json_t *results, const picture *p, int series, double density)
{
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (in_picture(p, row) && ortho_series_of(&p->series, row) == series &&
            ortho_model_number(row, "density") == density)
            return row;
    }
    return NULL;
}

/* density, median, lo, hi in µs, series, variant, status */
static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    for (int s = 0; s < ORTHO_PLOT_SERIES && status == ORTHO_OK; s++)
        for (int d = 0; d < p.count; d++) {
            const json_t *row = find_row(results, &p, s, p.densities[d]);
            if (row == NULL)
                continue;
            bool timed = ortho_model_timed(row);
            if (!timed)
                fputc('\n', tsv); /* NaN alone would not break the line on a log axis */
            const double values[] = {p.densities[d], ortho_model_time(row) / 1e3,
                                     timed ? ortho_model_number(row, "time_ns.lo") / 1e3 : NAN,
                                     timed ? ortho_model_number(row, "time_ns.hi") / 1e3 : NAN, s};
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                ortho_plot_number(values[v], tsv);
                fputc('\t', tsv);
            }
            ortho_plot_field(p.series.name[s], tsv);
            fprintf(tsv, "\t%s\n", ortho_model_status_name(ortho_model_status(row)));
        }
    return status;
}

static void put_headings(const picture *p, FILE *gp)
{
    char slice[160], title[128], subtitle[320], m[48] = "", gaps[48] = "", digits[32];
    const char *op = ortho_model_string(p->first, "op");
    const char *rows = ortho_model_string(p->first, "ortho_rows");
    bool skewed = rows != NULL && strcmp(rows, "sieve") != 0;
    snprintf(title, sizeof title, "Time against the density of Ortho%s%.40s",
             skewed         ? ", rows imposed: "
             : rows != NULL ? ", rows of the sieve"
                            : "",
             skewed ? rows : "");
    ortho_text_trim(title);
    double tokens = ortho_model_number(p->first, "m");
    ortho_model_slice(p->first, slice, sizeof slice);
    if (!isnan(tokens))
        snprintf(m, sizeof m, " · m %s", ortho_text_number(tokens, digits));
    if (p->gaps > 0)
        snprintf(gaps, sizeof gaps, " · %d case%s without a verified time", p->gaps,
                 p->gaps == 1 ? "" : "s");
    snprintf(subtitle, sizeof subtitle, "%.16s · %s%s · medians with 95 %% confidence bands%s",
             op != NULL ? op : "?", slice, m, gaps);
    ortho_plot_title(gp, title, subtitle);
}

static void put_axes(const picture *p, FILE *gp)
{
    char digits[32];
    double first = p->densities[0], last = p->densities[p->count - 1];
    fprintf(gp, "set logscale x\nset xrange [%.6g:%.6g]\n", first / 1.15, last * 1.15);
    fputs("set xtics (", gp);
    for (int d = 0; d < p->count; d++)
        fprintf(gp, "%s'%s' %s", d > 0 ? ", " : "", ortho_text_number(p->densities[d], digits),
                ortho_text_number(p->densities[d], digits));
    fputs(")\n", gp);
    if (p->hi / p->lo >= 4)
        ortho_plot_log_axis(gp, 'y', p->lo / 1e3 / 1.3, p->hi / 1e3 * 1.3);
    else
        fprintf(gp, "set yrange [0:%.6g]\n", p->hi / 1e3 * 1.1);
    fputs("set format y '%g'\n"
          "if (!tty) { set xlabel 'density: share of the weights in Ortho' offset 0,0.2\n"
          "    set bmargin at screen 0.17 }\n",
          gp);
    ortho_plot_unit(gp, "µs a call");
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# density, median, lo, hi (microseconds), series, variant, status\n", gp);
    put_headings(&p, gp);
    put_axes(&p, gp);
    const char *before = "plot ";
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++) {
        if (p.points[s] == 0)
            continue;
        fprintf(gp,
                "%s$data using ($5 == %d ? $1 : NaN):3:4 "
                "with filledcurves fs transparent solid "
                "0.25 noborder lc rgb '%s' notitle, \\\n    "
                "$data using ($5 == %d ? $1 : NaN):2 with linespoints ",
                before, s, ortho_plot_color(s), s);
        ortho_plot_line(gp, s);
        fputs(" title ", gp);
        ortho_plot_quote(p.series.name[s], 14, gp);
        before = ", \\\n    ";
    }
    fputc('\n', gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_density = {
    .abi = ORTHO_REPORT_ABI,
    .name = "density",
    .summary = "what does each further entry of Ortho cost?",
    .data = write_data,
    .body = write_body,
};
