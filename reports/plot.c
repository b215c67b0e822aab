#include "reports/plot.h"

#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Okabe and Ito's colours, told apart by colour-blind readers; patterns, dashes and points repeat
 * with other periods, so that two series never share all of them, and print in grey. Each has a
 * point of its own. */
static const char *const colors[] = {"#0072B2", "#E69F00", "#009E73", "#D55E00",
                                     "#56B4E9", "#CC79A7", "#8A5A2B", "#F0E442"};
static const int patterns[] = {3, 4, 1, 5, 2, 6, 7};
static const int points[ORTHO_PLOT_SERIES] = {7, 5, 9, 11, 13, 6, 4, 8, 10, 12, 2, 1, 15, 14, 3};

#define SUBTITLE_ROOM 124 /* columns that fit at the usual size */

#define LENGTH(a) ((int)(sizeof(a) / sizeof *(a)))

/* ---- series --------------------------------------------------------------------------------- */

int ortho_series_of(const ortho_series *series, const json_t *row)
{
    char name[ORTHO_LABEL_BYTES];
    ortho_model_label(row, name);
    for (int i = 0; i < ORTHO_PLOT_SERIES; i++)
        if (strcmp(series->name[i], name) == 0)
            return i;
    return -1;
}

bool ortho_plot_compared(const json_t *row)
{
    static const char *const roles[] = {"ceiling", "harness", "oracle"};
    const char *role = ortho_model_string(row, "role");
    for (int i = 0; role != NULL && i < LENGTH(roles); i++)
        if (strcmp(role, roles[i]) == 0)
            return false;
    return ortho_model_string(row, "variant") != NULL;
}

static bool is_baseline(const json_t *row)
{
    const char *role = ortho_model_string(row, "role");
    return role != NULL && strcmp(role, "baseline") == 0;
}

void ortho_series_collect(const json_t *results, ortho_series *out)
{
    ortho_series series = {.name = {""}};
    int competitors = 0, baselines = ORTHO_PLOT_COMPETITORS;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row == NULL || !ortho_plot_compared(row) || ortho_series_of(&series, row) >= 0)
            continue;
        if (is_baseline(row) && baselines < ORTHO_PLOT_SERIES)
            ortho_model_label(row, series.name[baselines++]);
        else if (!is_baseline(row) && competitors < ORTHO_PLOT_COMPETITORS)
            ortho_model_label(row, series.name[competitors++]);
    }
    *out = series;
}

const char *ortho_plot_color(int series)
{
    static const char *const greys[] = {"#000000", "#777777", "#BBBBBB"};
    return series < ORTHO_PLOT_COMPETITORS
               ? colors[series % LENGTH(colors)]
               : greys[(series - ORTHO_PLOT_COMPETITORS) % LENGTH(greys)];
}

void ortho_plot_fill(FILE *gp, int series)
{
    fprintf(gp, "fillstyle pattern %d border rgb '#333333' lc rgb '%s'",
            patterns[series % LENGTH(patterns)], ortho_plot_color(series));
}

void ortho_plot_line(FILE *gp, int series)
{
    fprintf(gp, "lc rgb '%s' dt %d lw 2 pt %d ps 0.9", ortho_plot_color(series), series % 5 + 1,
            points[series]);
}

void ortho_plot_points(FILE *gp, int series)
{
    fprintf(gp, "lc rgb '%s' pt %d ps 0.7", ortho_plot_color(series), points[series]);
}

/* ---- words ---------------------------------------------------------------------------------- */

/* What gnuplot gives a meaning in strings, blocks and tic labels, and what stands for it. */
static const char *harmless(char c)
{
    switch (c) {
    case '\'':
        return "’";
    case '"':
        return "”";
    case '`':
        return "‘";
    case '\\':
        return "∖";
    case '#':
        return "♯";
    case '@':
        return "＠";
    case '$':
        return "＄";
    default:
        return NULL;
    }
}

static void put_harmless(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        const char *other = harmless(*text);
        if (other != NULL)
            fputs(other, out);
        else
            fputc(*text, out);
    }
}

/* Cleaned, cut to columns, harmless; nothing when memory is out. */
static void put_cut(const char *text, int columns, FILE *out)
{
    char *clean = ortho_text_clean(text);
    if (clean == NULL)
        return;
    bool cut = ortho_text_width(clean) > columns;
    if (cut)
        clean[ortho_text_fit(clean, columns - 1)] = '\0';
    put_harmless(clean, out);
    if (cut)
        fputs("…", out);
    free(clean);
}

void ortho_plot_quote(const char *name, int columns, FILE *gp)
{
    fputc('\'', gp);
    put_cut(name, columns, gp);
    fputc('\'', gp);
}

void ortho_plot_tic(const char *name, int columns, FILE *gp)
{
    char *text = ortho_text_clean(name), *to = text;
    for (const char *c = text; c != NULL && *c != '\0'; c++)
        if (*c != '%')
            *to++ = *c;
    if (to != NULL)
        *to = '\0';
    ortho_plot_quote(text != NULL ? text : "", columns, gp);
    free(text);
}

void ortho_plot_field(const char *text, FILE *tsv)
{
    put_cut(text != NULL && *text != '\0' ? text : ORTHO_PLOT_ABSENT, 80, tsv);
}

void ortho_plot_number(double value, FILE *tsv)
{
    char text[32];
    fputs(isfinite(value) ? ortho_text_number(value, text) : ORTHO_PLOT_ABSENT, tsv);
}

void ortho_plot_title(FILE *gp, const char *title, const char *subtitle)
{
    fputs("if (tty) { set title ", gp);
    ortho_plot_quote(title, 120, gp);
    fputs(" } else { set label 1 ", gp);
    ortho_plot_quote(title, 120, gp);
    fputs(" at screen 0.02, 0.955 left font ',17'\n    set label 2 ", gp);
    ortho_plot_quote(subtitle, 150, gp);
    fprintf(gp, " at screen 0.02, 0.91 left font ',%d' tc rgb '#444444' }\n",
            ortho_text_width(subtitle) > SUBTITLE_ROOM ? 9 : 11);
}

void ortho_plot_unit(FILE *gp, const char *unit)
{
    fputs("if (tty) { set ylabel ", gp);
    ortho_plot_quote(unit, 60, gp);
    fputs(" } else { set label 6 ", gp);
    ortho_plot_quote(unit, 60, gp);
    fputs(" at screen 0.02, 0.865 left font ',10' tc rgb '#444444' }\n", gp);
}

void ortho_plot_log_axis(FILE *gp, char axis, double lo, double hi)
{
    static const double steps[] = {1, 2, 5};
    const char *before = "";
    char digits[32];
    lo = fmax(lo, 1e-30); /* a list of tics has an end, whatever a document holds */
    hi = fmin(fmax(hi, 2 * lo), 1e30);
    int count = hi / lo < 200 ? LENGTH(steps) : 1; /* only the decades on a long axis */
    fprintf(gp, "set logscale %c\nset %crange [%.6g:%.6g]\nset %ctics (", axis, axis, lo, hi, axis);
    for (double decade = pow(10, floor(log10(lo))); decade <= hi; decade *= 10)
        for (int i = 0; i < count; i++) {
            double value = decade * steps[i];
            if (value < lo || value > hi)
                continue;
            ortho_text_number(value, digits);
            fprintf(gp, "%s'%s' %s", before, digits, digits);
            before = ", ";
        }
    fputs(")\n", gp);
}

void ortho_plot_palette(FILE *gp)
{
    fputs("set palette defined (0 '#440154', 0.125 '#472d7b', 0.25 '#3b528b', 0.375 '#2c728e', "
          "0.5 '#21918c', 0.625 '#28ae80', 0.75 '#5ec962', 0.875 '#addc30', 1 '#fde725')\n",
          gp);
}

static size_t append(char *out, size_t size, size_t used, const char *format, const char *word)
{
    int added = used < size ? snprintf(out + used, size - used, format, word) : 0;
    return used + (added > 0 ? (size_t)added : 0);
}

static size_t append_number(char *out, size_t size, size_t used, const char *format,
                            const json_t *row, const char *key)
{
    char text[32];
    double value = ortho_model_number(row, key);
    return isnan(value) ? used : append(out, size, used, format, ortho_text_number(value, text));
}

void ortho_plot_setting(const json_t *row, char *out, size_t size)
{
    static const char *const words[] = {"rule", "dtype", "l2", "backend"};
    const char *op = ortho_model_string(row, "op");
    size_t used = append(out, size, 0, "%s", op != NULL ? op : "?");
    used = append_number(out, size, used, " · m %s", row, "m");
    used = append_number(out, size, used, " · density %s", row, "density");
    used = append_number(out, size, used, " · group %s", row, "group");
    const char *rows = ortho_model_string(row, "ortho_rows");
    if (rows != NULL && strcmp(rows, "sieve") != 0)
        used = append(out, size, used, " · rows %.32s", rows);
    for (int i = 0; i < LENGTH(words); i++) {
        const char *word = ortho_model_string(row, words[i]);
        if (strcmp(words[i], "l2") == 0 && ortho_model_pass(row))
            continue; /* the slice says it */
        used = word != NULL ? append(out, size, used, " · %.32s", word) : used;
    }
    ortho_text_trim(out);
}

/* ---- script --------------------------------------------------------------------------------- */

static void put_word(FILE *gp, const json_t *results, const char *before, const char *path)
{
    const char *text = ortho_model_string(results, path);
    if (text == NULL || *text == '\0')
        return;
    fputs(before, gp);
    put_cut(text, 48, gp);
}

/* The fewest and the most of something that the timed cases have. */
typedef struct span {
    size_t least, most;
} span;

static void take(span *s, size_t n)
{
    s->least = s->most == 0 || n < s->least ? n : s->least;
    s->most = n > s->most ? n : s->most;
}

static void put_span(FILE *gp, const char *before, span s, const char *after)
{
    if (s.least == s.most)
        fprintf(gp, "%s%zu%s", before, s.most, after);
    else
        fprintf(gp, "%s%zu to %zu%s", before, s.least, s.most, after);
}

static void put_sample_counts(FILE *gp, const json_t *results)
{
    span samples = {0}, processes = {0};
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        size_t n = json_array_size(ortho_model_at(row, "time_ns.samples"));
        size_t parts = json_array_size(ortho_model_at(row, "time_ns.processes"));
        if (n == 0 || !ortho_model_timed(row))
            continue;
        take(&samples, n);
        take(&processes, parts > 0 ? parts : 1); /* absent: one process */
    }
    if (samples.most > 0)
        put_span(gp, " · n = ", samples, " samples a case");
    if (processes.most > 1)
        put_span(gp, ", of ", processes, " processes");
}

/* What did the work: the GPU and its driver, or the CPU. */
static void put_machine(FILE *gp, const json_t *results)
{
    bool gpu = ortho_model_on_gpu(results);
    double mhz =
        ortho_model_number(results, gpu ? "context.gpu.clocks.sm_max_mhz" : "context.cpu.mhz");
    put_word(gp, results, "", gpu ? "context.gpu.name" : "context.cpu.model");
    if (mhz > 0)
        fprintf(gp, " · %s%.0f MHz", gpu ? "up to " : "", mhz);
    if (gpu)
        put_word(gp, results, " · driver ", "context.gpu.driver");
}

/* Two small lines at the foot: the machine and how often, and what was run. */
static void put_caption(FILE *gp, const json_t *results)
{
    static const char where[] = "left font ',9' tc rgb '#666666'";
    fputs("set label 3 '", gp);
    put_machine(gp, results);
    put_sample_counts(gp, results);
    fprintf(gp, "' at screen 0.02, 0.045 %s\nset label 4 '", where);
    put_word(gp, results, "", "context.binary");
    put_word(gp, results, " · commit ", "context.commit");
    put_word(gp, results, " · ", "context.date");
    put_word(gp, results, " · weights ", "context.model.name");
    fprintf(gp, "' at screen 0.02, 0.018 %s\n", where);
    if (ortho_model_synthetic(results))
        fputs("set label 5 'SYNTHETIC weights' at screen 0.985, 0.955 right font ',13' "
              "tc rgb '#B00000'\n",
              gp);
}

static void put_style(FILE *gp)
{
    fputs(
        "set datafile separator tab\n"
        "set datafile missing '" ORTHO_PLOT_ABSENT "'\n"
        "if (!tty) {\n"
        "    set lmargin at screen 0.085; set rmargin at screen 0.805\n"
        "    set tmargin at screen 0.835; set bmargin at screen 0.215\n"
        "    set key at screen 0.815, 0.84 left top vertical Left reverse samplen 2.2 spacing 1.25 "
        "font ',11'\n"
        "    set border 3 lc rgb '#444444'\n"
        "    set tics nomirror out scale 0.6 tc rgb '#222222'\n"
        "    set grid ytics lc rgb '#dddddd' lt 1 lw 0.6\n"
        "}\n",
        gp);
}

static ortho_status put_data(const json_t *results, const ortho_plot *plot, FILE *gp)
{
    fputs("$data << EOD\n", gp);
    ortho_status status = plot->data(results, gp);
    fputs("EOD\n", gp);
    return status;
}

ortho_status ortho_plot_script(const json_t *results, const ortho_plot *plot, FILE *gp)
{
    fprintf(gp, "# %s: %s\n# Made by ortho-bench. `gnuplot %s.gp` draws %s.svg and %s.png here.\n",
            plot->name, plot->summary, plot->name, plot->name, plot->name);
    ortho_status status = put_data(results, plot, gp);
    if (status != ORTHO_OK)
        return status;
    fprintf(gp,
            "set encoding utf8\n"
            "tty = 0\n"
            "do for [target in 'svg png'] {\n"
            "reset\n"
            "if (target eq 'svg') {\n"
            "    set terminal svg noenhanced size 1000,600 font 'DejaVu Sans,12' "
            "background '#ffffff'\n"
            "} else {\n"
            "    set terminal pngcairo noenhanced size 1600,960 font 'DejaVu Sans,12' "
            "fontscale 1.6 linewidth 1.6 pointscale 1.6 background '#ffffff'\n"
            "}\n"
            "set output '%s.'.target\n",
            plot->name);
    put_style(gp);
    put_caption(gp, results);
    status = plot->body(results, gp);
    fputs("unset output\n}\n", gp);
    return status;
}

ortho_status ortho_plot_text_script(const json_t *results, const ortho_plot *plot,
                                    ortho_plot_size size, FILE *gp)
{
    ortho_status status = put_data(results, plot, gp);
    if (status != ORTHO_OK)
        return status;
    fprintf(gp,
            "set encoding utf8\ntty = 1\nset terminal dumb noenhanced size %d,%d\n"
            "set key below\nunset grid\nset bmargin 5\n",
            size.width, size.height);
    put_style(gp);
    return plot->body(results, gp);
}
