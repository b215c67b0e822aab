/*
 * speedup: bars of each variant's speed-up over the baseline, clustered by slice, with the 95 %
 * confidence interval as whiskers and a line at 1. A case without a verified time has no bar: its
 * status stands at its place.
 */
#include "common/error.h"
#include "reports/plot.h"
#include "reports/text.h"

#include <math.h>
#include <string.h>

#define CLUSTERS_SHOWN   14
#define BARS_WITH_LABELS 30
#define BARS_WITH_WORDS  60
#define FEW              8 /* bars that there is room for at least */
#define CLUSTER_WIDTH    0.84
#define LABEL_ROOM       96 /* characters of tic labels that fit side by side */

/* What the document offers: the groups in which anything has a speed-up. */
typedef struct picture {
    ortho_groups groups; /* owned */
    ortho_series series;
    int slots;                               /* bars in a cluster */
    int slot[ORTHO_PLOT_SERIES];             /* of a series; -1: in no cluster */
    int ambiguous;                           /* bars whose interval stayed wide */
    bool missing;                            /* a bar has no verified speed-up */
    size_t clusters;                         /* groups that qualify */
    double top;                              /* of the whiskers shown */
    bool same_setting, same_m, same_density; /* of all clusters: told once */
    const json_t *first;
} picture;

static bool has_speedup(const json_t *row)
{
    return ortho_model_timed(row) && ortho_model_number(row, "speedup.ratio") > 0;
}

static bool qualifies(const ortho_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (ortho_plot_compared(group->rows[i]) && has_speedup(group->rows[i]))
            return true;
    return false;
}

static bool is_baseline(const json_t *row)
{
    const char *role = ortho_model_string(row, "role");
    return role != NULL && strcmp(role, "baseline") == 0;
}

/* A bar or the mark of a missing one: the baseline itself has neither. */
static bool has_place(const picture *p, const json_t *row)
{
    return ortho_plot_compared(row) && ortho_series_of(&p->series, row) >= 0 &&
           (has_speedup(row) || !is_baseline(row));
}

static void setting_of(const json_t *row, char out[160])
{
    ortho_plot_setting(row, out, 160);
}

static bool same_number(const json_t *a, const json_t *b, const char *key)
{
    double x = ortho_model_number(a, key), y = ortho_model_number(b, key);
    return x == y || (isnan(x) && isnan(y));
}

static void take_group(picture *p, const ortho_group *group)
{
    char here[160], there[160];
    setting_of(group->rows[0], here);
    if (p->first == NULL)
        p->first = group->rows[0];
    setting_of(p->first, there);
    p->same_setting = p->same_setting && strcmp(here, there) == 0;
    p->same_m = p->same_m && same_number(group->rows[0], p->first, "m");
    p->same_density = p->same_density && same_number(group->rows[0], p->first, "density");
    for (size_t i = 0; i < group->count; i++) {
        const json_t *row = group->rows[i];
        int s = ortho_series_of(&p->series, row);
        if (!has_place(p, row))
            continue;
        p->slot[s] = 0;
        p->ambiguous += has_speedup(row) && ortho_model_status(row) == ORTHO_CASE_AMBIGUOUS &&
                        p->clusters < CLUSTERS_SHOWN;
        p->missing = p->missing || (!has_speedup(row) && p->clusters < CLUSTERS_SHOWN);
        double hi = ortho_model_number(row, "speedup.hi");
        double ratio = ortho_model_number(row, "speedup.ratio");
        if (has_speedup(row) && p->clusters < CLUSTERS_SHOWN)
            p->top = fmax(p->top, fmax(ratio, isnan(hi) ? 0 : hi));
    }
    p->clusters++;
}

static ortho_status open_picture(const json_t *results, picture *out)
{
    picture p = {.same_setting = true, .same_m = true, .same_density = true, .top = 1};
    ortho_status status = ortho_model_groups(results, &p.groups);
    if (status != ORTHO_OK)
        return status;
    ortho_series_collect(results, &p.series);
    memset(p.slot, -1, sizeof p.slot);
    for (size_t g = 0; g < p.groups.count; g++)
        if (qualifies(&p.groups.group[g]))
            take_group(&p, &p.groups.group[g]);
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++)
        if (p.slot[s] >= 0)
            p.slot[s] = p.slots++;
    if (p.clusters == 0) {
        ortho_groups_free(&p.groups);
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "no verified case has a speed-up: was a baseline run beside it?");
    }
    *out = p;
    return ORTHO_OK;
}

static double bar_width(const picture *p)
{
    return CLUSTER_WIDTH / p->slots;
}

/* x, ratio, lo, hi, slot, slice, setting, variant, status, top of bar and whisker */
static void put_bar(const picture *p, const json_t *row, size_t cluster, FILE *tsv)
{
    char slice[256], setting[160], name[ORTHO_LABEL_BYTES];
    int slot = p->slot[ortho_series_of(&p->series, row)];
    bool real = has_speedup(row);
    const double values[] = {
        (double)cluster + (slot + 0.5) * bar_width(p) - CLUSTER_WIDTH / 2,
        real ? ortho_model_number(row, "speedup.ratio") : NAN,
        real ? ortho_model_number(row, "speedup.lo") : NAN,
        real ? ortho_model_number(row, "speedup.hi") : NAN,
        slot,
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        ortho_plot_number(values[i], tsv);
        fputc('\t', tsv);
    }
    ortho_model_slice(row, slice, sizeof slice);
    setting_of(row, setting);
    ortho_case_status status = ortho_model_status(row);
    ortho_model_label(row, name);
    const char *words[] = {slice, setting, name,
                           real                      ? "ok"
                           : status == ORTHO_CASE_OK ? "no baseline"
                                                     : ortho_model_status_name(status)};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ortho_plot_field(words[i], tsv);
        fputc('\t', tsv);
    }
    ortho_plot_number(fmax(values[1], values[3]), tsv); /* the larger one that isn't NAN */
    fputc('\n', tsv);
}

static ortho_status write_data(const json_t *results, FILE *tsv)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    size_t cluster = 0;
    for (size_t g = 0; g < p.groups.count; g++) {
        const ortho_group *group = &p.groups.group[g];
        if (!qualifies(group))
            continue;
        for (size_t i = 0; i < group->count; i++)
            if (has_place(&p, group->rows[i]))
                put_bar(&p, group->rows[i], cluster, tsv);
        cluster++;
    }
    ortho_groups_free(&p.groups);
    return ORTHO_OK;
}

/* "L0.gate", with what differs between the clusters: "L0.gate m16 d0.05". */
static void cluster_label(const picture *p, const json_t *row, char *out, size_t size)
{
    char slice[160], m[40] = "", density[40] = "", digits[32];
    ortho_model_slice(row, slice, sizeof slice);
    double tokens = ortho_model_number(row, "m"), share = ortho_model_number(row, "density");
    if (!p->same_m && !isnan(tokens))
        snprintf(m, sizeof m, " m%s", ortho_text_number(tokens, digits));
    if (!p->same_density && !isnan(share))
        snprintf(density, sizeof density, " d%s", ortho_text_number(share, digits));
    snprintf(out, size, "%s%s%s", slice, m, density);
}

static void put_tics(const picture *p, FILE *gp)
{
    size_t cluster = 0;
    int characters = 0;
    fputs("set xtics (", gp);
    for (size_t g = 0; g < p->groups.count && cluster < CLUSTERS_SHOWN; g++) {
        char label[256];
        if (!qualifies(&p->groups.group[g]))
            continue;
        cluster_label(p, p->groups.group[g].rows[0], label, sizeof label);
        characters += ortho_text_width(label) + 3;
        fputs(cluster > 0 ? ", " : "", gp);
        if (cluster % 2 == 1) /* a terminal has no room for them side by side */
            fputs("(tty ? \"\\n\" : '').", gp);
        ortho_plot_tic(label, 24, gp);
        fprintf(gp, " %zu", cluster++);
    }
    fprintf(gp, ") scale 0\nif (!tty) { set xtics font ',%d' %s }\n", cluster > 8 ? 10 : 11,
            characters > LABEL_ROOM ? "rotate by -32 left"
                                    : "norotate center; set bmargin at screen 0.14");
}

static void put_headings(const picture *p, FILE *gp)
{
    char title[128], wide[48] = "", subtitle[360], setting[160], more[80] = "";
    const char *over = NULL;
    for (size_t g = 0; g < p->groups.count && over == NULL; g++)
        for (size_t i = 0; i < p->groups.group[g].count && over == NULL; i++)
            over = ortho_model_string(p->groups.group[g].rows[i], "speedup.over");
    setting_of(p->first, setting);
    snprintf(title, sizeof title, "Speed-up over %.60s", over != NULL ? over : "the baseline");
    ortho_text_trim(title);
    if (p->clusters > CLUSTERS_SHOWN)
        snprintf(more, sizeof more, " · the first %d of %zu settings, all in the TSV",
                 CLUSTERS_SHOWN, p->clusters);
    size_t shown = p->clusters < CLUSTERS_SHOWN ? p->clusters : CLUSTERS_SHOWN;
    if (p->ambiguous > 0)
        snprintf(wide, sizeof wide, " · %d ambiguous", p->ambiguous);
    snprintf(subtitle, sizeof subtitle, "medians, 95 %% confidence%s · %s%s%s", wide,
             p->same_setting ? setting : "by slice and setting",
             p->missing && shown * (size_t)p->slots > BARS_WITH_WORDS ? " · ×: no verified time"
                                                                      : "",
             more);
    ortho_plot_title(gp, title, subtitle);
}

static void put_bars(const picture *p, size_t shown, FILE *gp)
{
    bool thin = shown * (size_t)p->slots > BARS_WITH_WORDS;
    fputs("plot 1 with lines lw 1.4 dt 2 lc rgb '#000000' notitle", gp);
    for (int s = 0; s < ORTHO_PLOT_SERIES; s++) {
        if (p->slot[s] < 0)
            continue;
        fprintf(gp, ", \\\n    $data using ($5 == %d ? $1 : NaN):2 with boxes ", p->slot[s]);
        ortho_plot_fill(gp, s);
        fputs(" title ", gp);
        ortho_plot_quote(p->series.name[s], 14, gp);
    }
    fputs(", \\\n    $data using 1:3:(0):($4 - $3) with vectors heads size screen 0.004,90 lw 1.3 "
          "lc rgb '#000000' notitle",
          gp);
    if (shown * (size_t)p->slots <= BARS_WITH_LABELS)
        fputs(", \\\n    $data using 1:10:(sprintf('%.2f', $2)) with labels "
              "offset 0,0.7 font ',9' tc rgb '#222222' notitle",
              gp);
    if (p->missing) /* bars too thin for a word get a cross */
        fprintf(gp,
                ", \\\n    $data using (strcol(9) eq 'ok' ? NaN : $1):(0):%s with labels %s "
                "offset 0,0.5 font ',9' tc rgb '#B00000' notitle",
                thin ? "('×')" : "(tty ? '×' : strcol(9))", thin ? "center" : "rotate by 90 left");
    fputc('\n', gp);
}

static ortho_status write_body(const json_t *results, FILE *gp)
{
    picture p;
    ortho_status status = open_picture(results, &p);
    if (status != ORTHO_OK)
        return status;
    size_t shown = p.clusters < CLUSTERS_SHOWN ? p.clusters : CLUSTERS_SHOWN;
    fputs("# x, speed-up, its lo and hi, place in the cluster, slice, setting, variant, status, "
          "top\n",
          gp);
    put_headings(&p, gp);
    double middle = ((double)shown - 1) / 2, span = (double)shown;
    if (shown * (size_t)p.slots < FEW)
        span = FEW * bar_width(&p); /* one bar alone is no wall */
    fprintf(gp, "set xrange [%.3f:%.3f]\nset yrange [0:%.6g]\nset boxwidth %.6g absolute\n",
            middle - span / 2, middle + span / 2, p.top * 1.12, bar_width(&p) * 0.9);
    ortho_plot_unit(gp, "times as fast");
    put_tics(&p, gp);
    put_bars(&p, shown, gp);
    ortho_groups_free(&p.groups);
    return ORTHO_OK;
}

const ortho_plot ortho_plot_speedup = {
    .abi = ORTHO_REPORT_ABI,
    .name = "speedup",
    .summary = "how much faster than the baseline is each variant, and how surely?",
    .data = write_data,
    .body = write_body,
};
