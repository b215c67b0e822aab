#include "harness/ways.h"

#include "common/error.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum { PATTERN_MOST = 63, WORDS = 512 };

/* The next pattern of a list, which moves on; false at its end. One that is too long for any way's
 * name matches none. */
static bool next_pattern(const char **list, char pattern[PATTERN_MOST + 1])
{
    if (*list == NULL)
        return false;
    size_t length = strcspn(*list, ",");
    snprintf(pattern, PATTERN_MOST + 1, "%.*s", length <= PATTERN_MOST ? (int)length : 0, *list);
    *list = (*list)[length] == ',' ? *list + length + 1 : NULL;
    return true;
}

bool ob_way_is_asked_for(const char *patterns, const char *way)
{
    char pattern[PATTERN_MOST + 1];
    bool is = patterns == NULL;
    while (!is && next_pattern(&patterns, pattern))
        is = fnmatch(pattern, way, 0) == 0;
    return is;
}

static bool matches_any(const char *pattern, const char *const *ways)
{
    for (int i = 0; ways[i] != NULL; i++)
        if (fnmatch(pattern, ways[i], 0) == 0)
            return true;
    return false;
}

ortho_status ob_ways_check(const char *patterns, const ortho_variant *variant)
{
    char pattern[PATTERN_MOST + 1], words[WORDS] = "";
    const char *const *ways = variant->gemm->ways;
    while (next_pattern(&patterns, pattern)) {
        if (matches_any(pattern, ways))
            continue;
        for (int i = 0; ways[i] != NULL; i++) {
            size_t used = strlen(words);
            snprintf(words + used, WORDS - used, "%s%s", i > 0 ? ", " : "", ways[i]);
        }
        return ortho_fail(ORTHO_E_ARGUMENT, "--ways: no way of %s matches '%s'; it has: %s",
                          variant->name, pattern, words);
    }
    return ORTHO_OK;
}
