/* json_set.h: keys of a JSON object by the type of their value. */
#ifndef ORTHO_REPORTS_JSON_SET_H
#define ORTHO_REPORTS_JSON_SET_H

#include "reports/text.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* JSON has no NaN and no infinity: such a figure is absent. */
static inline void ortho_json_real(json_t *object, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(object, key, json_real(value));
}

static inline void ortho_json_int(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* JSON holds UTF-8 alone: what isn't (a text that was cut within a character, the name of a file)
 * is told as far as it can be read, and not lost. */
static inline void ortho_json_text(json_t *object, const char *key, const char *value)
{
    json_t *text = json_string(value);
    if (text == NULL && value != NULL) {
        char *clean = ortho_text_clean(value);
        text = clean != NULL ? json_string(clean) : NULL;
        free(clean);
    }
    json_object_set_new(object, key, text);
}

/* The object under a key, made where there is none; borrowed. */
static inline json_t *ortho_json_part(json_t *object, const char *key)
{
    json_t *part = json_object_get(object, key);
    if (part == NULL) {
        part = json_object();
        json_object_set_new(object, key, part);
    }
    return part;
}

#endif
