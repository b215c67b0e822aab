/* gguf_cursor.h: reads a GGUF header field after field, never past the end of the file, and says
 * where it stood when a field is wrong. */
#ifndef ORTHO_DATASETS_GGUF_CURSOR_H
#define ORTHO_DATASETS_GGUF_CURSOR_H

#include "datasets/file.h"

typedef struct ortho_gguf_cursor {
    const ortho_file *file;
    uint64_t at;            /* of the next byte to read */
    const char *tensor;     /* whose fields are being read, for messages; NULL: none yet */
    uint64_t start, filled; /* buffer holds file bytes [start, start + filled) */
    unsigned char buffer[16384];
} ortho_gguf_cursor;

uint64_t ortho_gguf_remaining(const ortho_gguf_cursor *);

/* Little-endian fields. FORMAT where the file ends before. */
ortho_status ortho_gguf_u32(ortho_gguf_cursor *, uint32_t *out);
ortho_status ortho_gguf_u64(ortho_gguf_cursor *, uint64_t *out);

/* Passes `count` elements of `size` bytes, of a thing called `what`. */
ortho_status ortho_gguf_skip(ortho_gguf_cursor *, uint64_t count, uint64_t size, const char *what);

/* Passes a string: u64 length, bytes. */
ortho_status ortho_gguf_skip_string(ortho_gguf_cursor *);

/* Reads a string shorter than `size` into `out`, NUL-terminated; refuses one that is longer, is not
 * UTF-8 or holds control characters. */
ortho_status ortho_gguf_name(ortho_gguf_cursor *, const char *what, char *out, size_t size);

#endif
