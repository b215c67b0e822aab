/*
 * layers: the speed-up over the baseline of every layer and projection of a model, of the variant
 * that is fastest over all of them (geometric mean): where in a model it wins, and where it
 * doesn't. The others stand in the TSV. The setting with the most such cases is shown.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS      160
#define PROJS       16
#define UPRIGHT     22 /* layers up to which the values stand upright in their cells */
#define WITH_VALUES 64 /* layers up to which there is room for them at all */
#define IN_TERMINAL 12

typedef struct picture {
    ortho_series series;
    const json_t *first; /* the row whose setting all share */
    double layers[LAYERS];
    int layer_count;
    const char *projs[PROJS];
    int proj_count;
    const json_t **cells; /* series, projection, layer; owned; NULL: not run */
    int best;             /* series shown */
    int variants;         /* that have a speed-up */
    double lo, hi;        /* of the speed-ups shown */
    int missing;          /* cells without one */
} picture;

static double speedup_of(const json_t *row)
{
    double ratio = ortho_model_timed(row) ? ortho_model_number(row, "speedup.ratio") : NAN;
    return ratio > 0 ? ratio : NAN;
}

/* A competitor's row that has a place in a model. */
static bool has_place(const json_t *row)
{
    const char *role = ortho_model_string(row, "role");
    double layer = ortho_model_number(row, "layer");
    return row != NULL && ortho_plot_compared(row) && layer >= 0 &&
           ortho_model_string(row, "proj") != NULL &&
           (role == NULL || strcmp(role, "baseline") != 0);
}

/* ---- setting -------------------------------------------------------------------------------- */

/* Of each setting its first row, its cases and its layers. */
static ortho_status note_row(json_t *settings, const json_t *results, size_t index)
{
    char setting[200], layer[32];
    const json_t *row = ortho_model_row(results, index);
    ortho_plot_setting(row, setting, sizeof setting);
    json_t *known = json_object_get(settings, setting);
    if (known == NULL) {
        known = json_pack("{s:I, s:i, s:{}}", "first", (json_int_t)index, "cases", 0, "layers");
        if (json_object_set_new(settings, setting, known) != 0)
            return ortho_fail(ORTHO_E_MEMORY, "no memory to sort the results into settings");
    }
    json_t *cases = json_object_get(known, "cases");
    json_integer_set(cases, json_integer_value(cases) + 1);
    ortho_text_number(ortho_model_number(row, "layer"), layer);
    if (json_object_set_new(json_object_get(known, "layers"), layer, json_true()) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to sort the results into settings");
    return ORTHO_OK;
}

static ortho_status find_setting(const json_t *results, picture *p)
{
    json_t *settings = json_object(), *known;
    ortho_status status = ORTHO_OK;
    json_int_t most = 0;
    const char *name;
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (has_place(row) && !isnan(speedup_of(row)))
            status = note_row(settings, results, i);
    }
    json_object_foreach(settings, name, known)
    {
        json_int_t cases = json_integer_value(json_object_get(known, "cases"));
        size_t first = (size_t)json_integer_value(json_object_get(known, "first"));
        if (json_object_size(json_object_get(known, "layers")) < 2 || cases <= most)
            continue;
        most = cases;
        p->first = ortho_model_row(results, first);
    }
    json_decref(settings);
    if (status == ORTHO_OK && p->first == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "it needs speed-ups of two layers in one setting, as from --layers 0,1");
    return status;
}

static bool in_setting(const picture *p, const json_t *row)
{
    char one[200], other[200];
    if (!has_place(row) || ortho_series_of(&p->series, row) < 0)
        return false;
    ortho_plot_setting(row, one, sizeof one);
    ortho_plot_setting(p->first, other, sizeof other);
    return strcmp(one, other) == 0;
}

/* ---- cells ---------------------------------------------------------------------------------- */

static int layer_of(const picture *p, const json_t *row)
{
    double layer = ortho_model_number(row, "layer");
    for (int i = 0; i < p->layer_count; i++)
        if (p->layers[i] == layer)
            return i;
    return -1;
}

static int proj_of(const picture *p, const json_t *row)
{
    for (int i = 0; i < p->proj_count; i++)
        if (strcmp(p->projs[i], ortho_model_string(row, "proj")) == 0)
            return i;
    return -1;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* As a token meets them; others after these. */
static int proj_rank(const char *proj)
{
    static const char *const order[] = {"q", "k", "v", "o", "gate", "up", "down"};
    int rank = 0, count = sizeof order / sizeof *order;
    while (rank < count && strcmp(order[rank], proj) != 0)
        rank++;
    return rank;
}

static void add_proj(picture *p, const char *proj)
{
    int at = p->proj_count++;
    for (; at > 0 && proj_rank(p->projs[at - 1]) > proj_rank(proj); at--)
        p->projs[at] = p->projs[at - 1];
    p->projs[at] = proj;
}

static void take_places(const json_t *results, picture *p)
{
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (!in_setting(p, row))
            continue;
        if (layer_of(p, row) < 0 && p->layer_count < LAYERS)
            p->layers[p->layer_count++] = ortho_model_number(row, "layer");
        if (proj_of(p, row) < 0 && p->proj_count < PROJS)
            add_proj(p, ortho_model_string(row, "proj"));
    }
    qsort(p->layers, (size_t)p->layer_count, sizeof *p->layers, by_value);
}

static const json_t **cell(const picture *p, int series, int proj, int layer)
{
    return &p->cells[((size_t)series * PROJS + (size_t)proj) * LAYERS + (size_t)layer];
}

/* A case that stands twice (in merged documents) is taken once. */
static void take_cells(const json_t *results, picture *p)
{
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (!in_setting(p, row) || layer_of(p, row) < 0 || proj_of(p, row) < 0)
            continue;
        const json_t **at =
            cell(p, ortho_series_of(&p->series, row), proj_of(p, row), layer_of(p, row));
        *at = *at == NULL ? row : *at;
    }
}

/* ---- best ----------------------------------------------------------------------------------- */

typedef struct summary {
    int count, missing;
    double mean, lo, hi; /* mean: of the logarithms */
} summary;

static summary summarise(const picture *p, int series)
{
    summary s = {.lo = INFINITY};
    double sum = 0;
    for (int proj = 0; proj < p->proj_count; proj++)
        for (int layer = 0; layer < p->layer_count; layer++) {
            const json_t *row = *cell(p, series, proj, layer);
            double ratio = speedup_of(row);
            s.missing += row != NULL && isnan(ratio);
            if (isnan(ratio))
                continue;
            s.count++;
            sum += log(ratio);
            s.lo = fmin(s.lo, ratio);
            s.hi = fmax(s.hi, ratio);
        }
    s.mean = s.count > 0 ? sum / s.count : -INFINITY;
    return s;
}

/* The largest mean among those with the most cells: a variant that ran only where it is good isn't
 * the best. */
static void choose_best(picture *p)
{
    summary best = {.mean = -INFINITY};
    for (int s = 0; s < ORTHO_PLOT_COMPETITORS; s++) {
        summary its = summarise(p, s);
        p->variants += its.count > 0;
        if (its.count > best.count || (its.count == best.count && its.mean > best.mean)) {
            best = its;
            p->best = s;
        }
    }
    p->lo = best.lo;
    p->hi = best.hi;
    p->missing = best.missing;
}

/* Free `out->cells` whatever is returned. */
static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.best = -1};
    ortho_series_collect(results, &out->series);
    ortho_status status = find_setting(results, out);
    if (status != ORTHO_OK)
        return status;
    out->cells = calloc((size_t)ORTHO_PLOT_SERIES * PROJS * LAYERS, sizeof *out->cells);
    if (out->cells == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a map of layers");
    take_places(results, out);
    take_cells(results, out);
    choose_best(out);
    if (out->best >= 0)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_UNSUPPORTED, "no variant that a picture can show has a speed-up");
}

/* ---- files ---------------------------------------------------------------------------------- */

static void put_cell(const picture *p, int series, int proj, int layer, FILE *tsv)
{
    const json_t *row = *cell(p, series, proj, layer);
    char words[32], number[32];
    double ratio = speedup_of(row);
    ortho_text_three(ratio, words, sizeof words);
    fprintf(tsv, "%d\t%d\t", layer, proj);
    ortho_plot_number(ratio, tsv);
    fprintf(tsv, "\t%d\t", series);
    ortho_case_status status = ortho_model_status(row);
    const char *fields[] = {
        isnan(ratio) ? "×" : words, p->series.name[series],
        ortho_text_number(p->layers[layer], number), p->projs[proj],
        isnan(ratio) && status == ORTHO_CASE_OK ? "no baseline" : ortho_model_status_name(status)};
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        ortho_plot_field(fields[f], tsv);
        fputc(f + 1 < sizeof fields / sizeof *fields ? '\t' : '\n', tsv);
    }
}

/* column, row, speed-up, series, speed-up in words, variant, layer, projection, status */
static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    for (int s = 0; status == ORTHO_OK && s < ORTHO_PLOT_COMPETITORS; s++)
        for (int proj = 0; proj < p.proj_count; proj++)
            for (int layer = 0; layer < p.layer_count; layer++)
                if (*cell(&p, s, proj, layer) != NULL)
                    put_cell(&p, s, proj, layer, tsv);
    free(p.cells);
    return status;
}

static void put_headings(const picture *p, FILE *gp)
{
    char setting[160], title[160], best[64] = "", missing[64] = "", subtitle[400];
    const char *over = ortho_model_string(p->first, "speedup.over");
    ortho_plot_setting(p->first, setting, sizeof setting);
    snprintf(title, sizeof title, "Speed-up of %.48s over %.48s by layer", p->series.name[p->best],
             over != NULL ? over : "the baseline");
    ortho_text_trim(title);
    if (p->variants > 1)
        snprintf(best, sizeof best, " · best of %d variants by geometric mean", p->variants);
    if (p->missing > 0)
        snprintf(missing, sizeof missing, " · × no verified speed-up");
    snprintf(subtitle, sizeof subtitle, "%s%s%s%s", setting, best, missing,
             p->layer_count > WITH_VALUES ? " · values in the TSV" : "");
    ortho_plot_title(gp, title, subtitle);
    ortho_plot_unit(gp, "projection");
}

static void put_tics(const picture *p, FILE *gp)
{
    int step = (p->layer_count + 31) / 32;
    char number[32];
    fputs("set ytics (", gp);
    for (int proj = 0; proj < p->proj_count; proj++) {
        fputs(proj > 0 ? ", " : "", gp);
        ortho_plot_tic(p->projs[proj], 9, gp);
        fprintf(gp, " %d", proj);
    }
    fputs(") scale 0\nset xtics (", gp);
    for (int layer = 0; layer < p->layer_count; layer += step)
        fprintf(gp, "%s'%s' %d", layer > 0 ? ", " : "", ortho_text_number(p->layers[layer], number),
                layer);
    fprintf(gp, ") scale 0\nif (!tty) { set xtics font ',%d' }\n", p->layer_count > 16 ? 9 : 11);
}

static void put_axes(const picture *p, FILE *gp)
{
    double room = p->hi > p->lo ? 0 : 0.05 * p->hi; /* one colour alone is a range too */
    ortho_plot_palette(gp);
    fprintf(gp,
            "set cbrange [%.6g:%.6g]\nset format cb '%%.3g'\n"
            "set xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\n"
            "if (!tty) { unset grid; unset key; set border 0; set rmargin at screen 0.885\n"
            "    set bmargin at screen 0.17; set xlabel 'layer' offset 0,0.2\n"
            "    set colorbox user origin 0.905,0.17 size 0.018,0.665 noborder\n"
            "    set label 7 'times as fast' at screen 0.985,0.865 right font ',10' "
            "tc rgb '#444444' }\n",
            p->lo - room, p->hi + room, p->layer_count - 1, p->proj_count - 1);
    put_tics(p, gp);
}

/* White on dark cells, black on light ones. */
static void put_values(const picture *p, FILE *gp)
{
    static const char *const colors[] = {"#ffffff", "#000000"};
    double light = p->lo + ORTHO_PLOT_LIGHT * (p->hi - p->lo);
    for (int i = 0; i < 2 && p->layer_count <= WITH_VALUES; i++) {
        if (i == 0 ? !(p->lo < light) : !(p->hi >= light))
            continue; /* an empty list of labels would crash gnuplot 5.4 */
        fprintf(gp,
                ", \\\n    $data using ($4 == %d && $3 %s %.9g ? $1 : NaN):2:5 with labels %s "
                "font ',%d' tc rgb '%s'",
                p->best, i == 0 ? "<" : ">=", light,
                p->layer_count > UPRIGHT ? "rotate by 90 center" : "center",
                p->layer_count > 14 ? 8 : 10, colors[i]);
    }
}

/* A terminal has no colours here: values where they fit, else blocks as high as the colour. */
static void put_terminal(const picture *p, FILE *gp)
{
    double span = p->hi > p->lo ? p->hi - p->lo : 1;
    fputs("if (tty) { unset key; unset colorbox\n"
          "    blocks = '▁ ▂ ▃ ▄ ▅ ▆ ▇ █'\n",
          gp);
    if (p->layer_count <= IN_TERMINAL)
        fprintf(gp, "    plot $data using ($4 == %d ? $1 : NaN):2:5 with labels center\n", p->best);
    else
        fprintf(gp,
                "    plot $data using ($4 == %d ? $1 : NaN):2:(strcol(5) eq '×' ? '×' : "
                "word(blocks, 1 + int(7.99 * ($3 - %.9g) / %.9g))) with labels center\n",
                p->best, p->lo, span);
}

static void put_body(const picture *p, FILE *gp)
{
    fputs("# column, row, speed-up, series, speed-up in words, variant, layer, projection, "
          "status\n",
          gp);
    put_headings(p, gp);
    put_axes(p, gp);
    put_terminal(p, gp);
    fprintf(gp,
            "} else { plot $data using ($4 == %d && $3 > 0 ? $1 : NaN):2:($1 - 0.49):($1 + 0.49):"
            "($2 - 0.48):($2 + 0.48):3 with boxxyerror fs solid noborder lc palette notitle",
            p->best);
    put_values(p, gp);
    if (p->missing > 0)
        fprintf(gp,
                ", \\\n    $data using ($4 == %d && strcol(5) eq '×' ? $1 : NaN):2:5 with labels "
                "center font ',11' tc rgb '#B00000'",
                p->best);
    fputs("\n}\n", gp);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status == ORTHO_OK)
        put_body(&p, gp);
    free(p.cells);
    return status;
}

const ortho_plot ortho_plot_layers = {
    .abi = ORTHO_REPORT_ABI,
    .name = "layers",
    .summary = "where in the model does the best variant win, and where doesn't it?",
    .data = write_data,
    .body = write_body,
};
