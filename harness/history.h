/*
 * history.h: what was measured, run after run, in an SQLite database: STATE/history.db. It keeps
 * the figures and the environment of each run, not the samples: those stay in the results files.
 *
 * Any number of processes may use it at once. A database that is damaged, or of a newer
 * ortho-bench, is an error that names it; nothing here deletes one.
 */
#ifndef ORTHO_HARNESS_HISTORY_H
#define ORTHO_HARNESS_HISTORY_H

#include <ortho/ortho.h>
#include <stdbool.h>

struct json_t;

typedef struct ob_history ob_history;

typedef enum ob_history_mode {
    OB_HISTORY_READ = 0, /* NOT_FOUND when there is none yet */
    OB_HISTORY_WRITE     /* makes what is missing */
} ob_history_mode;

/* Opens the history of the state folder (state.h). FORMAT: damaged, or no history; UNSUPPORTED: of
 * a newer ortho-bench; IO: can't be opened. */
ortho_status ob_history_open(ob_history_mode mode, ob_history **out);
void ob_history_close(ob_history *history); /* NULL is allowed */

/* Takes a results document in, whole or not at all. `file`: where it lies; NULL: nowhere. *added is
 * false when the history has this document already. FORMAT when it lacks what the history is
 * ordered by; UNSUPPORTED for an instrumented build, whose times mean nothing. */
ortho_status ob_history_add(ob_history *history, const struct json_t *document, const char *file,
                            bool *added);

/* Opens, adds, closes. */
ortho_status ob_history_record(const struct json_t *document, const char *file, bool *added);

typedef struct ob_history_query {
    const char *key;   /* a key or a pattern with * and ?; NULL: every case */
    const char *since; /* nothing older than this date, 2026-11-26 or longer; NULL: everything */
    int limit;         /* the newest so many; 0: all */
} ob_history_query;

/* The runs, newest first: an array of {"date", "commit", "dirty", "binary", "device", "driver",
 * "os", "host", "model", "model_hash", "synthetic", "interrupted", "file", "cases", "timed",
 * "failed", "skipped"}; what isn't known is absent. The caller owns the reference. */
ortho_status ob_history_runs(ob_history *history, const ob_history_query *query,
                             struct json_t **out);

/* Trends, by key: an array of {"key", "device", "model", "model_hash", "setting", "synthetic",
 * "points"}, where one trend holds results that may be compared: of one case on one device, of one
 * model's bytes, with one setting (what a key doesn't hold: threads, a Hessian, ...). `limit`
 * counts the points of each. Points, in order of date: {"date", "commit", "dirty", "driver", "os",
 * "host", "binary", "file", "interrupted", "status", "reason", "median_ns", "lo_ns", "hi_ns",
 * "half_width" (a share), "samples", "processes", "working_bytes", "lanes", "rel_error", "change"
 * (a share of the one before that has a time), "overlaps" (whether the two intervals do)}. A point
 * without a time has no figure of it. The caller owns the reference. */
ortho_status ob_history_trends(ob_history *history, const ob_history_query *query,
                               struct json_t **out);

/* Whether a text is a date that `since` takes: 2026-11-26, 2026-11-26T03:21:26Z. ARGUMENT. */
ortho_status ob_history_check_date(const char *text);

#endif
