/*
 * markdown: a comment for a review (GitHub flavoured): the verdict, then tables with the columns of
 * the terminal's. Names are escaped: no word of a results file can close a table, start markup or
 * call a person. A comment holds 65,536 characters: what doesn't fit is left out, and it says so.
 */
#include "reports/markdown.h"
#include "common/error.h"
#include "reports/columns.h"
#include "reports/counters.h"
#include "reports/reports.h"
#include "reports/text.h"
#include "reports/verdict.h"

#include <stdlib.h>
#include <string.h>

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
    char name[ORTHO_LABEL_BYTES];
    ortho_model_variant(row, name);
    ortho_status status = put_words("| ", name, out);
    bool told = false;
    for (size_t c = 0; c < ortho_column_count && status == ORTHO_OK; c++) {
        ortho_cell cell = {.text = ""};
        if (!shown[c])
            continue;
        if (timed || ortho_columns[c].always) {
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
        char name[ORTHO_LABEL_BYTES];
        ortho_model_label(t.rows[c], name);
        put_words(" | ", name, out);
    }
    fputs(" |\n| :--", out);
    for (size_t c = 0; c < t.columns; c++)
        fputs(" | --:", out);
    fputs(" |\n", out);
    status = put_counter_lines(&t, out);
    if (json_object_size(t.reasons) > 0)
        fputc('\n', out);
    ortho_counter_table_notes(&t, &(ortho_line_sink){.ctx = out, .line = ortho_markdown_line});
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
    ortho_markdown_line(n->out, text, tone);
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
    int numbers = 0;
    fputs("| variant", out);
    for (size_t c = 0; c < ortho_column_count; c++) {
        /* Two for numbers stand always: a group in which nothing ran needs room for its reasons. */
        bool room = !ortho_columns[c].always && numbers++ < 2;
        shown[c] = room || ortho_column_filled(&ortho_columns[c], group);
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

/* ---- what fits ----------------------------------------------------------------------------------
 */

/* A part of the comment, made apart, so that it goes in whole or not at all. The caller frees it.
 */
typedef ortho_status part_fn(const json_t *results, const ortho_group *group, FILE *out);

static ortho_status make_part(const json_t *results, const ortho_group *group, part_fn *part,
                              char **text)
{
    size_t size = 0;
    char *made = NULL;
    FILE *out = open_memstream(&made, &size);
    if (out == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    ortho_status status = part(results, group, out);
    if (fclose(out) != 0 && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    if (status == ORTHO_OK)
        *text = made;
    else
        free(made);
    return status;
}

static ortho_status part_head(const json_t *results, const ortho_group *group, FILE *out)
{
    (void)group;
    ortho_markdown_sink sink = {.out = out};
    ortho_status status = ortho_verdict_lines(
        results, &(ortho_line_sink){.ctx = &sink, .line = ortho_markdown_verdict});
    if (status == ORTHO_OK)
        status = ortho_context_lines(results,
                                     &(ortho_line_sink){.ctx = out, .line = ortho_markdown_line});
    return status;
}

static ortho_status part_group(const json_t *results, const ortho_group *group, FILE *out)
{
    ortho_status status = put_group(group, out);
    return status == ORTHO_OK ? put_below(results, group, out) : status;
}

static ortho_status part_columns(const json_t *results, const ortho_group *group, FILE *out)
{
    (void)results;
    (void)group;
    ortho_status status = ORTHO_OK;
    fputs("\n<details><summary>Columns</summary>\n\n", out);
    for (size_t c = 0; c < ortho_column_count && status == ORTHO_OK; c++) {
        put_words("- **", ortho_columns[c].title, out);
        status = put_words("**: ", ortho_columns[c].meaning, out);
        fputc('\n', out);
    }
    fputs("\n</details>\n", out);
    return status;
}

/* A group where something isn't right stands open, and goes in before the others. */
static bool is_urgent(const ortho_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (ortho_model_status(group->rows[i]) == ORTHO_CASE_FAILED)
            return true;
    return false;
}

#define OPEN_UP_TO 6 /* tables; of more, those without a failure are folded */

typedef struct comment {
    const json_t *results;
    ortho_groups groups;
    char **parts; /* [groups.count], NULL: left out */
    size_t used, left_out;
} comment;

/* Makes the tables that fit: first those with a failure, then the others, each in its order. */
static ortho_status make_tables(comment *c, bool urgent)
{
    for (size_t g = 0; g < c->groups.count; g++) {
        char *text = NULL;
        if (is_urgent(&c->groups.group[g]) != urgent)
            continue;
        ortho_status status = make_part(c->results, &c->groups.group[g], part_group, &text);
        if (status != ORTHO_OK)
            return status;
        if (c->used + strlen(text) <= ORTHO_COMMENT_MAX) {
            c->used += strlen(text);
            c->parts[g] = text;
        } else {
            c->left_out++;
            free(text);
        }
    }
    return ORTHO_OK;
}

static void put_tables(const comment *c, FILE *out)
{
    bool fold = c->groups.count > OPEN_UP_TO;
    for (size_t g = 0; g < c->groups.count; g++)
        if (c->parts[g] != NULL && (!fold || is_urgent(&c->groups.group[g])))
            fputs(c->parts[g], out);
    if (fold)
        fputs("\n<details><summary>Tables</summary>\n", out);
    for (size_t g = 0; g < c->groups.count && fold; g++)
        if (c->parts[g] != NULL && !is_urgent(&c->groups.group[g]))
            fputs(c->parts[g], out);
    if (fold)
        fputs("\n</details>\n", out);
    if (c->left_out > 0)
        fprintf(out,
                "\n**%zu of %zu tables are left out: a comment holds 65,536 characters.** "
                "`ortho-bench report FILE -o DIR` makes a page of all.\n",
                c->left_out, c->groups.count);
}

static ortho_status write_markdown(const json_t *results, const ortho_writer_options *options,
                                   FILE *out)
{
    (void)options;
    char *head = NULL, *columns = NULL;
    comment c = {.results = results};
    ortho_status status = ortho_model_groups(results, &c.groups);
    c.parts = calloc(c.groups.count + 1, sizeof *c.parts);
    if (c.parts == NULL && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    if (status == ORTHO_OK)
        status = make_part(results, NULL, part_head, &head);
    if (status == ORTHO_OK)
        status = make_part(results, NULL, part_columns, &columns);
    if (status != ORTHO_OK)
        goto end;
    c.used = strlen(head) + strlen(columns) + 400; /* what put_tables says besides */
    status = make_tables(&c, true);
    if (status == ORTHO_OK)
        status = make_tables(&c, false);
    if (status == ORTHO_OK) {
        fputs(head, out);
        put_tables(&c, out);
        fputs(columns, out);
    }
end:
    for (size_t g = 0; c.parts != NULL && g < c.groups.count; g++)
        free(c.parts[g]);
    free(c.parts);
    free(head);
    free(columns);
    ortho_groups_free(&c.groups);
    return status;
}

const ortho_writer ortho_writer_markdown = {
    .abi = ORTHO_REPORT_ABI,
    .name = "markdown",
    .extension = "md",
    .summary = "a comment for a review, GitHub flavoured: verdict, then tables (also: md)",
    .write = write_markdown,
};
