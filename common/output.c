#define _GNU_SOURCE /* mkstemp, fdopen */
#include "common/output.h"

#include "common/error.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ortho_status make_folder(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return ORTHO_OK;
    int why = errno;
    struct stat st;
    if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_IO, "%s: can't make this folder: %s", path, strerror(why));
}

ortho_status ortho_make_folders(const char *path)
{
    char buffer[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof buffer)
        return ortho_fail(ORTHO_E_ARGUMENT, "a folder name of %zu bytes", length);
    memcpy(buffer, path, length + 1);
    for (char *p = buffer + 1; *p != '\0'; p++)
        if (*p == '/') {
            *p = '\0';
            ortho_status status = make_folder(buffer);
            if (status != ORTHO_OK)
                return status;
            *p = '/';
        }
    return make_folder(buffer);
}

static ortho_status make_parent(const char *target)
{
    char *copy = strdup(target);
    if (copy == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    ortho_status status = ortho_make_folders(dirname(copy));
    free(copy);
    return status;
}

ortho_status ortho_output_begin(const char *target, ortho_output *out)
{
    ortho_output o = {0};
    ortho_status status = make_parent(target);
    if (status != ORTHO_OK)
        return status;
    size_t length = strlen(target);
    o.target = strdup(target);
    o.temporary = malloc(length + 8);
    if (o.target == NULL || o.temporary == NULL) {
        ortho_output_abort(&o);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    }
    memcpy(o.temporary, target, length);
    memcpy(o.temporary + length, ".XXXXXX", 8);
    int fd = mkstemp(o.temporary);
    if (fd < 0) {
        status = ortho_fail(ORTHO_E_IO, "%s: can't write here: %s", target, strerror(errno));
        free(o.temporary);
        o.temporary = NULL;
        goto error;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    o.stream = fdopen(fd, "w");
    if (o.stream == NULL) {
        status = ortho_fail(ORTHO_E_IO, "%s: %s", target, strerror(errno));
        close(fd);
        goto error;
    }
    *out = o;
    return ORTHO_OK;
error:
    ortho_output_abort(&o);
    return status;
}

static void sync_folder(const char *target)
{
    char *copy = strdup(target);
    if (copy == NULL)
        return; /* the rename happened; a missing folder sync only weakens it against power loss */
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(copy);
}

ortho_status ortho_output_commit(ortho_output *out)
{
    ortho_status status = ORTHO_OK;
    if (fflush(out->stream) != 0 || ferror(out->stream) || fsync(fileno(out->stream)) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: writing failed: %s", out->target, strerror(errno));
    if (fclose(out->stream) != 0 && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_IO, "%s: closing failed: %s", out->target, strerror(errno));
    out->stream = NULL;
    if (status == ORTHO_OK && rename(out->temporary, out->target) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: can't rename: %s", out->target, strerror(errno));
    if (status == ORTHO_OK) {
        sync_folder(out->target);
        free(out->temporary);
        out->temporary = NULL;
    }
    ortho_output_abort(out);
    return status;
}

void ortho_output_abort(ortho_output *out)
{
    if (out->stream != NULL)
        fclose(out->stream);
    if (out->temporary != NULL)
        unlink(out->temporary);
    free(out->temporary);
    free(out->target);
    *out = (ortho_output){0};
}
