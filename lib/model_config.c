/*
 * Without a quantization_config Transformers takes an artifact for a stock checkpoint whose weights
 * are missing, begins them at random and only warns. So the source's config.json gets one. The key
 * is put into the text, and the text isn't written anew: a number such as 1e-05 stays what it was.
 */
#include "lib/model_config.h"

#include "common/error.h"
#include "datasets/json.h"
#include "datasets/reject.h"
#include "lib/artifact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY    "quantization_config"
#define METHOD "libortho"

/* A piece of a text that gives way to another, with what stands around that. */
typedef struct splice {
    size_t from, to; /* the bytes that go; none of them where both are the same */
    const char *before;
} splice;

static ortho_status no_memory(const char *file)
{
    return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for what it becomes", file);
}

static size_t skip_space(const char *text, size_t length, size_t at)
{
    while (at < length && text[at] != '\0' && strchr(" \t\r\n", text[at]) != NULL)
        at++;
    return at;
}

/* Where the white space that ends at `at` begins. */
static size_t before_space(const char *text, size_t at)
{
    while (at > 0 && text[at - 1] != '\0' && strchr(" \t\r\n", text[at - 1]) != NULL)
        at--;
    return at;
}

/* ---- reading it ------------------------------------------------------------------------------ */

/* Python's json writes these for floats, and JSON has no such words: to be read, an empty list
 * stands in the place of each, which, unlike a number, makes nothing valid that wasn't. */
static size_t mask(char *text, size_t length)
{
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t bytes = strlen(words[i]);
        if (bytes > length || memcmp(text, words[i], bytes) != 0)
            continue;
        memset(text, ' ', bytes);
        memcpy(text, "[]", 2);
        return bytes;
    }
    return 1;
}

static void mask_words(char *text, size_t length)
{
    bool quoted = false;
    for (size_t i = 0; i < length;) {
        size_t step = 1;
        if (text[i] == '"')
            quoted = !quoted;
        else if (quoted)
            step = text[i] == '\\' ? 2 : 1;
        else
            step = mask(text + i, length - i);
        i += step;
    }
}

static ortho_status read_object(const ortho_json_text *json, json_t **root)
{
    char *copy = malloc(json->length + 1);
    if (copy == NULL)
        return no_memory(json->file);
    memcpy(copy, json->text, json->length);
    mask_words(copy, json->length);
    ortho_json_text masked = *json;
    masked.text = copy;
    masked.name_depth = 0; /* no key is a tensor's name */
    ortho_status status = ortho_json_parse(&masked, root);
    free(copy);
    return status == ORTHO_E_FORMAT
               ? ortho_fail_prefix(status, "a model's " ORTHO_MODEL_CONFIG_NAME
                                           " must be a JSON object: mend it, or move it away")
               : status;
}

/* ---- the splice ------------------------------------------------------------------------------ */

static ortho_status refuse(const char *file, const json_t *told)
{
    const char *method = json_string_value(json_object_get(told, "quant_method"));
    char word[64] = "it doesn't say how";
    if (method != NULL && strcmp(method, METHOD) == 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "%s: its " KEY " says that this checkpoint is sieved already: sieve the "
                          "one that it was made of",
                          file);
    if (method != NULL)
        ortho_printable(method, strlen(method), word, sizeof word);
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "%s: its " KEY " says that this checkpoint is quantised already (%s): sieve "
                      "the one that it was made of, or remove that key if it isn't true",
                      file, word);
}

/* The null that stands for no quantization_config. */
static ortho_status at_null(const ortho_json_text *json, splice *out)
{
    const char *text = json->text;
    size_t at = (size_t)(ortho_json_offset(json, KEY) - json->base);
    if (text[at] != '"') /* it isn't found */
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "%s: its " KEY " is null and written with escapes: remove that key",
                          json->file);
    at = skip_space(text, json->length, at + sizeof KEY + 1); /* behind its quotes */
    at = skip_space(text, json->length, at + 1);              /* behind the colon */
    *out = (splice){.from = at, .to = at + strlen("null"), .before = ""};
    return ORTHO_OK;
}

/* Behind the last value, on a line of its own where the closing brace has one. */
static void at_end(const ortho_json_text *json, bool empty, splice *out)
{
    size_t brace = before_space(json->text, json->length) - 1;
    size_t at = before_space(json->text, brace);
    bool lines = memchr(json->text + at, '\n', brace - at) != NULL;
    *out = (splice){.from = at, .to = at};
    if (lines)
        out->before = empty ? "\n  \"" KEY "\": " : ",\n  \"" KEY "\": ";
    else
        out->before = empty ? "\"" KEY "\": " : ", \"" KEY "\": ";
}

static ortho_status find_place(const ortho_json_text *json, splice *out)
{
    json_t *root;
    ortho_status status = read_object(json, &root);
    if (status != ORTHO_OK)
        return status;
    const json_t *told = json_object_get(root, KEY);
    if (told == NULL)
        at_end(json, json_object_size(root) == 0, out);
    else
        status = json_is_null(told) ? at_null(json, out) : refuse(json->file, told);
    json_decref(root);
    return status;
}

/* What libortho says of itself: LibOrthoConfig in python/libortho reads it. The layers' sizes are
 * in the headers of the artifact. */
static char *told_of(const ortho_sieve_options *o)
{
    int group = o->rule == ORTHO_RULE_LEGACY ? 0 : (int)o->group; /* legacy: always the row */
    json_t *told = json_pack("{s:s, s:f, s:s, s:i}", "quant_method", METHOD, "density", o->density,
                             "rule", ortho_rule_word(o->rule), "group", group);
    char *text = told != NULL ? ortho_json_dump(told, 0) : NULL;
    json_decref(told);
    return text;
}

static ortho_status put(const char *file, const splice *s, const char *told, char **text,
                        size_t *length)
{
    size_t before = strlen(s->before), added = strlen(told);
    size_t all = *length - (s->to - s->from) + before + added;
    char *made = malloc(all + 1), *at = made;
    if (made == NULL)
        return no_memory(file);
    memcpy(at, *text, s->from);
    memcpy(at += s->from, s->before, before);
    memcpy(at += before, told, added + 1); /* its NUL gives way to what follows */
    memcpy(at += added, *text + s->to, *length - s->to);
    made[all] = '\0';
    free(*text);
    *text = made;
    *length = all;
    return ORTHO_OK;
}

ortho_status ortho_model_config_tell(const char *file, const ortho_sieve_options *sieve,
                                     char **text, size_t *length)
{
    size_t begin = skip_space(*text, *length, 0);
    const ortho_json_text json = {.file = file,
                                  .base = begin,
                                  .text = *text + begin,
                                  .length = *length - begin,
                                  .name_depth = 1};
    splice s = {0};
    ortho_status status = find_place(&json, &s);
    if (status != ORTHO_OK)
        return status;
    s.from += begin;
    s.to += begin;
    char *told = told_of(sieve);
    status = told != NULL ? put(file, &s, told, text, length) : no_memory(file);
    free(told);
    return status;
}
