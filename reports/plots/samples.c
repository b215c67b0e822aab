/*
 * samples: the empirical distribution of every raw sample, one curve a variant, for one slice: what
 * a median hides (two modes, a drift, a long tail) shows here. The curve of n samples rises by 1/n
 * at each of them.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARKED 48 /* samples up to which each has its mark */

typedef struct picture {
    ortho_groups groups; /* owned */
    ortho_series series;
    const ortho_group *group;
    double lo, hi; /* of all samples, ns */
} picture;

static size_t sample_count(const json_t *row)
{
    return ortho_plot_compared(row) && ortho_model_timed(row)
               ? json_array_size(ortho_model_at(row, "time_ns.samples"))
               : 0;
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    picture p = {.lo = INFINITY};
    ortho_status status = ortho_model_groups(results, &p.groups);
    if (status != ORTHO_OK)
        return status;
    ortho_series_collect(results, &p.series);
    for (size_t g = 0; g < p.groups.count && p.group == NULL; g++)
        for (size_t i = 0; i < p.groups.group[g].count; i++)
            if (sample_count(p.groups.group[g].rows[i]) >= 2)
                p.group = &p.groups.group[g];
    for (size_t i = 0; p.group != NULL && i < p.group->count; i++) {
        const json_t *row = p.group->rows[i];
        const json_t *samples = ortho_model_at(row, "time_ns.samples");
        for (size_t s = 0; s < sample_count(row); s++) {
            double value = json_number_value(json_array_get(samples, s));
            p.lo = value > 0 ? fmin(p.lo, value) : p.lo;
            p.hi = fmax(p.hi, value);
        }
    }
    if (p.group == NULL || !(p.hi > 0)) {
        ortho_groups_free(&p.groups);
        return ortho_fail(ORTHO_E_UNSUPPORTED, "no verified case kept two samples");
    }
    *out = p;
    return ORTHO_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* time in µs, share of the samples up to it, series, variant */
static ortho_status put_curve(const picture *p, const json_t *row, FILE *tsv)
{
    const json_t *list = ortho_model_at(row, "time_ns.samples");
    size_t count = 0, listed = sample_count(row);
    double *samples = malloc((listed + 1) * sizeof *samples);
    if (samples == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu samples", listed);
    for (size_t i = 0; i < listed; i++) {
        double value = json_number_value(json_array_get(list, i));
        if (value > 0)
            samples[count++] = value;
    }
    char name[ORTHO_LABEL_BYTES];
    ortho_model_label(row, name);
    qsort(samples, count, sizeof *samples, by_value);
    for (size_t i = 0; i < count; i++) {
        ortho_plot_number(samples[i] / 1e3, tsv);
        fputc('\t', tsv);
        ortho_plot_number((double)(i + 1) / (double)count, tsv);
        fprintf(tsv, "\t%d\t", ortho_series_of(&p->series, row));
        ortho_plot_field(name, tsv);
        fputc('\n', tsv);
    }
    free(samples);
    return ORTHO_OK;
}

static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    for (size_t i = 0; i < p.group->count && status == ORTHO_OK; i++)
        if (ortho_series_of(&p.series, p.group->rows[i]) >= 0)
            status = put_curve(&p, p.group->rows[i], tsv);
    ortho_groups_free(&p.groups);
    return status;
}

static void put_headings(const picture *p, FILE *gp)
{
    char slice[160], setting[160], throttled[64] = "", subtitle[400];
    size_t held = 0;
    for (size_t i = 0; i < p->group->count; i++)
        if (sample_count(p->group->rows[i]) > 0)
            held += ortho_model_throttled(p->group->rows[i]);
    if (held > 0)
        snprintf(throttled, sizeof throttled, " · %zu throttled", held);
    ortho_model_slice(p->group->rows[0], slice, sizeof slice);
    ortho_plot_setting(p->group->rows[0], setting, sizeof setting);
    snprintf(subtitle, sizeof subtitle, "%s · %s · every raw sample, outliers included%s", slice,
             setting, throttled);
    ortho_plot_title(gp, "Distribution of the samples", subtitle);
    ortho_plot_unit(gp, "share of the samples at or below");
}

/* Few samples are told one by one; many are a curve with a mark here and there. */
static void put_line(const picture *p, int series, size_t count, const char *before, FILE *gp)
{
    fprintf(gp,
            "%s$data using ($3 == %d ? $1 : NaN):2 with steps lw 1.2 lc rgb '%s' notitle, "
            "\\\n    $data using ($3 == %d ? $1 : NaN):2 with ",
            before, series, ortho_plot_color(series), series);
    if (count > MARKED)
        fprintf(gp, "linespoints pi %zu lw 1.2 ", count / (MARKED / 4) + 1);
    else
        fputs("points ", gp);
    ortho_plot_points(gp, series);
    fputs(" title ", gp);
    ortho_plot_quote(p->series.name[series], 14, gp);
}

/* Samples that are all alike have a range too: gnuplot takes no empty one. */
static void put_range(const picture *p, FILE *gp)
{
    double room = p->hi - p->lo > 1e-3 * p->hi ? 0.05 * (p->hi - p->lo) : 1e-3 * p->hi;
    fprintf(gp, "set xrange [%.6g:%.6g]\n", (p->lo - room) / 1e3, (p->hi + room) / 1e3);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# time (microseconds), share of the samples up to it, series, variant\n", gp);
    put_headings(&p, gp);
    fputs("set yrange [0:1.04]\nset format x '%g'\n", gp);
    if (p.hi / p.lo >= 4)
        ortho_plot_log_axis(gp, 'x', p.lo / 1e3 / 1.15, p.hi / 1e3 * 1.15);
    else
        put_range(&p, gp);
    fputs("if (!tty) { set xlabel 'µs a call' offset 0,0.2; set bmargin at screen 0.17 }\n", gp);
    const char *before = "plot ";
    for (size_t i = 0; i < p.group->count; i++) {
        int series = ortho_series_of(&p.series, p.group->rows[i]);
        size_t count = sample_count(p.group->rows[i]);
        if (series < 0 || count == 0)
            continue;
        put_line(&p, series, count, before, gp);
        before = ", \\\n    ";
    }
    fputc('\n', gp);
    ortho_groups_free(&p.groups);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_samples = {
    .abi = ORTHO_REPORT_ABI,
    .name = "samples",
    .summary = "what do the medians hide: modes, drifts, tails?",
    .data = write_data,
    .body = write_body,
};
