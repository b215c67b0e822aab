/*
 * markdown: tables for a review (GitHub flavoured), with the columns of the terminal's tables.
 * Names are escaped: no word of a results file can close a table, start markup or call a person.
 */
#include "reports/markdown.h"
#include "common/error.h"
#include "reports/columns.h"
#include "reports/counters.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <stdlib.h>
#include <string.h>

static void put_line(void *ctx, const char *text, ortho_tone tone)
{
    FILE *out = ctx;
    fputs(tone == ORTHO_TONE_DOUBT ? "- **" : "- ", out);
    ortho_markdown_text(text, out);
    fputs(tone == ORTHO_TONE_DOUBT ? "**\n" : "\n", out);
}

static ortho_status put_heading(const ortho_group *group, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    ortho_model_heading(group, stream);
    if (fclose(stream) != 0) {
        free(text);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    }
    fputs("\n### ", out);
    ortho_status status = ortho_markdown_text(text, out);
    fputs("\n\n", out);
    free(text);
    return status;
}

static ortho_status put_words(const char *before, const char *text, FILE *out)
{
    fputs(before, out);
    return ortho_markdown_text(text, out);
}

static ortho_status put_row(const json_t *row, const bool *shown, FILE *out)
{
    ortho_case_status case_status = ortho_model_status(row);
    bool timed = case_status == ORTHO_CASE_OK || case_status == ORTHO_CASE_AMBIGUOUS;
    const char *name = ortho_model_string(row, "variant");
    ortho_status status = put_words("| ", name != NULL ? name : "?", out);
    bool told = false;
    for (size_t c = 0; c < ortho_column_count && status == ORTHO_OK; c++) {
        ortho_cell cell = {.text = ""};
        if (!shown[c])
            continue;
        if (timed) {
            ortho_column_cell(&ortho_columns[c], row, &cell);
            status = put_words(" | ", cell.text[0] != '\0' ? cell.text : "–", out);
        } else if (!told) {
            fprintf(out, " | **%s**: ", ortho_model_status_name(case_status));
            status = ortho_markdown_text(ortho_model_reason(row), out);
            told = true;
        } else {
            fputs(" | ", out);
        }
    }
    fputs(" |\n", out);
    return status;
}

static ortho_status put_counter_lines(const ortho_counter_table *t, FILE *out)
{
    ortho_status status = ORTHO_OK;
    for (size_t line = 0; line < t->lines && status == ORTHO_OK; line++) {
        status = put_words("| ", ortho_counter_table_name(t, line), out);
        for (size_t c = 0; c < t->columns && status == ORTHO_OK; c++) {
            ortho_cell cell;
            ortho_counter_table_cell(t, line, c, &cell);
            status = put_words(" | ", cell.text[0] != '\0' ? cell.text : "–", out);
        }
        fputs(" |\n", out);
    }
    return status;
}

static ortho_status put_counters(const ortho_group *group, FILE *out)
{
    ortho_counter_table t = {0};
    ortho_status status = ortho_counter_table_make(group, &t);
    if (status != ORTHO_OK || t.columns == 0)
        goto end;
    fputs("\n| counter", out);
    for (size_t c = 0; c < t.columns; c++) {
        const char *name = ortho_model_string(t.rows[c], "variant");
        put_words(" | ", name != NULL ? name : "?", out);
    }
    fputs(" |\n| :--", out);
    for (size_t c = 0; c < t.columns; c++)
        fputs(" | --:", out);
    fputs(" |\n", out);
    status = put_counter_lines(&t, out);
    if (json_object_size(t.reasons) > 0)
        fputc('\n', out);
    ortho_counter_table_notes(&t, &(ortho_line_sink){.ctx = out, .line = put_line});
end:
    ortho_counter_table_free(&t);
    return status;
}

/* The lines of a list below a table: the first needs a blank line before it. */
typedef struct notes {
    FILE *out;
    bool any;
} notes;

static void put_note(void *ctx, const char *text, ortho_tone tone)
{
    notes *n = ctx;
    fputs(n->any ? "" : "\n", n->out);
    n->any = true;
    put_line(n->out, text, tone);
}

static ortho_status put_below(const json_t *results, const ortho_group *group, FILE *out)
{
    notes n = {.out = out};
    ortho_status status =
        ortho_group_notes(results, group, &(ortho_line_sink){.ctx = &n, .line = put_note});
    return status == ORTHO_OK ? put_counters(group, out) : status;
}

static ortho_status put_group(const ortho_group *group, FILE *out)
{
    bool *shown = calloc(ortho_column_count, sizeof *shown);
    ortho_status status = shown != NULL ? put_heading(group, out)
                                        : ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    if (status != ORTHO_OK)
        goto end;
    fputs("| variant", out);
    for (size_t c = 0; c < ortho_column_count; c++) {
        /* The first two stand always: a group in which nothing ran needs room for its reasons. */
        shown[c] = c < 2 || ortho_column_filled(&ortho_columns[c], group);
        if (shown[c])
            put_words(" | ", ortho_columns[c].title, out);
    }
    fputs(" |\n| :--", out);
    for (size_t c = 0; c < ortho_column_count; c++)
        if (shown[c])
            fputs(ortho_columns[c].left ? " | :--" : " | --:", out);
    fputs(" |\n", out);
    for (size_t i = 0; i < group->count && status == ORTHO_OK; i++)
        status = put_row(group->rows[i], shown, out);
end:
    free(shown);
    return status;
}

static ortho_status write_markdown(const json_t *results, const ortho_writer_options *options,
                                   FILE *out)
{
    (void)options;
    char tally[160];
    ortho_groups groups = {0};
    ortho_status status = ortho_model_groups(results, &groups);
    ortho_tally(results, tally, sizeof tally);
    fprintf(out, "## ortho-bench: %s\n\n", tally);
    if (status == ORTHO_OK)
        status = ortho_context_lines(results, &(ortho_line_sink){.ctx = out, .line = put_line});
    for (size_t g = 0; g < groups.count && status == ORTHO_OK; g++) {
        status = put_group(&groups.group[g], out);
        if (status == ORTHO_OK)
            status = put_below(results, &groups.group[g], out);
    }
    fputs("\n<details><summary>Columns</summary>\n\n", out);
    for (size_t c = 0; c < ortho_column_count; c++) {
        put_words("- **", ortho_columns[c].title, out);
        put_words("**: ", ortho_columns[c].meaning, out);
        fputc('\n', out);
    }
    fputs("\n</details>\n", out);
    ortho_groups_free(&groups);
    return status;
}

const ortho_writer ortho_writer_markdown = {
    .abi = ORTHO_REPORT_ABI,
    .name = "markdown",
    .extension = "md",
    .summary = "tables for a review, GitHub flavoured",
    .write = write_markdown,
};
