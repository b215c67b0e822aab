/* The database itself: where it is, its schema, its errors. */
#define _GNU_SOURCE
#include "harness/history_internal.h"

#include "common/error.h"
#include "harness/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME      "history.db"
#define APPLICATION_ID 0x6f727462 /* "ortb": tells ours from any other SQLite file */
#define BUSY_MS        10000      /* how long another process may keep it */

/* Step i takes a database of version i to i + 1: what was released is never edited, a change is a
 * further step. */
static const char *const steps[] = {
    "CREATE TABLE run ("
    " id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, date TEXT NOT NULL, \"commit\" TEXT,"
    " dirty INTEGER NOT NULL, binary TEXT NOT NULL, device TEXT, driver TEXT, os TEXT, host TEXT,"
    " model TEXT NOT NULL, model_hash TEXT, synthetic INTEGER NOT NULL,"
    " interrupted INTEGER NOT NULL, file TEXT);"
    "CREATE INDEX run_date ON run (date);"
    "CREATE TABLE result ("
    " run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, key TEXT NOT NULL,"
    " op TEXT NOT NULL, variant TEXT NOT NULL, backend TEXT, device TEXT, setting TEXT NOT NULL,"
    " status TEXT NOT NULL, reason TEXT, median_ns REAL, lo_ns REAL, hi_ns REAL, samples INTEGER,"
    " processes INTEGER, working_bytes INTEGER, lanes REAL, rel_error REAL,"
    " PRIMARY KEY (run, key)) WITHOUT ROWID;"
    "CREATE INDEX result_key ON result (key);",
};
#define VERSION ((int)(sizeof steps / sizeof *steps))

ortho_status ob_history_fail(const ob_history *h)
{
    const char *what = sqlite3_errmsg(h->db);
    switch (sqlite3_extended_errcode(h->db) & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ortho_fail(ORTHO_E_FORMAT,
                          "%s: this history is damaged: %s. Move it away to begin a new one; "
                          "`ortho-bench history --import FILE...` fills that from results files",
                          h->path, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ortho_fail(ORTHO_E_IO, "%s: another process has held it for %d seconds: try again",
                          h->path, BUSY_MS / 1000);
    case SQLITE_NOMEM:
        return ortho_fail(ORTHO_E_MEMORY, "%s: no memory", h->path);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ortho_fail(ORTHO_E_IO, "%s: %s; set " OB_STATE_VARIABLE " to another folder",
                          h->path, what);
    default:
        return ortho_fail(ORTHO_E_IO, "%s: %s", h->path, what);
    }
}

ortho_status ob_history_execute(const ob_history *h, const char *sql)
{
    return sqlite3_exec(h->db, sql, NULL, NULL, NULL) == SQLITE_OK ? ORTHO_OK : ob_history_fail(h);
}

ortho_status ob_history_prepare(const ob_history *h, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v2(h->db, sql, -1, out, NULL) == SQLITE_OK ? ORTHO_OK
                                                                      : ob_history_fail(h);
}

/* *version 0: a file without anything in it. One statement: between two of them another process may
 * fill the file. */
static ortho_status read_version(const ob_history *h, int *version)
{
    static const char sql[] = "SELECT user_version, application_id, (SELECT count(*) FROM "
                              "sqlite_master) FROM pragma_user_version, pragma_application_id";
    sqlite3_stmt *s = NULL;
    ortho_status status = ob_history_prepare(h, sql, &s);
    if (status == ORTHO_OK && sqlite3_step(s) != SQLITE_ROW)
        status = ob_history_fail(h);
    int v = 0, id = 0, tables = 0;
    if (status == ORTHO_OK) {
        v = sqlite3_column_int(s, 0);
        id = sqlite3_column_int(s, 1);
        tables = sqlite3_column_int(s, 2);
    }
    sqlite3_finalize(s);
    if (status != ORTHO_OK)
        return status;
    if (id != APPLICATION_ID && (id != 0 || v != 0 || tables != 0))
        return ortho_fail(
            ORTHO_E_FORMAT,
            "%s: a database, but no history of ortho-bench: move it away, or set " OB_STATE_VARIABLE
            " to another folder",
            h->path);
    if (v > VERSION || v < 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "%s: this history has version %d, and this binary knows %d: a newer "
                          "ortho-bench wrote it; use that one, or set " OB_STATE_VARIABLE
                          " to another folder",
                          h->path, v, VERSION);
    *version = v;
    return ORTHO_OK;
}

static ortho_status take_steps(const ob_history *h, int version)
{
    char pragma[96];
    ortho_status status = ORTHO_OK;
    for (int i = version; status == ORTHO_OK && i < VERSION; i++)
        status = ob_history_execute(h, steps[i]);
    snprintf(pragma, sizeof pragma, "PRAGMA user_version = %d; PRAGMA application_id = %d", VERSION,
             APPLICATION_ID);
    return status == ORTHO_OK ? ob_history_execute(h, pragma) : status;
}

/* Brings an empty or an older database up to date. Another process may be about the same: the
 * version is read again under the lock. */
static ortho_status migrate(const ob_history *h)
{
    int version = 0;
    ortho_status status = read_version(h, &version);
    if (status != ORTHO_OK || version == VERSION)
        return status;
    status = ob_history_execute(h, "BEGIN IMMEDIATE");
    if (status != ORTHO_OK)
        return status;
    status = read_version(h, &version);
    if (status == ORTHO_OK && version < VERSION)
        status = take_steps(h, version);
    if (status == ORTHO_OK)
        status = ob_history_execute(h, "COMMIT");
    if (status != ORTHO_OK)
        sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static ortho_status open_database(ob_history *h, ob_history_mode mode)
{
    int flags = SQLITE_OPEN_READWRITE | (mode == OB_HISTORY_WRITE ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(h->path, &h->db, flags, NULL) != SQLITE_OK)
        return h->db == NULL ? ortho_fail(ORTHO_E_MEMORY, "%s: no memory", h->path)
                             : ob_history_fail(h);
    sqlite3_busy_timeout(h->db, BUSY_MS);
    sqlite3_db_config(h->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL); /* a file may hold anything */
    ortho_status status =
        ob_history_execute(h, "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
    return status == ORTHO_OK ? migrate(h) : status;
}

ortho_status ob_history_open(ob_history_mode mode, ob_history **out)
{
    ob_history *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the history");
    ortho_status status = ob_state_path(FILE_NAME, h->path);
    if (status == ORTHO_OK && mode == OB_HISTORY_WRITE)
        status = ob_state_make(h->path);
    if (status == ORTHO_OK && mode == OB_HISTORY_READ && access(h->path, F_OK) != 0)
        status = ortho_fail(ORTHO_E_NOT_FOUND, "%s: %s", h->path, strerror(errno));
    if (status == ORTHO_OK)
        status = open_database(h, mode);
    if (status != ORTHO_OK) {
        ob_history_close(h);
        return status;
    }
    *out = h;
    return ORTHO_OK;
}

void ob_history_close(ob_history *history)
{
    if (history == NULL)
        return;
    sqlite3_close(history->db);
    free(history);
}

ortho_status ob_history_record(const struct json_t *document, const char *file, bool *added)
{
    ob_history *h = NULL;
    ortho_status status = ob_history_open(OB_HISTORY_WRITE, &h);
    if (status == ORTHO_OK)
        status = ob_history_add(h, document, file, added);
    ob_history_close(h);
    return status;
}

/* "2026-11-26" or "2026-11-26T03:21:26Z", by its shape: d is a digit. */
ortho_status ob_history_check_date(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    size_t length = strlen(text), i = 0;
    while (i < length && i < sizeof shape - 1 &&
           (shape[i] == 'd' ? text[i] >= '0' && text[i] <= '9' : text[i] == shape[i]))
        i++;
    if (i == length && (length == 10 || length == sizeof shape - 1))
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_ARGUMENT,
                      "'%.40s' is no date of the form 2026-11-26 or 2026-11-26T03:21:26Z (UTC)",
                      text);
}
