/* memory_file.h: datasets/file.h over bytes in memory, in the place of datasets/file.c: a target
 * that includes this opens one file, whatever its path, or those that it names, and makes no system
 * call. */
#ifndef ORTHO_TEST_FUZZ_MEMORY_FILE_H
#define ORTHO_TEST_FUZZ_MEMORY_FILE_H

#include "common/error.h"
#include "datasets/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t *memory_file; /* what every path opens that isn't one of `memory_named` */
static size_t memory_file_size;

/* Files of the folder "folder", for targets whose input is several. */
static struct {
    const char *name;
    const uint8_t *data;
    size_t size;
} memory_named[4];

__attribute__((unused)) static void memory_put(int i, const char *name, const uint8_t *data,
                                               size_t size)
{
    memory_named[i].name = name;
    memory_named[i].data = data;
    memory_named[i].size = size;
}

/* Its place in memory_named; -1: memory_file; -2: no such file. */
static int memory_find(const char *path)
{
    for (int i = 0; i < 4 && memory_named[i].name != NULL; i++)
        if (strncmp(path, "folder/", 7) == 0 && strcmp(path + 7, memory_named[i].name) == 0)
            return i;
    return memory_file != NULL ? -1 : -2;
}

static size_t memory_size_of(const char *path)
{
    int file = memory_find(path);
    return file >= 0 ? memory_named[file].size : memory_file_size;
}

ortho_status ortho_file_open(const char *path, ortho_file *out)
{
    int file = memory_find(path);
    if (file == -2)
        return ortho_fail(ORTHO_E_NOT_FOUND, "%s: not there", path);
    char *copy = strdup(path);
    if (copy == NULL)
        abort();
    *out = (ortho_file){.fd = file, .path = copy, .size = memory_size_of(path)};
    return ORTHO_OK;
}

void ortho_file_close(ortho_file *file)
{
    free(file->path);
    *file = (ortho_file){0};
}

ortho_status ortho_file_read(const ortho_file *file, uint64_t offset, void *dst, size_t bytes)
{
    const uint8_t *data = file->fd >= 0 ? memory_named[file->fd].data : memory_file;
    if (offset > file->size || bytes > file->size - offset)
        return ortho_fail(ORTHO_E_FORMAT, "%s: %zu bytes wanted at %llu", file->path, bytes,
                          (unsigned long long)offset);
    if (bytes > 0)
        memcpy(dst, data + offset, bytes);
    return ORTHO_OK;
}

ortho_status ortho_file_slurp(const char *path, size_t limit, char **out, size_t *length)
{
    int file = memory_find(path);
    if (file < 0)
        return ortho_fail(ORTHO_E_NOT_FOUND, "%s: not there", path);
    size_t size = memory_named[file].size;
    char *text = size <= limit ? malloc(size + 1) : NULL;
    if (text == NULL)
        return ortho_fail(ORTHO_E_FORMAT, "%s: too long", path);
    if (size > 0)
        memcpy(text, memory_named[file].data, size);
    text[size] = '\0';
    *out = text;
    *length = size;
    return ORTHO_OK;
}

bool ortho_path_is_file(const char *path)
{
    return memory_find(path) != -2;
}

bool ortho_path_is_folder(const char *path)
{
    return memory_named[0].name != NULL && strcmp(path, "folder") == 0;
}

const char *ortho_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *ortho_path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder) + strlen(name) + 2;
    char *path = malloc(length);
    if (path != NULL)
        snprintf(path, length, "%s/%s", folder, name);
    return path;
}

#endif
