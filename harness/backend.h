/*
 * backend.h: what the session needs of the machine that a variant runs on. One constant table a
 * backend; the session knows only this.
 */
#ifndef ORTHO_HARNESS_BACKEND_H
#define ORTHO_HARNESS_BACKEND_H

#include "harness/timer.h"

#include <ortho/variant.h>

/* Launch number i of a timed loop. */
typedef struct ob_launches {
    void *ctx;
    ortho_status (*launch)(void *ctx, int64_t i);
} ob_launches;

typedef struct ob_backend {
    ortho_backend kind;
    const char *name;
    /* False, with the reason in words, where this machine hasn't got it. */
    bool (*available)(char why[256]);
    /* Bytes of the last-level cache; 0 when it can't be told. */
    size_t (*cache_bytes)(void);
    /* Raw memory of a space, 64-byte aligned (device: 256); NULL with the message left. */
    void *(*alloc)(size_t bytes, ortho_space space);
    void (*free)(void *ptr, ortho_space space);
    /* Where a variant's x, y and workspace live. */
    ortho_space space;
    ortho_status (*upload)(void *dst, const void *src, size_t bytes);
    ortho_status (*download)(void *dst, const void *src, size_t bytes);
    ortho_status (*fill)(void *dst, int byte, size_t bytes);
    /* Pushes everything else out of the last-level cache, using `scratch` of `bytes` bytes. */
    ortho_status (*flush)(void *scratch, size_t bytes, int threads);
    /* Runs `count` launches starting with number `first` and waits for them; *ns is what they took
     * in all, the timer's overhead taken off. */
    ortho_status (*time)(const ob_timer *timer, const ob_launches *launches, int64_t first,
                         int64_t count, double *ns);
} ob_backend;

extern const ob_backend ob_backend_cpu;

/* The table of a kind; NULL when this build hasn't got it. */
const ob_backend *ob_backend_find(ortho_backend kind);

#endif
