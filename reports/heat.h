/* heat.h: a heat map of source lines: lanes, warp instructions and stalls of each. */
#ifndef ORTHO_REPORTS_HEAT_H
#define ORTHO_REPORTS_HEAT_H

#include <ortho/ortho.h>

struct json_t;

/* Lines that one picture can show. */
#define ORTHO_HEAT_LINES 32

/* Makes NAME.gp, .tsv, .svg and .png in a folder, which it makes, each whole or not at all, of
 *
 *   {"title", "subtitle", "context"?, "lines": [{"line", "text", "lanes"?, "warps"?, "stalls"?}]}
 *
 * where lanes run to 32, warps and stalls are shares of 1, and what is missing isn't known. A line
 * of text may hold anything. UNSUPPORTED, with the reason, without lines (nothing is written) or
 * without gnuplot (.gp and .tsv are). */
ortho_status ortho_heat_files(const struct json_t *map, const char *name, const char *folder);

#endif
