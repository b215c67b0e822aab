/*
 * lanes: for each variant, how many of a warp's 32 lanes are active in the instructions that it
 * issues, as its lane model predicts over the slices' real row lengths. One histogram a variant,
 * stacked; the histograms of all slices of one setting are added. Where CUPTI measured the Ortho
 * loop's instructions, two bars stand side by side, predicted and measured, of the slices that were
 * measured; a third where an instrumented build counted the lanes.
 */
#include "common/error.h"
#include "reports/measured.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

#define LANES ORTHO_LANES
#define SCALE 0.82 /* of a strip's height that the tallest bar takes */

enum { PREDICTED, MEASURED, EXACT, KINDS };

static const char *const kind_names[KINDS] = {"predicted", "measured", "counted"};

typedef struct strip {
    double issued[KINDS][LANES];
    bool has[KINDS];
    int slices;
} strip;

typedef struct picture {
    ortho_series series;
    strip strips[ORTHO_PLOT_SERIES];
    const json_t *first; /* the row whose setting all share */
    int shown;
    bool has[KINDS]; /* in some strip */
} picture;

/* A prediction needs no time, but a variant that computes the wrong thing has no lanes to show. */
static bool counts(const json_t *row, double histogram[LANES])
{
    return row != NULL && ortho_plot_compared(row) &&
           ortho_model_status(row) != ORTHO_CASE_FAILED &&
           ortho_lanes_histogram(row, "divergence.predicted.histogram", histogram);
}

static bool same_setting(const json_t *a, const json_t *b)
{
    char one[160], other[160];
    ortho_plot_setting(a, one, sizeof one);
    ortho_plot_setting(b, other, sizeof other);
    return strcmp(one, other) == 0;
}

static const json_t *first_row(const json_t *results, const char *op)
{
    double histogram[LANES];
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        const char *its = ortho_model_string(row, "op");
        if (counts(row, histogram) && its != NULL && (op == NULL || strcmp(its, op) == 0))
            return row;
    }
    return NULL;
}

static void add(strip *s, int kind, const double histogram[LANES])
{
    for (int lane = 0; lane < LANES; lane++)
        s->issued[kind][lane] += histogram[lane];
}

/* Adds a row that has all of `wanted`, and no more of it. */
static void add_row(picture *p, int series, const json_t *row, const bool wanted[KINDS])
{
    double issued[KINDS][LANES];
    const bool has[KINDS] = {counts(row, issued[PREDICTED]),
                             ortho_measured_histogram(row, issued[MEASURED]),
                             ortho_exact_histogram(row, issued[EXACT])};
    for (int kind = 0; kind < KINDS; kind++)
        if (wanted[kind] && !has[kind])
            return;
    p->strips[series].slices++;
    for (int kind = 0; kind < KINDS; kind++) {
        if (wanted[kind])
            add(&p->strips[series], kind, issued[kind]);
        p->strips[series].has[kind] = wanted[kind];
        p->has[kind] = p->has[kind] || wanted[kind];
    }
}

/* Of each variant the slices of which the most is known: unlike slices are not compared. */
static void add_rows(picture *p, int series, const json_t *results)
{
    static const bool wanted[][KINDS] = {{[PREDICTED] = true, [MEASURED] = true, [EXACT] = true},
                                         {[PREDICTED] = true, [MEASURED] = true},
                                         {[PREDICTED] = true, [EXACT] = true},
                                         {[PREDICTED] = true}};
    for (size_t w = 0; w < sizeof wanted / sizeof *wanted && p->strips[series].slices == 0; w++)
        for (size_t i = 0; i < ortho_model_count(results); i++) {
            const json_t *row = ortho_model_row(results, i);
            if (row != NULL && ortho_series_of(&p->series, row) == series &&
                same_setting(row, p->first))
                add_row(p, series, row, wanted[w]);
        }
    p->shown += p->strips[series].slices > 0;
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.first = first_row(results, "gemm")};
    if (out->first == NULL)
        out->first = first_row(results, NULL);
    if (out->first == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "no case has a lane model");
    ortho_series_collect(results, &out->series);
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        add_rows(out, s, results);
    return out->shown > 0 ? ORTHO_OK : ortho_fail(ORTHO_E_UNSUPPORTED, "no case has a lane model");
}

typedef struct summary {
    double issued[KINDS], ratio[KINDS]; /* NAN ratio: not known */
    double tallest;                     /* the largest share of a bin, of both */
} summary;

static summary summarise(const strip *s)
{
    summary out = {.tallest = 0};
    for (int kind = 0; kind < KINDS; kind++) {
        double active = 0, most = 0;
        for (int lane = 0; lane < LANES; lane++) {
            out.issued[kind] += s->issued[kind][lane];
            active += lane * s->issued[kind][lane];
            most = fmax(most, s->issued[kind][lane]);
        }
        out.ratio[kind] = out.issued[kind] > 0 ? active / (32 * out.issued[kind]) : NAN;
        out.tallest = fmax(out.tallest, out.issued[kind] > 0 ? most / out.issued[kind] : 0);
    }
    return out;
}

/* active lanes, share of the issued instructions as predicted, strip (from the top), the strip's
 * tallest share, series, variant, share as measured, as counted */
static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    int place = 0;
    for (int s = 0; s < ORTHO_PLOT_SERIES && status == ORTHO_OK; s++) {
        if (p.strips[s].slices == 0)
            continue;
        summary sum = summarise(&p.strips[s]);
        for (int lane = 0; lane < LANES; lane++) {
            fprintf(tsv, "%d\t", lane);
            ortho_plot_number(p.strips[s].issued[PREDICTED][lane] / sum.issued[PREDICTED], tsv);
            fprintf(tsv, "\t%d\t", place);
            ortho_plot_number(sum.tallest, tsv);
            fprintf(tsv, "\t%d\t", s);
            ortho_plot_field(p.series.name[s], tsv);
            fputc('\t', tsv);
            ortho_plot_number(p.strips[s].issued[MEASURED][lane] / sum.issued[MEASURED], tsv);
            fputc('\t', tsv);
            ortho_plot_number(p.strips[s].issued[EXACT][lane] / sum.issued[EXACT], tsv);
            fputc('\n', tsv);
        }
        place++;
    }
    return status;
}

static void put_headings(const picture *p, FILE *gp)
{
    char setting[160], subtitle[320];
    int most = 0;
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        most = p->strips[s].slices > most ? p->strips[s].slices : most;
    ortho_plot_setting(p->first, setting, sizeof setting);
    snprintf(subtitle, sizeof subtitle, "%s%s · %s · %d slice%s",
             p->has[MEASURED] ? "predicted by the lane model, measured by CUPTI"
                              : "of the lane model, not measured",
             p->has[EXACT] ? ", counted" : "", setting, most, most == 1 ? "" : "s added");
    ortho_plot_title(gp,
                     p->has[MEASURED] ? "Active lanes of a warp, predicted and measured"
                     : p->has[EXACT]  ? "Active lanes of a warp, predicted and counted"
                                      : "Active lanes of a warp, predicted",
                     subtitle);
}

/* "32.9 / 37.0 %", of the kinds that the picture has; "–" where a strip hasn't got one. */
static void put_ratios(const picture *p, const summary *sum, char *out, size_t size)
{
    size_t used = 0;
    bool alone = !p->has[MEASURED] && !p->has[EXACT];
    for (int kind = 0; kind < KINDS && used < size; kind++) {
        int added = 0;
        if (kind == MEASURED && p->has[kind] && isnan(sum->ratio[kind]))
            added = snprintf(out + used, size - used, " / –");
        else if (!isnan(sum->ratio[kind]))
            added = snprintf(out + used, size - used, "%s%.1f", kind > 0 ? " / " : "",
                             100 * sum->ratio[kind]);
        used += added > 0 ? (size_t)added : 0;
    }
    if (used < size)
        snprintf(out + used, size - used, " %%%s", alone ? " active" : "");
}

/* What the histograms of a strip come to, at its right, and where their means are. */
static void put_summary(const picture *p, int series, int place, FILE *gp)
{
    static const int dashes[KINDS] = {2, 1, 3};
    summary sum = summarise(&p->strips[series]);
    double base = p->shown - 1 - place, below = base + 0.45 - 0.045 * p->shown;
    char active[96];
    put_ratios(p, &sum, active, sizeof active);
    fprintf(gp,
            "if (!tty) { set label %d '%s' at 33.3, %.2f left font ',12'\n"
            "    set label %d 'tallest bar %.1f %%' at 33.3, %.2f left font ',9' tc rgb '#666666'\n"
            "}\n",
            10 + 2 * place, active, base + 0.45, 11 + 2 * place, 100 * sum.tallest, below);
    for (int kind = 0; kind < KINDS; kind++)
        if (!isnan(sum.ratio[kind]))
            fprintf(gp,
                    "if (!tty) { set arrow %d from %.3f, %.2f to %.3f, %.2f nohead lw 1.6 dt %d "
                    "lc rgb '#000000' front }\n",
                    1 + KINDS * place + kind, 32 * sum.ratio[kind], base, 32 * sum.ratio[kind],
                    base + 0.9, dashes[kind]);
}

/* Beside each strip its name, and at the right what the histogram comes to. */
static void put_strips(const picture *p, FILE *gp)
{
    int place = 0;
    fputs("set ytics (", gp);
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++) {
        if (p->strips[s].slices == 0)
            continue;
        fputs(place > 0 ? ", " : "", gp);
        ortho_plot_tic(p->series.name[s], 16, gp);
        fprintf(gp, " %.2f", p->shown - 1 - place++ + 0.4);
    }
    fputs(") scale 0\n", gp);
    place = 0;
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        if (p->strips[s].slices > 0)
            put_summary(p, s, place++, gp);
}

typedef struct bars {
    const char *before;
    int place, column;
    double from, to;   /* of the lane */
    const char *title; /* NULL: none */
} bars;

/* The bars of one kind of a strip: from one side of their lane to the other. */
static void put_kind(const picture *p, int series, const bars *b, FILE *gp)
{
    int base = p->shown - 1 - b->place;
    fprintf(gp,
            "%s$data using ($3 == %d && $%d > 0 ? $1 : NaN):(%d):($1 %+.2f):($1 %+.2f):(%d):"
            "(%d + %.2f * $%d / $4) with boxxyerror ",
            b->before, b->place, b->column, base, b->from, b->to, base, base, SCALE, b->column);
    ortho_plot_fill(gp, series);
    if (b->title != NULL)
        fprintf(gp, " title '%s'", b->title);
    else
        fputs(" notitle", gp);
}

/* The first strip that has a kind names it in the key. */
static bool names_kind(const picture *p, int series, int kind)
{
    for (int s = 0; s < series; s++)
        if (p->strips[s].has[kind])
            return false;
    return true;
}

/* One bar a lane in the variant's colour; side by side in those of the kinds where the picture has
 * several. */
static void put_bars(const picture *p, int series, int place, FILE *gp)
{
    static const int columns[KINDS] = {2, 7, 8};
    const bool *has = p->strips[series].has;
    bool alone = !p->has[MEASURED] && !p->has[EXACT];
    double width = 0.84 / (has[PREDICTED] + has[MEASURED] + has[EXACT]), from = -0.42;
    for (int kind = 0; kind < KINDS; kind++) {
        if (!has[kind])
            continue;
        bars b = {.before = place == 0 && kind == PREDICTED ? "plot " : ", \\\n    ",
                  .place = place,
                  .column = columns[kind],
                  .from = from,
                  .to = from + width,
                  .title = !alone && names_kind(p, series, kind) ? kind_names[kind] : NULL};
        put_kind(p, alone ? series : kind, &b, gp);
        from += width;
    }
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# active lanes, share of issued as predicted, strip from the top, its tallest share, "
          "series, variant, share as measured, as counted\n",
          gp);
    put_headings(&p, gp);
    fprintf(gp,
            "set xrange [-0.7:32.7]\nset yrange [-0.08:%d]\nset xtics 0,4,32\nset format x "
            "'%%g'\n%s\n"
            "if (!tty) { set grid xtics; unset grid; set border 1\n"
            "    set lmargin at screen 0.17; set bmargin at screen 0.17\n"
            "    set xlabel 'active lanes, of 32' offset 0,0.3 }\n",
            p.shown,
            p.has[MEASURED] || p.has[EXACT]
                ? "if (!tty) { set key at screen 0.985, 0.895 right top horizontal }"
                : "unset key");
    put_strips(&p, gp);
    int place = 0;
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        if (p.strips[s].slices > 0)
            put_bars(&p, s, place++, gp);
    fputc('\n', gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_lanes = {
    .abi = ORTHO_REPORT_ABI,
    .name = "lanes",
    .summary = "how far does each variant tear its warps apart, by its lane model?",
    .data = write_data,
    .body = write_body,
};
