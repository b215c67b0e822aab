/*
 * annotate_source.h: source files that a line table names, found where they are now: a build may
 * have been moved, or come from a compiler cache.
 */
#ifndef ORTHO_HARNESS_ANNOTATE_SOURCE_H
#define ORTHO_HARNESS_ANNOTATE_SOURCE_H

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* Folders under which a file is looked for by the last three parts of its path. */
typedef struct ob_source_places {
    const char *folder[3]; /* in this order; NULL: none */
    time_t built;          /* a source that changed later doesn't fit the line table; 0: unknown */
    char root[4096];       /* what a folder may point to */
} ob_source_places;

/* $ORTHO_SOURCE, the current directory, the project above the running binary. */
void ob_source_places_here(ob_source_places *out);

typedef struct ob_source {
    char *text;
    char **lines; /* into the text, without newlines */
    size_t count;
    bool newer; /* than the build */
} ob_source;

/* Reads a regular file of at most 16 MiB, by the path itself or under a place. NOT_FOUND with
 * words, or MEMORY. The caller clears. */
ortho_status ob_source_open(const char *path, const ob_source_places *places, ob_source *out);
void ob_source_clear(ob_source *source); /* zeroed is allowed */

/* NULL where the file has no such line. As long as the source lives. */
const char *ob_source_line(const ob_source *source, int line);

/* The last `parts` parts of a path. */
const char *ob_path_tail(const char *path, int parts);

#endif
