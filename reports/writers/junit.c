/*
 * junit: the verdicts of a run as JUnit XML: a suite a group, a test a case. A wrong result is a
 * failure, a case that wasn't run is skipped, one whose status this program doesn't know is an
 * error; an ambiguous time is no wrong result: it passes, and its <system-out> tells the doubt. The
 * time of a test is the median of one operation.
 */
#include "reports/junit.h"
#include "common/error.h"
#include "reports/export.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One line of a stream in memory; NULL without memory. */
static char *finish(FILE *stream, char **text)
{
    if (stream != NULL && fclose(stream) == 0)
        return *text;
    free(*text);
    return NULL;
}

static char *heading_of(const ortho_group *group)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream != NULL)
        ortho_model_heading(group, stream);
    return finish(stream, &text);
}

/* "gemm.csr", "gemm.csr grouped" */
static char *class_of(const json_t *row)
{
    const char *op = ortho_model_string(row, "op");
    char *text = NULL, name[ORTHO_LABEL_BYTES];
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    ortho_model_label(row, name);
    if (stream != NULL)
        fprintf(stream, "%s.%s", op != NULL ? op : "?", name);
    return finish(stream, &text);
}

/* The reason, and how far off the result was. */
static char *text_of(const json_t *row)
{
    static const char *const words[][2] = {{"verified before timing: ", "verified.before"},
                                           {"verified after timing: ", "verified.after"},
                                           {"checked: ", "verified.checked"}};
    char *text = NULL, number[32];
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return NULL;
    fputs(ortho_model_reason(row), stream);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ortho_model_string(row, words[i][1]) != NULL)
            fprintf(stream, "\n%s%s", words[i][0], ortho_model_string(row, words[i][1]));
    double error = ortho_model_number(row, "verified.rel_error");
    double tolerance = ortho_model_number(row, "verified.tolerance");
    if (!isnan(error))
        fprintf(stream, "\nrelative error: %s", ortho_text_number(error, number));
    if (!isnan(tolerance))
        fprintf(stream, "\ntolerance: %s", ortho_text_number(tolerance, number));
    return finish(stream, &text);
}

static void put_properties(const json_t *results, const ortho_group *group, ortho_junit *j)
{
    static const char *const words[][2] = {
        {"date", "context.date"},       {"binary", "context.binary"},
        {"commit", "context.commit"},   {"cpu", "context.cpu.model"},
        {"gpu", "context.gpu.name"},    {"driver", "context.gpu.driver"},
        {"model", "context.model.name"}};
    bool synthetic = false;
    for (size_t i = 0; i < group->count; i++)
        synthetic = synthetic || ortho_export_synthetic(results, group->rows[i]);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        ortho_junit_property(j, words[i][0], ortho_model_string(results, words[i][1]));
    ortho_junit_property(j, "synthetic", synthetic ? "true" : "false");
}

static ortho_status put_case(const json_t *row, ortho_names *names, ortho_junit *j)
{
    static const ortho_junit_outcome outcomes[ORTHO_CASE_STATUSES] = {
        [ORTHO_CASE_OK] = ORTHO_JUNIT_PASS,        [ORTHO_CASE_AMBIGUOUS] = ORTHO_JUNIT_PASS,
        [ORTHO_CASE_FAILED] = ORTHO_JUNIT_FAILURE, [ORTHO_CASE_SKIPPED] = ORTHO_JUNIT_SKIPPED,
        [ORTHO_CASE_UNKNOWN] = ORTHO_JUNIT_ERROR,
    };
    ortho_case_status status = ortho_model_status(row);
    char *name = ortho_names_take(names, row, ""), *class = class_of(row), *text = text_of(row);
    char note[600];
    snprintf(note, sizeof note, "ambiguous: %.560s", ortho_model_reason(row));
    ortho_text_trim(note);
    bool whole = name != NULL && class != NULL && text != NULL;
    if (whole)
        ortho_junit_add(j, &(ortho_junit_case){
                               .classname = class,
                               .name = name,
                               .seconds = ortho_model_time(row) * 1e-9,
                               .outcome = outcomes[status],
                               .type = ortho_model_status_name(status),
                               .message = ortho_model_reason(row),
                               .text = text,
                               .note = status == ORTHO_CASE_AMBIGUOUS ? note : NULL,
                           });
    free(name);
    free(class);
    free(text);
    return whole ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory for a JUnit document");
}

static ortho_status put_group(const json_t *results, const ortho_group *group, ortho_names *names,
                              ortho_junit *j)
{
    char *heading = heading_of(group);
    if (heading == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a JUnit document");
    ortho_junit_suite_begin(j, &(ortho_junit_suite){
                                   .name = heading,
                                   .timestamp = ortho_model_string(results, "context.date"),
                                   .hostname = ortho_model_string(results, "context.host"),
                               });
    free(heading);
    put_properties(results, group, j);
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < group->count && status == ORTHO_OK; i++)
        status = put_case(group->rows[i], names, j);
    ortho_junit_suite_end(j);
    return status;
}

/* Tests that are missing look like none at all: a run that was broken off says so as a test. */
static void put_interrupted(ortho_junit *j)
{
    ortho_junit_suite_begin(j, &(ortho_junit_suite){.name = "run"});
    ortho_junit_add(j,
                    &(ortho_junit_case){.classname = "run",
                                        .name = "complete",
                                        .seconds = NAN,
                                        .outcome = ORTHO_JUNIT_ERROR,
                                        .type = "interrupted",
                                        .message = "the run was interrupted: cases are missing"});
    ortho_junit_suite_end(j);
}

static ortho_status write_junit(const json_t *results, const ortho_writer_options *options,
                                FILE *out)
{
    (void)options;
    ortho_groups groups = {0};
    ortho_names names = {0};
    ortho_junit *j = NULL;
    ortho_status status = ortho_model_groups(results, &groups);
    if (status == ORTHO_OK)
        status = ortho_junit_begin("ortho-bench", &j);
    for (size_t g = 0; g < groups.count && status == ORTHO_OK; g++)
        status = put_group(results, &groups.group[g], &names, j);
    if (status == ORTHO_OK && ortho_model_true(results, "context.interrupted"))
        put_interrupted(j);
    if (status == ORTHO_OK)
        status = ortho_junit_end(j, out);
    else
        ortho_junit_free(j);
    ortho_names_free(&names);
    ortho_groups_free(&groups);
    return status;
}

const ortho_writer ortho_writer_junit = {
    .abi = ORTHO_REPORT_ABI,
    .name = "junit",
    .extension = "junit.xml",
    .summary = "JUnit XML of the verdicts: wrong is a failure, ambiguous passes with a note",
    .write = write_junit,
};
