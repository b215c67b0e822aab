/* grid.h: a table of text for people: columns as wide as what stands in them. */
#ifndef ORTHO_HARNESS_GRID_H
#define ORTHO_HARNESS_GRID_H

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stdio.h>

#define OB_GRID_COLUMNS 12

typedef struct ob_grid_column {
    const char *title;
    bool right; /* aligned: numbers */
    int most;   /* columns of the terminal that a cell may take, 3 at least; 0: any */
} ob_grid_column;

typedef struct ob_grid {
    const ob_grid_column *column;
    int columns;
    char **cell; /* [rows * columns], owned */
    size_t rows;
    bool failed; /* memory was short */
} ob_grid;

/* A row: `cells` are copied, cleaned of what drives a terminal; NULL is an empty one. */
void ob_grid_add(ob_grid *grid, const char *const *cells);

/* Prints titles and rows; a column without any text in a row is left out. MEMORY where a row got
 * lost for want of it. */
ortho_status ob_grid_print(const ob_grid *grid, FILE *out);

void ob_grid_clear(ob_grid *grid); /* zeroed is allowed */

#endif
