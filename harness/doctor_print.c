/* A diagnosis as text and as JSON. */
#include "harness/doctor.h"

#include "common/error.h"
#include "harness/log.h"

#include <jansson.h>
#include <math.h>

static const char *const health_words[] = {
    [OB_HEALTH_OK] = "ok", [OB_HEALTH_WARN] = "warn", [OB_HEALTH_NA] = "n/a"};
static const char *const verdict_words[] = {
    [OB_VERDICT_OK] = "ok", [OB_VERDICT_WRONG] = "wrong", [OB_VERDICT_NA] = "n/a"};

/* ---- text ------------------------------------------------------------------------------------ */

static void print_findings(const ob_findings *list, FILE *out)
{
    for (int i = 0; i < list->count; i++) {
        const ob_finding *f = &list->items[i];
        fprintf(out, "%-16s %-5s ", f->name, health_words[f->health]);
        ob_print_safe(out, f->what);
        if (f->cure[0] != '\0') {
            fprintf(out, "\n%-22s cure: ", "");
            ob_print_safe(out, f->cure);
        }
        fputc('\n', out);
    }
}

/* Counts whole, however many digits that takes; means with six. */
static const char *in_digits(double value, char text[40])
{
    snprintf(text, 40, fabs(value) >= 1000 ? "%.0f" : "%.6g", value);
    return text;
}

/* "7936", "16.335 to 16.665", "1 or more" */
static void print_bounds(const ob_selftest_result *r, FILE *out)
{
    char text[96], least[40], most[40];
    in_digits(r->least, least);
    if (isinf(r->most))
        snprintf(text, sizeof text, "%s or more", least);
    else if (r->least == r->most)
        snprintf(text, sizeof text, "%s", least);
    else
        snprintf(text, sizeof text, "%s to %s", least, in_digits(r->most, most));
    fprintf(out, "%-24s ", text);
}

static void print_result(const ob_selftest_result *r, FILE *out)
{
    char number[40];
    fprintf(out, "%-18s %-5s ", r->test->name, verdict_words[r->verdict]);
    print_bounds(r, out);
    if (r->verdict == OB_VERDICT_NA)
        ob_print_safe(out, r->why);
    else
        fputs(in_digits(r->read, number), out);
    fputc('\n', out);
    if (r->verdict == OB_VERDICT_WRONG)
        fprintf(out, "%-18s       %s; read as %s\n", "", r->test->why,
                r->test->metric != NULL ? r->test->metric : "counts of each instruction");
}

void ob_diagnosis_print(const ob_diagnosis *d, FILE *out)
{
    print_findings(&d->machine, out);
    fprintf(out, "\n%-16s %-5s %s\n", "variant", "", "what it does here, or why it is skipped");
    print_findings(&d->variants, out);
    fprintf(out, "\n%-18s %-5s %-24s %s\n", "self-test", "", "expected", "read");
    for (int i = 0; i < ob_selftest_count; i++)
        print_result(&d->self_test[i], out);
    if (ob_diagnosis_is_wrong(d))
        fputs("\nThe counters of this machine read wrong: don't believe --counters here.\n", out);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* What isn't UTF-8 (a path may be anything) gets '?' for its odd bytes. */
static json_t *text_to_json(const char *text)
{
    json_t *value = json_string(text);
    char plain[512];
    if (value != NULL)
        return value;
    size_t n = 0;
    for (; text[n] != '\0' && n < sizeof plain - 1; n++)
        plain[n] = (unsigned char)text[n] < 0x80 ? text[n] : '?';
    plain[n] = '\0';
    return json_string(plain);
}

static json_t *findings_to_json(const ob_findings *list)
{
    json_t *rows = json_array();
    for (int i = 0; i < list->count; i++) {
        const ob_finding *f = &list->items[i];
        json_t *row = json_pack("{s:s, s:s, s:o}", "name", f->name, "status",
                                health_words[f->health], "what", text_to_json(f->what));
        if (f->cure[0] != '\0')
            json_object_set_new(row, "cure", text_to_json(f->cure));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *result_to_json(const ob_selftest_result *r)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:f}", "name", r->test->name, "status",
                            verdict_words[r->verdict], "why", r->test->why, "unit", r->test->unit,
                            "least", r->least);
    if (r->test->metric != NULL)
        json_object_set_new(row, "metric", json_string(r->test->metric));
    if (isfinite(r->most))
        json_object_set_new(row, "most", json_real(r->most));
    if (r->verdict == OB_VERDICT_NA)
        json_object_set_new(row, "reason", text_to_json(r->why));
    else
        json_object_set_new(row, "read", json_real(r->read));
    return row;
}

ortho_status ob_diagnosis_print_json(const ob_diagnosis *d, FILE *out)
{
    json_t *tests = json_array();
    for (int i = 0; i < ob_selftest_count; i++)
        json_array_append_new(tests, result_to_json(&d->self_test[i]));
    json_t *document = json_pack("{s:s, s:o, s:o, s:o}", "schema", "ortho-bench-doctor/1",
                                 "machine", findings_to_json(&d->machine), "variants",
                                 findings_to_json(&d->variants), "self_test", tests);
    int failed = document == NULL || json_dumpf(document, out, JSON_INDENT(1)) != 0;
    json_decref(document);
    if (failed && !ferror(out)) /* a stream that fails is main's to tell */
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the diagnosis");
    fputc('\n', out);
    return ORTHO_OK;
}
