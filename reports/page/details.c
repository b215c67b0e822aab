/* What a case's row has no room for: its key, verification, samples, memory, kernels, counters. */
#include "reports/counters.h"
#include "reports/measured.h"
#include "reports/page/parts.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- histogram of the samples ------------------------------------------------------------------
 */

#define BINS   24
#define BAR    10 /* width of a bar, height of the tallest: units of the viewBox */
#define HEIGHT 60

typedef struct spread {
    double lo, hi; /* the extremes; equal: all samples are */
    size_t bin[BINS], count, tallest;
} spread;

static bool gather(const json_t *row, spread *out)
{
    const json_t *samples = ortho_model_at(row, "time_ns.samples");
    spread s = {.lo = INFINITY, .hi = -INFINITY};
    for (size_t i = 0; i < json_array_size(samples); i++) {
        const json_t *sample = json_array_get(samples, i);
        double value = json_is_number(sample) ? json_number_value(sample) : NAN;
        if (!(value > 0) || !isfinite(value))
            return false;
        s.lo = fmin(s.lo, value);
        s.hi = fmax(s.hi, value);
        s.count++;
    }
    for (size_t i = 0; i < s.count; i++) {
        double share = s.hi > s.lo
                           ? (json_number_value(json_array_get(samples, i)) - s.lo) / (s.hi - s.lo)
                           : 0.5;
        size_t bin = (size_t)fmin(share * BINS, BINS - 1);
        s.bin[bin]++;
        s.tallest = s.bin[bin] > s.tallest ? s.bin[bin] : s.tallest;
    }
    *out = s;
    return s.count > 1;
}

static void put_histogram(ortho_html *h, const json_t *row)
{
    spread s;
    char lo[32], hi[32];
    if (!ortho_model_timed(row) || !gather(row, &s))
        return;
    ortho_text_time(s.lo, lo, sizeof lo);
    ortho_text_time(s.hi, hi, sizeof hi);
    ortho_html_put(h,
                   "<figure class=\"samples\"><svg role=\"img\" viewBox=\"0 0 %d %d\" "
                   "preserveAspectRatio=\"none\"><title>%zu samples from %s to %s</title>",
                   BINS * BAR, HEIGHT, s.count, lo, hi);
    for (int i = 0; i < BINS; i++) {
        double height = (double)HEIGHT * (double)s.bin[i] / (double)s.tallest;
        if (s.bin[i] > 0)
            ortho_html_put(h, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"></rect>",
                           i * BAR, HEIGHT - height, BAR - 1, height);
    }
    ortho_html_put(h, "</svg><figcaption>%zu samples, %s to %s</figcaption></figure>\n", s.count,
                   lo, hi);
}

/* ---- facts
 * --------------------------------------------------------------------------------------- */

static void put_fact(ortho_html *h, const char *name, const char *value)
{
    if (value == NULL || *value == '\0')
        return;
    ortho_html_raw(h, "<div><dt>");
    ortho_html_raw(h, name);
    ortho_html_raw(h, "</dt><dd>");
    ortho_html_text(h, value);
    ortho_html_raw(h, "</dd></div>\n");
}

static void put_words(ortho_html *h, const json_t *row, const char *name, const char *path)
{
    put_fact(h, name, ortho_model_string(row, path));
}

static void put_count(ortho_html *h, const json_t *row, const char *name, const char *path)
{
    char text[32];
    double value = ortho_model_number(row, path);
    if (!isnan(value))
        put_fact(h, name, ortho_text_number(value, text));
}

static void put_bytes(ortho_html *h, const json_t *row, const char *name, const char *path)
{
    char text[40];
    ortho_text_bytes(ortho_model_number(row, path), text, sizeof text);
    put_fact(h, name, text);
}

static void put_time(ortho_html *h, const json_t *row, const char *name, const char *path)
{
    char text[40];
    ortho_text_time(ortho_model_number(row, path), text, sizeof text);
    put_fact(h, name, text);
}

/* "100 + 98 + 101, a process each" */
static void put_processes(ortho_html *h, const json_t *row)
{
    const json_t *list = ortho_model_at(row, "time_ns.processes");
    char text[200] = "", digits[32];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *count = json_array_get(list, i);
        size_t used = strlen(text);
        if (used + 48 > sizeof text) {
            snprintf(text + used, sizeof text - used, " + …");
            break;
        }
        ortho_text_number(json_is_number(count) ? json_number_value(count) : 0, digits);
        snprintf(text + used, sizeof text - used, "%s%.24s", i > 0 ? " + " : "", digits);
    }
    put_fact(h, "samples of each process", text);
}

static void put_timing(ortho_html *h, const json_t *row)
{
    char interval[80] = "";
    double low = ortho_model_number(row, "time_ns.lo"),
           high = ortho_model_number(row, "time_ns.hi");
    if (!isnan(low) && !isnan(high)) /* three digits would make one of the two ends */
        snprintf(interval, sizeof interval, "%.6g to %.6g µs", low / 1000, high / 1000);
    put_time(h, row, "median", "time_ns.median");
    put_fact(h, "95 % interval of the median", interval);
    put_time(h, row, "median absolute deviation", "time_ns.mad");
    put_processes(h, row);
    put_count(h, row, "outliers", "time_ns.outliers");
    put_words(h, row, "stopped because", "time_ns.stop");
    put_count(h, row, "calls a sample", "time_ns.launches_per_sample");
    put_count(h, row, "copies of the operands", "time_ns.copies");
    put_words(h, row, "floor", "floor_of");
    put_bytes(h, row, "peak, working", "peak_bytes.working");
    put_bytes(h, row, "peak, weights", "peak_bytes.weights");
    put_bytes(h, row, "peak, output", "peak_bytes.output");
    put_bytes(h, row, "peak, device", "peak_bytes.device");
    put_bytes(h, row, "peak, host", "peak_bytes.host");
    const char *unmeasured = ortho_measured_reason(row);
    put_fact(h, "lanes not measured", unmeasured);
}

static void put_facts(ortho_html *h, const json_t *row)
{
    ortho_html_raw(h, "<dl>\n");
    put_words(h, row, "key", "key");
    put_fact(h, "reason", ortho_model_reason(row));
    put_words(h, row, "role", "role");
    put_words(h, row, "tensor", "tensor");
    put_words(h, row, "groups of linears", "grouping");
    put_count(h, row, "entries", "nnz");
    put_words(h, row, "verified before timing", "verified.before");
    put_words(h, row, "verified after timing", "verified.after");
    put_words(h, row, "checked", "verified.checked");
    put_count(h, row, "tolerance, relative", "verified.tolerance");
    if (ortho_model_timed(row))
        put_timing(h, row);
    ortho_html_raw(h, "</dl>\n");
}

/* ---- tables
 * -------------------------------------------------------------------------------------- */

static void put_whole(ortho_html *h, const json_t *object, const char *key)
{
    char text[32] = "";
    double value = ortho_model_number(object, key);
    if (!isnan(value))
        ortho_text_number(value, text);
    ortho_html_number(h, value, text);
}

static void put_kernels(ortho_html *h, const json_t *row, const char *id)
{
    static const ortho_html_column columns[] = {
        {.title = "kernel"},
        {.title = "threads", .unit = "a block", .number = true},
        {.title = "registers", .unit = "a thread", .number = true},
        {.title = "shared", .unit = "bytes a block", .number = true},
        {.title = "spilled", .unit = "bytes a thread", .number = true}};
    static const char *const keys[] = {"threads", "registers", "shared_bytes", "spilled_bytes"};
    const json_t *list = ortho_model_at(row, "kernels");
    char caption_id[64];
    if (json_array_size(list) == 0 || !ortho_model_timed(row))
        return;
    snprintf(caption_id, sizeof caption_id, "%s-kernels", id);
    ortho_html_table_begin(h, &(ortho_html_table){.id = caption_id,
                                                  .caption = "Kernels of one call, in order",
                                                  .classes = "sort",
                                                  .columns = columns,
                                                  .count = 5});
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *kernel = json_array_get(list, i);
        ortho_html_raw(h, "<tr>");
        ortho_html_row_header(h, ortho_model_string(kernel, "name"));
        for (int k = 0; k < 4; k++)
            put_whole(h, kernel, keys[k]);
        ortho_html_raw(h, "</tr>\n");
    }
    ortho_html_table_end(h);
}

static void put_counter(ortho_html *h, const json_t *row, const char *name)
{
    ortho_counter counter;
    char text[64];
    if (!ortho_counter_read(row, name, &counter))
        return;
    ortho_html_raw(h, "<tr>");
    ortho_html_row_header(h, name);
    if (counter.reason == NULL) {
        ortho_counter_value(counter.value, counter.unit, text, sizeof text);
        ortho_html_number(h, counter.value, text);
    } else {
        ortho_html_raw(h, "<td>n/a: ");
        ortho_html_text(h, counter.reason);
        ortho_html_raw(h, "</td>");
    }
    ortho_html_raw(h, "</tr>\n");
}

static void put_counters(ortho_html *h, const json_t *row, const char *id)
{
    static const ortho_html_column columns[] = {{.title = "counter"},
                                                {.title = "value", .number = true}};
    char caption_id[64];
    ortho_group alone = {.rows = &row, .count = 1};
    ortho_counter_table t = {0}; /* leaves out the metrics that a formula made something of */
    ortho_html_check(h, ortho_counter_table_make(&alone, &t));
    if (t.lines == 0) {
        ortho_counter_table_free(&t);
        return;
    }
    snprintf(caption_id, sizeof caption_id, "%s-counters", id);
    ortho_html_table_begin(h, &(ortho_html_table){.id = caption_id,
                                                  .caption = "Counters, of runs of their own",
                                                  .classes = "sort",
                                                  .columns = columns,
                                                  .count = 2});
    for (size_t i = 0; i < t.lines; i++)
        put_counter(h, row, ortho_counter_table_name(&t, i));
    ortho_html_table_end(h);
    ortho_counter_table_free(&t);
}

static void put_case(ortho_html *h, const json_t *row, const char *id, bool synthetic)
{
    const char *key = ortho_model_string(row, "key");
    char name[ORTHO_LABEL_BYTES];
    ortho_model_label(row, name);
    ortho_html_put(h, "<details class=\"case\" id=\"%s\"><summary>", id);
    ortho_html_text(h, name);
    ortho_html_raw(h, " <code>");
    ortho_html_text(h, key);
    ortho_html_raw(h, "</code> ");
    ortho_page_status(h, row, synthetic);
    ortho_html_raw(h, "</summary>\n");
    put_facts(h, row);
    put_histogram(h, row);
    put_kernels(h, row, id);
    put_counters(h, row, id);
    ortho_html_raw(h, "</details>\n");
}

void ortho_page_details(ortho_html *h, const json_t *results, size_t file)
{
    bool synthetic = ortho_model_true(results, "context.model.synthetic");
    ortho_html_put(h, "<h3 id=\"f%zu-details\">Details of each case</h3>\n", file);
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const json_t *row = ortho_model_row(results, i);
        char id[40];
        snprintf(id, sizeof id, "f%zu-case-%zu", file, i);
        if (row != NULL)
            put_case(h, row, id, synthetic);
    }
}
