/* caught.h: runs a session over one deliberately broken plug-in and says whether it was caught, for
 * the reason that it was broken for, at the place where it had to be. */
#ifndef ORTHO_TESTS_BAD_CAUGHT_H
#define ORTHO_TESTS_BAD_CAUGHT_H

#include "harness/session.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Where a defect shows: in the verification before timing or after it, or while launches are
 * recorded and timed. */
typedef enum stage { BEFORE = 0, AFTER, TIMED, ANYWHERE } stage;

typedef struct bad {
    const char *file, *reason; /* reason NULL: nothing is wrong */
    int batch;
    stage stage;
} bad;

/* The options of a session over the plug-in bad_FILE.so in ORTHO_BAD, else in `folder`; `path`
 * holds its name. Warm: one copy, so that the n-th launch is the n-th on the same operands. */
static inline void bad_options(const bad *b, const char *folder, char path[512], ob_options *o)
{
    const char *elsewhere = getenv("ORTHO_BAD");
    snprintf(path, 512, "%s/bad_%s.so", elsewhere != NULL ? elsewhere : folder, b->file);
    ob_options_default(o);
    o->backend = OB_BACKEND_CPU;
    o->model = "random:24x160";
    o->do_sieve = strstr(b->file, "sieve") != NULL;
    o->do_gemm = !o->do_sieve;
    o->batches = (ob_numbers){.count = 1, .item = {b->batch}};
    o->densities = (ob_numbers){.count = 1, .item = {0.05}};
    o->l2 = OB_L2_WARM;
    o->min_time = 0.002;
    o->case_timeout = 0.5;
    o->ci_target = 1;
    o->variants = (ob_words){.count = 1, .item = {"bad"}};
    o->plugins = (ob_words){.count = 1, .item = {path}};
}

static inline const json_t *bad_row(const json_t *results)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "variant")), "bad") == 0)
            return row;
    }
    return NULL;
}

static inline void expect_verdict(const json_t *verified, stage where)
{
    const char *before = json_string_value(json_object_get(verified, "before"));
    const json_t *after = json_object_get(verified, "after");
    if (where == BEFORE)
        assert_string_equal(before, "fail");
    if (where == AFTER || where == TIMED)
        assert_string_equal(before, "pass");
    if (where == AFTER)
        assert_string_equal(json_string_value(after), "fail");
    if (where == TIMED)
        assert_null(after);
}

/* A defect: failed, for its reason, without a time, and the exit code says so. No defect: passed.
 */
static inline void expect_caught(const bad *b, int code, const json_t *row)
{
    const char *reason = json_string_value(json_object_get(row, "reason"));
    const char *status = json_string_value(json_object_get(row, "status"));
    const json_t *verified = json_object_get(row, "verified");
    assert_non_null(row);
    if (b->reason == NULL) {
        if (code != OB_EXIT_OK)
            fail_msg("%s: exit code %d: %s", b->file, code, reason != NULL ? reason : status);
        assert_string_not_equal(status, "failed");
        assert_string_equal(json_string_value(json_object_get(verified, "after")), "pass");
        return;
    }
    if (strcmp(status, "failed") != 0 || reason == NULL)
        fail_msg("%s: not caught: %s", b->file, status);
    if (strstr(reason, b->reason) == NULL)
        fail_msg("%s: '%s' doesn't say '%s'", b->file, reason, b->reason);
    assert_int_equal(code, OB_EXIT_WRONG);
    assert_null(json_object_get(row, "time_ns"));
    assert_null(json_object_get(row, "speedup"));
    expect_verdict(verified, b->stage);
}

#endif
