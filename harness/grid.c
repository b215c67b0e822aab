#include "harness/grid.h"

#include "common/error.h"
#include "reports/text.h"

#include <stdlib.h>
#include <string.h>

static char *make_cell(const ob_grid_column *column, const char *text)
{
    if (text == NULL)
        text = "";
    return column->most > 0 ? ortho_text_cut(text, column->most) : ortho_text_clean(text);
}

void ob_grid_add(ob_grid *grid, const char *const *cells)
{
    size_t columns = (size_t)grid->columns, at = grid->rows * columns;
    char **grown = realloc(grid->cell, (at + columns) * sizeof *grown);
    if (grown == NULL) {
        grid->failed = true;
        return;
    }
    grid->cell = grown;
    grid->rows++;
    for (int i = 0; i < grid->columns; i++) {
        grid->cell[at + (size_t)i] = make_cell(&grid->column[i], cells[i]);
        grid->failed = grid->failed || grid->cell[at + (size_t)i] == NULL;
    }
}

static const char *cell_at(const ob_grid *grid, size_t row, int column)
{
    return grid->cell[row * (size_t)grid->columns + (size_t)column];
}

/* 0 for a column that is left out. */
static int width_of(const ob_grid *grid, int column)
{
    int widest = 0;
    for (size_t row = 0; row < grid->rows; row++) {
        int width = ortho_text_width(cell_at(grid, row, column));
        widest = width > widest ? width : widest;
    }
    int title = ortho_text_width(grid->column[column].title);
    return widest > 0 && title > widest ? title : widest;
}

/* No blanks at the end of a line: they are owed until something follows. */
static void print_line(const ob_grid *grid, const int *widths, const char *const *cells, FILE *out)
{
    int owed = 0;
    bool first = true;
    for (int i = 0; i < grid->columns; i++) {
        if (widths[i] == 0)
            continue;
        int width = ortho_text_width(cells[i]), pad = widths[i] - width;
        owed += first ? 0 : 2;
        first = false;
        if (width > 0)
            fprintf(out, "%*s%s", owed + (grid->column[i].right ? pad : 0), "", cells[i]);
        owed = width == 0 ? owed + pad : grid->column[i].right ? 0 : pad;
    }
    fputc('\n', out);
}

ortho_status ob_grid_print(const ob_grid *grid, FILE *out)
{
    int widths[OB_GRID_COLUMNS];
    const char *cells[OB_GRID_COLUMNS];
    if (grid->failed)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a table");
    for (int i = 0; i < grid->columns; i++) {
        widths[i] = width_of(grid, i);
        cells[i] = grid->column[i].title;
    }
    print_line(grid, widths, cells, out);
    for (size_t row = 0; row < grid->rows; row++) {
        for (int i = 0; i < grid->columns; i++)
            cells[i] = cell_at(grid, row, i);
        print_line(grid, widths, cells, out);
    }
    return ORTHO_OK;
}

void ob_grid_clear(ob_grid *grid)
{
    for (size_t i = 0; i < grid->rows * (size_t)grid->columns; i++)
        free(grid->cell[i]);
    free(grid->cell);
    grid->cell = NULL;
    grid->rows = 0;
}
