#define _GNU_SOURCE
#include "harness/annotate_source.h"

#include "common/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL_PARTS = 3, LEVELS = 5 };
#define BYTES_MAX ((off_t)16 << 20)

const char *ob_path_tail(const char *path, int parts)
{
    const char *at = path + strlen(path);
    for (int seen = 0; at > path; at--)
        if (at[-1] == '/' && ++seen == parts)
            break;
    return at;
}

/* ---- places ---------------------------------------------------------------------------------- */

/* The folder above the binary that has the project's sources; "" when none has. */
static void find_root(char root[PATH_MAX])
{
    char probe[PATH_MAX + 32];
    ssize_t length = readlink("/proc/self/exe", root, PATH_MAX - 1);
    root[length > 0 ? length : 0] = '\0';
    for (int level = 0; level < LEVELS; level++) {
        char *slash = strrchr(root, '/');
        if (slash == NULL || slash == root)
            break;
        *slash = '\0';
        snprintf(probe, sizeof probe, "%s/include/ortho/variant.h", root);
        if (access(probe, R_OK) == 0)
            return;
    }
    root[0] = '\0';
}

void ob_source_places_here(ob_source_places *out)
{
    struct stat st;
    const char *named = getenv("ORTHO_SOURCE");
    _Static_assert(sizeof out->root >= PATH_MAX, "a root is a path");
    find_root(out->root);
    out->folder[0] = named != NULL && named[0] != '\0' ? named : NULL;
    out->folder[1] = ".";
    out->folder[2] = out->root[0] != '\0' ? out->root : NULL;
    out->built = stat("/proc/self/exe", &st) == 0 ? st.st_mtime : 0;
}

/* ---- a file ---------------------------------------------------------------------------------- */

/* -1 for what is no regular file that can be read: a path of a line table may name anything, a pipe
 * that nobody writes to as well. */
static int open_regular(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size <= BYTES_MAX))
        return fd;
    close(fd);
    return -1;
}

static int find(const char *path, const ob_source_places *places, struct stat *st)
{
    char moved[PATH_MAX];
    int fd = path[0] != '\0' ? open_regular(path, st) : -1;
    for (size_t i = 0; fd < 0 && path[0] != '\0' && i < 3; i++) {
        if (places->folder[i] == NULL ||
            snprintf(moved, sizeof moved, "%s/%s", places->folder[i],
                     ob_path_tail(path, TAIL_PARTS)) >= (int)sizeof moved)
            continue;
        fd = open_regular(moved, st);
    }
    return fd;
}

/* Of what is there; a file that shrinks meanwhile ends early. */
static size_t read_all(int fd, char *text, size_t size)
{
    size_t used = 0;
    ssize_t got;
    while (used < size && (got = read(fd, text + used, size - used)) != 0)
        if (got > 0)
            used += (size_t)got;
        else if (errno != EINTR)
            break;
    return used;
}

static ortho_status split(ob_source *source, size_t size)
{
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) {
        if (source->text[i] == '\0')
            source->text[i] = '?'; /* would end the line */
        lines += source->text[i] == '\n';
    }
    source->text[size] = '\0';
    source->lines = calloc(lines, sizeof *source->lines);
    if (source->lines == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a source of %zu lines", lines);
    for (char *at = source->text; *at != '\0';) {
        source->lines[source->count++] = at;
        at += strcspn(at, "\n");
        if (*at == '\n')
            *at++ = '\0';
    }
    return ORTHO_OK;
}

ortho_status ob_source_open(const char *path, const ob_source_places *places, ob_source *out)
{
    struct stat st;
    ob_source source = {0};
    int fd = find(path, places, &st);
    if (fd < 0)
        return ortho_fail(ORTHO_E_NOT_FOUND,
                          "%s: no such source here: set ORTHO_SOURCE to the folder of the project",
                          path);
    source.newer = places->built != 0 && st.st_mtime > places->built;
    source.text = malloc((size_t)st.st_size + 1);
    ortho_status status = source.text != NULL
                              ? split(&source, read_all(fd, source.text, (size_t)st.st_size))
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for %s", path);
    close(fd);
    if (status != ORTHO_OK)
        ob_source_clear(&source);
    else
        *out = source;
    return status;
}

void ob_source_clear(ob_source *source)
{
    free(source->lines);
    free(source->text);
    *source = (ob_source){0};
}

const char *ob_source_line(const ob_source *source, int line)
{
    return line > 0 && (size_t)line <= source->count ? source->lines[line - 1] : NULL;
}
