/* process_documents.h: documents of several processes, made by hand, and what they merge into. */
#ifndef ORTHO_TESTS_PROCESS_DOCUMENTS_H
#define ORTHO_TESTS_PROCESS_DOCUMENTS_H

#include "harness/processes_merge.h"
#include "reports/model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char csr[] = "gemm/csr/cpu/L0.w/m1", dense[] = "gemm/dense/cpu/L0.w/m1";

static inline json_t *samples_of(double median)
{
    json_t *samples = json_array();
    for (int i = -3; i <= 3; i++)
        json_array_append_new(samples, json_real(median * (1 + 0.001 * i)));
    return samples;
}

static inline json_t *row_of(const char *key, const char *variant, double median)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:i, s:{s:s, s:s, s:f, s:f}, s:{s:f, s:f, s:f, s:f, "
        "s:i, s:s, s:i, s:i, s:o}, s:f, s:f, s:{s:i, s:i}}",
        "key", key, "op", "gemm", "variant", variant, "backend", "cpu", "l2", "cold", "synthetic",
        1, "status", "ok", "m", 1, "verified", "before", "pass", "after", "pass", "rel_error", 1e-7,
        "tolerance", 1e-5, "time_ns", "median", median, "lo", median, "hi", median, "mad", 0.0,
        "outliers", 0, "stop", "converged", "launches_per_sample", 16, "copies", 4, "samples",
        samples_of(median), "bytes", 1000.0, "flops", 500.0, "peak_bytes", "working", 10, "weights",
        20);
}

/* csr and dense, csr at its speed-up over dense. */
static inline json_t *document_of(double time, double over)
{
    json_t *row = row_of(csr, "csr", time);
    json_object_set_new(row, "speedup",
                        json_pack("{s:s, s:f, s:f, s:f}", "over", "dense", "ratio", over / time,
                                  "lo", 1.0, "hi", 9.0));
    return json_pack("{s:s, s:{s:s, s:{s:f}, s:{s:i}}, s:[o, o]}", "schema", "ortho-bench/1",
                     "context", "binary", "b", "ceilings", "read_gbps", time, "process",
                     "max_rss_bytes", (int)over, "results", row, row_of(dense, "dense", over));
}

typedef struct fixture {
    json_t *document[4];
    ob_process process[4];
    ob_options options;
    json_t *merged;
} fixture;

/* Three processes that are fast, slow, faster, as a whole. */
static inline fixture three(void)
{
    fixture f = {.options = {.processes = 5, .ci_target = 0.8, .seed = 1}};
    static const double factor[] = {1, 1.2, 0.9};
    for (int i = 0; i < 3; i++) {
        f.document[i] = document_of(10000 * factor[i], 30000 * factor[i]);
        f.process[i] = (ob_process){.number = i + 1, .document = f.document[i]};
    }
    return f;
}

static inline json_t *row_in(const json_t *document, const char *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
    {
        if (strcmp(ortho_model_string(row, "key"), key) == 0)
            return row;
    }
    return NULL;
}

static inline json_t *row_at(const fixture *f, int process, const char *key)
{
    return row_in(f->document[process], key);
}

static inline const json_t *merge(fixture *f, size_t count, const char *key)
{
    json_decref(f->merged);
    f->merged = ob_processes_merge(f->process, count, &f->options);
    assert_non_null(f->merged);
    return row_in(f->merged, key);
}

static inline void close_fixture(fixture *f)
{
    for (int i = 0; i < 4; i++)
        json_decref(f->document[i]);
    json_decref(f->merged);
}

static inline void near(const json_t *node, const char *path, double wanted)
{
    double value = ortho_model_number(node, path);
    if (!(fabs(value - wanted) <= 1e-9 * fmax(1, fabs(wanted))))
        fail_msg("%s is %g, not %g", path, value, wanted);
}

static inline void reads(const json_t *node, const char *path, const char *wanted)
{
    const char *text = ortho_model_string(node, path);
    if (text == NULL || strcmp(text, wanted) != 0)
        fail_msg("%s is '%s', not '%s'", path, text != NULL ? text : "absent", wanted);
}

static inline void failed(const json_t *row, const char *reason)
{
    static const char *const gone[] = {"time_ns", "speedup", "tokens_per_s"};
    reads(row, "status", "failed");
    reads(row, "reason", reason);
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_null(ortho_model_at(row, gone[i]));
}

static inline void set(json_t *row, const char *part, const char *key, json_t *value)
{
    json_object_set_new(part != NULL ? json_object_get(row, part) : row, key, value);
}

#endif
