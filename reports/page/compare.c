/* The comparison of two sets of results: what became slower, group by group, case by case. */
#include "common/error.h"
#include "reports/compare/view.h"
#include "reports/counters.h"
#include "reports/page/parts.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORST 10 /* regressions that are told at the top */

static void put_three(ortho_html *h, double value)
{
    char text[32];
    ortho_text_three(value, text, sizeof text);
    ortho_html_number(h, value, text);
}

/* Near 1 it needs more digits than three. */
static void put_interval(ortho_html *h, double lo, double hi)
{
    char text[80] = "";
    if (!isnan(lo) && !isnan(hi))
        snprintf(text, sizeof text, "[%.4g, %.4g]", lo, hi);
    ortho_html_number(h, lo, text);
}

static void put_count(ortho_html *h, double count)
{
    char text[32] = "";
    if (!isnan(count))
        ortho_text_number(count, text);
    ortho_html_number(h, count, text);
}

/* So does a ratio. */
static void put_ratio(ortho_html *h, double ratio)
{
    char text[32] = "";
    if (!isnan(ratio))
        snprintf(text, sizeof text, "%.4g", ratio);
    ortho_html_number(h, ratio, text);
}

/* ---- groups
 * -------------------------------------------------------------------------------------- */

static void put_groups(ortho_html *h, const json_t *comparison)
{
    static const ortho_html_column columns[] = {
        {.title = "variant"},
        {.title = "op"},
        {.title = "backend"},
        {.title = "cases", .number = true},
        {.title = "B/A", .unit = "×", .hint = "geometric mean; above 1 is slower", .number = true},
        {.title = "95 % interval", .unit = "×", .number = true}};
    const json_t *list = ortho_model_at(comparison, "groups");
    if (json_array_size(list) == 0)
        return;
    ortho_html_table_begin(
        h, &(ortho_html_table){.id = "compare-groups",
                               .caption = "Geometric mean of B/A; above 1 is slower",
                               .classes = "sort",
                               .columns = columns,
                               .count = 6});
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *group = json_array_get(list, i);
        ortho_html_raw(h, "<tr>");
        char variant[ORTHO_LABEL_BYTES];
        ortho_model_variant(group, variant);
        ortho_html_row_header(h, variant);
        ortho_html_cell(h, ortho_model_string(group, "op"));
        ortho_html_cell(h, ortho_model_string(group, "backend"));
        put_count(h, ortho_model_number(group, "cases"));
        put_ratio(h, ortho_model_number(group, "ratio"));
        put_interval(h, ortho_model_number(group, "lo"), ortho_model_number(group, "hi"));
        ortho_html_raw(h, "</tr>\n");
    }
    ortho_html_table_end(h);
}

/* ---- cases
 * --------------------------------------------------------------------------------------- */

static const ortho_html_column case_columns[] = {
    {.title = "case"},
    {.title = "verdict"},
    {.title = "B/A", .unit = "×", .hint = "above 1 is slower", .number = true},
    {.title = "interval", .unit = "×", .number = true},
    {.title = "A", .unit = "µs", .number = true},
    {.title = "B", .unit = "µs", .number = true},
    {.title = "p", .unit = "corrected", .number = true},
    {.title = "processes", .unit = "A + B"},
    {.title = "measures that changed"}};

static void put_verdict(ortho_html *h, const json_t *compared)
{
    static const char *const classes[] = {[ORTHO_TONE_PLAIN] = "same",
                                          [ORTHO_TONE_QUIET] = "same",
                                          [ORTHO_TONE_GOOD] = "ok",
                                          [ORTHO_TONE_DOUBT] = "ambiguous",
                                          [ORTHO_TONE_BAD] = "failed"};
    const char *verdict = ortho_model_string(compared, "verdict");
    const json_t *flags = ortho_model_at(compared, "flags");
    ortho_html_put(h, "<td><b class=\"status %s\">", classes[ortho_comparison_tone(verdict)]);
    ortho_html_text(h, verdict != NULL ? verdict : "no verdict");
    ortho_html_raw(h, "</b>");
    if (ortho_model_true(compared, "synthetic"))
        ortho_html_raw(h, " <b class=\"status synthetic\">SYNTHETIC</b>");
    if (!ortho_comparison_competes(compared)) /* tells of the machine, and is judged by nothing */
        ortho_html_raw(h, " <span class=\"flag\">reference</span>");
    for (size_t i = 0; i < json_array_size(flags); i++) {
        ortho_html_raw(h, " <span class=\"flag\">");
        ortho_html_text(h, json_string_value(json_array_get(flags, i)));
        ortho_html_raw(h, "</span>");
    }
    if (ortho_model_string(compared, "reason") != NULL) {
        ortho_html_raw(h, " <span class=\"reason\">");
        ortho_html_text(h, ortho_model_string(compared, "reason"));
        ortho_html_raw(h, "</span>");
    }
    ortho_html_raw(h, "</td>");
}

/* "peak_bytes.working worse, quality.snr_db better": what isn't the same. */
static void put_measures(ortho_html *h, const json_t *compared)
{
    const json_t *list = ortho_model_at(compared, "measures");
    const char *comma = "";
    ortho_html_raw(h, "<td>");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *measure = json_array_get(list, i);
        const char *verdict = ortho_model_string(measure, "verdict");
        const char *unit = ortho_model_string(measure, "unit");
        char a[64], b[64];
        if (verdict == NULL || strcasecmp(verdict, "same") == 0)
            continue;
        ortho_html_raw(h, comma);
        ortho_html_text(h, ortho_model_string(measure, "name"));
        ortho_html_raw(h, " ");
        ortho_html_text(h, verdict);
        unit = unit != NULL ? unit : "";
        ortho_counter_value(ortho_model_number(measure, "a"), unit, a, sizeof a);
        ortho_counter_value(ortho_model_number(measure, "b"), unit, b, sizeof b);
        if (ortho_comparison_timed(compared) && *a != '\0' && *b != '\0') {
            ortho_html_raw(h, " (");
            ortho_html_text(h, a);
            ortho_html_raw(h, " → ");
            ortho_html_text(h, b);
            ortho_html_raw(h, ")");
        }
        comma = ", ";
    }
    ortho_html_raw(h, *comma != '\0' ? "</td>" : "–</td>");
}

/* A case that is wrong has no numbers, whatever the document holds. */
static double time_of(const json_t *compared, const char *path)
{
    return ortho_comparison_timed(compared) ? ortho_model_number(compared, path) : NAN;
}

static void put_processes(ortho_html *h, const json_t *compared)
{
    const json_t *list = ortho_model_at(compared, "time.processes");
    const json_t *a = json_array_get(list, 0), *b = json_array_get(list, 1);
    char text[64] = "";
    if (json_is_number(a) && json_is_number(b))
        snprintf(text, sizeof text, "%.0f + %.0f", json_number_value(a), json_number_value(b));
    ortho_html_cell(h, text);
}

static void put_case(ortho_html *h, const json_t *compared)
{
    double p = time_of(compared, "time.p_corrected");
    char text[32] = "";
    ortho_html_raw(h, "<tr");
    ortho_page_data(h, "op", ortho_model_string(compared, "op"));
    ortho_page_data(h, "variant", ortho_model_string(compared, "variant"));
    ortho_page_data(h, "status", ortho_model_string(compared, "verdict"));
    ortho_html_raw(h, ">");
    ortho_html_row_header(h, ortho_model_string(compared, "key"));
    put_verdict(h, compared);
    put_ratio(h, time_of(compared, "time.ratio"));
    put_interval(h, time_of(compared, "time.lo"), time_of(compared, "time.hi"));
    put_three(h, time_of(compared, "time.a_ns") / 1000);
    put_three(h, time_of(compared, "time.b_ns") / 1000);
    if (!isnan(p))
        snprintf(text, sizeof text, "%.2g", p);
    ortho_html_number(h, p, text);
    put_processes(h, compared);
    put_measures(h, compared);
    ortho_html_raw(h, "</tr>\n");
}

static void put_cases(ortho_html *h, const json_t *comparison, const ortho_html_table *table,
                      const char *verdict, size_t most)
{
    size_t count = 0;
    const json_t **cases = ortho_comparison_pick(comparison, verdict, &count);
    if (cases == NULL)
        ortho_html_check(h, ortho_fail(ORTHO_E_MEMORY, "no memory for a page"));
    if (count > 0) {
        ortho_html_table_begin(h, table);
        for (size_t i = 0; i < count && i < most; i++)
            put_case(h, cases[i]);
        ortho_html_table_end(h);
        if (count > most)
            ortho_html_put(h, "<p class=\"quiet\">%zu more stand in the table of all cases.</p>\n",
                           count - most);
    }
    free(cases);
}

/* ---- what wasn't compared
 * ------------------------------------------------------------------------ */

static void put_refused(ortho_html *h, const json_t *comparison)
{
    static const ortho_html_column columns[] = {
        {.title = "case"}, {.title = "differs in"}, {.title = "A"}, {.title = "B"}};
    const json_t *list = ortho_model_at(comparison, "refused");
    if (json_array_size(list) == 0)
        return;
    ortho_html_table_begin(
        h, &(ortho_html_table){.id = "compare-refused",
                               .caption = "Refused: these can't be compared, A and B differ in "
                                          "more than what is judged",
                               .classes = "sort settings",
                               .columns = columns,
                               .count = 4});
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *refused = json_array_get(list, i);
        ortho_html_raw(h, "<tr>");
        ortho_html_row_header(h, ortho_model_string(refused, "key"));
        ortho_html_cell(h, ortho_model_string(refused, "what"));
        ortho_html_cell(h, ortho_model_string(refused, "a"));
        ortho_html_cell(h, ortho_model_string(refused, "b"));
        ortho_html_raw(h, "</tr>\n");
    }
    ortho_html_table_end(h);
}

static void put_keys(ortho_html *h, const json_t *keys, const char *side)
{
    if (json_array_size(keys) == 0)
        return;
    ortho_html_put(h, "<details><summary>%zu cases only in %s</summary><ul>\n",
                   json_array_size(keys), side);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        ortho_html_raw(h, "<li><code>");
        ortho_html_text(h, json_string_value(json_array_get(keys, i)));
        ortho_html_raw(h, "</code></li>\n");
    }
    ortho_html_raw(h, "</ul></details>\n");
}

void ortho_page_compare(ortho_html *h, const json_t *comparison)
{
    ortho_html_table table = {.classes = "sort settings",
                              .columns = case_columns,
                              .count = sizeof case_columns / sizeof *case_columns};
    ortho_html_raw(h,
                   "<section aria-labelledby=\"compare\"><h2 id=\"compare\">Comparison of B with "
                   "A</h2>\n");
    table.id = "compare-wrong";
    table.caption = "Wrong: these have no times";
    put_cases(h, comparison, &table, "wrong", WORST);
    table.id = "compare-slower";
    table.caption = "The largest regressions";
    put_cases(h, comparison, &table, "slower", WORST);
    put_refused(h, comparison);
    put_groups(h, comparison);
    ortho_html_raw(h, "<h3 id=\"compare-all\">Every compared case</h3>\n");
    ortho_page_filter(h, "compare-cases");
    table.id = "compare-cases";
    table.caption = "Every compared case";
    put_cases(h, comparison, &table, NULL, (size_t)-1);
    put_keys(h, ortho_model_at(comparison, "only_a"), "A");
    put_keys(h, ortho_model_at(comparison, "only_b"), "B");
    ortho_html_raw(h, "</section>\n");
}
