/* test_history_made.h: documents made for tests of the history, and a state folder of their own. */
#ifndef ORTHO_TEST_HISTORY_MADE_H
#define ORTHO_TEST_HISTORY_MADE_H

#include "common/error.h"
#include "harness/history.h"
#include "reports/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "gemm/csr/cpu/L0.w/m1/d0.01/outlier/g128/fp32/warm"

static inline int set_up(void **state)
{
    char *folder = strdup("/tmp/ortho-history-XXXXXX");
    assert_non_null(mkdtemp(folder));
    setenv("ORTHO_BENCH_STATE", folder, 1);
    *state = folder;
    return 0;
}

static inline int tear_down(void **state)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", (char *)*state);
    assert_int_equal(system(command), 0);
    free(*state);
    unsetenv("ORTHO_BENCH_STATE");
    return 0;
}

static inline void says(const char *words)
{
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' lacks '%s'", ortho_last_message(), words);
}

static inline void well(ortho_status status)
{
    if (status != ORTHO_OK)
        fail_msg("%s: %s", ortho_status_name(status), ortho_last_message());
}

/* A document of one case. */
typedef struct made {
    const char *date, *commit, *cpu, *hash, *threads;
    double median;
} made;

static const made usual = {.date = "2026-11-01T00:00:00Z",
                           .commit = "aaa",
                           .cpu = "Model T",
                           .hash = "h1",
                           .threads = "0",
                           .median = 100};

static inline json_t *make_row(double median)
{
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:f}, s:{s:i}, s:{s:{s:f}}}", "key", KEY,
                  "op", "gemm", "variant", "csr", "backend", "cpu", "status", "ok", "verified",
                  "before", "pass", "after", "pass", "rel_error", 1e-8, "peak_bytes", "working",
                  4096, "divergence", "predicted", "value", 0.75);
    json_object_set_new(row, "time_ns",
                        json_pack("{s:f, s:f, s:f, s:[f,f,f]}", "median", median, "lo",
                                  median * 0.99, "hi", median * 1.01, "samples", median * 0.99,
                                  median, median * 1.01));
    return row;
}

static inline json_t *make(made m)
{
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:n, s:{s:s, s:i}, s:{s:s, s:s, s:b}, "
                     "s:{s:s}}, s:[o]}",
                     "schema", "ortho-bench/1", "context", "date", m.date, "binary",
                     "ortho-bench 0.1.0", "commit", m.commit, "host", "here", "os", "Linux", "gpu",
                     "cpu", "model", m.cpu, "cores", 4, "model", "name", "random:8x8:1", "hash",
                     m.hash, "synthetic", 1, "options", "threads", m.threads, "results",
                     make_row(m.median));
}

static inline void add(made m)
{
    json_t *document = make(m);
    bool added = false;
    assert_non_null(document);
    well(ob_history_record(document, "/tmp/r.json", &added));
    assert_true(added);
    json_decref(document);
}

static inline json_t *ask(ob_history_query query, bool runs)
{
    ob_history *h = NULL;
    json_t *list = NULL;
    well(ob_history_open(OB_HISTORY_READ, &h));
    well(runs ? ob_history_runs(h, &query, &list) : ob_history_trends(h, &query, &list));
    ob_history_close(h);
    assert_true(json_is_array(list));
    return list;
}

static const json_t *point_of(const json_t *trends, size_t trend, size_t i)
{
    return json_array_get(json_object_get(json_array_get(trends, trend), "points"), i);
}

static inline size_t points_of(const json_t *trends, size_t trend)
{
    return json_array_size(json_object_get(json_array_get(trends, trend), "points"));
}

static inline void near(const json_t *from, const char *key, double wanted)
{
    double value = ortho_model_number(from, key);
    if (!(fabs(value - wanted) <= 1e-9 * fmax(1, fabs(wanted))))
        fail_msg("%s is %.12g, wanted %.12g", key, value, wanted);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
