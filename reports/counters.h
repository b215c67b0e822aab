/*
 * counters.h: the counters of a group as a table: a line a counter, a column a variant. It holds
 * what a group's formulas derived, and of the raw metrics only those that no formula covers:
 * metrics asked for by name, and those of a group that derived nothing.
 */
#ifndef ORTHO_REPORTS_COUNTERS_H
#define ORTHO_REPORTS_COUNTERS_H

#include "reports/columns.h"

typedef struct ortho_counter_table {
    const json_t **rows; /* a column each, borrowed */
    size_t columns;      /* 0: no row of the group has counters */
    size_t lines;
    json_t *names;   /* set of the counters shown, in order */
    json_t *list;    /* the same as a list */
    json_t *reasons; /* why something is n/a: reason to index */
} ortho_counter_table;

/* The caller frees it; the group's rows must outlive it. */
ortho_status ortho_counter_table_make(const ortho_group *group, ortho_counter_table *out);
void ortho_counter_table_free(ortho_counter_table *table); /* zeroed is allowed */

/* As the file has it: it is not cleaned. */
const char *ortho_counter_table_name(const ortho_counter_table *table, size_t line);

/* "9.66 lanes", "256 MiB", "n/a (b)"; empty where that variant hasn't got the counter. */
void ortho_counter_table_cell(const ortho_counter_table *table, size_t line, size_t column,
                              ortho_cell *out);

/* "(a) REASON" for each letter of the cells. */
void ortho_counter_table_notes(const ortho_counter_table *table, const ortho_line_sink *sink);

/* Three significant digits and the unit: bytes in KiB to TiB, ns in ns to s, all else in steps of
 * 1000 (k, M, G, T). The unit is cleaned and cut. */
void ortho_counter_value(double value, const char *unit, char *out, size_t size);

#endif
