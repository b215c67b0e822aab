#define _GNU_SOURCE
#include "datasets/file.h"

#include "common/error.h"
#include "datasets/reject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ortho_status ortho_file_open(const char *path, ortho_file *out)
{
    ortho_status status;
    struct stat st;
    char *copy = NULL;
    /* O_NONBLOCK: a FIFO in place of a file must not hang us. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return ortho_fail(errno == ENOENT || errno == ENOTDIR ? ORTHO_E_NOT_FOUND : ORTHO_E_IO,
                          "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0) {
        status = ortho_fail(ORTHO_E_IO, "%s: %s", path, strerror(errno));
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        status = ortho_fail(ORTHO_E_ARGUMENT, "%s: not a regular file", path);
        goto fail;
    }
    copy = strdup(path);
    if (!copy) {
        status = ortho_fail(ORTHO_E_MEMORY, "%s: out of memory", path);
        goto fail;
    }
    *out = (ortho_file){.fd = fd, .path = copy, .size = (uint64_t)st.st_size};
    return ORTHO_OK;
fail:
    close(fd);
    return status;
}

void ortho_file_close(ortho_file *file)
{
    if (!file->path)
        return;
    close(file->fd);
    free(file->path);
    *file = (ortho_file){0};
}

ortho_status ortho_file_read(const ortho_file *file, uint64_t offset, void *dst, size_t bytes)
{
    ortho_place place = {.file = file->path, .offset = offset};
    if (offset > file->size || bytes > file->size - offset)
        return ortho_reject(ORTHO_E_FORMAT, place, "%zu bytes wanted, but the file ends at %llu",
                            bytes, (unsigned long long)file->size);
    for (size_t done = 0; done < bytes;) {
        ssize_t got = pread(file->fd, (char *)dst + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        place.offset = offset + done;
        if (got < 0)
            return ortho_reject(ORTHO_E_IO, place, "%s", strerror(errno));
        if (got == 0)
            return ortho_reject(ORTHO_E_FORMAT, place, "the file became shorter while it was read");
        done += (size_t)got;
    }
    return ORTHO_OK;
}

ortho_status ortho_file_slurp(const char *path, size_t limit, char **out, size_t *length)
{
    ortho_file file;
    ortho_status status = ortho_file_open(path, &file);
    if (status != ORTHO_OK)
        return status;
    char *text = NULL;
    if (file.size > limit) {
        status = ortho_reject(ORTHO_E_FORMAT, (ortho_place){.file = path, .offset = limit},
                              "longer than the %zu bytes that such a file may have", limit);
        goto done;
    }
    text = malloc((size_t)file.size + 1);
    if (!text) {
        status = ortho_fail(ORTHO_E_MEMORY, "%s: no memory for %llu bytes", path,
                            (unsigned long long)file.size);
        goto done;
    }
    status = ortho_file_read(&file, 0, text, (size_t)file.size);
    if (status != ORTHO_OK)
        goto done;
    text[file.size] = '\0';
    *out = text;
    *length = (size_t)file.size;
    text = NULL;
done:
    free(text);
    ortho_file_close(&file);
    return status;
}

bool ortho_path_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool ortho_path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *ortho_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *ortho_path_join(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}
