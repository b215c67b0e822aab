/*
 * roofline: the rate of each case against its operations per byte that must move, under the
 * ceilings of the machine: solid what this run measured, dashed what the GPU's datasheet promises
 * (reports/datasheet.h). How far a point lies below the roof is what its kernel leaves; above it, a
 * cache served it. GEMMs are shown, or sieves where there is none.
 */
#include "common/error.h"
#include "reports/datasheet.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

#define FAR 32 /* times the points' intensity: a ridge beyond it would press them into a corner */

typedef struct roof {
    double gbps, gflops; /* NAN: not known */
} roof;

typedef struct picture {
    ortho_series series;
    const char *op, *backend;
    roof measured, promised;
    int points[ORTHO_PLOT_SERIES];
    int cases, warm;
    double scale;                  /* GFLOP/s that the axis calls 1 */
    double left, right, low, high; /* of the points */
} picture;

static bool has_word(const json_t *row, const char *key, const char *word)
{
    const char *its = ortho_model_string(row, key);
    return its != NULL && strcmp(its, word) == 0;
}

/* No machine has such a number, and no axis. */
static double in_sight(double value)
{
    return value > 1e-12 && value < 1e12 ? value : NAN;
}

/* Operations per byte that must move; NAN where nothing is computed or moved. */
static double intensity(const json_t *row)
{
    double bytes = ortho_model_number(row, "bytes"), flops = ortho_model_number(row, "flops");
    return bytes > 0 && flops > 0 ? in_sight(flops / bytes) : NAN;
}

static double rate(const json_t *row)
{
    return in_sight(ortho_model_gflops(row));
}

/* The series of a row that has a point; -1: none. The ceilings are of one backend. */
static int series_of(const picture *p, const json_t *row)
{
    if (row == NULL || !ortho_plot_compared(row) || !has_word(row, "op", p->op) ||
        !has_word(row, "backend", p->backend) || isnan(rate(row)) || isnan(intensity(row)))
        return -1;
    return ortho_series_of(&p->series, row);
}

static void gather(const json_t *results, const char *op, picture *p)
{
    p->op = op;
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        int s = series_of(p, row);
        if (s < 0)
            continue;
        p->points[s]++;
        p->cases++;
        p->warm += has_word(row, "l2", "warm");
        p->left = fmin(p->left, intensity(row));
        p->right = fmax(p->right, intensity(row));
        p->low = fmin(p->low, rate(row));
        p->high = fmax(p->high, rate(row));
    }
}

/* A slice of a GPU (MIG) has no datasheet. */
static void find_roofs(const json_t *results, picture *p)
{
    ortho_datasheet sheet;
    p->measured.gbps = in_sight(ortho_model_number(results, "context.ceilings.read_gbps"));
    p->measured.gflops =
        1e3 * in_sight(ortho_model_number(results, "context.ceilings.tensor_tflops"));
    p->promised = (roof){NAN, NAN};
    if (ortho_model_on_gpu(results) && !ortho_model_true(results, "context.gpu.mig") &&
        ortho_datasheet_find(ortho_model_string(results, "context.gpu.name"), &sheet))
        p->promised = (roof){sheet.gbps, 1e3 * sheet.tflops};
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    *out = (picture){.left = INFINITY, .low = INFINITY};
    out->backend = ortho_model_on_gpu(results) ? "cuda" : "cpu";
    ortho_series_collect(results, &out->series);
    gather(results, "gemm", out);
    if (out->cases == 0)
        gather(results, "sieve", out);
    if (out->cases == 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "no verified case tells its operations and the bytes that must move");
    find_roofs(results, out);
    out->scale = fmax(out->high, fmax(out->measured.gflops, out->promised.gflops)) < 1e4 ? 1 : 1e3;
    if (isnan(out->measured.gbps) && isnan(out->measured.gflops) && isnan(out->promised.gbps))
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "this run measured no ceiling, and its machine's datasheet isn't known");
    return ORTHO_OK;
}

/* operations per byte, GFLOP/s, series, variant, slice, setting */
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
        ortho_plot_number(intensity(row), tsv);
        fputc('\t', tsv);
        ortho_plot_number(rate(row), tsv);
        fprintf(tsv, "\t%d\t", s);
        ortho_plot_field(p.series.name[s], tsv);
        fputc('\t', tsv);
        ortho_plot_field(slice, tsv);
        fputc('\t', tsv);
        ortho_plot_field(setting, tsv);
        fputc('\n', tsv);
    }
    return status;
}

/* "measured 3074 GB/s, 779 TFLOP/s"; empty where neither is known. */
static void put_roof_words(const char *whose, roof r, char *out, size_t size)
{
    char gbps[48] = "", tflops[48] = "";
    if (!isnan(r.gbps))
        snprintf(gbps, sizeof gbps, " %.0f GB/s", r.gbps);
    if (!isnan(r.gflops))
        snprintf(tflops, sizeof tflops, "%s %.0f TFLOP/s", isnan(r.gbps) ? "" : ",",
                 r.gflops / 1e3);
    if (isnan(r.gbps) && isnan(r.gflops))
        *out = '\0';
    else
        snprintf(out, size, " · %s%s%s", whose, gbps, tflops);
}

static void put_headings(const picture *p, FILE *gp)
{
    char subtitle[320], measured[96], promised[96];
    put_roof_words("measured", p->measured, measured, sizeof measured);
    put_roof_words("datasheet", p->promised, promised, sizeof promised);
    snprintf(subtitle, sizeof subtitle, "%s · %d case%s%s%s%s", p->op, p->cases,
             p->cases == 1 ? "" : "s", measured, promised,
             p->warm > 0 ? " · warm cases may pass the roof" : "");
    ortho_plot_title(gp, "Rate against operations per byte that must move", subtitle);
    ortho_plot_unit(gp, p->scale > 1 ? "TFLOP/s" : "GFLOP/s");
}

/* The roof at an intensity; NAN where none is known. */
static double height(roof r, double at)
{
    return fmin(r.gbps * at, r.gflops); /* fmin passes a NaN over */
}

/* From the points to the ridge, where there is one that they come near, with the roof in sight. */
static void put_axes(const picture *p, FILE *gp)
{
    const roof roofs[] = {p->measured, p->promised};
    double right = p->right, high = p->high;
    for (int i = 0; i < 2; i++) {
        double ridge = roofs[i].gflops / roofs[i].gbps;
        right = ridge < FAR * p->right ? fmax(right, ridge) : right;
    }
    for (int i = 0; i < 2; i++)
        high = fmax(high, height(roofs[i], right * 2));
    ortho_plot_log_axis(gp, 'x', p->left / 2, right * 2);
    ortho_plot_log_axis(gp, 'y', p->low / p->scale / 2, high / p->scale * 2);
    fputs("if (!tty) { set bmargin at screen 0.17\n"
          "    set xlabel 'operations per byte that must move' offset 0,0.2 }\n"
          "set samples 400\n",
          gp);
}

static void put_roof(const picture *p, roof r, const char *style, const char *title, FILE *gp)
{
    if (isnan(r.gbps) && isnan(r.gflops))
        return;
    r = (roof){r.gbps / p->scale, r.gflops / p->scale};
    if (isnan(r.gflops))
        fprintf(gp, "%.9g * x", r.gbps);
    else if (isnan(r.gbps))
        fprintf(gp, "%.9g", r.gflops);
    else
        fprintf(gp, "(%.9g * x < %.9g ? %.9g * x : %.9g)", r.gbps, r.gflops, r.gbps, r.gflops);
    fprintf(gp, " with lines %s title '%s'", style, title);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    fputs("# operations per byte, GFLOP/s, series, variant, slice, setting\n", gp);
    put_headings(&p, gp);
    put_axes(&p, gp);
    fputs("plot ", gp);
    put_roof(&p, p.measured, "lc rgb '#000000' dt 1 lw 2.2", "measured", gp);
    if (!isnan(p.promised.gbps)) {
        fputs(isnan(p.measured.gbps) && isnan(p.measured.gflops) ? "" : ", \\\n    ", gp);
        put_roof(&p, p.promised, "lc rgb '#666666' dt 2 lw 1.6", "datasheet", gp);
    }
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++) {
        if (p.points[s] == 0)
            continue;
        fprintf(gp, ", \\\n    $data using ($3 == %d ? $1 : NaN):($2 / %.0f) with points ", s,
                p.scale);
        ortho_plot_points(gp, s);
        fputs(" title ", gp);
        ortho_plot_quote(p.series.name[s], 14, gp);
    }
    fputc('\n', gp);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_roofline = {
    .abi = ORTHO_REPORT_ABI,
    .name = "roofline",
    .summary = "how near to what this machine can do does each variant come?",
    .data = write_data,
    .body = write_body,
};
