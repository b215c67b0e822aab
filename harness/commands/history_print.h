/* history_print.h: the history for people. */
#ifndef ORTHO_HARNESS_HISTORY_PRINT_H
#define ORTHO_HARNESS_HISTORY_PRINT_H

#include <ortho/ortho.h>
#include <stdio.h>

struct json_t;

/* What ob_history_runs gives, a line a run. */
ortho_status ob_history_print_runs(const struct json_t *runs, FILE *out);

/* What ob_history_trends gives: for each a heading, a line a point, a spark line. */
ortho_status ob_history_print_trends(const struct json_t *trends, FILE *out);

#endif
