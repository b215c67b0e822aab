#include "reports/sweep.h"

#include "common/error.h"
#include "reports/sweep_line.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VALUES    32
#define CROSSINGS 24
#define KEY_ROWS  16 /* entries of the key that fit at its usual spacing */
#define BEYOND    32 /* times the baseline's longest time, where the picture ends */

typedef struct crossing {
    int series;
    double at, time; /* of the swept number; ns */
} crossing;

typedef struct picture {
    ortho_series series;
    const json_t *first; /* a row of the line shown */
    char *id;            /* of that line, owned */
    double values[VALUES];
    int count;
    const json_t *cell[ORTHO_PLOT_SERIES][VALUES]; /* NULL: not run */
    double lo, hi;                                 /* of the times, ns */
    int points[ORTHO_PLOT_SERIES];
    int gaps;     /* cases of these lines without a verified time */
    int baseline; /* -1: none was timed */
    int beyond;   /* cases that take longer than the picture's upper end */
    crossing crossings[CROSSINGS];
    int crossed;
} picture;

/* ---- cells ---------------------------------------------------------------------------------- */

static int value_of(const picture *p, const json_t *row, const char *key)
{
    double value = ortho_model_number(row, key);
    for (int v = 0; v < p->count; v++)
        if (p->values[v] == value)
            return v;
    return -1;
}

static bool in_line(const picture *p, const json_t *row, const char *key)
{
    if (!ortho_line_takes(row, key) || ortho_series_of(&p->series, row) < 0)
        return false;
    char *id = ortho_model_group_id(row, key);
    bool same = id != NULL && strcmp(id, p->id) == 0;
    free(id);
    return same;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void take_values(const json_t *results, const char *key, picture *p)
{
    for (size_t i = 0; i < ortho_model_count(results) && p->count < VALUES; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (in_line(p, row, key) && ortho_model_timed(row) && value_of(p, row, key) < 0)
            p->values[p->count++] = ortho_model_number(row, key);
    }
    qsort(p->values, (size_t)p->count, sizeof *p->values, by_value);
}

/* A case that stands twice (in merged documents) is taken once. */
static void take_cells(const json_t *results, const char *key, picture *p)
{
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (!in_line(p, row, key) || value_of(p, row, key) < 0)
            continue;
        int s = ortho_series_of(&p->series, row), v = value_of(p, row, key);
        double time = ortho_model_time(row), lo = ortho_model_number(row, "time_ns.lo");
        if (p->cell[s][v] != NULL)
            continue;
        p->cell[s][v] = row;
        p->gaps += isnan(time);
        if (isnan(time))
            continue;
        p->points[s]++;
        p->lo = fmin(p->lo, lo > 0 ? fmin(lo, time) : time);
        p->hi = fmax(p->hi, fmax(time, ortho_model_number(row, "time_ns.hi")));
    }
}

/* ---- crossings ------------------------------------------------------------------------------ */

/* The baseline that the rows' speed-ups name, or the first. */
static int find_baseline(const picture *p)
{
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        for (int v = 0; v < p->count; v++) {
            const char *over = ortho_model_string(p->cell[s][v], "speedup.over");
            for (int b = 0; over != NULL && b < ORTHO_PLOT_SERIES; b++)
                if (p->points[b] > 0 && strcmp(p->series.name[b], over) == 0)
                    return b;
        }
    for (int b = ORTHO_PLOT_COMPETITORS; b < ORTHO_PLOT_SERIES; b++)
        if (p->points[b] > 0)
            return b;
    return -1;
}

/* log(time / baseline's time) where both are known and their intervals lie apart; else NAN. */
static double apart(const picture *p, int series, int value)
{
    const json_t *a = p->cell[series][value], *b = p->cell[p->baseline][value];
    double difference = log(ortho_model_time(a) / ortho_model_time(b));
    bool overlap = ortho_model_number(a, "time_ns.lo") <= ortho_model_number(b, "time_ns.hi") &&
                   ortho_model_number(b, "time_ns.lo") <= ortho_model_number(a, "time_ns.hi");
    return overlap ? NAN : difference;
}

static double between(double a, double b, double share)
{
    return exp(log(a) + share * (log(b) - log(a)));
}

static void find_crossings(picture *p, int series)
{
    int last = -1;
    double before = NAN;
    for (int v = 0; v < p->count; v++) {
        double here = apart(p, series, v);
        if (isnan(here))
            continue;
        if (last >= 0 && before * here < 0 && p->crossed < CROSSINGS) {
            double share = before / (before - here);
            double from = ortho_model_time(p->cell[p->baseline][last]);
            double to = ortho_model_time(p->cell[p->baseline][v]);
            p->crossings[p->crossed++] =
                (crossing){.series = series,
                           .at = between(p->values[last], p->values[v], share),
                           .time = between(from, to, share)};
        }
        last = v;
        before = here;
    }
}

/* A variant that takes a thousand times as long would press all others into one line: the picture
 * ends where nobody asks any more which is faster, and tells how many cases lie beyond. */
static void end_picture(picture *p)
{
    double longest = 0;
    for (int v = 0; p->baseline >= 0 && v < p->count; v++)
        longest = fmax(longest, ortho_model_time(p->cell[p->baseline][v]));
    if (!(longest > 0) || p->hi <= BEYOND * longest)
        return;
    double end = BEYOND * longest;
    p->hi = longest;
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        for (int v = 0; v < p->count; v++) {
            double time = ortho_model_time(p->cell[s][v]);
            p->beyond += time > end;
            p->hi = time <= end ? fmax(p->hi, time) : p->hi;
        }
}

/* ---- picture -------------------------------------------------------------------------------- */

/* Free `out->id` after success. */
static ortho_status open_picture(const json_t *results, const ortho_sweep *sweep, picture *out)
{
    *out = (picture){.lo = INFINITY, .baseline = -1};
    ortho_series_collect(results, &out->series);
    ortho_status status = ortho_line_best(results, sweep->key, &out->first);
    if (status != ORTHO_OK)
        return status;
    if (out->first == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "%s", sweep->lack);
    out->id = ortho_model_group_id(out->first, sweep->key);
    if (out->id == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to sort the results into lines");
    take_values(results, sweep->key, out);
    take_cells(results, sweep->key, out);
    out->baseline = find_baseline(out);
    for (int s = 0; s < ORTHO_PLOT_COMPETITORS && out->baseline >= 0; s++)
        if (s != out->baseline && out->points[s] > 0)
            find_crossings(out, s);
    end_picture(out);
    return ORTHO_OK;
}

typedef struct point {
    double value, time, lo, hi; /* ns */
    int series;
    const char *status;
} point;

static void put_point(const picture *p, point at, FILE *tsv)
{
    const double values[] = {at.value, at.time / 1e3, at.lo / 1e3, at.hi / 1e3, at.series};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        ortho_plot_number(values[i], tsv);
        fputc('\t', tsv);
    }
    ortho_plot_field(p->series.name[at.series], tsv);
    fprintf(tsv, "\t%s\n", at.status);
}

static void put_case(const picture *p, int series, int value, FILE *tsv)
{
    const json_t *row = p->cell[series][value];
    bool timed = ortho_model_timed(row);
    if (!timed)
        fputc('\n', tsv); /* NaN alone would not break the line on a log axis */
    put_point(p,
              (point){.value = p->values[value],
                      .time = ortho_model_time(row),
                      .lo = timed ? ortho_model_number(row, "time_ns.lo") : NAN,
                      .hi = timed ? ortho_model_number(row, "time_ns.hi") : NAN,
                      .series = series,
                      .status = ortho_model_status_name(ortho_model_status(row))},
              tsv);
}

ortho_status ortho_sweep_data(const json_t *results, const ortho_sweep *sweep, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, sweep, &p);
    if (status != ORTHO_OK)
        return status;
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        for (int v = 0; v < p.count; v++)
            if (p.cell[s][v] != NULL)
                put_case(&p, s, v, tsv);
    for (int c = 0; c < p.crossed; c++)
        put_point(&p,
                  (point){.value = p.crossings[c].at,
                          .time = p.crossings[c].time,
                          .lo = NAN,
                          .hi = NAN,
                          .series = p.crossings[c].series,
                          .status = "crossover"},
                  tsv);
    free(p.id);
    return ORTHO_OK;
}

/* ---- body ----------------------------------------------------------------------------------- */

static void put_notes(const picture *p, char *out, size_t size)
{
    char gaps[48] = "", beyond[64] = "";
    if (p->gaps > 0)
        snprintf(gaps, sizeof gaps, " · %d case%s without a verified time", p->gaps,
                 p->gaps == 1 ? "" : "s");
    if (p->beyond > 0)
        snprintf(beyond, sizeof beyond, " · %d slower case%s beyond the picture", p->beyond,
                 p->beyond == 1 ? "" : "s");
    snprintf(out, size, "%s%s%s", p->crossed > 0 ? " · ○ = baseline, interpolated" : "", gaps,
             beyond);
}

/* What the lines share, the swept number left out. */
static void put_headings(const picture *p, const ortho_sweep *sweep, FILE *gp)
{
    char slice[160], title[128], subtitle[400], other[48] = "", notes[160], digits[32];
    const char *op = ortho_model_string(p->first, "op");
    const char *rest = strcmp(sweep->key, "m") == 0 ? "density" : "m";
    double number = ortho_model_number(p->first, rest);
    sweep->title(p->first, title, sizeof title);
    ortho_text_trim(title);
    ortho_model_slice(p->first, slice, sizeof slice);
    if (!isnan(number))
        snprintf(other, sizeof other, " · %s %s", rest, ortho_text_number(number, digits));
    put_notes(p, notes, sizeof notes);
    snprintf(subtitle, sizeof subtitle, "%.16s · %s%s · medians with 95 %% confidence bands%s",
             op != NULL ? op : "?", slice, other, notes);
    ortho_plot_title(gp, title, subtitle);
}

/* A tic a value, as far as their labels don't meet. */
static void put_values(const picture *p, FILE *gp)
{
    double first = p->values[0] / 1.15, last = p->values[p->count - 1] * 1.15, labelled = 0;
    const char *before = "";
    char digits[32];
    fprintf(gp, "set logscale x\nset xrange [%.6g:%.6g]\nset xtics (", first, last);
    for (int v = 0; v < p->count; v++) {
        if (labelled > 0 && log(p->values[v] / labelled) < 0.05 * log(last / first))
            continue;
        labelled = p->values[v];
        ortho_text_number(labelled, digits);
        fprintf(gp, "%s'%s' %s", before, digits, digits);
        before = ", ";
    }
    fputs(")\n", gp);
}

static void put_axes(const picture *p, const ortho_sweep *sweep, FILE *gp)
{
    put_values(p, gp);
    if (p->hi / p->lo >= 4)
        ortho_plot_log_axis(gp, 'y', p->lo / 1e3 / 1.3, p->hi / 1e3 * 1.3);
    else
        fprintf(gp, "set yrange [0:%.6g]\n", p->hi / 1e3 * 1.1);
    fprintf(gp,
            "set format y '%%g'\n"
            "if (!tty) { set xlabel '%s' offset 0,0.2\n"
            "    set bmargin at screen 0.17 }\n",
            sweep->axis);
    ortho_plot_unit(gp, "µs a call");
}

/* A thin line from each crossing down to the axis. */
static void put_droplines(const picture *p, FILE *gp)
{
    for (int c = 0; c < p->crossed; c++)
        fprintf(gp,
                "if (!tty) { set arrow %d from first %.6g, first %.6g to first %.6g, graph 0 "
                "nohead dt 3 lw 1.2 lc rgb '#666666' back }\n",
                c + 1, p->crossings[c].at, p->crossings[c].time / 1e3, p->crossings[c].at);
}

/* "dense (cuBLAS)": whose library the baseline is, where that is known. */
static void put_name(const picture *p, int series, FILE *gp)
{
    char name[64];
    const char *backend = ortho_model_string(p->first, "backend");
    bool cublas = strcmp(p->series.name[series], "dense") == 0 && backend != NULL &&
                  strcmp(backend, "cuda") == 0;
    snprintf(name, sizeof name, "%.40s%s", p->series.name[series], cublas ? " (cuBLAS)" : "");
    ortho_text_trim(name);
    ortho_plot_quote(name, 15, gp);
}

static void put_line(const picture *p, int series, const char *before, FILE *gp)
{
    fprintf(gp,
            "%s$data using ($5 == %d && strcol(7) ne 'crossover' ? $1 : NaN):3:4 "
            "with filledcurves fs transparent solid 0.25 noborder lc rgb '%s' notitle, \\\n    "
            "$data using ($5 == %d && strcol(7) ne 'crossover' ? $1 : NaN):2 with linespoints ",
            before, series, ortho_plot_color(series), series);
    if (series == p->baseline)
        fprintf(gp, "lc rgb '%s' dt 1 lw 3.5 pt 15 ps 0.8", ortho_plot_color(series));
    else
        ortho_plot_line(gp, series);
    fputs(" title ", gp);
    put_name(p, series, gp);
}

/* Rings where a variant crosses the baseline; the key tells at what values. */
static void put_rings(const picture *p, int series, FILE *gp)
{
    char words[120] = "", digits[32];
    size_t used = 0;
    for (int c = 0; c < p->crossed; c++) {
        if (p->crossings[c].series != series || used >= sizeof words)
            continue;
        ortho_text_three(p->crossings[c].at, digits, sizeof digits);
        int added =
            snprintf(words + used, sizeof words - used, "%s%s", used > 0 ? ", " : "at ", digits);
        used += added > 0 ? (size_t)added : 0;
    }
    if (used == 0)
        return;
    fprintf(gp,
            ", \\\n    $data using ($5 == %d && strcol(7) eq 'crossover' ? $1 : NaN):2 "
            "with points pt 6 ps 1.7 lw 2 lc rgb '%s' title ",
            series, ortho_plot_color(series));
    ortho_plot_quote(words, 18, gp);
}

ortho_status ortho_sweep_body(const json_t *results, const ortho_sweep *sweep, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, sweep, &p);
    if (status != ORTHO_OK)
        return status;
    int entries = p.crossed;
    fprintf(gp, "# %s, median, lo, hi (microseconds), series, variant, status\n", sweep->key);
    put_headings(&p, sweep, gp);
    put_axes(&p, sweep, gp);
    put_droplines(&p, gp);
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        entries += p.points[s] > 0;
    if (entries > KEY_ROWS)
        fputs("if (!tty) { set key spacing 0.95 font ',9' }\n", gp);
    const char *before = "plot ";
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++) {
        if (p.points[s] == 0)
            continue;
        put_line(&p, s, before, gp);
        put_rings(&p, s, gp);
        before = ", \\\n    ";
    }
    fputc('\n', gp);
    free(p.id);
    return ORTHO_OK;
}
