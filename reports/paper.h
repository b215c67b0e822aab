/* paper.h: a terminal that is written on: width, tones, wrapped lines, cells that align. */
#ifndef ORTHO_REPORTS_PAPER_H
#define ORTHO_REPORTS_PAPER_H

#include "reports/columns.h"

#define ORTHO_PAPER_GAP 2 /* columns between two cells */

typedef struct ortho_paper {
    FILE *out;
    bool color;
    int width; /* 0: unlimited */
} ortho_paper;

void ortho_paper_begin(const ortho_paper *paper, ortho_tone tone);
void ortho_paper_end(const ortho_paper *paper, ortho_tone tone);
void ortho_paper_pad(const ortho_paper *paper, int columns);

/* A line of words, wrapped, what follows the first line indented. */
void ortho_paper_wrapped(const ortho_paper *paper, const char *text, int indent, ortho_tone tone);

/* The gap, then the text in `width` columns; left: nothing follows it in its line. */
typedef struct ortho_paper_place {
    int width;
    bool left;
    ortho_tone tone;
} ortho_paper_place;
void ortho_paper_cell(const ortho_paper *paper, const char *text, ortho_paper_place place);

/* The rule below a header of so many columns, where colour doesn't underline it. */
void ortho_paper_rule(const ortho_paper *paper, int columns);

/* A group's counters, in as many blocks of variants as the width asks for; nothing where no row has
 * any. */
ortho_status ortho_paper_counters(const ortho_paper *paper, const ortho_group *group);

#endif
