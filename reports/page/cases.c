/*
 * The table of a document's cases: one row each, whatever its group, so that all of them sort and
 * filter together. What all cases share stands above it instead of in a column.
 */
#include "common/error.h"
#include "reports/measured.h"
#include "reports/page/parts.h"
#include "reports/text.h"
#include "reports/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings: words that say which case it is ------------------------------------------------
 */

typedef struct setting {
    ortho_html_column column;
    const char *key;  /* in the row */
    const char *said; /* before the value, where all cases share it */
    bool always;      /* a column even when they do */
} setting;

static const setting settings[] = {
    {{.title = "op"}, "op", "", true},
    {{.title = "backend"}, "backend", "", false},
    {{.title = "slice", .hint = "layer and projection, or the pass over all linears"},
     "slice",
     "slice ",
     true},
    {{.title = "form",
      .hint = "of a pass: single, each linear alone; grouped, q, k, v and gate, up as one; "
              "persistent, one launch for all"},
     "form",
     "form ",
     false},
    {{.title = "shape", .unit = "n×k"}, "shape", "", false},
    {{.title = "m", .unit = "tokens", .number = true}, "m", "m ", false},
    {{.title = "density", .number = true}, "density", "density ", false},
    {{.title = "rule"}, "rule", "rule ", false},
    {{.title = "group", .number = true}, "group", "group ", false},
    {{.title = "dtype"}, "dtype", "", false},
    {{.title = "alpha", .number = true}, "alpha", "alpha ", false},
    {{.title = "rows", .hint = "how Ortho's entries lie in rows"}, "ortho_rows", "rows ", false},
    {{.title = "L2", .hint = "cold: operands come from memory; warm: from a cache"},
     "l2",
     "L2 ",
     false},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* The value as text; "" where the row hasn't got it. *number: NAN when it is a word. */
static void read_setting(const json_t *row, const setting *s, char out[256], double *number)
{
    *number = ortho_model_number(row, s->key);
    const char *word = ortho_model_string(row, s->key);
    double n = ortho_model_number(row, "n"), k = ortho_model_number(row, "k");
    out[0] = '\0';
    if (strcmp(s->key, "slice") == 0)
        ortho_model_slice(row, out, 256);
    else if (strcmp(s->key, "shape") == 0 && !isnan(n) && !isnan(k))
        snprintf(out, 256, "%.0f×%.0f", n, k);
    else if (word != NULL)
        snprintf(out, 256, "%s", word);
    else if (!isnan(*number))
        ortho_text_number(*number, out);
    ortho_text_trim(out);
}

/* A setting is a column where two cases differ in it, told once where all share it. */
static bool varies(const json_t *results, const setting *s, char shared[256])
{
    bool any = false;
    char value[256];
    double number;
    shared[0] = '\0';
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row == NULL)
            continue;
        read_setting(row, s, value, &number);
        if (value[0] == '\0') /* a sieve has no dtype, and doesn't differ in it */
            continue;
        if (any && strcmp(value, shared) != 0)
            return true;
        memcpy(shared, value, sizeof value);
        any = true;
    }
    return false;
}

/* ---- measures: numbers of a verified, timed row ------------------------------------------------
 */

typedef struct measure {
    ortho_html_column column;
    double (*value)(const json_t *row);
    enum { THREE = 0, WHOLE, POWER } shown;
} measure;

static double microseconds(const json_t *row)
{
    return ortho_model_time(row) / 1000;
}
static double half_width(const json_t *row)
{
    return 100 * ortho_model_half_width(row);
}
static double speedup(const json_t *row)
{
    return ortho_model_number(row, "speedup.ratio");
}
static double speedup_lo(const json_t *row)
{
    return ortho_model_number(row, "speedup.lo");
}
static double speedup_hi(const json_t *row)
{
    return ortho_model_number(row, "speedup.hi");
}
static double over_grouped(const json_t *row)
{
    return ortho_model_number(row, "speedup_grouped.ratio");
}
static double tokens(const json_t *row)
{
    return ortho_model_number(row, "tokens_per_s.value");
}
static double floor_share(const json_t *row)
{
    return 100 * ortho_model_floor_share(row);
}
static double working(const json_t *row)
{
    return ortho_model_number(row, "peak_bytes.working") / 1024;
}
static double kept(const json_t *row)
{
    double weights = ortho_model_number(row, "peak_bytes.weights");
    double output = ortho_model_number(row, "peak_bytes.output");
    return (weights > 0 ? weights : output > 0 ? output : weights) / (1 << 20);
}
static double lanes(const json_t *row)
{
    return 100 * ortho_model_lanes(row);
}
static double lanes_measured(const json_t *row)
{
    return 100 * ortho_measured_lanes(row);
}
static double snr(const json_t *row)
{
    return ortho_model_number(row, "quality.snr_db");
}
static double bits(const json_t *row)
{
    return ortho_model_number(row, "quality.bits_per_weight");
}
static double clock_mhz(const json_t *row)
{
    return ortho_model_number(row, "clocks.sm_mhz.median");
}
static double throttled(const json_t *row)
{
    size_t samples = ortho_model_throttled(row);
    return samples > 0 ? (double)samples : NAN;
}
static double error_of(const json_t *row)
{
    return ortho_model_number(row, "verified.rel_error");
}

#define NUMBER(t, u, h)                                                                            \
    {                                                                                              \
        .title = t, .unit = u, .hint = h, .number = true                                           \
    }
static const measure measures[] = {
    {NUMBER("time", "µs", "median of the samples, per call"), microseconds, THREE},
    {NUMBER("±", "%", "half of the 95 % interval of the median, a share of it"), half_width, THREE},
    {NUMBER("speed-up", "×", "baseline's median ÷ this median"), speedup, THREE},
    {NUMBER("from", "×", "lower end of the speed-up's 95 % interval"), speedup_lo, THREE},
    {NUMBER("to", "×", "upper end of the speed-up's 95 % interval"), speedup_hi, THREE},
    {NUMBER("over grouped", "×", "median of the baseline in form grouped ÷ this median"),
     over_grouped, THREE},
    {NUMBER("tokens", "1/s", "of a pass: all linears, without attention, norms and head"), tokens,
     THREE},
    {NUMBER("traffic", "GB/s", "bytes that must move ÷ time"), ortho_model_gbps, THREE},
    {NUMBER("arithmetic", "GFLOP/s", "operations ÷ time"), ortho_model_gflops, THREE},
    {NUMBER("of floor", "%", "the least time that the measured ceilings allow ÷ time"), floor_share,
     THREE},
    {NUMBER("working", "KiB", "peak of temporaries booked by the allocator"), working, THREE},
    {NUMBER("kept", "MiB", "packed weights of a GEMM, or what a sieve produced"), kept, THREE},
    {NUMBER("lanes*", "%", "active lanes of a warp, predicted by the lane model"), lanes, THREE},
    {NUMBER("lanes", "%", "active lanes of a warp in the Ortho loop, measured by CUPTI"),
     lanes_measured, THREE},
    {NUMBER("SNR", "dB", "weight over error of Base + Ortho"), snr, THREE},
    {NUMBER("stored", "bits/weight", "scales and Ortho included"), bits, THREE},
    {NUMBER("clock", "MHz", "median of the SM clock beside the samples"), clock_mhz, WHOLE},
    {NUMBER("throttled", "samples", "that fell while something held the GPU's clock down"),
     throttled, WHOLE},
    {NUMBER("error", "relative", "the larger of the verifications before and after timing"),
     error_of, POWER},
};
enum { MEASURES = sizeof measures / sizeof *measures };

/* No measure of a row without a verified time has a number, whatever the row holds. */
static double measured(const json_t *row, const measure *m)
{
    double value = ortho_model_timed(row) ? m->value(row) : NAN;
    return isfinite(value) ? value : NAN;
}

static void put_measure(ortho_html *h, const json_t *row, const measure *m)
{
    char text[40] = "";
    double value = measured(row, m);
    if (m->shown == POWER && !isnan(value))
        snprintf(text, sizeof text, "%.0e", value);
    else if (m->shown == WHOLE && !isnan(value))
        snprintf(text, sizeof text, "%.0f", value);
    else
        ortho_text_three(value, text, sizeof text);
    ortho_html_number(h, value, text);
}

static bool is_filled(const json_t *results, const measure *m)
{
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row != NULL && !isnan(measured(row, m)))
            return true;
    }
    return false;
}

/* ---- the table ----------------------------------------------------------------------------------
 */

/* Which columns stand, and what all cases share. */
typedef struct layout {
    bool setting[SETTINGS], measure[MEASURES];
    size_t file;
    bool synthetic; /* the whole document */
} layout;

void ortho_page_status(ortho_html *h, const json_t *row, bool synthetic)
{
    static const char *const marks[ORTHO_CASE_STATUSES] = {[ORTHO_CASE_OK] = "✓",
                                                           [ORTHO_CASE_AMBIGUOUS] = "~",
                                                           [ORTHO_CASE_FAILED] = "✗",
                                                           [ORTHO_CASE_SKIPPED] = "○",
                                                           [ORTHO_CASE_UNKNOWN] = "?"};
    ortho_case_status status = ortho_model_status(row);
    const char *name = ortho_model_status_name(status), *reason = ortho_model_reason(row);
    ortho_html_put(h, "<b class=\"status %s\"><span aria-hidden=\"true\">%s</span> %s</b>", name,
                   marks[status], status == ORTHO_CASE_FAILED ? "FAILED" : name);
    if (synthetic || ortho_model_true(row, "synthetic"))
        ortho_html_raw(h, " <b class=\"status synthetic\">SYNTHETIC</b>");
    if (ortho_model_timed(row) && ortho_model_throttled(row) > 0)
        ortho_html_raw(h, " <b class=\"status ambiguous\">† throttled</b>");
    if (*reason != '\0') {
        char *cut = ortho_text_cut(reason, 160); /* whole in the case's details */
        ortho_html_raw(h, " <span class=\"reason\">");
        ortho_html_text(h, cut);
        ortho_html_raw(h, "</span>");
        free(cut);
    }
}

void ortho_page_data(ortho_html *h, const char *name, const char *value)
{
    ortho_html_put(h, " data-%s=\"", name);
    ortho_html_text(h, value != NULL ? value : "?");
    ortho_html_raw(h, "\"");
}

static void put_row(ortho_html *h, const json_t *row, size_t index, const layout *l)
{
    const char *status = ortho_model_status_name(ortho_model_status(row));
    char variant[ORTHO_LABEL_BYTES];
    ortho_model_variant(row, variant);
    ortho_html_put(h, "<tr class=\"%s\"", status);
    ortho_page_data(h, "op", ortho_model_string(row, "op"));
    ortho_page_data(h, "variant", variant);
    ortho_page_data(h, "status", status);
    ortho_html_put(h, " data-details=\"f%zu-case-%zu\">", l->file, index);
    ortho_html_put(h, "<th scope=\"row\"><a href=\"#f%zu-case-%zu\">", l->file, index);
    ortho_html_text(h, variant);
    ortho_html_raw(h, "</a></th><td>");
    ortho_page_status(h, row, l->synthetic);
    ortho_html_raw(h, "</td>");
    for (size_t s = 0; s < SETTINGS; s++) {
        char text[256];
        double number;
        if (!l->setting[s])
            continue;
        read_setting(row, &settings[s], text, &number);
        if (settings[s].column.number)
            ortho_html_number(h, number, text);
        else
            ortho_html_cell(h, text);
    }
    for (size_t m = 0; m < MEASURES; m++)
        if (l->measure[m])
            put_measure(h, row, &measures[m]);
    ortho_html_raw(h, "</tr>\n");
}

/* Dead without JavaScript, so it is hidden until page.js fills it. */
void ortho_page_filter(ortho_html *h, const char *table)
{
    static const char *const selects[] = {"op", "variant", "status"};
    ortho_html_put(h,
                   "<div class=\"filter\" role=\"search\" aria-label=\"Filter the table\" hidden "
                   "data-table=\"%s\"><label>Filter <input type=\"search\" data-filter=\"text\" "
                   "placeholder=\"words of a row\" autocomplete=\"off\"></label>",
                   table);
    for (size_t i = 0; i < 3; i++)
        ortho_html_put(h,
                       "<label>%s <select data-filter=\"%s\"><option value=\"\">all</option>"
                       "</select></label>",
                       selects[i], selects[i]);
    ortho_html_raw(h, "<p class=\"count\" role=\"status\"></p></div>\n");
}

static void choose_columns(ortho_html *h, const json_t *results, layout *l)
{
    char shared[256];
    const char *before = "<p class=\"line\">All cases: ";
    bool any = false;
    for (size_t s = 0; s < SETTINGS; s++) {
        l->setting[s] = varies(results, &settings[s], shared) || settings[s].always;
        if (l->setting[s] || shared[0] == '\0')
            continue;
        ortho_html_raw(h, before);
        ortho_html_raw(h, settings[s].said);
        ortho_html_text(h, shared);
        before = " · ";
        any = true;
    }
    ortho_html_raw(h, any ? "</p>\n" : "");
    for (size_t m = 0; m < MEASURES; m++)
        l->measure[m] = is_filled(results, &measures[m]);
}

void ortho_page_cases(ortho_html *h, const json_t *results, size_t file)
{
    ortho_html_column columns[2 + SETTINGS + MEASURES] = {{.title = "variant"},
                                                          {.title = "status"}};
    layout l = {.file = file, .synthetic = ortho_model_true(results, "context.model.synthetic")};
    size_t count = 2;
    char id[40];
    ortho_html_put(h, "<h3 id=\"f%zu-table\">Cases</h3>\n", file);
    choose_columns(h, results, &l);
    for (size_t s = 0; s < SETTINGS; s++)
        if (l.setting[s])
            columns[count++] = settings[s].column;
    for (size_t m = 0; m < MEASURES; m++)
        if (l.measure[m])
            columns[count++] = measures[m].column;
    snprintf(id, sizeof id, "f%zu-cases", file);
    ortho_page_filter(h, id);
    ortho_html_table_begin(
        h, &(ortho_html_table){
               .id = id,
               .caption = "Every case; a dash is what was not measured, and a case that isn't "
                          "verified has no numbers. Its name leads to its details.",
               .classes = "sort cases",
               .columns = columns,
               .count = count});
    for (size_t i = 0; i < ortho_model_count(results); i++)
        if (ortho_model_row(results, i) != NULL)
            put_row(h, ortho_model_row(results, i), i, &l);
    ortho_html_table_end(h);
}
