/*
 * lanes: for each variant, how many of a warp's 32 lanes are active in the instructions that it
 * issues, as its lane model predicts over the slices' real row lengths. One histogram a variant,
 * stacked; the histograms of all slices of one setting are added.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

#define LANES 33   /* 0 to 32 active */
#define SCALE 0.82 /* of a strip's height that the tallest bar takes */

typedef struct strip {
    double issued[LANES];
    int slices;
} strip;

typedef struct picture {
    ortho_series series;
    strip strips[ORTHO_PLOT_SERIES];
    const json_t *first; /* the row whose setting all share */
    int shown;
} picture;

/* All 33 numbers are there, none is negative and their sum is above 0. */
static bool read_histogram(const json_t *row, double out[LANES])
{
    const json_t *list = ortho_model_at(row, "divergence.predicted.histogram");
    double sum = 0;
    if (json_array_size(list) != LANES)
        return false;
    for (int i = 0; i < LANES; i++) {
        const json_t *number = json_array_get(list, (size_t)i);
        out[i] = json_is_number(number) ? json_number_value(number) : -1;
        if (!(out[i] >= 0))
            return false;
        sum += out[i];
    }
    return sum > 0 && isfinite(sum);
}

/* A prediction needs no time, but a variant that computes the wrong thing has no lanes to show. */
static bool counts(const json_t *row, double histogram[LANES])
{
    return row != NULL && ortho_plot_compared(row) &&
           ortho_model_status(row) != ORTHO_CASE_FAILED && read_histogram(row, histogram);
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

static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.first = first_row(results, "gemm")};
    if (out->first == NULL)
        out->first = first_row(results, NULL);
    if (out->first == NULL)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "no case has a lane model");
    ortho_series_collect(results, &out->series);
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        double histogram[LANES];
        int s = row != NULL ? ortho_series_of(&out->series, row) : -1;
        if (s < 0 || !counts(row, histogram) || !same_setting(row, out->first))
            continue;
        out->shown += out->strips[s].slices++ == 0;
        for (int lane = 0; lane < LANES; lane++)
            out->strips[s].issued[lane] += histogram[lane];
    }
    return out->shown > 0 ? ORTHO_OK : ortho_fail(ORTHO_E_UNSUPPORTED, "no case has a lane model");
}

typedef struct summary {
    double issued, ratio, tallest; /* ratio: active lanes; tallest: the largest share of a bin */
} summary;

static summary summarise(const strip *s)
{
    summary out = {0};
    double active = 0, most = 0;
    for (int lane = 0; lane < LANES; lane++) {
        out.issued += s->issued[lane];
        active += lane * s->issued[lane];
        most = fmax(most, s->issued[lane]);
    }
    out.ratio = active / (32 * out.issued);
    out.tallest = most / out.issued;
    return out;
}

/* active lanes, share of the issued instructions, strip (from the top), the strip's tallest share,
 * series, variant */
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
            ortho_plot_number(p.strips[s].issued[lane] / sum.issued, tsv);
            fprintf(tsv, "\t%d\t", place);
            ortho_plot_number(sum.tallest, tsv);
            fprintf(tsv, "\t%d\t", s);
            ortho_plot_field(p.series.name[s], tsv);
            fputc('\n', tsv);
        }
        place++;
    }
    return status;
}

static void put_headings(const picture *p, FILE *gp)
{
    char setting[160], subtitle[256];
    int most = 0;
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        most = p->strips[s].slices > most ? p->strips[s].slices : most;
    ortho_plot_setting(p->first, setting, sizeof setting);
    snprintf(subtitle, sizeof subtitle, "of the lane model, not measured · %s · %d slice%s",
             setting, most, most == 1 ? "" : "s added");
    ortho_plot_title(gp, "Active lanes of a warp, predicted", subtitle);
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
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++) {
        if (p->strips[s].slices == 0)
            continue;
        summary sum = summarise(&p->strips[s]);
        double base = p->shown - 1 - place++;
        fprintf(gp,
                "if (!tty) { set label %d '%.1f %% active' at 33.3, %.2f left font ',12'\n"
                "    set label %d 'tallest bar %.1f %%' at 33.3, %.2f left font ',9' "
                "tc rgb '#666666'\n"
                "    set arrow %d from %.3f, %.2f to %.3f, %.2f nohead lw 1.6 dt 2 "
                "lc rgb '#000000' front }\n",
                10 + 2 * place, 100 * sum.ratio, base + 0.45, 11 + 2 * place, 100 * sum.tallest,
                base + 0.45 - 0.045 * p->shown, place, 32 * sum.ratio, base, 32 * sum.ratio,
                base + 0.9);
    }
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# active lanes, share of issued, strip from the top, its tallest share, series, "
          "variant\n",
          gp);
    put_headings(&p, gp);
    fprintf(gp,
            "set xrange [-0.7:32.7]\nset yrange [-0.08:%d]\nset xtics 0,4,32\nset format x "
            "'%%g'\nunset key\n"
            "if (!tty) { set grid xtics; unset grid; set border 1\n"
            "    set lmargin at screen 0.17; set bmargin at screen 0.17\n"
            "    set xlabel 'active lanes, of 32' offset 0,0.3 }\n",
            p.shown);
    put_strips(&p, gp);
    int place = 0;
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++) {
        if (p.strips[s].slices == 0)
            continue;
        fprintf(gp,
                "%s$data using ($3 == %d && $2 > 0 ? $1 : NaN):(%d):($1 - 0.42):($1 + 0.42):(%d):"
                "(%d + %.2f * $2 / $4) with boxxyerror ",
                place == 0 ? "plot " : ", \\\n    ", place, p.shown - 1 - place,
                p.shown - 1 - place, p.shown - 1 - place, SCALE);
        ortho_plot_fill(gp, s);
        fputs(" notitle", gp);
        place++;
    }
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
