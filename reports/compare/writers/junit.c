/* junit: a comparison's verdicts for a CI's test report: what gates is a failure. */
#include "reports/junit.h"
#include "reports/compare/measures.h"
#include "reports/compare/view.h"

#include "common/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The lines of a case, one under the other. */
static void add_line(void *ctx, const char *text, ortho_tone tone)
{
    (void)tone;
    fprintf(ctx, "%s\n", text);
}

/* "1.050 [1.049, 1.051], p <.0001": what the verdict is made of, in the columns' words. */
static void put_columns(const json_t *one, FILE *out)
{
    for (size_t c = 0; c < ortho_comparison_column_count; c++) {
        ortho_cell cell = {.text = ""};
        ortho_comparison_columns[c].cell(one, &cell);
        if (cell.text[0] != '\0')
            fprintf(out, "%s: %s\n", ortho_comparison_columns[c].title, cell.text);
    }
}

static ortho_junit_outcome outcome_of(const json_t *one)
{
    const char *verdict = ortho_model_string(one, "verdict");
    if (!ortho_comparison_competes(one))
        return ORTHO_JUNIT_PASS;
    if (ortho_compare_worse(one))
        return ORTHO_JUNIT_FAILURE;
    if (verdict == NULL || strcmp(verdict, "UNTIMED") == 0)
        return ORTHO_JUNIT_SKIPPED;
    return strcmp(verdict, "SLOWER") == 0 || strcmp(verdict, "WRONG") == 0 ? ORTHO_JUNIT_FAILURE
                                                                           : ORTHO_JUNIT_PASS;
}

static ortho_status add_case(ortho_junit *j, const json_t *one)
{
    const char *op = ortho_model_string(one, "op");
    const char *verdict = ortho_model_string(one, "verdict"), *key = ortho_model_string(one, "key");
    char name[160], variant[ORTHO_LABEL_BYTES], message[256], *text = NULL;
    size_t size = 0;
    ortho_cell ratio = {.text = ""}, interval = {.text = ""};
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a comparison's words");
    put_columns(one, out);
    ortho_status status =
        ortho_comparison_details(one, &(ortho_line_sink){.ctx = out, .line = add_line});
    fclose(out);
    ortho_comparison_columns[1].cell(one, &ratio);
    ortho_comparison_columns[2].cell(one, &interval);
    ortho_model_variant(one, variant);
    snprintf(name, sizeof name, "%.70s.%.80s", op != NULL ? op : "?", variant);
    snprintf(message, sizeof message, "%.20s %s %s%s", verdict != NULL ? verdict : "no verdict",
             ratio.text, interval.text,
             ortho_model_true(one, "synthetic") ? " (SYNTHETIC weights)" : "");
    ortho_junit_outcome outcome = outcome_of(one);
    if (status == ORTHO_OK)
        ortho_junit_add(j,
                        &(ortho_junit_case){.classname = name,
                                            .name = key != NULL ? key : "?",
                                            .seconds = ortho_model_number(one, "time.b_ns") / 1e9,
                                            .outcome = outcome,
                                            .type = verdict,
                                            .message = message,
                                            .text = text,
                                            .note = outcome == ORTHO_JUNIT_PASS ? text : NULL});
    free(text);
    return status;
}

static void add_properties(ortho_junit *j, const json_t *document)
{
    static const char *const paths[] = {"context.a.name",   "context.a.commit", "context.b.name",
                                        "context.b.commit", "context.b.device", "context.b.model",
                                        "summary.verdict"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (ortho_model_string(document, paths[i]) != NULL)
            ortho_junit_property(j, paths[i], ortho_model_string(document, paths[i]));
}

static ortho_status write_junit(const json_t *document, const ortho_writer_options *options,
                                FILE *out)
{
    (void)options;
    const json_t **cases = NULL;
    size_t count = 0;
    ortho_junit *j = NULL;
    ortho_status status = ortho_comparison_cases(document, &cases, &count);
    if (status == ORTHO_OK)
        status = ortho_junit_begin("ortho-bench compare", &j);
    if (status != ORTHO_OK)
        goto end;
    ortho_junit_suite_begin(
        j, &(ortho_junit_suite){.name = "comparison",
                                .timestamp = ortho_model_string(document, "context.date")});
    add_properties(j, document);
    for (size_t i = 0; i < count && status == ORTHO_OK; i++)
        status = add_case(j, cases[i]);
    if (ortho_comparison_read(document) == ORTHO_COMPARISON_NOTHING)
        ortho_junit_add(j, &(ortho_junit_case){.classname = "comparison",
                                               .name = "anything to compare",
                                               .seconds = NAN,
                                               .outcome = ORTHO_JUNIT_ERROR,
                                               .type = "NOTHING",
                                               .message = "no case could be compared"});
    ortho_junit_suite_end(j);
    if (status == ORTHO_OK)
        status = ortho_junit_end(j, out);
    else
        ortho_junit_free(j);
end:
    free((void *)cases);
    return status;
}

extern const ortho_writer ortho_comparison_writer_junit;
const ortho_writer ortho_comparison_writer_junit = {
    .abi = ORTHO_REPORT_ABI,
    .name = "junit",
    .extension = "junit.xml",
    .summary = "a comparison's verdicts for a CI's test report",
    .write = write_junit,
};
