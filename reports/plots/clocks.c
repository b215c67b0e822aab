/*
 * clocks: SM clock, power and temperature, as NVML told them beside the samples: over the time of
 * the run where rows hold single readings, else over the cases of the run in their order, of which
 * results hold the clock's least, median and most, and the highest power and temperature. What
 * something held down (throttled) is marked.
 */
#include "common/error.h"
#include "reports/clock_panels.h"
#include "reports/clock_time.h"
#include "reports/plot.h"

#include <math.h>

#define FEW 120 /* cases up to which each has its whisker */

static const struct {
    const char *lowest, *middle, *highest; /* paths in a row */
} paths[ORTHO_CLOCK_PANELS] = {
    {"clocks.sm_mhz.min", "clocks.sm_mhz.median", "clocks.sm_mhz.max"},
    {"clocks.power_w", "clocks.power_w", "clocks.power_w"},
    {"clocks.temp_c", "clocks.temp_c", "clocks.temp_c"},
};

/* Everything that ran on the GPU heats it: ceilings and the harness's own cases too. */
static bool counts(const json_t *row)
{
    if (row == NULL || !ortho_model_timed(row))
        return false;
    for (int i = 0; i < ORTHO_CLOCK_PANELS; i++)
        if (!isnan(ortho_clock_value(row, paths[i].middle)))
            return true;
    return false;
}

static void take_row(ortho_clock_panels *p, const json_t *row)
{
    ortho_clock_panels_case(p, row);
    for (int i = 0; i < ORTHO_CLOCK_PANELS; i++) {
        ortho_clock_panels_value(p, i, ortho_clock_value(row, paths[i].lowest));
        ortho_clock_panels_value(p, i, ortho_clock_value(row, paths[i].middle));
        ortho_clock_panels_value(p, i, ortho_clock_value(row, paths[i].highest));
    }
}

static ortho_status open_picture(const json_t *results, ortho_clock_panels *out)
{
    ortho_clock_panels_open(results, out);
    for (size_t i = 0; i < ortho_model_count(results); i++)
        if (counts(ortho_model_row(results, i)))
            take_row(out, ortho_model_row(results, i));
    return out->cases > 0
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_UNSUPPORTED,
                            "no verified case tells its clocks, as NVML does beside CUDA cases");
}

/* case, lowest, median, highest clock in MHz, power in W, temperature in degrees Celsius,
 * throttled samples (NaN: none; 0: not told which), key, variant, slice */
static void put_case(const json_t *row, int place, FILE *tsv)
{
    char slice[160], name[ORTHO_LABEL_BYTES];
    const double values[] = {place,
                             ortho_clock_value(row, paths[0].lowest),
                             ortho_clock_value(row, paths[0].middle),
                             ortho_clock_value(row, paths[0].highest),
                             ortho_clock_value(row, paths[1].middle),
                             ortho_clock_value(row, paths[2].middle),
                             ortho_clock_throttled(row) ? (double)ortho_model_throttled(row) : NAN};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        ortho_plot_number(values[v], tsv);
        fputc('\t', tsv);
    }
    ortho_model_slice(row, slice, sizeof slice);
    ortho_plot_field(ortho_model_string(row, "key"), tsv);
    fputc('\t', tsv);
    ortho_model_label(row, name);
    ortho_plot_field(name, tsv);
    fputc('\t', tsv);
    ortho_plot_field(slice, tsv);
    fputc('\n', tsv);
}

static ortho_status write_data(const json_t *results, FILE *tsv)
{
    ortho_clock_panels p;
    if (ortho_clock_time_told(results))
        return ortho_clock_time_data(results, tsv);
    ortho_status status = open_picture(results, &p);
    int place = 0;
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++)
        if (counts(ortho_model_row(results, i)))
            put_case(ortho_model_row(results, i), ++place, tsv);
    return status;
}

/* ---- body ----------------------------------------------------------------------------------- */

/* The clock is a line with its whiskers or band, power and temperature a line each. */
static void put_curves(const void *ctx, int panel, FILE *gp)
{
    static const int columns[ORTHO_CLOCK_PANELS] = {3, 5, 6};
    const ortho_clock_panels *p = ctx;
    const char *color = ortho_clock_color(panel);
    if (panel == 0)
        fprintf(gp, "$data using 1:%s lc rgb '%s' title 'least to most', \\\n    ",
                p->cases <= FEW ? "3:2:4 with yerrorbars pt 0 lw 1.2"
                                : "2:4 with filledcurves fs transparent solid 0.3 noborder",
                color);
    fprintf(gp, "$data using 1:%d with %s lc rgb '%s' title '%s'", columns[panel],
            p->cases <= FEW ? "linespoints pt 7 ps 0.45 lw 1.2" : "lines lw 1.4", color,
            panel == 0 ? "median" : "highest");
    if (p->throttled > 0)
        fprintf(gp,
                ", \\\n    $data using ($7 >= 0 ? $1 : NaN):%d with points pt 2 ps 1.1 lw 2 "
                "lc rgb '#B00000' title 'throttled'",
                columns[panel]);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    ortho_clock_panels p;
    char held[232], subtitle[400];
    if (ortho_clock_time_told(results))
        return ortho_clock_time_body(results, gp);
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# case, lowest, median, highest MHz, W, degrees Celsius, throttled samples, key, "
          "variant, slice\n",
          gp);
    ortho_clock_panels_held(&p, held, sizeof held);
    snprintf(subtitle, sizeof subtitle, "%d case%s in the order of the run · %s", p.cases,
             p.cases == 1 ? "" : "s", held);
    ortho_plot_title(gp, "Clocks, power and temperature over the run", subtitle);
    const ortho_clock_frame frame = {
        .titles = {"SM clock, MHz", "highest power, W", "highest temperature, °C"},
        .axis = "case of the run",
        .lo = 0.5 - 0.01 * p.cases,
        .hi = p.cases + 0.5 + 0.01 * p.cases,
        .whole = p.cases < 10,
        .curves = put_curves,
        .ctx = &p};
    ortho_clock_panels_draw(&p, &frame, gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_clocks = {
    .abi = ORTHO_REPORT_ABI,
    .name = "clocks",
    .summary = "did the GPU keep its clock while it was measured?",
    .data = write_data,
    .body = write_body,
};
