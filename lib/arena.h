/* arena.h: one buffer shared out in pieces of any size: layers differ much in theirs, and memory by
 * the largest would hold few of them at once. For one thread. */
#ifndef ORTHO_LIB_ARENA_H
#define ORTHO_LIB_ARENA_H

#include <stddef.h>

#define ORTHO_ARENA_PIECES 64 /* at once */

typedef struct ortho_arena {
    char *base; /* the owner's, aligned to 4096 */
    size_t bytes;
    int count;
    struct {
        size_t at, bytes;
    } pieces[ORTHO_ARENA_PIECES]; /* that are out, in their order */
} ortho_arena;

/* A piece aligned to a page of 4096 bytes, the first place that fits; NULL: there is none now.
 * bytes > 0. */
void *ortho_arena_take(ortho_arena *arena, size_t bytes);

/* NULL is allowed. */
void ortho_arena_give(ortho_arena *arena, void *piece);

/* Bytes that a piece takes. */
size_t ortho_arena_padded(size_t bytes);

#endif
