/*
 * table: results for a terminal. One table a group (operation, slice, setting), a row a variant.
 *
 * A row that has no verified time shows its status and reason where the numbers would stand; an
 * ambiguous one is marked ~, and its interval is the message. Columns that no row of a group fills
 * are left out; on a narrow terminal the least needed go first, and the footnote names them.
 */
#include "common/error.h"
#include "reports/columns.h"
#include "reports/paper.h"
#include "reports/reports.h"
#include "reports/text.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 20
#define VARIANT_MAX 48 /* columns that a variant's name may take */
#define NARROWEST   40

typedef struct layout {
    int variant;                                  /* width of the first column */
    int width[COLUMNS_MAX];                       /* of each of ortho_columns; 0: not shown */
    bool dropped[COLUMNS_MAX], used[COLUMNS_MAX]; /* gathered over groups, for the footnotes */
} layout;

static void put_line(void *ctx, const char *text, ortho_tone tone)
{
    ortho_paper_wrapped(ctx, text, 2, tone);
}

/* ---- layout --------------------------------------------------------------------------------- */

static int total_width(const layout *l)
{
    int total = l->variant;
    for (size_t c = 0; c < ortho_column_count; c++)
        total += l->width[c] > 0 ? ORTHO_PAPER_GAP + l->width[c] : 0;
    return total;
}

static void drop_until_fits(layout *l, int width)
{
    while (width > 0 && total_width(l) > width) {
        size_t worst = ortho_column_count;
        for (size_t c = 0; c < ortho_column_count; c++)
            if (l->width[c] > 0 && ortho_columns[c].keep > 0 &&
                (worst == ortho_column_count || ortho_columns[c].keep > ortho_columns[worst].keep))
                worst = c;
        if (worst == ortho_column_count)
            return;
        l->width[worst] = 0;
        l->dropped[worst] = true;
    }
}

static char *variant_name(const json_t *row)
{
    char name[ORTHO_LABEL_BYTES];
    ortho_model_variant(row, name);
    return ortho_text_cut(name, VARIANT_MAX);
}

static ortho_status measure(layout *l, const ortho_group *group, int width)
{
    l->variant = (int)strlen("variant");
    for (size_t c = 0; c < ortho_column_count; c++)
        l->width[c] = ortho_column_filled(&ortho_columns[c], group)
                          ? ortho_text_width(ortho_columns[c].title)
                          : 0;
    for (size_t i = 0; i < group->count; i++) {
        char *name = variant_name(group->rows[i]);
        if (name == NULL)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
        int columns = ortho_text_width(name);
        l->variant = columns > l->variant ? columns : l->variant;
        free(name);
        for (size_t c = 0; c < ortho_column_count; c++) {
            ortho_cell cell;
            ortho_column_cell(&ortho_columns[c], group->rows[i], &cell);
            int w = ortho_text_width(cell.text);
            l->width[c] = l->width[c] > 0 && w > l->width[c] ? w : l->width[c];
        }
    }
    drop_until_fits(l, width);
    for (size_t c = 0; c < ortho_column_count; c++)
        l->used[c] = l->used[c] || l->width[c] > 0;
    return ORTHO_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void put_cell(const ortho_paper *p, const layout *l, size_t column, const ortho_cell *cell)
{
    bool absent = cell->text[0] == '\0';
    const ortho_paper_place place = {.width = l->width[column],
                                     .left = ortho_columns[column].left,
                                     .tone = absent ? ORTHO_TONE_QUIET : cell->tone};
    if (l->width[column] > 0)
        ortho_paper_cell(p, absent ? "–" : cell->text, place);
}

static void put_header(const ortho_paper *p, const layout *l)
{
    if (p->color)
        fputs("\033[4m", p->out);
    fprintf(p->out, "%-*s", l->variant, "variant");
    for (size_t c = 0; c < ortho_column_count; c++) {
        ortho_cell title = {.text = ""};
        snprintf(title.text, sizeof title.text, "%s", ortho_columns[c].title);
        put_cell(p, l, c, &title);
    }
    if (p->color)
        fputs("\033[0m", p->out);
    fputc('\n', p->out);
    ortho_paper_rule(p, total_width(l));
}

/* "failed: reason", wrapped under itself. */
static ortho_status put_reason(const ortho_paper *p, const json_t *row, int column)
{
    ortho_case_status status = ortho_model_status(row);
    char *reason = ortho_text_clean(ortho_model_reason(row));
    if (reason == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    const char *name = ortho_model_status_name(status);
    ortho_paper_pad(p, ORTHO_PAPER_GAP);
    ortho_paper_begin(p, ortho_status_tone(status));
    fprintf(p->out, "%s: ", name);
    int start = column + ORTHO_PAPER_GAP;
    ortho_text_wrap(
        reason,
        (ortho_wrap){.column = start + (int)strlen(name) + 2, .indent = start, .width = p->width},
        p->out);
    ortho_paper_end(p, ortho_status_tone(status));
    free(reason);
    return ORTHO_OK;
}

static ortho_status put_row(const ortho_paper *p, const layout *l, const json_t *row)
{
    ortho_case_status shown = ortho_model_status(row);
    char *name = variant_name(row);
    if (name == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    fputs(name, p->out);
    ortho_paper_pad(p, l->variant - ortho_text_width(name));
    free(name);
    ortho_status status = ORTHO_OK;
    bool timed = shown == ORTHO_CASE_OK || shown == ORTHO_CASE_AMBIGUOUS;
    int used = l->variant;
    for (size_t c = 0; c < ortho_column_count; c++) {
        ortho_cell cell;
        if (!timed && !ortho_columns[c].always)
            continue;
        ortho_column_cell(&ortho_columns[c], row, &cell);
        put_cell(p, l, c, &cell);
        used += l->width[c] > 0 ? ORTHO_PAPER_GAP + l->width[c] : 0;
    }
    if (!timed)
        status = put_reason(p, row, used);
    fputc('\n', p->out);
    return status;
}

static ortho_status put_heading(const ortho_paper *p, const ortho_group *group)
{
    char *heading = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&heading, &size);
    if (stream == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    ortho_model_heading(group, stream);
    if (fclose(stream) != 0) {
        free(heading);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    }
    fputs(p->color ? "\n\033[1m" : "\n", p->out);
    ortho_text_wrap(heading, (ortho_wrap){.indent = 2, .width = p->width}, p->out);
    fputs(p->color ? "\033[0m\n" : "\n", p->out);
    free(heading);
    return ORTHO_OK;
}

/* The table, what is to be said of it, its counters. */
static ortho_status put_group(ortho_paper *p, layout *l, const json_t *results,
                              const ortho_group *group)
{
    ortho_status status = put_heading(p, group);
    if (status == ORTHO_OK)
        status = measure(l, group, p->width);
    if (status == ORTHO_OK)
        put_header(p, l);
    for (size_t i = 0; i < group->count && status == ORTHO_OK; i++)
        status = put_row(p, l, group->rows[i]);
    if (status == ORTHO_OK)
        status = ortho_group_notes(results, group, &(ortho_line_sink){.ctx = p, .line = put_line});
    return status == ORTHO_OK ? ortho_paper_counters(p, group) : status;
}

/* ---- footnotes ------------------------------------------------------------------------------ */

static const char *baseline_name(const json_t *results)
{
    for (size_t i = 0; i < ortho_model_count(results); i++) {
        const char *over = ortho_model_string(ortho_model_row(results, i), "speedup.over");
        if (over != NULL)
            return over;
    }
    return NULL;
}

static void put_footnotes(const ortho_paper *p, const layout *l, const json_t *results)
{
    fputc('\n', p->out);
    for (size_t c = 0; c < ortho_column_count; c++)
        if (l->used[c]) {
            char note[256];
            snprintf(note, sizeof note, "%s: %s", ortho_columns[c].title, ortho_columns[c].meaning);
            ortho_paper_wrapped(p, note, 4, ORTHO_TONE_QUIET);
        }
    const char *over = baseline_name(results);
    char *clean = over != NULL ? ortho_text_clean(over) : NULL;
    char note[256] = "left out for want of width (--format csv has all):";
    size_t used = strlen(note), bare = used;
    if (clean != NULL)
        fprintf(p->out, "baseline: %.*s\n", (int)ortho_text_fit(clean, 60), clean);
    free(clean);
    for (size_t c = 0; c < ortho_column_count && used < sizeof note; c++)
        if (l->dropped[c])
            used +=
                (size_t)snprintf(note + used, sizeof note - used, " %s", ortho_columns[c].title);
    if (used > bare)
        ortho_paper_wrapped(p, note, 4, ORTHO_TONE_QUIET);
}

static ortho_status write_table(const json_t *results, const ortho_writer_options *options,
                                FILE *out)
{
    int width = options == NULL || options->width <= 0 ? 0 : options->width;
    ortho_paper p = {.out = out,
                     .color = options != NULL && options->color,
                     .width = width > 0 && width < NARROWEST ? NARROWEST : width};
    layout l = {0};
    ortho_groups groups = {0};
    ortho_status status = ortho_model_groups(results, &groups);
    if (status == ORTHO_OK)
        status = ortho_context_lines(results, &(ortho_line_sink){.ctx = &p, .line = put_line});
    for (size_t g = 0; g < groups.count && status == ORTHO_OK; g++)
        status = put_group(&p, &l, results, &groups.group[g]);
    if (status == ORTHO_OK) {
        char tally[160];
        put_footnotes(&p, &l, results);
        ortho_tally(results, tally, sizeof tally);
        fprintf(out, "%s\n", tally);
    }
    ortho_groups_free(&groups);
    return status;
}

_Static_assert(COLUMNS_MAX >= 17, "one slot a column");

const ortho_writer ortho_writer_table = {
    .abi = ORTHO_REPORT_ABI,
    .name = "table",
    .extension = NULL,
    .summary = "tables for a terminal, one an operation and slice",
    .write = write_table,
};
