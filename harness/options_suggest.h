/* options_suggest.h: "did you mean": the known word that a typing slip would come from. */
#ifndef ORTHO_HARNESS_OPTIONS_SUGGEST_H
#define ORTHO_HARNESS_OPTIONS_SUGGEST_H

#include <stddef.h>

/* The word of words[0..count) nearest to `typed` by insertions, deletions, replacements and swaps
 * of neighbours, where a prefix counts as one slip; NULL when none is near enough to be meant. */
const char *ob_suggest(const char *typed, const char *const *words, size_t count);

#endif
