/* Cases of a comparison by their verdict. */
#include "reports/compare/view.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

static bool is_word(const char *a, const char *b)
{
    return a != NULL && strcasecmp(a, b) == 0;
}

ortho_tone ortho_comparison_tone(const char *verdict)
{
    if (is_word(verdict, "slower") || is_word(verdict, "wrong") || is_word(verdict, "worse"))
        return ORTHO_TONE_BAD;
    if (is_word(verdict, "faster") || is_word(verdict, "better"))
        return ORTHO_TONE_GOOD;
    return is_word(verdict, "same") ? ORTHO_TONE_PLAIN : ORTHO_TONE_DOUBT;
}

bool ortho_comparison_timed(const json_t *one)
{
    static const char *const words[] = {"slower", "faster", "same", "ambiguous"};
    const char *verdict = ortho_model_string(one, "verdict");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(verdict, words[i]))
            return true;
    return false;
}

/* How far from no change: 2x slower and 2x faster are equally far. NAN is nearest. */
static double distance(const json_t *one)
{
    double ratio = ortho_model_number(one, "time.ratio");
    return ratio > 0 ? fabs(log(ratio)) : -1;
}

static int by_distance(const void *a, const void *b)
{
    double x = distance(*(const json_t *const *)a), y = distance(*(const json_t *const *)b);
    return (x < y) - (x > y);
}

const json_t **ortho_comparison_pick(const json_t *document, const char *verdict, size_t *count)
{
    const json_t *list = ortho_model_at(document, "cases");
    const json_t **found = calloc(json_array_size(list) + 1, sizeof *found);
    size_t n = 0;
    for (size_t i = 0; found != NULL && i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (json_is_object(one) &&
            (verdict == NULL || is_word(ortho_model_string(one, "verdict"), verdict)))
            found[n++] = one;
    }
    if (found != NULL && verdict != NULL)
        qsort(found, n, sizeof *found, by_distance);
    *count = n;
    return found;
}
