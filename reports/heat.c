#include "reports/heat.h"

#include "common/error.h"
#include "common/output.h"
#include "reports/plot.h"

#include <math.h>

enum { METRICS = 3, TEXT_COLUMNS = 76 };

static const struct {
    const char *key, *label;
    double whole; /* what the colour's end stands for; 0: the largest there is */
} metrics[METRICS] = {
    {"lanes", "lanes of 32", 32}, {"warps", "warp instr., %", 0}, {"stalls", "stalls, %", 0}};

static const json_t *lines_of(const json_t *map)
{
    return json_object_get(map, "lines");
}

static size_t shown(const json_t *map)
{
    size_t count = json_array_size(lines_of(map));
    return count < ORTHO_HEAT_LINES ? count : ORTHO_HEAT_LINES;
}

/* What the colour's end stands for. */
static double whole(const json_t *map, int metric)
{
    double most = metrics[metric].whole;
    for (size_t i = 0; metrics[metric].whole <= 0 && i < shown(map); i++) {
        double value = ortho_model_number(json_array_get(lines_of(map), i), metrics[metric].key);
        most = value > most ? value : most;
    }
    return most > 0 ? most : 1;
}

/* metric, line from the top, colour from 0 to 1, value, line's number, text */
static ortho_status write_data(const json_t *map, FILE *tsv)
{
    if (shown(map) == 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "no source line has a count");
    for (int m = 0; m < METRICS; m++)
        for (size_t i = 0; i < shown(map); i++) {
            const json_t *line = json_array_get(lines_of(map), i);
            const char *text = ortho_model_string(line, "text");
            double value = ortho_model_number(line, metrics[m].key);
            fprintf(tsv, "%d\t%zu\t", m, i);
            ortho_plot_number(isnan(value) ? NAN : fmin(value / whole(map, m), 1), tsv);
            fputc('\t', tsv);
            ortho_plot_number(m == 0 ? value : 100 * value, tsv);
            fprintf(tsv, "\t%.0f\t", ortho_model_number(line, "line"));
            ortho_plot_field(text, tsv);
            fputc('\n', tsv);
        }
    return ORTHO_OK;
}

/* Source at the left of its row: as labels, which begin at one column, where tics would end. */
static void put_sources(const json_t *map, FILE *gp)
{
    for (size_t i = 0; i < shown(map); i++) {
        const json_t *line = json_array_get(lines_of(map), i);
        const char *text = ortho_model_string(line, "text");
        fprintf(gp,
                "set label %zu '%.0f' at screen 0.06, first %zu right font 'DejaVu Sans Mono,8'\n",
                100 + 2 * i, ortho_model_number(line, "line"), i);
        fprintf(gp, "set label %zu ", 101 + 2 * i);
        ortho_plot_quote(text != NULL ? text : "", TEXT_COLUMNS, gp);
        fprintf(gp, " at screen 0.07, first %zu left font 'DejaVu Sans Mono,8'\n", i);
    }
}

static ortho_status write_body(const json_t *map, FILE *gp)
{
    const char *title = ortho_model_string(map, "title");
    const char *subtitle = ortho_model_string(map, "subtitle");
    fputs("# metric, row, colour, value, line, source\n", gp);
    ortho_plot_title(gp, title != NULL ? title : "", subtitle != NULL ? subtitle : "");
    ortho_plot_palette(gp);
    fprintf(gp,
            "set cbrange [0:1]\nunset colorbox\n"
            "set lmargin at screen 0.64; set rmargin at screen 0.98\n"
            "set tmargin at screen 0.84; set bmargin at screen 0.08\n"
            "unset key; unset grid; unset border; unset ytics\n"
            "set xrange [-0.5:%d.5]\nset yrange [%zu.5:-0.5]\nunset xtics\nset x2range "
            "[-0.5:%d.5]\nset x2tics (",
            METRICS - 1, shown(map) - 1, METRICS - 1);
    for (int m = 0; m < METRICS; m++) {
        fputs(m > 0 ? ", " : "", gp);
        /* A tic label is a format, and '%' its sign. */
        fputc('\'', gp);
        for (const char *c = metrics[m].label; *c != '\0'; c++)
            fputs(*c == '%' ? "%%" : (char[]){*c, '\0'}, gp);
        fprintf(gp, "' %d", m);
    }
    fputs(") scale 0 font ',10'\n", gp);
    put_sources(map, gp);
    fputs("plot $data using 1:2:($1-0.48):($1+0.48):($2-0.48):($2+0.48):3 with boxxyerror fs solid "
          "noborder lc palette, \\\n"
          "    $data using ($3 < 0.6 ? $1 : NaN):2:(sprintf('%.1f', $4)) with labels font ',8' tc "
          "rgb '#ffffff', \\\n"
          "    $data using ($3 >= 0.6 ? $1 : NaN):2:(sprintf('%.1f', $4)) with labels font ',8' tc "
          "rgb '#000000'\n",
          gp);
    return ORTHO_OK;
}

ortho_status ortho_heat_files(const json_t *map, const char *name, const char *folder)
{
    const ortho_plot plot = {.abi = ORTHO_REPORT_ABI,
                             .name = name,
                             .summary = "which lines tear the warps apart, and where do they wait?",
                             .data = write_data,
                             .body = write_body};
    if (shown(map) == 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "no source line has a count");
    ortho_status status = ortho_make_folders(folder);
    return status == ORTHO_OK ? ortho_plot_files(map, &plot, folder) : status;
}
