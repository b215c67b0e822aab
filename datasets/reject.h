/* reject.h: the one form of every refusal of a file: file, tensor, byte offset, reason. */
#ifndef ORTHO_DATASETS_REJECT_H
#define ORTHO_DATASETS_REJECT_H

#include <ortho/ortho.h>
#include <stdbool.h>

/* Where in a file something is wrong. */
typedef struct ortho_place {
    const char *file;
    const char *tensor; /* NULL or "": none is known there */
    uint64_t offset;    /* bytes from the file's beginning */
} ortho_place;

/* Records `FILE: tensor "NAME": byte OFFSET: reason` and returns `status`. Names come from hostile
 * files: they are shortened, and what a terminal could obey is replaced. */
ortho_status ortho_reject(ortho_status status, ortho_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Copies `text` (length bytes) for a message into `size` >= 8 bytes: control characters and
 * malformed UTF-8 become '?', a long text is cut. */
void ortho_printable(const char *text, size_t length, char *out, size_t size);

/* Is this text well-formed UTF-8 without control characters? */
bool ortho_text_is_clean(const char *text, size_t length);

#endif
