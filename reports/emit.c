#include "reports/emit.h"

#include "common/error.h"
#include "reports/text.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static ortho_status put_real(double value, FILE *out)
{
    char text[32];
    if (!isfinite(value))
        return ortho_fail(ORTHO_E_INTERNAL, "a number of the results is not finite");
    ortho_text_number(value, text);
    fputs(text, out);
    if (strpbrk(text, ".e") == NULL)
        fputs(".0", out); /* it stays a real when read back */
    return ORTHO_OK;
}

static ortho_status put_scalar(const json_t *value, FILE *out)
{
    if (json_is_real(value))
        return put_real(json_real_value(value), out);
    if (json_dumpf(value, out, JSON_ENCODE_ANY) != 0)
        return ortho_fail(ORTHO_E_IO, "writing the results failed");
    return ORTHO_OK;
}

static bool is_container(const json_t *value)
{
    return json_is_array(value) || json_is_object(value);
}

static bool is_flat(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (is_container(json_array_get(array, i)))
            return false;
    return true;
}

static void newline(int depth, FILE *out)
{
    fprintf(out, "\n%*s", 2 * depth, "");
}

static ortho_status put_array(const json_t *array, int depth, FILE *out)
{
    bool flat = is_flat(array);
    ortho_status status = ORTHO_OK;
    fputc('[', out);
    for (size_t i = 0; i < json_array_size(array) && status == ORTHO_OK; i++) {
        if (i > 0)
            fputs(flat ? ", " : ",", out);
        if (!flat)
            newline(depth + 1, out);
        status = ortho_json_emit(json_array_get(array, i), depth + 1, out);
    }
    if (!flat)
        newline(depth, out);
    fputc(']', out);
    return status;
}

static ortho_status put_key(const char *key, FILE *out)
{
    json_t *text = json_string(key);
    if (text == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to write the results");
    ortho_status status = put_scalar(text, out);
    json_decref(text);
    fputs(": ", out);
    return status;
}

static ortho_status put_object(json_t *object, int depth, FILE *out)
{
    ortho_status status = ORTHO_OK;
    const char *key, *comma = "";
    json_t *value;
    fputc('{', out);
    json_object_foreach(object, key, value)
    {
        fputs(comma, out);
        comma = ",";
        newline(depth + 1, out);
        status = put_key(key, out);
        if (status == ORTHO_OK)
            status = ortho_json_emit(value, depth + 1, out);
        if (status != ORTHO_OK)
            break;
    }
    if (*comma != '\0')
        newline(depth, out);
    fputc('}', out);
    return status;
}

ortho_status ortho_json_emit(const json_t *value, int depth, FILE *out)
{
    if (json_is_array(value))
        return put_array(value, depth, out);
    if (json_is_object(value))
        return put_object((json_t *)value, depth, out); /* iterating needs no const in jansson */
    return put_scalar(value, out);
}
