/* run.h: a session with a person watching: shared by run and verify. */
#ifndef ORTHO_HARNESS_RUN_H
#define ORTHO_HARNESS_RUN_H

#include "harness/options.h"

/* Runs the session of these options: progress on stderr, results on stdout, the native document to
 * --out (by default a dated name under out/ when `keeps_results`), --report's folder. Ctrl-C ends
 * it after the sample at work and keeps what was measured. Returns an ob_exit. */
int ob_run_session(const ob_options *options, bool keeps_results);

#endif
