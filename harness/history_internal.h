/* history_internal.h: what the files of the history share. */
#ifndef ORTHO_HARNESS_HISTORY_INTERNAL_H
#define ORTHO_HARNESS_HISTORY_INTERNAL_H

#include "harness/history.h"

#include <limits.h>
#include <sqlite3.h>

struct ob_history {
    sqlite3 *db;
    char path[PATH_MAX];
};

/* Turns the database's last error into a message with its path and what to do about it. */
ortho_status ob_history_fail(const ob_history *history);

/* Runs statements that give no rows. */
ortho_status ob_history_execute(const ob_history *history, const char *sql);

/* A prepared statement; the caller finalizes it. */
ortho_status ob_history_prepare(const ob_history *history, const char *sql, sqlite3_stmt **out);

#endif
