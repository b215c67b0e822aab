/*
 * isolate.h: one kernel of an operation, to be launched alone once everything before it has run.
 * What counts instructions can patch a single kernel a process (instructions.h), so that it must
 * come first. The operation is recorded, and cut before that kernel.
 */
#ifndef ORTHO_HARNESS_ISOLATE_H
#define ORTHO_HARNESS_ISOLATE_H

#include <ortho/ortho.h>

typedef struct ob_isolated ob_isolated;

typedef struct ob_operation {
    void *ctx;
    ortho_status (*launch)(void *ctx); /* enqueues on `stream`, and nothing else */
    void *stream;                      /* cudaStream_t */
} ob_operation;

/* `kernel` is part of the kernel's (mangled) name; the first that has it is meant. NOT_FOUND, with
 * the names that there are, where none has. */
ortho_status ob_isolate(const ob_operation *operation, const char *kernel, ob_isolated **out);
/* Runs what comes before the kernel, and waits. */
ortho_status ob_isolated_before(ob_isolated *isolated);
/* Runs the kernel, and waits. */
ortho_status ob_isolated_run(ob_isolated *isolated);
void ob_isolated_free(ob_isolated *isolated); /* NULL is allowed */

#endif
