/* json_set.h: keys of a JSON object by the type of their value. */
#ifndef ORTHO_REPORTS_JSON_SET_H
#define ORTHO_REPORTS_JSON_SET_H

#include <jansson.h>
#include <math.h>
#include <stdint.h>

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

static inline void ortho_json_text(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
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
