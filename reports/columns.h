/*
 * columns.h: the columns of every table for people (terminal, Markdown), each one function of a
 * row. docs/METRICS.md derives them in the same words.
 */
#ifndef ORTHO_REPORTS_COLUMNS_H
#define ORTHO_REPORTS_COLUMNS_H

#include "reports/model.h"

typedef enum ortho_tone {
    ORTHO_TONE_PLAIN = 0,
    ORTHO_TONE_QUIET,
    ORTHO_TONE_GOOD,
    ORTHO_TONE_DOUBT,
    ORTHO_TONE_BAD
} ortho_tone;

typedef struct ortho_cell {
    char text[64]; /* "" is absent */
    ortho_tone tone;
} ortho_cell;

typedef struct ortho_column {
    const char *title;
    const char *meaning; /* the footnote */
    bool left;           /* words, for the last column only; numbers stand right */
    bool always;         /* names the row: told of one without a time too, before its reason */
    int keep;            /* 0: always shown; the highest go first on a narrow terminal */
    bool (*stands)(const ortho_group *group);         /* NULL: wherever a row fills it */
    void (*cell)(const json_t *row, ortho_cell *out); /* only for rows with a time */
} ortho_column;

extern const ortho_column ortho_columns[];
extern const size_t ortho_column_count;

/* Does it stand in this group, and does any row fill it? */
bool ortho_column_filled(const ortho_column *column, const ortho_group *group);

/* Sets *out to the cell of a row; empty when the row has no verified time, unless the column is
 * told always. */
void ortho_column_cell(const ortho_column *column, const json_t *row, ortho_cell *out);

/* The tone in which a status is told. */
ortho_tone ortho_status_tone(ortho_case_status status);

/* The document in lines, for a heading: what ran, where, on which model, why that model, and the
 * warnings (synthetic, interrupted). Each line is given to `line`. */
typedef struct ortho_line_sink {
    void *ctx;
    void (*line)(void *ctx, const char *text, ortho_tone tone);
} ortho_line_sink;
ortho_status ortho_context_lines(const json_t *results, const ortho_line_sink *sink);

/* What is to be said below a group's table: whose lanes couldn't be measured, why, and the cure;
 * whose activity disagrees with its time. */
ortho_status ortho_group_notes(const json_t *results, const ortho_group *group,
                               const ortho_line_sink *sink);

/* "12 cases: 9 ok, 1 failed, 2 skipped" */
void ortho_tally(const json_t *results, char *out, size_t size);

#endif
