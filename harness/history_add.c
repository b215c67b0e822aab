/* A document into the history: one transaction, whole or not at all. */
#define _GNU_SOURCE
#include "harness/history_internal.h"

#include "common/error.h"
#include "harness/device_name.h"
#include "reports/emit.h"
#include "reports/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HASH_LENGTH 33 /* 128 bits in hexadecimal, and the end */

static const char add_run[] =
    "INSERT INTO run (hash, date, \"commit\", dirty, binary, device, driver, os, host, model,"
    " model_hash, synthetic, interrupted, file)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
static const char add_result[] =
    "INSERT INTO result (run, key, op, variant, backend, device, setting, status, reason,"
    " median_ns, lo_ns, hi_ns, samples, processes, working_bytes, lanes, rel_error)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

/* Of the canonical text: a live run and its file read back, however that is laid out, are one. */
static ortho_status hash_of(const json_t *document, char out[HASH_LENGTH])
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a hash");
    ortho_status status = ortho_json_emit(document, 0, stream);
    if (fclose(stream) != 0 && status == ORTHO_OK)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a hash");
    if (status == ORTHO_OK) {
        XXH128_hash_t hash = XXH3_128bits(text, size);
        snprintf(out, HASH_LENGTH, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
    }
    free(text);
    return status;
}

/* ---- values; absent is NULL ------------------------------------------------------------------ */

static void bind_text(sqlite3_stmt *s, int i, const char *text)
{
    if (text != NULL)
        sqlite3_bind_text(s, i, text, -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(s, i);
}

static void bind_number(sqlite3_stmt *s, int i, double value)
{
    if (isfinite(value))
        sqlite3_bind_double(s, i, value);
    else
        sqlite3_bind_null(s, i);
}

static ortho_status run_statement(const ob_history *h, sqlite3_stmt *s)
{
    ortho_status status = sqlite3_step(s) == SQLITE_DONE ? ORTHO_OK : ob_history_fail(h);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status;
}

/* ---- what a key doesn't hold ----------------------------------------------------------------- */

/* Options that move a time and aren't in a case's key, with the value that goes without saying. */
typedef struct setting {
    const char *option, *usual;
    bool pass_only;
} setting;

static const setting settings[] = {
    {"threads", "0", false},
    {"hessian", NULL, false},
    {"engine", "own", false},
    {"layers", NULL, true}, /* a pass is over all of them */
};

/* "threads 1, engine gbench"; "" where all is as usual. */
static void setting_of(const json_t *document, const json_t *row, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const json_t *options = ortho_model_at(document, "context.options");
        const char *text = ortho_model_string(options, settings[i].option);
        bool usual = text == NULL || (settings[i].usual && strcmp(text, settings[i].usual) == 0);
        if (usual || (settings[i].pass_only && !ortho_model_pass(row)) || used >= size)
            continue;
        used += (size_t)snprintf(out + used, size - used, "%s%s %s", used > 0 ? ", " : "",
                                 settings[i].option, text);
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void bind_time(sqlite3_stmt *s, const json_t *row)
{
    const json_t *samples = ortho_model_at(row, "time_ns.samples");
    const json_t *processes = ortho_model_at(row, "time_ns.processes");
    bind_number(s, 10, ortho_model_time(row));
    bind_number(s, 11, ortho_model_number(row, "time_ns.lo"));
    bind_number(s, 12, ortho_model_number(row, "time_ns.hi"));
    sqlite3_bind_int64(s, 13, (sqlite3_int64)json_array_size(samples));
    sqlite3_bind_int64(s, 14, processes ? (sqlite3_int64)json_array_size(processes) : 1);
}

static ortho_status put_result(const ob_history *h, sqlite3_stmt *s, const json_t *document,
                               const json_t *row, sqlite3_int64 run)
{
    char device[OB_DEVICE_NAME], setting_text[512];
    bool told = ob_device_of_row(document, row, device);
    const char *key = ortho_model_string(row, "key");
    ortho_case_status is = ortho_model_status(row);
    setting_of(document, row, setting_text, sizeof setting_text);
    sqlite3_bind_int64(s, 1, run);
    bind_text(s, 2, key);
    bind_text(s, 3, ortho_model_string(row, "op"));
    bind_text(s, 4, ortho_model_string(row, "variant"));
    bind_text(s, 5, ortho_model_string(row, "backend"));
    bind_text(s, 6, told ? device : NULL);
    bind_text(s, 7, setting_text);
    bind_text(s, 8, ortho_model_status_name(is));
    bind_text(s, 9, is != ORTHO_CASE_OK ? ortho_model_reason(row) : NULL);
    if (ortho_model_timed(row)) {
        bind_time(s, row);
        bind_number(s, 15, ortho_model_number(row, "peak_bytes.working"));
        bind_number(s, 16, ortho_model_lanes(row));
    }
    bind_number(s, 17, ortho_model_number(row, "verified.rel_error"));
    ortho_status status = run_statement(h, s);
    if ((sqlite3_extended_errcode(h->db) & 0xff) == SQLITE_CONSTRAINT)
        return ortho_fail(ORTHO_E_FORMAT,
                          "results: the key \"%.200s\" stands there twice, or a "
                          "row lacks what names it",
                          key != NULL ? key : "");
    return status;
}

static ortho_status put_results(const ob_history *h, const json_t *document, sqlite3_int64 run)
{
    sqlite3_stmt *s = NULL;
    ortho_status status = ob_history_prepare(h, add_result, &s);
    for (size_t i = 0; status == ORTHO_OK && i < ortho_model_count(document); i++) {
        const json_t *row = ortho_model_row(document, i);
        if (row != NULL)
            status = put_result(h, s, document, row, run);
    }
    sqlite3_finalize(s);
    return status;
}

/* ---- the run --------------------------------------------------------------------------------- */

static bool ends_in(const char *text, const char *end)
{
    size_t n = text != NULL ? strlen(text) : 0, m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void bind_run(sqlite3_stmt *s, const json_t *document, const char *hash, const char *file)
{
    char device[OB_DEVICE_NAME];
    const json_t *context = ortho_model_at(document, "context");
    const char *commit = ortho_model_string(context, "commit");
    bind_text(s, 1, hash);
    bind_text(s, 2, ortho_model_string(context, "date"));
    bind_text(s, 3, commit);
    sqlite3_bind_int(s, 4, ends_in(commit, "-dirty"));
    bind_text(s, 5, ortho_model_string(context, "binary"));
    bind_text(s, 6, ob_device_of_run(document, device) ? device : NULL);
    bind_text(s, 7, ortho_model_string(context, "gpu.driver"));
    bind_text(s, 8, ortho_model_string(context, "os"));
    bind_text(s, 9, ortho_model_string(context, "host"));
    bind_text(s, 10, ortho_model_string(context, "model.name"));
    bind_text(s, 11, ortho_model_string(context, "model.hash"));
    sqlite3_bind_int(s, 12, ortho_model_synthetic(document));
    sqlite3_bind_int(s, 13, ortho_model_true(context, "interrupted"));
    bind_text(s, 14, file);
}

/* Whether the history has it; under the transaction's lock, so that no other process adds it. */
static ortho_status find(const ob_history *h, const char *hash, bool *found)
{
    sqlite3_stmt *s = NULL;
    ortho_status status = ob_history_prepare(h, "SELECT 1 FROM run WHERE hash = ?1", &s);
    if (status != ORTHO_OK)
        return status;
    bind_text(s, 1, hash);
    int code = sqlite3_step(s);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = ob_history_fail(h);
    *found = code == SQLITE_ROW;
    sqlite3_finalize(s);
    return status;
}

static ortho_status put_run(const ob_history *h, const json_t *document, const char *hash,
                            const char *file)
{
    sqlite3_stmt *s = NULL;
    ortho_status status = ob_history_prepare(h, add_run, &s);
    if (status == ORTHO_OK) {
        bind_run(s, document, hash, file);
        status = run_statement(h, s);
    }
    sqlite3_finalize(s);
    return status == ORTHO_OK ? put_results(h, document, sqlite3_last_insert_rowid(h->db)) : status;
}

/* What the history is ordered and parted by. */
static ortho_status check(const json_t *document)
{
    static const char *const needed[] = {"context.date", "context.binary", "context.model.name"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (ortho_model_string(document, needed[i]) == NULL)
            return ortho_fail(ORTHO_E_FORMAT, "%s: not a string, or missing", needed[i]);
    const char *date = ortho_model_string(document, "context.date");
    ortho_status status = ob_history_check_date(date);
    if (status != ORTHO_OK || date[10] == '\0') /* a day alone orders nothing */
        return ortho_fail(ORTHO_E_FORMAT,
                          "context.date: \"%.40s\" where a date of the form "
                          "2026-11-26T03:21:26Z should stand",
                          date);
    if (ortho_model_true(document, "context.instrumented"))
        return ortho_fail(ORTHO_E_UNSUPPORTED, "an instrumented build counted lanes in it, so that "
                                               "its times mean nothing");
    return ORTHO_OK;
}

ortho_status ob_history_add(ob_history *h, const json_t *document, const char *file, bool *added)
{
    char hash[HASH_LENGTH];
    bool found = false;
    ortho_status status = check(document);
    if (status == ORTHO_OK)
        status = hash_of(document, hash);
    if (status == ORTHO_OK)
        status = ob_history_execute(h, "BEGIN IMMEDIATE");
    if (status != ORTHO_OK)
        return status;
    status = find(h, hash, &found);
    if (status == ORTHO_OK && !found)
        status = put_run(h, document, hash, file);
    if (status == ORTHO_OK)
        status = ob_history_execute(h, "COMMIT");
    if (status != ORTHO_OK) {
        sqlite3_exec(h->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    *added = !found;
    return ORTHO_OK;
}
