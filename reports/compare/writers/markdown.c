/*
 * markdown: a comparison for a pull request's comment: the verdict first, what changed in a table,
 * the rest folded away. A comment holds 65,536 characters: it is written into memory first, and
 * what there is no room for is counted.
 */
#include "reports/markdown.h"
#include "reports/compare/view.h"
#include "reports/text.h"

#include "common/error.h"

#include <stdlib.h>
#include <string.h>

enum {
    TOLD = 20,        /* lines of a list that are told */
    KEY_COLUMNS = 200 /* of a key */
};

/* `out` is in memory: it knows how long it is. A row and what ends a comment take less than what is
 * kept free. */
static bool has_room(FILE *out)
{
    return ftell(out) < ORTHO_COMMENT_MAX - 6000;
}

static ortho_status put_key(const json_t *one, FILE *out)
{
    const char *key = ortho_model_string(one, "key");
    return ortho_markdown_cut(key != NULL ? key : "?", KEY_COLUMNS, out);
}

/* Lines of a list: those that were told, and how many are left out. */
typedef struct listing {
    FILE *out;
    const char *before;
    const json_t *of; /* the case whose key stands above them; NULL: none does */
    int told, left;
} listing;

static void put_line(void *ctx, const char *text, ortho_tone tone)
{
    listing *l = ctx;
    if (l->told >= TOLD || !has_room(l->out)) {
        l->left++;
        return;
    }
    if (l->told++ == 0 && l->of != NULL) {
        fputs("- ", l->out);
        (void)put_key(l->of, l->out);
        fputc('\n', l->out);
    }
    fputs(l->before, l->out);
    fputs(tone == ORTHO_TONE_DOUBT ? "**" : "", l->out);
    (void)ortho_markdown_text(text, l->out);
    fputs(tone == ORTHO_TONE_DOUBT ? "**\n" : "\n", l->out);
}

static void close_listing(const listing *l)
{
    if (l->left > 0)
        fprintf(l->out, "%s%d more are left out\n", l->before, l->left);
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
    fputs("| ", out);
    ortho_status status = put_key(one, out);
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
    size_t shown = 0, left = 0;
    ortho_status status = ORTHO_OK;
    for (size_t i = 0; i < count && status == ORTHO_OK; i++) {
        if (is_quiet(cases[i]) != quiet)
            continue;
        if (!has_room(out)) {
            left++;
            continue;
        }
        if (shown++ == 0)
            put_header(out);
        status = put_case(cases[i], out);
    }
    if (left > 0)
        fprintf(out, "\n**%zu more are left out: a comment holds 65,536 characters.**\n", left);
    return status;
}

/* What beside the time is to be known of those that aren't quiet. */
static ortho_status put_details(const json_t **cases, size_t count, FILE *out)
{
    ortho_status status = ORTHO_OK;
    fputc('\n', out);
    for (size_t i = 0; i < count && status == ORTHO_OK; i++) {
        listing l = {.out = out, .before = "  - ", .of = cases[i]};
        if (is_quiet(cases[i]) || !has_room(out))
            continue;
        status =
            ortho_comparison_details(cases[i], &(ortho_line_sink){.ctx = &l, .line = put_line});
        close_listing(&l);
    }
    return status;
}

static ortho_status put_list(const json_t *document, const char *title,
                             ortho_status (*lines)(const json_t *, const ortho_line_sink *),
                             FILE *out)
{
    listing l = {.out = out, .before = "- "};
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

static void put_columns(FILE *out)
{
    for (size_t c = 0; c < ortho_comparison_column_count; c++)
        fprintf(out, "- **%s**: %s\n", ortho_comparison_columns[c].title,
                ortho_comparison_columns[c].meaning);
}

static ortho_status put_comparison(const json_t *document, const json_t **cases, size_t count,
                                   FILE *out)
{
    char headline[256];
    ortho_comparison_headline(document, headline, sizeof headline);
    fputs("## ortho-bench: ", out);
    ortho_status status = ortho_markdown_text(headline, out);
    fputs("\n\n", out);
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
    put_columns(out);
    fputs("\n</details>\n", out);
    return status;
}

static ortho_status write_markdown(const json_t *document, const ortho_writer_options *options,
                                   FILE *out)
{
    (void)options;
    const json_t **cases = NULL;
    size_t count = 0, size = 0;
    char *text = NULL;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a comment");
    ortho_status status = ortho_comparison_cases(document, &cases, &count);
    if (status == ORTHO_OK)
        status = put_comparison(document, cases, count, stream);
    if (fclose(stream) != 0 && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a comment");
    if (status == ORTHO_OK)
        fputs(text, out);
    free((void *)cases);
    free(text);
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
