/*
 * clocks: SM clock, power and temperature over the cases of a run in their order, as NVML told them
 * beside the samples. Of a case results hold the clock's least, median and most, and the highest
 * power and temperature. Cases that something held down (throttled) are marked.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

#define PANELS  3
#define FEW     120 /* cases up to which each has its whisker */
#define REASONS 4

typedef struct picture {
    int cases, throttled;
    double lo[PANELS], hi[PANELS]; /* of what is drawn; lo > hi: nothing to draw */
    double limit[PANELS];          /* NAN: not told */
    const char *reasons[REASONS];
    int reason_count;
} picture;

static const struct {
    const char *lowest, *middle, *highest; /* paths in a row */
    const char *limit;                     /* path in the results; NULL: none */
    const char *title;
} panels[PANELS] = {
    {"clocks.sm_mhz.min", "clocks.sm_mhz.median", "clocks.sm_mhz.max",
     "context.gpu.clocks.sm_max_mhz", "SM clock, MHz"},
    {"clocks.power_w", "clocks.power_w", "clocks.power_w", "context.gpu.power_limit_w",
     "highest power, W"},
    {"clocks.temp_c", "clocks.temp_c", "clocks.temp_c", NULL, "highest temperature, °C"},
};

/* NAN where it is none that a device has. */
static double reading(const json_t *row, const char *path)
{
    double value = ortho_model_number(row, path);
    return value > 0 && value < 1e6 ? value : NAN;
}

/* Everything that ran on the GPU heats it: ceilings and the harness's own cases too. */
static bool counts(const json_t *row)
{
    if (row == NULL || !ortho_model_timed(row))
        return false;
    for (int i = 0; i < PANELS; i++)
        if (!isnan(reading(row, panels[i].middle)))
            return true;
    return false;
}

static bool is_throttled(const json_t *row)
{
    return ortho_model_throttled(row) > 0 ||
           json_array_size(ortho_model_at(row, "clocks.throttle")) > 0;
}

static void note_reasons(picture *p, const json_t *row)
{
    const json_t *list = ortho_model_at(row, "clocks.throttle");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *reason = json_string_value(json_array_get(list, i));
        bool known = reason == NULL;
        for (int r = 0; r < p->reason_count; r++)
            known = known || strcmp(p->reasons[r], reason) == 0;
        if (!known && p->reason_count < REASONS)
            p->reasons[p->reason_count++] = reason;
    }
}

static void take_row(picture *p, const json_t *row)
{
    p->cases++;
    for (int i = 0; i < PANELS; i++) {
        double middle = reading(row, panels[i].middle);
        p->lo[i] = fmin(p->lo[i], fmin(middle, reading(row, panels[i].lowest)));
        p->hi[i] = fmax(p->hi[i], fmax(middle, reading(row, panels[i].highest)));
    }
    if (!is_throttled(row))
        return;
    p->throttled++;
    note_reasons(p, row);
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.cases = 0};
    for (int i = 0; i < PANELS; i++) {
        out->lo[i] = INFINITY;
        out->hi[i] = -INFINITY;
        out->limit[i] = panels[i].limit != NULL ? reading(results, panels[i].limit) : NAN;
    }
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
static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    int place = 0;
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++) {
        const json_t *row = ortho_model_row(results, i);
        char slice[160];
        if (!counts(row))
            continue;
        const double values[] = {++place,
                                 reading(row, panels[0].lowest),
                                 reading(row, panels[0].middle),
                                 reading(row, panels[0].highest),
                                 reading(row, panels[1].middle),
                                 reading(row, panels[2].middle),
                                 is_throttled(row) ? (double)ortho_model_throttled(row) : NAN};
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            ortho_plot_number(values[v], tsv);
            fputc('\t', tsv);
        }
        ortho_model_slice(row, slice, sizeof slice);
        ortho_plot_field(ortho_model_string(row, "key"), tsv);
        fputc('\t', tsv);
        ortho_plot_field(ortho_model_string(row, "variant"), tsv);
        fputc('\t', tsv);
        ortho_plot_field(slice, tsv);
        fputc('\n', tsv);
    }
    return status;
}

/* ---- body ----------------------------------------------------------------------------------- */

static void put_headings(const picture *p, FILE *gp)
{
    char subtitle[400], why[200] = "", held[32] = "none";
    size_t used = 0;
    for (int r = 0; r < p->reason_count && used < sizeof why; r++) {
        int added =
            snprintf(why + used, sizeof why - used, "%s%.40s", r == 0 ? ": " : ", ", p->reasons[r]);
        used += added > 0 ? (size_t)added : 0;
    }
    ortho_text_trim(why);
    if (p->throttled > 0)
        snprintf(held, sizeof held, "× %d", p->throttled);
    snprintf(subtitle, sizeof subtitle, "%d case%s in the order of the run · %s throttled%s",
             p->cases, p->cases == 1 ? "" : "s", held, why);
    ortho_plot_title(gp, "Clocks, power and temperature over the run", subtitle);
}

static bool has_panel(const picture *p, int index)
{
    return p->lo[index] <= p->hi[index];
}

/* 1, 2 or 5 of a decade, at least `least`. */
static double step_of(double least)
{
    double decade = pow(10, floor(log10(least)));
    return least <= decade       ? decade
           : least <= 2 * decade ? 2 * decade
           : least <= 5 * decade ? 5 * decade
                                 : 10 * decade;
}

/* The scale of a panel: what was told and, where it is near, the limit. */
static void put_scale(const picture *p, int index, FILE *gp)
{
    double lo = p->lo[index], hi = p->hi[index], limit = p->limit[index];
    if (limit < 2 * hi)
        hi = fmax(hi, limit);
    double room = fmax(0.12 * (hi - lo), 0.02 * hi);
    fprintf(gp, "set yrange [%.6g:%.6g]\nset ytics %.6g\n", lo - room > 0 ? lo - room : 0,
            hi + room, step_of((hi - lo + 2 * room) / 4));
}

/* The clock is a line with its whiskers or band, power and temperature a line each. */
static void put_curves(const picture *p, int index, FILE *gp)
{
    static const char *const colors[PANELS] = {"#0072B2", "#D55E00", "#009E73"};
    const int columns[PANELS] = {3, 5, 6};
    fputs("plot ", gp);
    if (!isnan(p->limit[index]))
        fprintf(gp, "%.9g with lines lc rgb '#000000' dt 2 lw 1.2 title 'limit', \\\n    ",
                p->limit[index]);
    if (index == 0)
        fprintf(gp, "$data using 1:%s lc rgb '%s' title 'least to most', \\\n    ",
                p->cases <= FEW ? "3:2:4 with yerrorbars pt 0 lw 1.2"
                                : "2:4 with filledcurves fs transparent solid 0.3 noborder",
                colors[0]);
    fprintf(gp, "$data using 1:%d with %s lc rgb '%s' title '%s'", columns[index],
            p->cases <= FEW ? "linespoints pt 7 ps 0.45 lw 1.2" : "lines lw 1.4", colors[index],
            index == 0 ? "median" : "highest");
    if (p->throttled > 0)
        fprintf(gp,
                ", \\\n    $data using ($7 >= 0 ? $1 : NaN):%d with points pt 2 ps 1.1 lw 2 "
                "lc rgb '#B00000' title 'throttled'",
                columns[index]);
    fputc('\n', gp);
}

/* One above the other, on one axis of cases. */
static void put_panel(const picture *p, int index, int place, int count, FILE *gp)
{
    double height = 0.70 / count, top = 0.865 - place * height;
    fprintf(gp,
            "if (tty) { set title '%s' } else {\n"
            "    set label 6 '%s' at graph 0, graph 1.0 left offset 0,0.7 font ',10' "
            "tc rgb '#222222'\n"
            "    set tmargin at screen %.3f; set bmargin at screen %.3f\n"
            "    set key at screen 0.815, %.3f left top\n"
            "    set ytics font ',10'; set xtics font ',10' }\n",
            panels[index].title, panels[index].title, top - 0.035, top - height + 0.01, top - 0.03);
    fprintf(gp, "set xrange [%.6g:%.6g]\n", 0.5 - 0.01 * p->cases,
            p->cases + 0.5 + 0.01 * p->cases);
    if (p->cases < 10)
        fputs("set xtics 1\n", gp);
    if (place + 1 < count)
        fputs("if (!tty) { set format x ''; unset xlabel }\n", gp);
    else
        fputs("set format x '%g'\n"
              "if (!tty) { set xlabel 'case of the run' offset 0,0.4 }\n",
              gp);
    put_scale(p, index, gp);
    put_curves(p, index, gp);
    fputs("unset label 1; unset label 2; unset label 3; unset label 4; unset label 5\n", gp);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    int count = 0, place = 0;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# case, lowest, median, highest MHz, W, degrees Celsius, throttled samples, key, "
          "variant, slice\n",
          gp);
    put_headings(&p, gp);
    for (int i = 0; i < PANELS; i++)
        count += has_panel(&p, i);
    if (count > 1)
        fputs("if (!tty) { set multiplot }\n", gp);
    for (int i = 0; i < PANELS; i++)
        if (has_panel(&p, i))
            put_panel(&p, i, place++, count, gp);
    if (count > 1)
        fputs("if (!tty) { unset multiplot }\n", gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_clocks = {
    .abi = ORTHO_REPORT_ABI,
    .name = "clocks",
    .summary = "did the GPU keep its clock while it was measured?",
    .data = write_data,
    .body = write_body,
};
