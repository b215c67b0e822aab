/*
 * plot.h: the plot engine: what every plot shares. It owns terminal, size, fonts, colours, caption
 * and files; a plot (reports/plots/NAME.c) brings rows and gnuplot commands.
 *
 * A body runs once per target (SVG, PNG) or once for a text terminal, where the gnuplot variable
 * `tty` is 1. Every name that goes into a script passes ortho_plot_quote: a name can't end a
 * string, start a command or be read as markup.
 */
#ifndef ORTHO_REPORTS_PLOT_H
#define ORTHO_REPORTS_PLOT_H

#include "reports/model.h"

#include <ortho/report.h>

#define ORTHO_PLOT_COMPETITORS 12    /* variants that one picture can tell apart ... */
#define ORTHO_PLOT_SERIES      15    /* ... and baselines, in blacks and greys */
#define ORTHO_PLOT_ABSENT      "NaN" /* breaks a line, draws nothing; `missing` would bridge the gap */

/* The compared variants of a document, of a pass in each of its forms, in the order of their first
 * rows, baselines from ORTHO_PLOT_COMPETITORS on: the index is their colour, pattern and point in
 * every picture of it. */
typedef struct ortho_series {
    char name[ORTHO_PLOT_SERIES][ORTHO_LABEL_BYTES]; /* "": a free place */
} ortho_series;

void ortho_series_collect(const json_t *results, ortho_series *out);
int ortho_series_of(const ortho_series *series, const json_t *row); /* -1: beyond the limit */

/* Competitors and baselines: what a reader compares. Ceilings, harness and oracle aren't. */
bool ortho_plot_compared(const json_t *row);

/* Style of a series, as words of a plot command: "fillstyle pattern 3 ... lc rgb '#0072B2'". */
void ortho_plot_fill(FILE *gp, int series);
void ortho_plot_line(FILE *gp, int series);
void ortho_plot_points(FILE *gp, int series);
const char *ortho_plot_color(int series); /* '#0072B2' */

/* 'name' as a gnuplot string of at most `columns`, safe in a script. */
void ortho_plot_quote(const char *name, int columns, FILE *gp);

/* The same for a tic label, which gnuplot reads as a format: without '%'. */
void ortho_plot_tic(const char *name, int columns, FILE *gp);

/* Fields of the TSV: text without tabs, and numbers, NaN when absent. */
void ortho_plot_field(const char *text, FILE *tsv);
void ortho_plot_number(double value, FILE *tsv);

/* Title and, smaller, what is shown. Both are cleaned here. */
void ortho_plot_title(FILE *gp, const char *title, const char *subtitle);

/* What the vertical axis counts, above it: beside it, it would meet wide numbers. */
void ortho_plot_unit(FILE *gp, const char *unit);

/* A logarithmic axis ('x' or 'y') with tics at 1, 2, 5 of each decade; 0 < lo < hi. */
void ortho_plot_log_axis(FILE *gp, char axis, double lo, double hi);

/* Viridis from 0 to 1 of `set cbrange`: it keeps its order in grey and for colour-blind readers.
 * Text on it is white below ORTHO_PLOT_LIGHT of the range, else black. */
#define ORTHO_PLOT_LIGHT 0.6
void ortho_plot_palette(FILE *gp);

/* "gemm · m 1 · density 0.01 · ..." of what all rows of a group share, the slice left out. */
void ortho_plot_setting(const json_t *row, char *out, size_t size);

/* The whole script that draws NAME.svg and NAME.png in the working directory. */
ortho_status ortho_plot_script(const json_t *results, const ortho_plot *plot, FILE *gp);

/* The script that draws it as text on gnuplot's output. */
typedef struct ortho_plot_size {
    int width, height; /* characters */
} ortho_plot_size;
ortho_status ortho_plot_text_script(const json_t *results, const ortho_plot *plot,
                                    ortho_plot_size size, FILE *gp);

/* Makes NAME.gp, .tsv, .svg and .png in a folder, each whole or not at all. UNSUPPORTED, with
 * the reason, when the results can't fill it (nothing is written then) or gnuplot is missing (.gp
 * and .tsv are written). */
ortho_status ortho_plot_files(const json_t *results, const ortho_plot *plot, const char *folder);

#endif
