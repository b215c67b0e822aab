/*
 * The optimal string alignment distance, over three rows of a table: words are short, and a typed
 * word longer than the rows is nothing that anybody meant.
 */
#include "harness/options_suggest.h"

#include <string.h>

#define LONGEST 64

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Both words are at most LONGEST bytes. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1], na = strlen(a), nb = strlen(b);
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= nb; j++)
        above[j] = j;
    for (size_t i = 1; i <= na; i++) {
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[nb];
}

const char *ob_suggest(const char *typed, const char *const *words, size_t count)
{
    size_t length = strlen(typed);
    if (length == 0 || length > LONGEST)
        return NULL;
    const char *best = NULL;
    size_t slips = length / 3; /* more than a third of the word wrong is another word */
    size_t best_distance = (slips < 1 ? 1 : slips > 3 ? 3 : slips) + 1;
    for (size_t i = 0; i < count; i++) {
        if (strlen(words[i]) > LONGEST)
            continue;
        size_t d = distance(typed, words[i]);
        if (d > 1 && length >= 2 && strncmp(typed, words[i], length) == 0)
            d = 1;
        if (d < best_distance) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}
