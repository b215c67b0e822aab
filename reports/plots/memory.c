/*
 * memory: for each variant what it keeps (a GEMM's packed weights and index, a sieve's output) and,
 * stacked on it, the peak of its temporaries, of the largest slice that was run. One panel an
 * operation, each with its own scale. A case without a verified time has no bar: its status stands
 * there.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

#define PANELS 2
#define FEW    5 /* bars that a panel has room for at least, and for their sizes side by side */

typedef struct panel {
    const json_t *first; /* the group shown; NULL: none */
    const ortho_group *group;
    int bars;
    bool missing; /* a bar has no verified peak */
    double top;   /* bytes */
} panel;

typedef struct picture {
    ortho_groups groups; /* owned */
    ortho_series series;
    panel panels[PANELS];
} picture;

static const char *const ops[PANELS] = {"gemm", "sieve"};

static double part(const json_t *row, const char *path)
{
    return ortho_model_timed(row) ? ortho_model_number(row, path) : NAN;
}

static double kept(const json_t *row)
{
    double weights = part(row, "peak_bytes.weights"), output = part(row, "peak_bytes.output");
    return isnan(weights) ? output : isnan(output) ? weights : weights + output;
}

static double total(const json_t *row)
{
    return kept(row) + part(row, "peak_bytes.working");
}

static bool qualifies(const ortho_group *group, const char *op)
{
    const char *its = ortho_model_string(group->rows[0], "op");
    if (its == NULL || strcmp(its, op) != 0)
        return false;
    for (size_t i = 0; i < group->count; i++)
        if (ortho_plot_compared(group->rows[i]) && total(group->rows[i]) > 0)
            return true;
    return false;
}

/* A pass holds all slices. */
static double weights_of(const ortho_group *group)
{
    if (ortho_model_pass(group->rows[0]))
        return INFINITY;
    double n = ortho_model_number(group->rows[0], "n");
    double k = ortho_model_number(group->rows[0], "k");
    return isnan(n * k) ? 0 : n * k;
}

static void fill_panel(picture *p, int index)
{
    panel *out = &p->panels[index];
    for (size_t g = 0; g < p->groups.count; g++) {
        const ortho_group *group = &p->groups.group[g];
        if (qualifies(group, ops[index]) &&
            (out->group == NULL || weights_of(group) > weights_of(out->group)))
            out->group = group;
    }
    for (size_t i = 0; out->group != NULL && i < out->group->count; i++) {
        const json_t *row = out->group->rows[i];
        if (!ortho_plot_compared(row) || ortho_series_of(&p->series, row) < 0)
            continue;
        out->bars++;
        out->missing = out->missing || isnan(total(row));
        out->top = fmax(out->top, total(row));
    }
    out->first = out->group != NULL ? out->group->rows[0] : NULL;
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    picture p = {.groups = {0}};
    ortho_status status = ortho_model_groups(results, &p.groups);
    if (status != ORTHO_OK)
        return status;
    ortho_series_collect(results, &p.series);
    for (int i = 0; i < PANELS; i++)
        fill_panel(&p, i);
    if (p.panels[0].bars + p.panels[1].bars == 0) {
        ortho_groups_free(&p.groups);
        return ortho_fail(ORTHO_E_UNSUPPORTED, "no verified case booked its memory");
    }
    *out = p;
    return ORTHO_OK;
}

/* panel, place, kept bytes, working bytes, op, slice, variant, status (ok where there is a bar),
 * total in words */
static void put_bar(const json_t *row, int index, int place, FILE *tsv)
{
    char slice[256], words[32], name[ORTHO_LABEL_BYTES];
    const double values[] = {kept(row), part(row, "peak_bytes.working")};
    fprintf(tsv, "%d\t%d\t", index, place);
    for (int v = 0; v < 2; v++) {
        ortho_plot_number(values[v], tsv);
        fputc('\t', tsv);
    }
    ortho_model_slice(row, slice, sizeof slice);
    ortho_text_bytes(total(row), words, sizeof words);
    ortho_case_status status = ortho_model_status(row);
    ortho_model_label(row, name);
    const char *fields[] = {ops[index], slice, name,
                            !isnan(total(row))        ? "ok"
                            : status == ORTHO_CASE_OK ? "not booked"
                                                      : ortho_model_status_name(status),
                            words};
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        ortho_plot_field(fields[f], tsv);
        fputc(f + 1 < sizeof fields / sizeof *fields ? '\t' : '\n', tsv);
    }
}

static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    for (int i = 0; i < PANELS; i++) {
        int place = 0;
        for (size_t r = 0; p.panels[i].group != NULL && r < p.panels[i].group->count; r++) {
            const json_t *row = p.panels[i].group->rows[r];
            if (ortho_plot_compared(row) && ortho_series_of(&p.series, row) >= 0)
                put_bar(row, i, place++, tsv);
        }
    }
    ortho_groups_free(&p.groups);
    return ORTHO_OK;
}

static void put_tics(const picture *p, const panel *shown, FILE *gp)
{
    int place = 0;
    fputs("set xtics (", gp);
    for (size_t r = 0; r < shown->group->count; r++) {
        const json_t *row = shown->group->rows[r];
        if (!ortho_plot_compared(row) || ortho_series_of(&p->series, row) < 0)
            continue;
        fputs(place > 0 ? ", " : "", gp);
        char name[ORTHO_LABEL_BYTES];
        ortho_model_label(row, name);
        ortho_plot_tic(name, 18, gp);
        fprintf(gp, " %d", place++);
    }
    fprintf(gp, ") scale 0\nif (!tty) { set xtics font ',11' %s }\n",
            shown->bars > 3 ? "rotate by -32 left" : "norotate center");
}

/* The unit of an axis whose top is `bytes`, and its name. */
static double unit_of(double bytes, const char **name)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB"};
    int step = 0;
    double unit = 1;
    for (; step < 3 && bytes / unit >= 1024; step++)
        unit *= 1024;
    *name = names[step];
    return unit;
}

/* Kept, the temporaries on it, what both come to; a word where there is no bar. */
static void put_bars(const panel *shown, int index, double unit, FILE *gp)
{
    fprintf(gp,
            "plot $data using ($1 == %d ? $2 : NaN):($3 / %.0f) with boxes fillstyle pattern 3 "
            "border rgb '#333333' lc rgb '#56B4E9' title 'kept', \\\n"
            "    $data using ($1 == %d ? $2 : NaN):($3 / %.0f):($2 - 0.3):($2 + 0.3):($3 / %.0f):"
            "(($3 + $4) / %.0f) with boxxyerror fillstyle pattern 4 border rgb '#333333' "
            "lc rgb '#D55E00' title 'temporaries', \\\n"
            "    $data using ($1 == %d ? $2 : NaN):(($3 + $4) / %.0f):9 with labels %s "
            "font ',10' notitle",
            index, unit, index, unit, unit, unit, index, unit,
            shown->bars > FEW ? "rotate by 90 left offset 0,0.5" : "offset 0,0.7");
    if (shown->missing) /* an empty list of labels would crash gnuplot 5.4 */
        fprintf(gp,
                ", \\\n    $data using ($1 == %d && strcol(8) ne 'ok' ? $2 : NaN):(0):8 with "
                "labels rotate by 90 left offset 0,0.5 font ',10' tc rgb "
                "'#B00000' notitle",
                index);
    fputc('\n', gp);
}

static void put_panel(const picture *p, int index, const double sides[2], FILE *gp)
{
    const panel *shown = &p->panels[index];
    char slice[160], shape[80] = "", heading[320];
    const char *name;
    double n = ortho_model_number(shown->first, "n"), k = ortho_model_number(shown->first, "k");
    double unit = unit_of(shown->top, &name), middle = (shown->bars - 1) / 2.0;
    double span = (shown->bars > FEW ? shown->bars : FEW) + 0.2; /* one bar alone is no wall */
    ortho_model_slice(shown->first, slice, sizeof slice);
    if (!isnan(n * k)) /* a pass has no one shape */
        snprintf(shape, sizeof shape, " (%.0f×%.0f)", n, k);
    snprintf(heading, sizeof heading, "%s · %s%s · %s", ops[index], slice, shape, name);
    fprintf(gp, "if (!tty) { set lmargin at screen %.3f; set rmargin at screen %.3f }\n", sides[0],
            sides[1]);
    fputs("if (tty) { set title ", gp);
    ortho_plot_quote(heading, 60, gp);
    fputs(" } else { set label 6 ", gp);
    ortho_plot_quote(heading, 60, gp);
    fprintf(gp,
            " at graph 0, graph 1.05 left font ',11' tc rgb '#222222' }\n"
            "set xrange [%.2f:%.2f]\nset yrange [0:%.6g]\n",
            middle - span / 2, middle + span / 2,
            (shown->bars > FEW ? 1.3 : 1.12) * shown->top / unit);
    put_tics(p, shown, gp);
    put_bars(shown, index, unit, gp);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    bool both = p.panels[0].bars > 0 && p.panels[1].bars > 0;
    const double left[2] = {0.085, both ? 0.42 : 0.815}, right[2] = {both ? 0.50 : 0.085, 0.815};
    fputs("# panel, place, kept bytes, working bytes, op, slice, variant, status, total\n", gp);
    ortho_plot_title(
        gp, "Peak memory of one operation",
        "kept: packed weights, or a sieve’s output · as booked by the allocator · the largest "
        "slice that was run, or the pass");
    fputs("set boxwidth 0.6 absolute\nset format y '%g'\n", gp);
    if (both)
        fputs("if (!tty) { set multiplot }\n", gp);
    if (p.panels[0].bars > 0) {
        if (both)
            fputs("if (!tty) { unset key }\n", gp);
        put_panel(&p, 0, left, gp);
    }
    if (both)
        fputs("if (!tty) { set key }\nunset label 1; unset label 2; unset label 3; unset label 4; "
              "unset label 5\n",
              gp);
    if (p.panels[1].bars > 0)
        put_panel(&p, 1, right, gp);
    if (both)
        fputs("if (!tty) { unset multiplot }\n", gp);
    ortho_groups_free(&p.groups);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_memory = {
    .abi = ORTHO_REPORT_ABI,
    .name = "memory",
    .summary = "what does each variant hold, and how much more does it take while it works?",
    .data = write_data,
    .body = write_body,
};
