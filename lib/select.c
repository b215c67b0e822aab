#include "lib/select.h"

#include "common/error.h"
#include "datasets/registry.h"

#include <stdlib.h>
#include <string.h>

#define MOST_LAYERS 9999

/* One "3" or "0-3" at *at, and what separates it from the next. False: it isn't one. */
static bool next_range(const char **at, long *first, long *last)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    *first = *last = strtol(*at, &end, 10);
    if (*end == '-') {
        if (end[1] < '0' || end[1] > '9')
            return false;
        *last = strtol(end + 1, &end, 10);
    }
    if ((*end != ',' && *end != '\0') || (*end == ',' && end[1] == '\0'))
        return false;
    *at = *end == ',' ? end + 1 : end;
    return *first <= *last && *last <= MOST_LAYERS;
}

bool ortho_select_layer(const char *list, int layer)
{
    long first, last;
    while (list != NULL && *list != '\0' && next_range(&list, &first, &last))
        if (layer >= first && layer <= last)
            return true;
    return list == NULL;
}

bool ortho_select_projection(const char *list, const char *projection)
{
    size_t length = strlen(projection);
    if (list == NULL || strcmp(list, "all") == 0)
        return true;
    for (const char *at = list; *at != '\0';) {
        size_t word = strcspn(at, ",");
        if (word == length && memcmp(at, projection, length) == 0)
            return true;
        at += word + (at[word] == ',');
    }
    return false;
}

static bool projection_known(const char *word, size_t length)
{
    if (length == 1 && *word == 'w') /* a lone matrix */
        return true;
    for (int i = 0; i < ORTHO_PROJ_COUNT; i++)
        if (strlen(ortho_proj_names[i]) == length && memcmp(word, ortho_proj_names[i], length) == 0)
            return true;
    return false;
}

ortho_status ortho_select_check(const char *layers, const char *projections)
{
    long first, last;
    for (const char *at = layers; at != NULL && *at != '\0';)
        if (!next_range(&at, &first, &last))
            return ortho_fail(ORTHO_E_ARGUMENT,
                              "layers \"%s\": numbers and ranges up to %d are wanted, as in 0-3,7",
                              layers, MOST_LAYERS);
    if (projections == NULL || strcmp(projections, "all") == 0)
        return ORTHO_OK;
    for (const char *at = projections; *at != '\0';) {
        size_t word = strcspn(at, ",");
        if (!projection_known(at, word))
            return ortho_fail(ORTHO_E_ARGUMENT,
                              "projections \"%s\": q, k, v, o, gate, up, down or w are wanted, "
                              "joined by commas",
                              projections);
        at += word + (at[word] == ',');
    }
    return ORTHO_OK;
}
