/* The counters of a group on a terminal: below the group's table, a line a counter. */
#include "common/error.h"
#include "reports/counters.h"
#include "reports/paper.h"
#include "reports/text.h"

#include <stdlib.h>
#include <string.h>

#define VARIANT_MAX  16
#define CELL_MAX     20
#define NAME_COLUMNS 64 /* columns of a counter's name where the terminal has no width */

/* A block of columns that fits beside the names. */
typedef struct block {
    size_t first, end;
    int name; /* columns of the names */
    int *width;
} block;

static ortho_status no_memory(void)
{
    return ortho_fail(ORTHO_E_MEMORY, "no memory for a table of counters");
}

static char *header_of(const ortho_counter_table *t, size_t column)
{
    char name[ORTHO_LABEL_BYTES];
    ortho_model_label(t->rows[column], name);
    return ortho_text_cut(name, VARIANT_MAX);
}

/* At most half of the paper: a longer name gets a line of its own. */
static int name_width(const ortho_paper *p, const ortho_counter_table *t)
{
    int most = p->width > 0 ? p->width / 2 : NAME_COLUMNS, width = (int)strlen("counter");
    for (size_t line = 0; line < t->lines; line++) {
        char *name = ortho_text_cut(ortho_counter_table_name(t, line), most + 1);
        int its = name != NULL ? ortho_text_width(name) : 0;
        width = its > width && its <= most ? its : width;
        free(name);
    }
    return width;
}

static ortho_status measure_columns(const ortho_counter_table *t, int *width)
{
    for (size_t c = 0; c < t->columns; c++) {
        char *header = header_of(t, c);
        if (header == NULL)
            return no_memory();
        width[c] = ortho_text_width(header);
        free(header);
        for (size_t line = 0; line < t->lines; line++) {
            ortho_cell cell;
            ortho_counter_table_cell(t, line, c, &cell);
            int its = ortho_text_width(cell.text);
            width[c] = its > width[c] ? its : width[c];
        }
        width[c] = width[c] < CELL_MAX ? width[c] : CELL_MAX;
    }
    return ORTHO_OK;
}

/* How wide the block is; its end is moved to what fits, one column at least. */
static int fit_block(const ortho_paper *p, const ortho_counter_table *t, block *b)
{
    int total = b->name;
    for (b->end = b->first; b->end < t->columns; b->end++) {
        int wider = total + ORTHO_PAPER_GAP + b->width[b->end];
        if (p->width > 0 && wider > p->width && b->end > b->first)
            break;
        total = wider;
    }
    return total;
}

static ortho_status put_header(const ortho_paper *p, const ortho_counter_table *t, const block *b)
{
    fprintf(p->out, "%s%-*s", p->color ? "\033[4m" : "", b->name, "counter");
    for (size_t c = b->first; c < b->end; c++) {
        char *header = header_of(t, c);
        if (header == NULL)
            return no_memory();
        ortho_paper_cell(p, header, (ortho_paper_place){.width = b->width[c]});
        free(header);
    }
    fprintf(p->out, "%s\n", p->color ? "\033[0m" : "");
    return ORTHO_OK;
}

static ortho_status put_line(const ortho_paper *p, const ortho_counter_table *t, const block *b,
                             size_t line)
{
    int most = p->width > 0 ? p->width : 2 * NAME_COLUMNS;
    char *name = ortho_text_cut(ortho_counter_table_name(t, line), most);
    if (name == NULL)
        return no_memory();
    int its = ortho_text_width(name);
    fprintf(p->out, "%s%s", name, its > b->name ? "\n" : "");
    ortho_paper_pad(p, its > b->name ? b->name : b->name - its);
    free(name);
    for (size_t c = b->first; c < b->end; c++) {
        ortho_cell cell;
        ortho_counter_table_cell(t, line, c, &cell);
        char *text = ortho_text_cut(cell.text[0] != '\0' ? cell.text : "–", CELL_MAX);
        if (text == NULL)
            return no_memory();
        ortho_tone tone = cell.text[0] != '\0' ? cell.tone : ORTHO_TONE_QUIET;
        ortho_paper_cell(p, text, (ortho_paper_place){.width = b->width[c], .tone = tone});
        free(text);
    }
    fputc('\n', p->out);
    return ORTHO_OK;
}

static ortho_status put_block(const ortho_paper *p, const ortho_counter_table *t, block *b)
{
    int total = fit_block(p, t, b);
    fputc('\n', p->out);
    ortho_status status = put_header(p, t, b);
    ortho_paper_rule(p, total);
    for (size_t line = 0; line < t->lines && status == ORTHO_OK; line++)
        status = put_line(p, t, b, line);
    return status;
}

static void put_note(void *ctx, const char *text, ortho_tone tone)
{
    ortho_paper_wrapped(ctx, text, 4, tone);
}

static ortho_status put_table(const ortho_paper *p, const ortho_counter_table *t)
{
    block b = {.width = calloc(t->columns, sizeof *b.width), .name = name_width(p, t)};
    ortho_status status = b.width != NULL ? measure_columns(t, b.width) : no_memory();
    for (; b.first < t->columns && status == ORTHO_OK; b.first = b.end)
        status = put_block(p, t, &b);
    free(b.width);
    if (status == ORTHO_OK)
        ortho_counter_table_notes(t, &(ortho_line_sink){.ctx = (void *)p, .line = put_note});
    return status;
}

ortho_status ortho_paper_counters(const ortho_paper *paper, const ortho_group *group)
{
    ortho_counter_table table = {0};
    ortho_status status = ortho_counter_table_make(group, &table);
    if (status == ORTHO_OK && table.columns > 0)
        status = put_table(paper, &table);
    ortho_counter_table_free(&table);
    return status;
}
