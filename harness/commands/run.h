/* run.h: a session with a person watching: shared by run and verify. */
#ifndef ORTHO_HARNESS_RUN_H
#define ORTHO_HARNESS_RUN_H

#include "harness/log.h"

struct json_t;

/* Runs the session with progress on `log`. Ctrl-C ends it after the sample at work; a second one
 * ends the process. `partial` names a file for what a crash would lose; NULL: none. Returns the
 * session's ob_exit; *results is as ob_session_run leaves it. */
int ob_session_watch(const ob_options *options, const ob_log *log, const char *partial,
                     struct json_t **results);

/* The keys of what a run would measure, on stdout, and nothing else; why not, on `log`. Returns the
 * session's ob_exit. */
int ob_session_dry_run(const ob_options *options, const ob_log *log);

#endif
