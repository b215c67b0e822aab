/*
 * markdown: a comparison for a pull request's comment: the verdict first, what changed in a table,
 * the rest folded away. A comment holds 65,536 characters: a list that is longer than LISTED ends
 * in a word of how many more there are.
 */
#include "reports/markdown.h"
#include "reports/compare/view.h"

#include "common/error.h"

#include <stdlib.h>
#include <string.h>

enum { LISTED = 100, TOLD = 20 };

/* Lines of a list, the first TOLD in full. */
typedef struct listing {
    FILE *out;
    const char *before;
    int count, most;
} listing;

static void put_line(void *ctx, const char *text, ortho_tone tone)
{
    listing *l = ctx;
    if (l->count++ >= l->most)
        return;
    fputs(l->before, l->out);
    fputs(tone == ORTHO_TONE_DOUBT ? "**" : "", l->out);
    (void)ortho_markdown_text(text, l->out);
    fputs(tone == ORTHO_TONE_DOUBT ? "**\n" : "\n", l->out);
}

static void close_listing(const listing *l)
{
    if (l->count > l->most)
        fprintf(l->out, "%s… and %d more\n", l->before, l->count - l->most);
}

static void put_header(FILE *out)
{
    fputs("| case", out);
    for (size_t c = 0; c < ortho_comparison_column_count; c++)
        fprintf(out, " | %s", ortho_comparison_columns[c].title);
    fputs(" |\n| :--", out);
    for (size_t c = 0; c < ortho_comparison_column_count; c++)
        fputs(" | --:", out);
    fputs(" |\n", out);
}

static ortho_status put_case(const json_t *one, FILE *out)
{
    const char *key = ortho_model_string(one, "key");
    fputs("| ", out);
    ortho_status status = ortho_markdown_text(key != NULL ? key : "?", out);
    if (ortho_model_true(one, "synthetic"))
        fputs(" (SYNTHETIC)", out);
    for (size_t c = 0; c < ortho_comparison_column_count && status == ORTHO_OK; c++) {
        ortho_cell cell = {.text = ""};
        ortho_comparison_columns[c].cell(one, &cell);
        bool bad = cell.tone == ORTHO_TONE_BAD;
        fputs(bad ? " | **" : " | ", out);
        status = ortho_markdown_text(cell.text[0] != '\0' ? cell.text : "–", out);
        fputs(bad ? "**" : "", out);
    }
    fputs(" |\n", out);
    return status;
}

static bool is_quiet(const json_t *one)
{
    const char *verdict = ortho_model_string(one, "verdict");
    return !ortho_comparison_competes(one) || (verdict != NULL && strcmp(verdict, "SAME") == 0 &&
                                               json_object_get(one, "flags") == NULL);
}

/* The cases that are quiet, or those that aren't. */
static ortho_status put_cases(const json_t **cases, size_t count, bool quiet, FILE *out)
{
    size_t shown = 0;
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < count && status == ORTHO_OK; i++) {
        if (is_quiet(cases[i]) != quiet || shown++ >= LISTED)
            continue;
        if (shown == 1)
            put_header(out);
        status = put_case(cases[i], out);
    }
    if (shown > LISTED)
        fprintf(out, "\n… and %zu more\n", shown - LISTED);
    return status;
}

/* What beside the time is to be known of those that aren't quiet. */
static ortho_status put_details(const json_t **cases, size_t count, FILE *out)
{
    int told = 0;
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < count && status == ORTHO_OK; i++) {
        listing l = {.out = out, .before = "  - ", .most = TOLD};
        const char *key = ortho_model_string(cases[i], "key");
        if (is_quiet(cases[i]) || told >= LISTED)
            continue;
        char *text = NULL;
        size_t size = 0;
        l.out = open_memstream(&text, &size);
        if (l.out == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a comparison's words");
        status =
            ortho_comparison_details(cases[i], &(ortho_line_sink){.ctx = &l, .line = put_line});
        close_listing(&l);
        fclose(l.out);
        if (l.count > 0) {
            fputs(told++ == 0 ? "\n- " : "- ", out);
            (void)ortho_markdown_text(key != NULL ? key : "?", out);
            fprintf(out, "\n%s", text);
        }
        free(text);
    }
    return status;
}

static ortho_status put_list(const json_t *document, const char *title,
                             ortho_status (*lines)(const json_t *, const ortho_line_sink *),
                             FILE *out)
{
    listing l = {.out = out, .before = "- ", .most = TOLD};
    fputs(title, out);
    ortho_status status = lines(document, &(ortho_line_sink){.ctx = &l, .line = put_line});
    close_listing(&l);
    return status;
}

static ortho_status put_folded(const json_t **cases, size_t count, FILE *out)
{
    size_t quiet = 0;
    for (size_t i = 0; i < count; i++)
        quiet += is_quiet(cases[i]);
    if (quiet == 0)
        return ORTHO_OK;
    fprintf(out, "\n<details><summary>%zu cases that are the same, and references</summary>\n\n",
            quiet);
    ortho_status status = put_cases(cases, count, true, out);
    fputs("\n</details>\n", out);
    return status;
}

static ortho_status write_markdown(const json_t *document, const ortho_writer_options *options,
                                   FILE *out)
{
    const json_t **cases = NULL;
    size_t count = 0;
    char headline[256];
    (void)options;
    ortho_comparison_headline(document, headline, sizeof headline);
    fputs("## ", out);
    ortho_status status = ortho_markdown_text(headline, out);
    fputs("\n\n", out);
    if (status == ORTHO_OK)
        status = ortho_comparison_cases(document, &cases, &count);
    if (status == ORTHO_OK)
        status = put_cases(cases, count, false, out);
    if (status == ORTHO_OK)
        status = put_details(cases, count, out);
    if (status == ORTHO_OK)
        status = put_list(document, "\n", ortho_comparison_means, out);
    if (status == ORTHO_OK)
        status = put_list(document, "\n", ortho_comparison_rest, out);
    if (status == ORTHO_OK)
        status = put_folded(cases, count, out);
    if (status == ORTHO_OK)
        status = put_list(document, "\n<details><summary>What was compared, and how</summary>\n\n",
                          ortho_comparison_lines, out);
    for (size_t c = 0; c < ortho_comparison_column_count && status == ORTHO_OK; c++)
        fprintf(out, "- **%s**: %s\n", ortho_comparison_columns[c].title,
                ortho_comparison_columns[c].meaning);
    fputs("\n</details>\n", out);
    free((void *)cases);
    return status;
}

extern const ortho_writer ortho_comparison_writer_markdown;
const ortho_writer ortho_comparison_writer_markdown = {
    .abi = ORTHO_REPORT_ABI,
    .name = "markdown",
    .extension = "md",
    .summary = "a comparison for a pull request's comment",
    .write = write_markdown,
};
