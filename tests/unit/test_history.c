/* The history: what is taken in comes back, once, whole or not at all, in trends that hold only
 * what may be compared. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_history_made.h"

#include "reports/reports.h"

#include <limits.h>

#define EXAMPLE ORTHO_SOURCE_DIR "/tests/schema/example.json"

/* ---- in and out ------------------------------------------------------------------------------ */

static void a_run_comes_back(void **state)
{
    (void)state;
    json_t *document = NULL;
    bool added = false;
    well(ortho_results_load(EXAMPLE, &document));
    well(ob_history_record(document, "/r.json", &added));
    assert_true(added);
    json_t *runs = ask((ob_history_query){0}, true);
    assert_int_equal(json_array_size(runs), 1);
    const json_t *run = json_array_get(runs, 0);
    assert_string_equal(ortho_model_string(run, "date"), "2026-11-24T21:40:00Z");
    assert_string_equal(ortho_model_string(run, "commit"), "example");
    assert_string_equal(ortho_model_string(run, "device"),
                        "Example CPU (made-up numbers), 2 cores");
    assert_string_equal(ortho_model_string(run, "file"), "/r.json");
    assert_true(ortho_model_true(run, "synthetic"));
    assert_null(json_object_get(run, "driver"));
    near(run, "cases", (double)ortho_model_count(document));
    double failed = 0, timed = 0;
    for (size_t i = 0; i < ortho_model_count(document); i++) {
        failed += ortho_model_status(ortho_model_row(document, i)) == ORTHO_CASE_FAILED;
        timed += ortho_model_timed(ortho_model_row(document, i));
    }
    assert_true(failed > 0 && timed > 0);
    near(run, "failed", failed);
    near(run, "timed", timed);
    json_decref(runs);
    json_decref(document);
}

static void a_result_comes_back(void **state)
{
    (void)state;
    add(usual);
    json_t *trends = ask((ob_history_query){.key = KEY}, false);
    assert_int_equal(json_array_size(trends), 1);
    const json_t *trend = json_array_get(trends, 0), *point = point_of(trends, 0, 0);
    assert_string_equal(ortho_model_string(trend, "key"), KEY);
    assert_string_equal(ortho_model_string(trend, "device"), "Model T, 4 cores");
    assert_string_equal(ortho_model_string(trend, "model_hash"), "h1");
    assert_true(ortho_model_true(trend, "synthetic"));
    assert_string_equal(ortho_model_string(point, "status"), "ok");
    assert_null(json_object_get(point, "reason"));
    near(point, "median_ns", 100);
    near(point, "lo_ns", 99);
    near(point, "hi_ns", 101);
    near(point, "half_width", 0.01);
    near(point, "samples", 3);
    near(point, "processes", 1);
    near(point, "working_bytes", 4096);
    near(point, "lanes", 0.75);
    near(point, "rel_error", 1e-8);
    assert_null(json_object_get(point, "change")); /* the first has none */
    json_decref(trends);
}

static void processes_are_counted(void **state)
{
    (void)state;
    json_t *document = make(usual);
    bool added;
    json_object_set_new(
        json_object_get(json_array_get(json_object_get(document, "results"), 0), "time_ns"),
        "processes", json_pack("[i,i,i]", 1, 1, 1));
    well(ob_history_record(document, NULL, &added));
    json_decref(document);
    json_t *trends = ask((ob_history_query){.key = KEY}, false);
    near(point_of(trends, 0, 0), "processes", 3);
    assert_null(json_object_get(point_of(trends, 0, 0), "file"));
    json_decref(trends);
}

/* Times of a wrong result, or of one that was never verified, are none. */
static void a_failure_has_no_figures(void **state)
{
    (void)state;
    json_t *document = make(usual);
    json_t *row = json_array_get(json_object_get(document, "results"), 0);
    bool added;
    json_object_del(json_object_get(row, "verified"), "after");
    well(ob_history_record(document, NULL, &added));
    json_decref(document);
    made other = usual;
    other.date = "2026-10-31T00:00:00Z";
    other.median = 50;
    add(other);
    other.date = "2026-11-02T00:00:00Z";
    other.median = 60;
    add(other);
    json_t *trends = ask((ob_history_query){.key = KEY}, false);
    const json_t *point = point_of(trends, 0, 1);
    assert_string_equal(ortho_model_string(point, "status"), "failed");
    assert_non_null(strstr(ortho_model_string(point, "reason"), "not verified"));
    const char *absent[] = {"median_ns", "lo_ns", "hi_ns", "half_width", "samples", "lanes"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(json_object_get(point, absent[i]));
    assert_null(json_object_get(point, "change"));
    near(point_of(trends, 0, 2), "change", 0.2); /* of the one before that has a time */
    json_decref(trends);
}

static void twice_is_once(void **state)
{
    (void)state;
    char path[PATH_MAX];
    json_t *document = NULL, *again = NULL;
    bool added = false;
    well(ortho_results_load(EXAMPLE, &document));
    well(ob_history_record(document, NULL, &added));
    assert_true(added);
    well(ob_history_record(document, "/elsewhere.json", &added));
    assert_false(added);
    /* laid out otherwise it is the same document */
    snprintf(path, sizeof path, "%s/compact.json", (char *)*state);
    assert_int_equal(json_dump_file(document, path, JSON_COMPACT), 0);
    well(ortho_results_load(path, &again));
    well(ob_history_record(again, path, &added));
    assert_false(added);
    json_object_set_new(json_object_get(again, "context"), "seed", json_integer(2));
    well(ob_history_record(again, path, &added));
    assert_true(added);
    json_t *runs = ask((ob_history_query){0}, true);
    assert_int_equal(json_array_size(runs), 2);
    json_decref(runs);
    json_decref(again);
    json_decref(document);
}

/* ---- refused --------------------------------------------------------------------------------- */

static void refused(json_t *document, ortho_status wanted, const char *words)
{
    bool added = true;
    assert_int_equal(ob_history_record(document, NULL, &added), wanted);
    says(words);
    assert_true(added); /* outputs are set on success only */
    json_decref(document);
}

static json_t *with(const char *key, json_t *value)
{
    json_t *document = make(usual), *context = json_object_get(document, "context");
    value != NULL ? json_object_set_new(context, key, value) : json_object_del(context, key);
    return document;
}

static json_t *key_twice(void)
{
    json_t *document = make(usual), *rows = json_object_get(document, "results");
    json_object_set_new(json_object_get(document, "context"), "seed", json_integer(7));
    json_array_append_new(rows, json_deep_copy(json_array_get(rows, 0)));
    return document;
}

static void what_orders_nothing_is_refused(void **state)
{
    (void)state;
    add(usual);
    refused(with("date", NULL), ORTHO_E_FORMAT, "context.date");
    refused(with("date", json_string("yesterday")), ORTHO_E_FORMAT, "yesterday");
    refused(with("date", json_string("2026-11-26")), ORTHO_E_FORMAT, "2026-11-26");
    refused(with("binary", json_integer(1)), ORTHO_E_FORMAT, "context.binary");
    refused(with("model", json_object()), ORTHO_E_FORMAT, "context.model.name");
    refused(with("instrumented", json_true()), ORTHO_E_UNSUPPORTED, "instrumented");
    refused(key_twice(), ORTHO_E_FORMAT, "stands there twice");
    json_t *runs = ask((ob_history_query){0}, true);
    assert_int_equal(json_array_size(runs), 1); /* nor half of one */
    json_decref(runs);
}

static void a_refusal_leaves_it_usable(void **state)
{
    (void)state;
    ob_history *h = NULL;
    bool added = false;
    json_t *bad = key_twice(), *good = make(usual);
    well(ob_history_open(OB_HISTORY_WRITE, &h));
    assert_int_equal(ob_history_add(h, bad, NULL, &added), ORTHO_E_FORMAT);
    well(ob_history_add(h, good, NULL, &added));
    assert_true(added);
    ob_history_close(h);
    json_t *runs = ask((ob_history_query){0}, true);
    assert_int_equal(json_array_size(runs), 1);
    json_decref(runs);
    json_decref(good);
    json_decref(bad);
}

/* ---- trends ---------------------------------------------------------------------------------- */

static void only_the_comparable_is_joined(void **state)
{
    (void)state;
    made m = usual;
    add(m);
    m.date = "2026-11-02T00:00:00Z";
    m.median = 110;
    add(m);
    m.cpu = "Model A";
    add(m);
    m.cpu = usual.cpu;
    m.hash = "h2";
    m.threads = "1";
    add(m);
    m.hash = usual.hash;
    add(m);
    json_t *trends = ask((ob_history_query){.key = "gemm/*"}, false);
    assert_int_equal(json_array_size(trends), 4);
    size_t joined = 0;
    for (size_t t = 0; t < 4; t++) {
        const json_t *trend = json_array_get(trends, t);
        if (points_of(trends, t) == 2) {
            joined++;
            assert_string_equal(ortho_model_string(trend, "device"), "Model T, 4 cores");
            assert_string_equal(ortho_model_string(trend, "model_hash"), "h1");
            assert_string_equal(ortho_model_string(trend, "setting"), "");
        }
    }
    assert_int_equal(joined, 1);
    json_decref(trends);
}

static void changes_are_in_order_of_date(void **state)
{
    (void)state;
    const struct {
        const char *date;
        double median;
    } runs[] = {{"2026-11-03T00:00:00Z", 150}, /* not in order of arrival */
                {"2026-11-01T00:00:00Z", 100},
                {"2026-11-02T00:00:00Z", 101},
                {"2026-11-04T00:00:00Z", 75}};
    for (size_t i = 0; i < 4; i++) {
        made m = usual;
        m.date = runs[i].date;
        m.median = runs[i].median;
        add(m);
    }
    json_t *trends = ask((ob_history_query){.key = KEY}, false);
    assert_int_equal(points_of(trends, 0), 4);
    near(point_of(trends, 0, 1), "change", 0.01);
    assert_true(ortho_model_true(point_of(trends, 0, 1), "overlaps"));
    near(point_of(trends, 0, 2), "change", 150.0 / 101 - 1);
    assert_true(json_is_false(ortho_model_at(point_of(trends, 0, 2), "overlaps")));
    near(point_of(trends, 0, 3), "change", -0.5);
    assert_true(json_is_false(ortho_model_at(point_of(trends, 0, 3), "overlaps")));
    json_decref(trends);
    /* what is left out still is what the first that stays came from */
    trends = ask((ob_history_query){.key = KEY, .limit = 1}, false);
    assert_int_equal(points_of(trends, 0), 1);
    near(point_of(trends, 0, 0), "change", -0.5);
    json_decref(trends);
    trends = ask((ob_history_query){.key = KEY, .since = "2026-11-02T00:00:00Z"}, false);
    assert_int_equal(points_of(trends, 0), 3);
    near(point_of(trends, 0, 0), "change", 0.01);
    json_decref(trends);
    trends = ask((ob_history_query){.key = KEY, .since = "2026-12-01"}, false);
    assert_int_equal(json_array_size(trends), 0);
    json_decref(trends);
    json_t *list = ask((ob_history_query){.limit = 2}, true);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(ortho_model_string(json_array_get(list, 0), "date"), runs[3].date);
    json_decref(list);
    list = ask((ob_history_query){.since = "2026-11-02"}, true);
    assert_int_equal(json_array_size(list), 3);
    json_decref(list);
}

static void a_key_is_text_and_no_sql(void **state)
{
    (void)state;
    add(usual);
    const char *none[] = {"", "gemm", "' OR 1=1 --", "gemm/coo/*", "%"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        json_t *trends = ask((ob_history_query){.key = none[i]}, false);
        assert_int_equal(json_array_size(trends), 0);
        json_decref(trends);
    }
    json_t *trends = ask((ob_history_query){.key = "gemm/cs?/*"}, false);
    assert_int_equal(json_array_size(trends), 1);
    json_decref(trends);
}

static void dates_have_a_form(void **state)
{
    (void)state;
    assert_int_equal(ob_history_check_date("2026-11-26"), ORTHO_OK);
    assert_int_equal(ob_history_check_date("2026-11-26T03:21:26Z"), ORTHO_OK);
    const char *bad[] = {"",
                         "2026",
                         "2026-11-2",
                         "2026-11-26T",
                         "2026-11-26T03:21:26",
                         "2026-11-26T03:21:26Zx",
                         "26-11-2026",
                         "yesterday"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ob_history_check_date(bad[i]), ORTHO_E_ARGUMENT);
    says("2026-11-26T03:21:26Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_run_comes_back),
        IN_A_FOLDER(a_result_comes_back),
        IN_A_FOLDER(processes_are_counted),
        IN_A_FOLDER(a_failure_has_no_figures),
        IN_A_FOLDER(twice_is_once),
        IN_A_FOLDER(what_orders_nothing_is_refused),
        IN_A_FOLDER(a_refusal_leaves_it_usable),
        IN_A_FOLDER(only_the_comparable_is_joined),
        IN_A_FOLDER(changes_are_in_order_of_date),
        IN_A_FOLDER(a_key_is_text_and_no_sql),
        IN_A_FOLDER(dates_have_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
