/* The history read back: runs, and trends of cases. The database is a file like any other: a value
 * of the wrong type is absent. */
#include "harness/history_internal.h"

#include "common/error.h"
#include "harness/json_set.h"

#include <string.h>

/* Where a column of a statement goes. */
typedef enum kind { TEXT, WHOLE, NUMBER, TRUTH } kind;
typedef struct column {
    const char *key, *sql;
    kind is;
} column;

static const column of_run[] = {
    {"date", "r.date", TEXT},
    {"commit", "r.\"commit\"", TEXT},
    {"dirty", "r.dirty", TRUTH},
    {"binary", "r.binary", TEXT},
    {"device", "r.device", TEXT},
    {"driver", "r.driver", TEXT},
    {"os", "r.os", TEXT},
    {"host", "r.host", TEXT},
    {"model", "r.model", TEXT},
    {"model_hash", "r.model_hash", TEXT},
    {"synthetic", "r.synthetic", TRUTH},
    {"interrupted", "r.interrupted", TRUTH},
    {"file", "r.file", TEXT},
    {"cases", "count(x.key)", WHOLE},
    {"timed", "count(x.median_ns)", WHOLE},
    {"failed", "count(CASE x.status WHEN 'failed' THEN 1 END)", WHOLE},
    {"skipped", "count(CASE x.status WHEN 'skipped' THEN 1 END)", WHOLE},
};

/* What parts one trend from the next, and what each point tells. */
static const column of_trend[] = {
    {"key", "x.key", TEXT},         {"device", "x.device", TEXT},
    {"model", "r.model", TEXT},     {"model_hash", "r.model_hash", TEXT},
    {"setting", "x.setting", TEXT}, {"synthetic", "r.synthetic", TRUTH},
};
static const column of_point[] = {
    {"date", "r.date", TEXT},
    {"commit", "r.\"commit\"", TEXT},
    {"dirty", "r.dirty", TRUTH},
    {"driver", "CASE x.backend WHEN 'cuda' THEN r.driver END", TEXT},
    {"os", "r.os", TEXT},
    {"host", "r.host", TEXT},
    {"binary", "r.binary", TEXT},
    {"file", "r.file", TEXT},
    {"interrupted", "r.interrupted", TRUTH},
    {"status", "x.status", TEXT},
    {"reason", "x.reason", TEXT},
    {"median_ns", "x.median_ns", NUMBER},
    {"lo_ns", "x.lo_ns", NUMBER},
    {"hi_ns", "x.hi_ns", NUMBER},
    {"samples", "x.samples", WHOLE},
    {"processes", "x.processes", WHOLE},
    {"working_bytes", "x.working_bytes", WHOLE},
    {"lanes", "x.lanes", NUMBER},
    {"rel_error", "x.rel_error", NUMBER},
};
#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

/* Appends "a.x, b.y" to an SQL text that has room for it. */
static void add_columns(char *sql, size_t size, const column *list, int count)
{
    for (int i = 0; i < count; i++) {
        size_t used = strlen(sql);
        snprintf(sql + used, size - used, "%s%s", i > 0 ? ", " : "", list[i].sql);
    }
}

static void add_text(char *sql, size_t size, const char *text)
{
    size_t used = strlen(sql);
    snprintf(sql + used, size - used, "%s", text);
}

static void put_column(json_t *to, const char *key, kind is, sqlite3_stmt *s, int i)
{
    int type = sqlite3_column_type(s, i);
    bool number = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
    if (is == TEXT && type == SQLITE_TEXT)
        ob_json_text(to, key, (const char *)sqlite3_column_text(s, i));
    else if (is == WHOLE && number)
        ob_json_int(to, key, sqlite3_column_int64(s, i));
    else if (is == NUMBER && number)
        ob_json_real(to, key, sqlite3_column_double(s, i));
    else if (is == TRUTH)
        json_object_set_new(to, key, json_boolean(sqlite3_column_int(s, i) != 0));
}

/* An object of the columns from `first` on; NULL without memory. */
static json_t *object_of(const column *list, int count, sqlite3_stmt *s, int first)
{
    json_t *object = json_object();
    for (int i = 0; object != NULL && i < count; i++)
        put_column(object, list[i].key, list[i].is, s, first + i);
    return object;
}

static ortho_status no_memory(void)
{
    return ortho_fail(ORTHO_E_MEMORY, "no memory for the history");
}

/* Hands `list` over as it is left by a loop over a statement whose last step gave `code`. */
static ortho_status finish(const ob_history *h, sqlite3_stmt *s, int code, json_t *list,
                           json_t **out)
{
    ortho_status status = ORTHO_OK;
    if (code != SQLITE_DONE)
        status = code == SQLITE_NOMEM ? no_memory() : ob_history_fail(h);
    sqlite3_finalize(s);
    if (status == ORTHO_OK)
        *out = list;
    else
        json_decref(list);
    return status;
}

ortho_status ob_history_runs(ob_history *h, const ob_history_query *query, json_t **out)
{
    char sql[2048] = "SELECT ";
    add_columns(sql, sizeof sql, of_run, COUNT(of_run));
    add_text(sql, sizeof sql,
             " FROM run r LEFT JOIN result x ON x.run = r.id WHERE r.date >= ?1"
             " GROUP BY r.id ORDER BY r.date DESC, r.id DESC LIMIT ?2");
    sqlite3_stmt *s = NULL;
    ortho_status status = ob_history_prepare(h, sql, &s);
    if (status != ORTHO_OK)
        return status;
    sqlite3_bind_text(s, 1, query->since != NULL ? query->since : "", -1, SQLITE_TRANSIENT);
    sqlite3_bind_int(s, 2, query->limit > 0 ? query->limit : -1);
    json_t *list = json_array();
    int code = list != NULL ? SQLITE_ROW : SQLITE_NOMEM;
    while (code == SQLITE_ROW && (code = sqlite3_step(s)) == SQLITE_ROW)
        if (json_array_append_new(list, object_of(of_run, COUNT(of_run), s, 0)) != 0)
            code = SQLITE_NOMEM;
    return finish(h, s, code, list, out);
}

/* ---- trends ---------------------------------------------------------------------------------- */

static bool same_trend(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"key", "device", "model", "model_hash", "setting"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
        if ((x == NULL) != (y == NULL) || (x != NULL && !json_equal(x, y)))
            return false;
    }
    return true;
}

static double number(const json_t *point, const char *key)
{
    const json_t *value = json_object_get(point, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* What follows from a point and the timed one before it (NULL: none). */
static void judge(json_t *point, const json_t *before)
{
    double median = number(point, "median_ns"), lo = number(point, "lo_ns");
    double hi = number(point, "hi_ns"), old = number(before, "median_ns");
    if (number(point, "samples") != 1) /* one sample has no interval */
        ob_json_real(point, "half_width", (hi - lo) / 2 / median);
    ob_json_real(point, "change", median / old - 1);
    double low = number(before, "lo_ns"), high = number(before, "hi_ns");
    if (isfinite(lo) && isfinite(hi) && isfinite(low) && isfinite(high))
        json_object_set_new(point, "overlaps", json_boolean(lo <= high && low <= hi));
}

/* Leaves those from `since` on, of these the newest `limit`. */
static void cut(json_t *points, const ob_history_query *query)
{
    while (query->since != NULL && json_array_size(points) > 0) {
        const char *date = json_string_value(json_object_get(json_array_get(points, 0), "date"));
        if (date != NULL && strcmp(date, query->since) >= 0)
            break;
        json_array_remove(points, 0);
    }
    while (query->limit > 0 && json_array_size(points) > (size_t)query->limit)
        json_array_remove(points, 0);
}

/* Each trend with what is asked of it; without those of which nothing is left. */
static void finish_trends(json_t *trends, const ob_history_query *query)
{
    for (size_t t = json_array_size(trends); t-- > 0;) {
        json_t *points = json_object_get(json_array_get(trends, t), "points");
        const json_t *before = NULL;
        for (size_t i = 0; i < json_array_size(points); i++) {
            json_t *point = json_array_get(points, i);
            judge(point, before);
            if (number(point, "median_ns") > 0)
                before = point;
        }
        cut(points, query);
        if (json_array_size(points) == 0)
            json_array_remove(trends, t);
    }
}

/* A row of the query to the trend at hand, or to a new one. */
static bool take_row(json_t *trends, sqlite3_stmt *s)
{
    json_t *last = json_array_get(trends, json_array_size(trends) - 1);
    json_t *head = object_of(of_trend, COUNT(of_trend), s, 0);
    if (head == NULL)
        return false;
    if (last == NULL || !same_trend(last, head)) {
        if (json_array_append(trends, head) != 0 ||
            json_object_set_new(head, "points", json_array()) != 0) {
            json_decref(head);
            return false;
        }
        last = head; /* the list holds it */
    }
    json_decref(head);
    json_t *point = object_of(of_point, COUNT(of_point), s, COUNT(of_trend));
    return json_array_append_new(json_object_get(last, "points"), point) == 0;
}

/* In C after the rows are in order: the change of the first point that `since` and `limit` leave is
 * one over a point that they don't. */
ortho_status ob_history_trends(ob_history *h, const ob_history_query *query, json_t **out)
{
    char sql[2048] = "SELECT ";
    add_columns(sql, sizeof sql, of_trend, COUNT(of_trend));
    add_text(sql, sizeof sql, ", ");
    add_columns(sql, sizeof sql, of_point, COUNT(of_point));
    add_text(sql, sizeof sql,
             " FROM result x JOIN run r ON r.id = x.run"
             " WHERE ?1 IS NULL OR x.key = ?1 OR x.key GLOB ?1"
             " ORDER BY x.key, x.device, r.model, r.model_hash, x.setting, r.date, r.id");
    sqlite3_stmt *s = NULL;
    ortho_status status = ob_history_prepare(h, sql, &s);
    if (status != ORTHO_OK)
        return status;
    if (query->key != NULL)
        sqlite3_bind_text(s, 1, query->key, -1, SQLITE_TRANSIENT);
    json_t *trends = json_array();
    int code = trends != NULL ? SQLITE_ROW : SQLITE_NOMEM;
    while (code == SQLITE_ROW && (code = sqlite3_step(s)) == SQLITE_ROW)
        if (!take_row(trends, s))
            code = SQLITE_NOMEM;
    if (code == SQLITE_DONE)
        finish_trends(trends, query);
    return finish(h, s, code, trends, out);
}
