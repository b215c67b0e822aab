/* ways.h: which of a variant's ways `tune --ways` is about. */
#ifndef ORTHO_HARNESS_WAYS_H
#define ORTHO_HARNESS_WAYS_H

#include <ortho/variant.h>
#include <stdbool.h>

/* patterns: names or shell patterns, joined by commas; NULL: all ways. */
bool ob_way_is_asked_for(const char *patterns, const char *way);

/* ARGUMENT, with the variant's ways, for a pattern that none of them matches. */
ortho_status ob_ways_check(const char *patterns, const ortho_variant *variant);

#endif
