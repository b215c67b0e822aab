/* json.h: JSON from hostile files. jansson parses; this checks depth and size before it, and finds
 * the tensor and the byte offset that an error belongs to, which jansson doesn't keep. */
#ifndef ORTHO_DATASETS_JSON_H
#define ORTHO_DATASETS_JSON_H

#include <jansson.h>
#include <ortho/ortho.h>
#include <stdbool.h>

typedef struct ortho_json_text {
    const char *file;
    uint64_t base; /* offset of text[0] in the file */
    const char *text;
    size_t length;
    int name_depth; /* the nesting at which keys are tensor names: 1 for {"a": {...}} */
} ortho_json_text;

/* Parses one object and nothing behind it but white space. FORMAT on malformed UTF-8, another first
 * byte, duplicate keys, numbers that overflow, nesting beyond 8, more than 4 million tokens. The
 * caller owns *out (json_decref). */
ortho_status ortho_json_parse(const ortho_json_text *, json_t **out);

/* Parses with JSON_REJECT_DUPLICATES. When memory lacks, jansson may say that some
 * token is wrong, or leave characters out of a string and say nothing: then this gives NULL, and
 * *no_memory. */
json_t *ortho_json_load(const char *text, size_t length, json_error_t *error, bool *no_memory);

/* jansson's json_dumps, which leaves keys out when memory lacks: then this gives NULL. The caller
 * frees the text. */
char *ortho_json_dump(const json_t *value, size_t flags);

/* The file offset of this tensor's entry; of the text itself when its name is written with escapes.
 */
uint64_t ortho_json_offset(const ortho_json_text *, const char *tensor);

/* A whole, non-negative number. False for anything else: negative, 1.0, "1". */
bool ortho_json_whole(const json_t *value, int64_t *out);

#endif
