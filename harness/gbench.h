/*
 * gbench.h: Google Benchmark through a C API. Opaque handles; no exception leaves; our sampler owns
 * stopping: each repetition asks for one sample (Iterations(1), UseManualTime).
 */
#ifndef ORTHO_HARNESS_GBENCH_H
#define ORTHO_HARNESS_GBENCH_H

#include <ortho/ortho.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ob_gbench ob_gbench;

/* One sample: returns seconds per operation (finite, >= 0), or a negative number to end the case
 * with an error whose text is written to `error` (NUL-terminated). `repetition` counts from 0;
 * after an error it is not called again in that run. A C++ exception that it throws counts as an
 * error. */
typedef double (*ob_gbench_sample_fn)(void *ctx, int repetition, char *error, size_t error_size);

/* The caller frees *out with ob_gbench_free. */
ortho_status ob_gbench_new(ob_gbench **out);
void ob_gbench_free(ob_gbench *); /* NULL is allowed */

/* Adds a case of `repetitions` >= 1 samples. `name` is copied; `ctx` must live until the last run.
 */
ortho_status ob_gbench_add(ob_gbench *, const char *name, int repetitions,
                           ob_gbench_sample_fn sample, void *ctx);

/* Runs every case; *json (malloc'd, caller frees) is the library's own JSON report. It is set when
 * the run ended: on OK, and on WRONG, when a case ended with an error (its rows carry the message,
 * and the first one's is ortho_last_message()). NOT_FOUND when there is no case; UNSUPPORTED while
 * another handle runs, since the library has one registry a process. */
ortho_status ob_gbench_run(ob_gbench *, char **json);

/* The version of Google Benchmark that this was built with. Static storage. */
const char *ob_gbench_version(void);

#ifdef __cplusplus
}
#endif
#endif
