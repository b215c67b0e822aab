/*
 * gha: what the GitHub action github-action-benchmark takes as `customSmallerIsBetter`: a list of
 * {name, value, unit, range, extra}.
 *
 * The format has no status: a case without a verified time isn't listed (the action would plot a
 * 0), and `extra` of those that are tells the run's tally. The action puts names between backticks
 * into a table of Markdown, so a name has neither backtick nor bar. `range` is a share of the
 * value: the action rescales a bare number with the unit, and leaves one with a % alone.
 */
#include "common/error.h"
#include "reports/columns.h"
#include "reports/emit.h"
#include "reports/export.h"
#include "reports/reports.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ortho_status fail_memory(void)
{
    return ortho_fail(ORTHO_E_MEMORY, "no memory for an entry of github-action-benchmark");
}

/* What the entries of a file share. */
typedef struct listing {
    const json_t *results;
    ortho_names names;
    char tally[160];
    FILE *out;
} listing;

static json_t *build_entry(const listing *l, const json_t *row, const char *name)
{
    char *words = ortho_export_words(l->results, row, l->tally), range[32];
    double share = ortho_model_half_width(row);
    json_t *entry = words != NULL ? json_pack("{s:s, s:f, s:s}", "name", name, "value",
                                              ortho_model_time(row), "unit", "ns")
                                  : NULL;
    if (entry != NULL && isfinite(share) && share >= 0 && share < 1e6) {
        snprintf(range, sizeof range, "± %.2f %%", 100 * share);
        json_object_set_new(entry, "range", json_string(range));
    }
    if (entry != NULL)
        json_object_set_new(entry, "extra", json_string(words));
    free(words);
    return entry;
}

static ortho_status put_entry(listing *l, const json_t *row)
{
    char *name = ortho_names_take(&l->names, row, "");
    if (name == NULL)
        return fail_memory();
    json_t *entry = build_entry(l, row, name);
    free(name);
    if (entry == NULL)
        return fail_memory();
    ortho_status status = ortho_json_emit(entry, 1, l->out);
    json_decref(entry);
    return status;
}

static ortho_status write_gha(const json_t *results, const ortho_writer_options *options, FILE *out)
{
    (void)options;
    listing l = {.results = results, .out = out};
    ortho_status status = ORTHO_OK;
    const char *before = "[\n  ";
    ortho_tally(results, l.tally, sizeof l.tally);
    for (size_t i = 0; i < ortho_model_count(results) && status == ORTHO_OK; i++) {
        const json_t *row = ortho_model_row(results, i);
        if (row == NULL || !ortho_model_timed(row))
            continue;
        fputs(before, out);
        before = ",\n  ";
        status = put_entry(&l, row);
    }
    fputs(before[0] == '[' ? "[]\n" : "\n]\n", out);
    ortho_names_free(&l.names);
    return status;
}

const ortho_writer ortho_writer_gha = {
    .abi = ORTHO_REPORT_ABI,
    .name = "gha",
    .extension = "gha.json",
    .summary = "for github-action-benchmark (customSmallerIsBetter); what failed isn't listed",
    .write = write_gha,
};
