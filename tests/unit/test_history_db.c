/* The history's database: one that isn't ours, newer or damaged is told and left alone; writers at
 * once lose nothing. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_history_made.h"

#include "harness/state.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void path_of(char path[PATH_MAX])
{
    well(ob_state_path("history.db", path));
}

static void execute(const char *sql)
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    path_of(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* It is neither read nor written, the message names it, and it stays as it was. */
static void is_left_alone(ortho_status wanted, const char *words)
{
    char path[PATH_MAX], copy[2 * PATH_MAX + 64];
    ob_history *h = NULL;
    path_of(path);
    snprintf(copy, sizeof copy, "cp '%s' '%s.before'", path, path);
    assert_int_equal(system(copy), 0);
    for (int mode = OB_HISTORY_READ; mode <= OB_HISTORY_WRITE; mode++) {
        assert_int_equal(ob_history_open((ob_history_mode)mode, &h), wanted);
        says(path);
        says(words);
        assert_null(h);
    }
    snprintf(copy, sizeof copy, "cmp '%s' '%s.before'", path, path);
    assert_int_equal(system(copy), 0);
}

static void a_newer_one_is_refused(void **state)
{
    (void)state;
    add(usual);
    execute("PRAGMA user_version = 99");
    is_left_alone(ORTHO_E_UNSUPPORTED, "version 99");
}

static void an_older_one_is_brought_up_to_date(void **state)
{
    (void)state;
    char path[PATH_MAX];
    path_of(path);
    fclose(fopen(path, "w")); /* version 0: an empty file */
    add(usual);
    json_t *runs = ask((ob_history_query){0}, true);
    assert_int_equal(json_array_size(runs), 1);
    json_decref(runs);
}

static void another_program_s_is_refused(void **state)
{
    (void)state;
    execute("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    is_left_alone(ORTHO_E_FORMAT, "no history of ortho-bench");
    execute("PRAGMA application_id = 7; PRAGMA user_version = 1");
    is_left_alone(ORTHO_E_FORMAT, "no history of ortho-bench");
}

static void a_damaged_one_is_refused(void **state)
{
    (void)state;
    char path[PATH_MAX];
    path_of(path);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this was a database once, ", f);
    fclose(f);
    is_left_alone(ORTHO_E_FORMAT, "damaged");
    says("--import");
}

/* Past its head: found out by the statement that comes upon it. */
static void damage_within_is_told(void **state)
{
    (void)state;
    char path[PATH_MAX];
    struct stat st;
    ob_history *h = NULL;
    json_t *list = NULL;
    add(usual);
    path_of(path);
    assert_int_equal(stat(path, &st), 0);
    FILE *f = fopen(path, "r+");
    assert_int_equal(fseek(f, 4096, SEEK_SET), 0); /* all but the first page */
    for (long i = 4096; i < st.st_size; i++)
        fputc(0xa5, f);
    fclose(f);
    well(ob_history_open(OB_HISTORY_READ, &h));
    const ob_history_query query = {.key = "*"};
    assert_int_equal(ob_history_trends(h, &query, &list), ORTHO_E_FORMAT);
    says("damaged");
    says(path);
    assert_int_equal(ob_history_runs(h, &query, &list), ORTHO_E_FORMAT);
    assert_null(list);
    ob_history_close(h);
}

/* What somebody put there by hand is a file like any other. */
static void odd_values_are_absent(void **state)
{
    (void)state;
    add(usual);
    execute("UPDATE result SET median_ns = 'fast', lanes = x'00ff', samples = 9e999, "
            "device = x'fffe'; UPDATE run SET \"commit\" = 5");
    json_t *trends = ask((ob_history_query){.key = KEY}, false);
    const json_t *point = point_of(trends, 0, 0);
    assert_null(json_object_get(point, "median_ns"));
    assert_null(json_object_get(point, "lanes"));
    assert_null(json_object_get(json_array_get(trends, 0), "device"));
    json_decref(trends);
}

static void nothing_yet_is_not_found(void **state)
{
    (void)state;
    char path[PATH_MAX];
    ob_history *h = NULL;
    assert_int_equal(ob_history_open(OB_HISTORY_READ, &h), ORTHO_E_NOT_FOUND);
    path_of(path);
    assert_int_equal(access(path, F_OK), -1);
    setenv("ORTHO_BENCH_STATE", "/proc/nowhere", 1);
    assert_int_equal(ob_history_open(OB_HISTORY_WRITE, &h), ORTHO_E_IO);
    says("/proc/nowhere");
    says("ORTHO_BENCH_STATE");
    setenv("ORTHO_BENCH_STATE", *state, 1);
}

/* ---- two at once ----------------------------------------------------------------------------- */

#define EACH 20

static _Noreturn void write_runs(int process)
{
    for (int i = 0; i < EACH; i++) {
        char date[32];
        made m = usual;
        bool added = false;
        snprintf(date, sizeof date, "2026-11-%02dT00:00:0%dZ", i + 1, process);
        m.date = i == 0 ? usual.date : date; /* one that both bring */
        json_t *document = make(m);
        if (ob_history_record(document, NULL, &added) != ORTHO_OK || (!added && i != 0))
            _exit(1);
        json_decref(document);
    }
    _exit(0);
}

static void two_processes_lose_nothing(void **state)
{
    (void)state;
    pid_t pid[2];
    for (int p = 0; p < 2; p++) {
        pid[p] = fork();
        assert_true(pid[p] >= 0);
        if (pid[p] == 0)
            write_runs(p);
    }
    for (int p = 0; p < 2; p++) {
        int code = -1;
        assert_int_equal(waitpid(pid[p], &code, 0), pid[p]);
        assert_int_equal(code, 0);
    }
    json_t *runs = ask((ob_history_query){0}, true);
    assert_int_equal(json_array_size(runs), 2 * EACH - 1);
    json_decref(runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_newer_one_is_refused),       IN_A_FOLDER(an_older_one_is_brought_up_to_date),
        IN_A_FOLDER(another_program_s_is_refused), IN_A_FOLDER(a_damaged_one_is_refused),
        IN_A_FOLDER(damage_within_is_told),        IN_A_FOLDER(odd_values_are_absent),
        IN_A_FOLDER(nothing_yet_is_not_found),     IN_A_FOLDER(two_processes_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
