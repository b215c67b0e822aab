/*
 * divergence: measured against predicted active lanes of the Ortho loop, a point a case in its
 * variant's colour, and a cross where an instrumented build counted them. On the diagonal the lane
 * model is right; the band around it is the 10 % beyond which a table says that it isn't. Cases
 * without a measurement have no point, and are counted under the title.
 */
#include "common/error.h"
#include "reports/measured.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

typedef struct picture {
    ortho_series series;
    int points[ORTHO_PLOT_SERIES], crosses[ORTHO_PLOT_SERIES];
    int cases, refuted, unmeasured; /* unmeasured: predicted, and somebody tried to measure */
    int exact;
} picture;

static bool is_measured(const json_t *row)
{
    return !isnan(ortho_measured_difference(row));
}

static bool is_exact(const json_t *row)
{
    return ortho_model_lanes(row) > 0 && !isnan(ortho_exact_lanes(row));
}

/* The series of a row that has a prediction and what it is held against; -1: it has no point. */
static int series_of(const picture *p, const json_t *row)
{
    if (row == NULL || !ortho_plot_compared(row) || !(is_measured(row) || is_exact(row)))
        return -1;
    return ortho_series_of(&p->series, row);
}

static void take_row(picture *p, const json_t *row, int series)
{
    p->points[series] += is_measured(row);
    p->cases += is_measured(row);
    p->refuted += fabs(ortho_measured_difference(row)) > ORTHO_LANES_TOLERANCE;
    p->crosses[series] += is_exact(row);
    p->exact += is_exact(row);
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.cases = 0};
    ortho_series_collect(results, &out->series);
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        int s = series_of(out, row);
        out->unmeasured += row != NULL && ortho_plot_compared(row) && ortho_model_lanes(row) > 0 &&
                           ortho_measured_reason(row) != NULL;
        if (s >= 0)
            take_row(out, row, s);
    }
    return out->cases + out->exact > 0
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_UNSUPPORTED,
                            "no case has lanes both predicted and measured, as from "
                            "--counters divergence on a GPU");
}

/* predicted, measured (percent), series, variant, slice, setting, counted exactly (percent) */
static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++) {
        const json_t *row = ortho_model_row(results, i);
        int s = series_of(&p, row);
        char slice[160], setting[160];
        if (s < 0)
            continue;
        ortho_model_slice(row, slice, sizeof slice);
        ortho_plot_setting(row, setting, sizeof setting);
        ortho_plot_number(100 * ortho_model_lanes(row), tsv);
        fputc('\t', tsv);
        ortho_plot_number(100 * ortho_measured_lanes(row), tsv);
        fprintf(tsv, "\t%d\t", s);
        ortho_plot_field(p.series.name[s], tsv);
        fputc('\t', tsv);
        ortho_plot_field(slice, tsv);
        fputc('\t', tsv);
        ortho_plot_field(setting, tsv);
        fputc('\t', tsv);
        ortho_plot_number(100 * ortho_exact_lanes(row), tsv);
        fputc('\n', tsv);
    }
    return status;
}

static void put_headings(const picture *p, FILE *gp)
{
    char subtitle[320], missing[64] = "", measured[96] = "", exact[64] = "";
    if (p->unmeasured > 0)
        snprintf(missing, sizeof missing, " · %d could not be measured", p->unmeasured);
    if (p->cases > 0)
        snprintf(measured, sizeof measured,
                 " · %d case%s, %d more than %.0f %% from the prediction", p->cases,
                 p->cases == 1 ? "" : "s", p->refuted, 100 * ORTHO_LANES_TOLERANCE);
    if (p->exact > 0)
        snprintf(exact, sizeof exact, " · %d counted exactly", p->exact);
    snprintf(subtitle, sizeof subtitle, "of the Ortho loop%s%s%s", measured, missing, exact);
    ortho_plot_title(gp, "Active lanes of a warp, measured against predicted", subtitle);
    ortho_plot_unit(gp, p->cases == 0  ? "counted by an instrumented build, % of 32 lanes"
                        : p->exact > 0 ? "measured by CUPTI (+ counted by an instrumented build), %"
                                       : "measured by CUPTI, % of 32 lanes");
}

/* The points of a variant and its crosses, that the key names once. */
static void put_points(const picture *p, int series, FILE *gp)
{
    if (p->points[series] > 0) {
        fprintf(gp, ", \\\n    $data using ($3 == %d ? $1 : NaN):2 with points ", series);
        ortho_plot_points(gp, series);
        fputs(" title ", gp);
        ortho_plot_quote(p->series.name[series], 14, gp);
    }
    if (p->crosses[series] == 0)
        return;
    fprintf(gp,
            ", \\\n    $data using ($3 == %d ? $1 : NaN):7 with points pt 1 ps 1.2 lw 1.6 "
            "lc rgb '%s' ",
            series, ortho_plot_color(series));
    if (p->points[series] > 0) {
        fputs("notitle", gp);
        return;
    }
    fputs("title ", gp);
    ortho_plot_quote(p->series.name[series], 14, gp);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# predicted, measured (percent), series, variant, slice, setting, counted exactly\n",
          gp);
    put_headings(&p, gp);
    fprintf(gp,
            "set xrange [0:100]\nset yrange [0:100]\nset xtics 0,20\nset ytics 0,20\n"
            "if (!tty) { set bmargin at screen 0.17\n"
            "    set xlabel 'predicted by the lane model, %% of 32 lanes' offset 0,0.2 }\n"
            "set samples 101\n"
            "if (!tty) { plot '+' using 1:($1 * %.2f):($1 * %.2f) with filledcurves "
            "fs transparent solid 0.15 noborder lc rgb '#777777' title '± %.0f %%', \\\n    ",
            1 - ORTHO_LANES_TOLERANCE, 1 + ORTHO_LANES_TOLERANCE, 100 * ORTHO_LANES_TOLERANCE);
    for (int pass = 0; pass < 2; pass++) { /* gnuplot takes no condition within a plot command */
        fputs(pass == 0 ? "" : "} else { plot ", gp);
        fputs("x with lines lc rgb '#444444' dt 2 lw 1.4 title 'as predicted'", gp);
        for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
            put_points(&p, s, gp);
        fputc('\n', gp);
    }
    fputs("}\n", gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_divergence = {
    .abi = ORTHO_REPORT_ABI,
    .name = "divergence",
    .summary = "does the lane model say what the hardware does?",
    .data = write_data,
    .body = write_body,
};
