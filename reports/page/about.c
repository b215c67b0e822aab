/* What surrounds the numbers: pictures, where it ran, how it was measured, the documents. */
#include "reports/page/parts.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- plots
 * --------------------------------------------------------------------------------------- */

/* As pictures, not as markup of this page: no id of one can meet another's, and nothing in it runs.
 */
void ortho_page_plots(ortho_html *h, const char *folder, size_t file)
{
    static const char picture[] = "<figure class=\"plot\"><img src=\"data:image/svg+xml;base64,";
    bool any = false;
    char path[PATH_MAX], before[256];
    for (size_t i = 0; folder != NULL && ortho_plots[i] != NULL; i++) {
        const ortho_plot *plot = ortho_plots[i];
        if (snprintf(path, sizeof path, "%s/%s.svg", folder, plot->name) >= PATH_MAX)
            continue;
        if (any)
            snprintf(before, sizeof before, "%s", picture);
        else
            snprintf(before, sizeof before, "<h3 id=\"f%zu-plots\">Plots</h3>\n%s", file, picture);
        if (!ortho_html_svg_base64(h, path, before))
            continue;
        any = true;
        ortho_html_put(h, "\" width=\"1000\" height=\"600\" alt=\"Plot %s: ", plot->name);
        ortho_html_text(h, plot->summary);
        ortho_html_raw(h, " The table of cases has its numbers.\"><figcaption>");
        ortho_html_text(h, plot->summary);
        ortho_html_raw(h, "</figcaption></figure>\n");
    }
}

/* ---- environment
 * --------------------------------------------------------------------------------- */

#define DEPTH 6 /* of objects in objects: a deeper one is no environment */

static void scalar_text(const json_t *value, char out[400])
{
    char digits[32];
    out[0] = '\0';
    if (json_is_string(value))
        snprintf(out, 400, "%s", json_string_value(value));
    else if (json_is_number(value))
        snprintf(out, 400, "%s", ortho_text_number(json_number_value(value), digits));
    else if (json_is_boolean(value))
        snprintf(out, 400, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_null(value))
        snprintf(out, 400, "none");
    ortho_text_trim(out);
}

/* The items of a list, a blank between them. */
static void list_text(const json_t *list, char out[400])
{
    char item[400];
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t used = strlen(out);
        scalar_text(json_array_get(list, i), item);
        if (used + strlen(item) + 8 > 400) {
            snprintf(out + used, 400 - used, " …");
            return;
        }
        snprintf(out + used, 400 - used, "%s%s", i > 0 ? " " : "", item);
    }
}

static void put_tree(ortho_html *h, const json_t *object, const char *path, int depth)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char name[240], text[400];
        snprintf(name, sizeof name, "%s%s%.100s", path, *path != '\0' ? "." : "", key);
        ortho_text_trim(name);
        if (json_is_object(value) && depth < DEPTH) {
            put_tree(h, value, name, depth + 1);
            continue;
        }
        if (json_is_array(value))
            list_text(value, text);
        else
            scalar_text(value, text);
        ortho_html_pair(h, name, text);
    }
}

void ortho_page_environment(ortho_html *h, const json_t *results, size_t file)
{
    char id[40];
    snprintf(id, sizeof id, "f%zu-context", file);
    ortho_html_put(h, "<h3 id=\"f%zu-environment\">Environment</h3>\n", file);
    ortho_html_pairs_begin(h, id, "Where and how this ran, as the document tells it");
    put_tree(h, ortho_model_at(results, "context"), "", 0);
    ortho_html_table_end(h);
}

/* ---- method
 * -------------------------------------------------------------------------------------- */

static const char *const method[] = {
    "Time is the median of the samples; a sample is the time of several calls divided by their "
    "number, the timer's own overhead taken off. Cold: the calls rotate over copies of the "
    "operands that together exceed the last-level cache. Warm: one copy is used again and again. "
    "Compare rows of one L2 setting only.",
    "Intervals are 95 % percentile bootstrap intervals of the median, from the samples of the "
    "processes that ran. Those of a single process do not tell how far the next one would land: "
    "layout, frequency and neighbours move whole processes. Ambiguous means that the interval "
    "stayed wider than asked: such a row indicates and proves nothing.",
    "Every variant's result is compared with an fp64 reference before and after timing. A row "
    "without both verdicts is shown as failed, without any number, whatever it calls itself.",
    "Speed-up is the baseline's median divided by this row's, with its own bootstrap interval; "
    "variants are interleaved while sampling, so that a drift of the machine hits both. The "
    "baseline of a GEMM multiplies the unsplit weights at full precision: read a speed-up beside "
    "the quality of that split.",
    "Of floor is the least time that the measured ceilings of this machine allow, divided by the "
    "time: 100 % is perfect. Bytes and operations are what the operation must move and compute; "
    "they are counted, not measured.",
    "What was not measured is a dash, never 0. Synthetic weights were made, not trained: their "
    "times are real, their quality and lanes say nothing about a trained model.",
};

static const char *const compare_method[] = {
    "A ratio is B's time divided by A's: above 1 is slower. Its interval comes from resampling "
    "processes and the samples within each. A case is slower or faster only when its change "
    "exceeds the threshold and chance doesn't explain it after correcting for the number of cases; "
    "it is ambiguous when the interval holds both. Cases that ran on different machines, drivers "
    "or settings are refused, not compared.",
};

void ortho_page_method(ortho_html *h, const ortho_page *page)
{
    ortho_html_raw(h, "<section aria-labelledby=\"method\"><h2 id=\"method\">Method</h2>\n");
    if (page->comparison != NULL)
        ortho_html_put(h, "<p>%s</p>\n", compare_method[0]);
    for (size_t i = 0; i < sizeof method / sizeof *method; i++)
        ortho_html_put(h, "<p>%s</p>\n", method[i]);
    ortho_html_raw(h, "</section>\n");
}

/* ---- documents
 * ----------------------------------------------------------------------------------- */

static void put_document(ortho_html *h, const json_t *document, const char *name, size_t number)
{
    ortho_html_put(h, "<script type=\"application/json\" id=\"data-%zu\" data-name=\"", number);
    ortho_html_text(h, name);
    ortho_html_raw(h, "\">");
    ortho_html_script_json(h, document);
    ortho_html_raw(h, "</script>\n");
}

void ortho_page_raw(ortho_html *h, const ortho_page *page)
{
    ortho_html_raw(
        h, "<section aria-labelledby=\"raw\"><h2 id=\"raw\">Raw data</h2>\n"
           "<p>This page holds the whole native documents, with every sample."
           "<span class=\"without\"> They stand at the end of its source, in script elements of "
           "type application/json.</span></p>\n<ul id=\"downloads\" hidden></ul>\n</section>\n");
    for (size_t i = 0; i < page->count; i++)
        put_document(h, (const json_t *)page->results[i], page->names[i], i);
    if (page->comparison != NULL)
        put_document(h, page->comparison, "comparison.json", page->count);
}
