/* table: a comparison for a terminal. */
#include "reports/compare/view.h"
#include "reports/paper.h"
#include "reports/text.h"

#include "common/error.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_WIDTH = 72, COLUMNS_MAX = 16 };

static void put_line(void *ctx, const char *text, ortho_tone tone)
{
    ortho_paper_wrapped(ctx, text, 4, tone);
}

static void put_detail(void *ctx, const char *text, ortho_tone tone)
{
    const ortho_paper *p = ctx;
    ortho_paper_pad(p, 4);
    ortho_paper_wrapped(p, text, 8, tone);
}

/* What a row is called: its key, cut where it is very long. */
static char *name_of(const json_t *one)
{
    const char *key = ortho_model_string(one, "key");
    return ortho_text_cut(key != NULL ? key : "?", KEY_WIDTH);
}

typedef struct layout {
    int name, column[COLUMNS_MAX];
} layout;

static ortho_status measure(const json_t **cases, size_t count, layout *l)
{
    *l = (layout){.name = 4};
    for (size_t c = 0; c < ortho_comparison_column_count; c++)
        l->column[c] = ortho_text_width(ortho_comparison_columns[c].title);
    for (size_t i = 0; i < count; i++) {
        char *name = name_of(cases[i]);
        if (name == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
        int width = ortho_text_width(name);
        l->name = width > l->name ? width : l->name;
        free(name);
        for (size_t c = 0; c < ortho_comparison_column_count; c++) {
            ortho_cell cell = {.text = ""};
            ortho_comparison_columns[c].cell(cases[i], &cell);
            width = ortho_text_width(cell.text);
            l->column[c] = width > l->column[c] ? width : l->column[c];
        }
    }
    return ORTHO_OK;
}

static void put_header(const ortho_paper *p, const layout *l)
{
    int columns = l->name;
    fputs("case", p->out);
    ortho_paper_pad(p, l->name - 4);
    for (size_t c = 0; c < ortho_comparison_column_count; c++) {
        ortho_paper_cell(p, ortho_comparison_columns[c].title,
                         (ortho_paper_place){.width = l->column[c]});
        columns += ORTHO_PAPER_GAP + l->column[c];
    }
    fputc('\n', p->out);
    ortho_paper_rule(p, columns);
}

static ortho_status put_case(const ortho_paper *p, const layout *l, const json_t *one)
{
    char *name = name_of(one);
    if (name == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    fputs(name, p->out);
    ortho_paper_pad(p, l->name - ortho_text_width(name));
    free(name);
    for (size_t c = 0; c < ortho_comparison_column_count; c++) {
        ortho_cell cell = {.text = ""};
        ortho_comparison_columns[c].cell(one, &cell);
        ortho_paper_cell(p, cell.text[0] != '\0' ? cell.text : "–",
                         (ortho_paper_place){.width = l->column[c], .tone = cell.tone});
    }
    fputc('\n', p->out);
    return ortho_comparison_details(one, &(ortho_line_sink){.ctx = (void *)p, .line = put_detail});
}

static ortho_status put_cases(const ortho_paper *p, const json_t *document)
{
    const json_t **cases = NULL;
    size_t count = 0;
    layout l;
    ortho_status status = ortho_comparison_cases(document, &cases, &count);
    if (status != ORTHO_OK || count == 0)
        goto end;
    status = measure(cases, count, &l);
    if (status != ORTHO_OK)
        goto end;
    fputc('\n', p->out);
    put_header(p, &l);
    for (size_t i = 0; i < count && status == ORTHO_OK; i++) {
        if (!ortho_comparison_competes(cases[i]) &&
            (i == 0 || ortho_comparison_competes(cases[i - 1])))
            ortho_paper_wrapped(
                p, "references, which tell of the machine and are judged by nothing:", 4,
                ORTHO_TONE_QUIET);
        status = put_case(p, &l, cases[i]);
    }
end:
    free((void *)cases);
    return status;
}

static ortho_status write_table(const json_t *document, const ortho_writer_options *options,
                                FILE *out)
{
    ortho_paper p = {.out = out,
                     .color = options != NULL && options->color,
                     .width = options != NULL && options->width > 0 ? options->width : 0};
    ortho_line_sink sink = {.ctx = &p, .line = put_line};
    char headline[256], note[256];
    ortho_status status = ortho_comparison_lines(document, &sink);
    if (status == ORTHO_OK)
        status = put_cases(&p, document);
    fputc('\n', out);
    if (status == ORTHO_OK)
        status = ortho_comparison_means(document, &sink);
    if (status == ORTHO_OK)
        status = ortho_comparison_rest(document, &sink);
    for (size_t c = 0; c < ortho_comparison_column_count && status == ORTHO_OK; c++) {
        snprintf(note, sizeof note, "%s: %s", ortho_comparison_columns[c].title,
                 ortho_comparison_columns[c].meaning);
        ortho_paper_wrapped(&p, note, 4, ORTHO_TONE_QUIET);
    }
    ortho_comparison_headline(document, headline, sizeof headline);
    fprintf(out, "%s\n", headline);
    return status;
}

extern const ortho_writer ortho_comparison_writer_table;
const ortho_writer ortho_comparison_writer_table = {
    .abi = ORTHO_REPORT_ABI,
    .name = "table",
    .extension = NULL,
    .summary = "a comparison for a terminal, what matters first",
    .write = write_table,
};
