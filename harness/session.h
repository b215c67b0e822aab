/*
 * session.h: one run. Select cases, prepare, verify, time interleaved, verify again, release, and
 * leave everything in one results document (docs/RESULTS.md).
 */
#ifndef ORTHO_HARNESS_SESSION_H
#define ORTHO_HARNESS_SESSION_H

#include "harness/options.h"

#include <stdio.h>

struct json_t;

/* Told about progress; every pointer may be NULL. Strings are valid during the call. */
typedef struct ob_progress {
    void *ctx;
    void (*plan)(void *ctx, int cases); /* once, before the first */
    void (*begin)(void *ctx, int index, const char *key, const char *phase);
    void (*end)(void *ctx, int index, const struct json_t *result); /* the finished row */
    void (*note)(void *ctx, const char *text);                      /* a line for the log */
    void (*checkpoint)(void *ctx, const struct json_t *results);    /* the document so far */
} ob_progress;

/* Runs. *results is set (the caller owns a reference) whenever anything was measured, also when it
 * was interrupted. Returns an ob_exit: OK, WRONG when a variant failed verification, SKIPPED when
 * every case was skipped, INTERRUPTED after Ctrl-C, USAGE for unknown variants or layers, RUNTIME.
 */
int ob_session_run(const ob_options *options, const ob_progress *progress, struct json_t **results);

/* The cases that a run would do, one key a line, with the reason of each skip. */
int ob_session_list(const ob_options *options, FILE *out);

/* Asks a running session to stop after the sample at work. Async-signal-safe. */
void ob_session_interrupt(void);
bool ob_session_interrupted(void);

#endif
