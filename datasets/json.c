#include "datasets/json.h"

#include "common/error.h"
#include "datasets/reject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH  8
#define MAX_TOKENS 4000000 /* values and keys: bounds what jansson allocates */

/* A walk over the text's tokens that knows strings and nesting and nothing else. */
typedef struct walk {
    const char *text;
    size_t length, at;
    int depth;
    uint64_t tokens;
    size_t key, key_length; /* the string passed last: where it begins, its bytes without quotes */
    bool key_new;           /* it was passed in this step */
} walk;

/* Passes one token; false at the end. */
static bool walk_step(walk *w)
{
    w->key_new = false;
    if (w->at >= w->length)
        return false;
    char c = w->text[w->at++];
    if (c == '{' || c == '[') {
        w->depth++;
        w->tokens++;
    } else if (c == '}' || c == ']') {
        w->depth--;
    } else if (c == ',' || c == ':') {
        w->tokens++;
    } else if (c == '"') {
        w->key = w->at;
        while (w->at < w->length && w->text[w->at] != '"')
            w->at += w->text[w->at] == '\\' ? 2 : 1;
        if (w->at > w->length)
            w->at = w->length;
        w->key_length = w->at - w->key;
        w->key_new = true;
        w->at += w->at < w->length;
    }
    return true;
}

/* Is the string that the walk has just passed a key? */
static bool walk_at_key(const walk *w)
{
    size_t i = w->at;
    while (i < w->length && strchr(" \t\r\n", w->text[i]) && w->text[i] != '\0')
        i++;
    return w->key_new && i < w->length && w->text[i] == ':';
}

/* The last tensor name that begins before `position`, for a message. */
static void name_before(const ortho_json_text *json, size_t position, char out[128])
{
    walk w = {.text = json->text, .length = json->length};
    out[0] = '\0';
    while (w.at < position && walk_step(&w))
        if (w.depth == json->name_depth && walk_at_key(&w))
            ortho_printable(json->text + w.key, w.key_length, out, 128);
}

uint64_t ortho_json_offset(const ortho_json_text *json, const char *tensor)
{
    walk w = {.text = json->text, .length = json->length};
    size_t length = strlen(tensor);
    while (walk_step(&w))
        if (w.depth == json->name_depth && w.key_new && w.key_length == length &&
            memcmp(json->text + w.key, tensor, length) == 0 && walk_at_key(&w))
            return json->base + w.key - 1;
    return json->base;
}

static ortho_status check_limits(const ortho_json_text *json)
{
    walk w = {.text = json->text, .length = json->length};
    while (walk_step(&w)) {
        if (w.depth <= MAX_DEPTH && w.tokens <= MAX_TOKENS)
            continue;
        char name[128];
        name_before(json, w.at, name);
        ortho_place place = {json->file, name, json->base + w.at - 1};
        return w.depth > MAX_DEPTH
                   ? ortho_reject(ORTHO_E_FORMAT, place, "JSON nested deeper than %d", MAX_DEPTH)
                   : ortho_reject(ORTHO_E_FORMAT, place, "more than %d JSON tokens", MAX_TOKENS);
    }
    return ORTHO_OK;
}

/*
 * jansson's lexer keeps a token in a buffer that grows, and doesn't look whether it could: without
 * memory it drops what doesn't fit, and reads beyond the buffer's end for a closing quote that it
 * dropped. So the text is given a byte at a time, and ends where an allocation failed: numbers
 * reset errno, but not before another byte was asked for. No byte comes after a closing quote that
 * finds no room (the string and its quotes are 16, 32, 64, ... bytes long): so memory for the
 * longest string is asked for beforehand.
 */
typedef struct feed {
    const char *at, *end;
    bool no_memory;
} feed;

static size_t next_byte(void *buffer, size_t room, void *ctx)
{
    feed *f = ctx;
    (void)room;
    f->no_memory |= errno == ENOMEM;
    if (f->at == f->end || f->no_memory)
        return 0;
    *(char *)buffer = *f->at++;
    return 1;
}

static bool has_memory(const char *text, size_t length)
{
    walk w = {.text = text, .length = length};
    size_t longest = 0;
    while (walk_step(&w))
        if (w.key_new && w.key_length > longest)
            longest = w.key_length;
    /* A buffer of twice that, and the string itself. volatile: a compiler may leave out the pair.
     */
    void *volatile probe = malloc(3 * longest + 64);
    bool there = probe != NULL;
    free(probe);
    return there;
}

json_t *ortho_json_load(const char *text, size_t length, json_error_t *error, bool *no_memory)
{
    feed f = {.at = text, .end = text + length};
    *no_memory = !has_memory(text, length);
    if (*no_memory)
        return NULL;
    errno = 0;
    json_t *root = json_load_callback(next_byte, &f, JSON_REJECT_DUPLICATES, error);
    *no_memory = f.no_memory || errno == ENOMEM;
    if (!*no_memory)
        return root;
    json_decref(root);
    return NULL;
}

char *ortho_json_dump(const json_t *value, size_t flags)
{
    errno = 0;
    char *text = json_dumps(value, flags);
    if (errno != ENOMEM)
        return text;
    free(text);
    return NULL;
}

ortho_status ortho_json_parse(const ortho_json_text *json, json_t **out)
{
    if (json->length == 0 || json->text[0] != '{')
        return ortho_reject(ORTHO_E_FORMAT, (ortho_place){json->file, NULL, json->base},
                            "JSON must begin with '{'");
    ortho_status status = check_limits(json);
    if (status != ORTHO_OK)
        return status;
    json_error_t error;
    bool no_memory;
    json_t *root = ortho_json_load(json->text, json->length, &error, &no_memory);
    if (!root && no_memory)
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory for its JSON of %zu bytes", json->file,
                          json->length);
    if (!root) {
        size_t at = error.position < 0 ? 0 : (size_t)error.position;
        if (at > json->length)
            at = json->length;
        char name[128];
        name_before(json, at, name);
        ortho_place place = {json->file, name, json->base + at};
        return ortho_reject(ORTHO_E_FORMAT, place, "JSON: %s", error.text);
    }
    /* Which jansson passes over behind true, false and null. */
    const char *nul = memchr(json->text, '\0', json->length);
    if (nul != NULL) {
        ortho_place place = {json->file, NULL, json->base + (uint64_t)(nul - json->text)};
        json_decref(root);
        return ortho_reject(ORTHO_E_FORMAT, place, "JSON: a NUL byte");
    }
    *out = root;
    return ORTHO_OK;
}

bool ortho_json_whole(const json_t *value, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = json_integer_value(value);
    return true;
}
