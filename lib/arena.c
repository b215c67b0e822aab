#include "lib/arena.h"

#include <string.h>

#define PAGE 4096u

size_t ortho_arena_padded(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

void *ortho_arena_take(ortho_arena *a, size_t bytes)
{
    size_t wanted = ortho_arena_padded(bytes), at = 0;
    int i = 0;
    if (a->count == ORTHO_ARENA_PIECES || wanted > a->bytes)
        return NULL;
    for (; i < a->count && a->pieces[i].at - at < wanted; i++)
        at = a->pieces[i].at + a->pieces[i].bytes;
    if (a->bytes - at < wanted)
        return NULL;
    memmove(&a->pieces[i + 1], &a->pieces[i], (size_t)(a->count - i) * sizeof *a->pieces);
    a->pieces[i].at = at;
    a->pieces[i].bytes = wanted;
    a->count++;
    return a->base + at;
}

void ortho_arena_give(ortho_arena *a, void *piece)
{
    for (int i = 0; piece != NULL && i < a->count; i++)
        if (a->base + a->pieces[i].at == (char *)piece) {
            a->count--;
            memmove(&a->pieces[i], &a->pieces[i + 1], (size_t)(a->count - i) * sizeof *a->pieces);
            return;
        }
}
