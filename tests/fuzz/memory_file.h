/* memory_file.h: datasets/file.h over bytes in memory, in the place of datasets/file.c: a target
 * that includes this opens one file, whatever its path, and makes no system call. */
#ifndef ORTHO_TEST_FUZZ_MEMORY_FILE_H
#define ORTHO_TEST_FUZZ_MEMORY_FILE_H

#include "common/error.h"
#include "datasets/file.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t *memory_file;
static size_t memory_file_size;

ortho_status ortho_file_open(const char *path, ortho_file *out)
{
    char *copy = strdup(path);
    if (copy == NULL)
        abort();
    *out = (ortho_file){.fd = -1, .path = copy, .size = memory_file_size};
    return ORTHO_OK;
}

void ortho_file_close(ortho_file *file)
{
    free(file->path);
    *file = (ortho_file){0};
}

ortho_status ortho_file_read(const ortho_file *file, uint64_t offset, void *dst, size_t bytes)
{
    if (offset > file->size || bytes > file->size - offset)
        return ortho_fail(ORTHO_E_FORMAT, "%s: %zu bytes wanted at %llu", file->path, bytes,
                          (unsigned long long)offset);
    memcpy(dst, memory_file + offset, bytes);
    return ORTHO_OK;
}

ortho_status ortho_file_slurp(const char *path, size_t limit, char **out, size_t *length)
{
    (void)limit, (void)out, (void)length;
    return ortho_fail(ORTHO_E_NOT_FOUND, "%s: only one file is there", path);
}

bool ortho_path_is_file(const char *path)
{
    (void)path;
    return true;
}

bool ortho_path_is_folder(const char *path)
{
    (void)path;
    return false;
}

const char *ortho_path_base(const char *path)
{
    return path;
}

char *ortho_path_join(const char *folder, const char *name)
{
    (void)folder;
    return strdup(name);
}

#endif
