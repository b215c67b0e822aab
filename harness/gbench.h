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

/* One sample: returns seconds per operation, or a negative number to end the case with an error
 * whose text is written to `error` (NUL-terminated). */
typedef double (*ob_gbench_sample_fn)(void *ctx, int repetition, char *error, size_t error_size);

ortho_status ob_gbench_new(ob_gbench **out);
void ob_gbench_free(ob_gbench *);

/* Registers a case of `repetitions` samples. `name` is copied. */
ortho_status ob_gbench_add(ob_gbench *, const char *name, int repetitions,
                           ob_gbench_sample_fn sample, void *ctx);

/* Runs every case; *json (malloc'd, caller frees) is the library's own JSON report. NOT_FOUND when
 * nothing was registered; WRONG when a case ended with an error. */
ortho_status ob_gbench_run(ob_gbench *, char **json);

/* The library's version string. Static storage. */
const char *ob_gbench_version(void);

#ifdef __cplusplus
}
#endif
#endif
