/*
 * backend.h: what the session needs of the machine that a variant runs on. One constant table a
 * backend; the session knows only this.
 */
#ifndef ORTHO_HARNESS_BACKEND_H
#define ORTHO_HARNESS_BACKEND_H

#include "harness/timer.h"

#include <ortho/variant.h>

typedef struct ob_capture ob_capture; /* a backend's record of launches */

/* A timed loop. Launch number i works on copy i % copies, so that launches i and i + copies are the
 * same work. */
typedef struct ob_launches {
    void *ctx;
    ortho_status (*launch)(void *ctx, int64_t i);
    int64_t copies;
    ob_capture *capture; /* the backend's; NULL at first, given back by `forget` */
} ob_launches;

/* Which launches a measurement makes: `lead` ones from number `first` on that aren't timed, then
 * `count` that are. */
typedef struct ob_span {
    int64_t first, lead, count;
} ob_span;

/* Where launches go: a CUDA stream with its events; nothing on the CPU. */
typedef struct ob_queue ob_queue;

typedef struct ob_backend {
    ortho_backend kind;
    const char *name;
    /* A cold rotation exceeds the last-level cache by this factor. */
    double cold_factor;
    /* Launches are recorded once and replayed, so a sample's span must begin with copy 0 and hold
     * whole rounds of the copies. */
    bool replays;
    /* False, with the reason in words, where this machine hasn't got it. */
    bool (*available)(char why[256]);
    ortho_status (*open)(ob_queue **out);
    void (*close)(ob_queue *queue); /* NULL is allowed */
    /* What hooks get as `stream`; NULL on the CPU. */
    void *(*stream)(const ob_queue *queue);
    /* Bytes of the last-level cache; 0 when it can't be told. */
    size_t (*cache_bytes)(void);
    /* Bytes of device memory in use on the whole device, and all there are; 0, 0 on the CPU. */
    void (*device_memory)(size_t *used, size_t *total);
    /* The most that the device's stream-ordered pool has reserved since the last call; 0 without.
     */
    size_t (*pool_high)(void);
    /* Raw memory of a space, 64-byte aligned (device: 256); NULL with the message left. */
    void *(*alloc)(size_t bytes, ortho_space space);
    void (*free)(void *ptr, ortho_space space);
    /* Where a variant's x, y and workspace live. */
    ortho_space space;
    ortho_status (*upload)(void *dst, const void *src, size_t bytes);
    ortho_status (*download)(void *dst, const void *src, size_t bytes);
    ortho_status (*fill)(void *dst, int byte, size_t bytes);
    /* Pushes everything else out of the last-level cache, using `scratch` of `bytes` bytes. */
    ortho_status (*flush)(ob_queue *queue, void *scratch, size_t bytes, int threads);
    /* Fills that cache with clean lines of `scratch`, which has been written before: unlike after a
     * flush, nothing has to go back to memory while what follows is counted. */
    ortho_status (*evict)(ob_queue *queue, const void *scratch, size_t bytes);
    /* Kernels, copies and fills that launches 0 .. count - 1 put on the queue; 0: can't be told. */
    size_t (*nodes)(ob_queue *queue, const ob_launches *launches, int64_t count);
    /* Makes the launches of a span and waits for them; *ns is what the counted ones took in all,
     * the timer's overhead taken off. */
    ortho_status (*time)(ob_queue *queue, const ob_timer *timer, ob_launches *launches,
                         const ob_span *span, double *ns);
    /* Waits for what was enqueued. */
    ortho_status (*wait)(ob_queue *queue);
    /* Tells a profiler that waits for it to start, or to stop; false where nobody can be told. */
    bool (*profile)(bool start);
    /* Gives back what was recorded of these launches. */
    void (*forget)(ob_launches *launches);
} ob_backend;

extern const ob_backend ob_backend_cpu;
#ifdef ORTHO_HAVE_CUDA
extern const ob_backend ob_backend_cuda;
#endif

/* The table of a kind; NULL when this build hasn't got it. */
const ob_backend *ob_backend_find(ortho_backend kind);

#endif
