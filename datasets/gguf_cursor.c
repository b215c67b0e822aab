#include "datasets/gguf_cursor.h"

#include "datasets/reject.h"

#include <string.h>

static ortho_place here(const ortho_gguf_cursor *c)
{
    return (ortho_place){c->file->path, c->tensor, c->at};
}

uint64_t ortho_gguf_remaining(const ortho_gguf_cursor *c)
{
    return c->file->size - c->at; /* `at` never passes the end */
}

static ortho_status take(ortho_gguf_cursor *c, void *dst, size_t bytes)
{
    if (bytes > ortho_gguf_remaining(c))
        return ortho_reject(ORTHO_E_FORMAT, here(c), "%zu bytes wanted, but the file ends at %llu",
                            bytes, (unsigned long long)c->file->size);
    if (c->at < c->start || c->at + bytes > c->start + c->filled) {
        size_t fill = sizeof c->buffer;
        if (fill > ortho_gguf_remaining(c))
            fill = (size_t)ortho_gguf_remaining(c);
        c->filled = 0;
        ortho_status status = ortho_file_read(c->file, c->at, c->buffer, fill);
        if (status != ORTHO_OK)
            return status;
        c->start = c->at;
        c->filled = fill;
    }
    memcpy(dst, c->buffer + (c->at - c->start), bytes);
    c->at += bytes;
    return ORTHO_OK;
}

ortho_status ortho_gguf_u32(ortho_gguf_cursor *c, uint32_t *out)
{
    unsigned char b[4] = {0};
    ortho_status status = take(c, b, sizeof b);
    if (status == ORTHO_OK)
        *out = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return status;
}

ortho_status ortho_gguf_u64(ortho_gguf_cursor *c, uint64_t *out)
{
    unsigned char b[8] = {0};
    ortho_status status = take(c, b, sizeof b);
    if (status != ORTHO_OK)
        return status;
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | b[i];
    *out = value;
    return ORTHO_OK;
}

ortho_status ortho_gguf_skip(ortho_gguf_cursor *c, uint64_t count, uint64_t size, const char *what)
{
    if (count > ortho_gguf_remaining(c) / size) /* divided first: the product could overflow */
        return ortho_reject(ORTHO_E_FORMAT, here(c),
                            "%s of %llu elements of %llu bytes, but only %llu bytes remain", what,
                            (unsigned long long)count, (unsigned long long)size,
                            (unsigned long long)ortho_gguf_remaining(c));
    c->at += count * size;
    return ORTHO_OK;
}

ortho_status ortho_gguf_skip_string(ortho_gguf_cursor *c)
{
    uint64_t length;
    ortho_status status = ortho_gguf_u64(c, &length);
    return status == ORTHO_OK ? ortho_gguf_skip(c, length, 1, "string") : status;
}

ortho_status ortho_gguf_name(ortho_gguf_cursor *c, const char *what, char *out, size_t size)
{
    ortho_place place = here(c);
    uint64_t length;
    ortho_status status = ortho_gguf_u64(c, &length);
    if (status != ORTHO_OK)
        return status;
    if (length > ortho_gguf_remaining(c))
        return ortho_reject(ORTHO_E_FORMAT, place, "%s of %llu bytes, but only %llu bytes remain",
                            what, (unsigned long long)length,
                            (unsigned long long)ortho_gguf_remaining(c));
    if (length >= size)
        return ortho_reject(ORTHO_E_FORMAT, place, "%s of %llu bytes: at most %zu are legal", what,
                            (unsigned long long)length, size - 1);
    status = take(c, out, (size_t)length);
    if (status != ORTHO_OK)
        return status;
    out[length] = '\0';
    if (strlen(out) != length || !ortho_text_is_clean(out, (size_t)length))
        return ortho_reject(ORTHO_E_FORMAT, place, "%s is not UTF-8 without control characters",
                            what);
    return ORTHO_OK;
}
