/* comparison_rows.h: two made-up sides, compared, and what comes out of them. */
#ifndef ORTHO_TESTS_COMPARISON_ROWS_H
#define ORTHO_TESTS_COMPARISON_ROWS_H

#include "reports/model.h"
#include "tests/unit/comparison_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const machine quiet = {0.001, 0.002, 0, 0, 5, 20};

static inline json_t *side(double ns, int cases, uint64_t seed)
{
    ortho_random g = ortho_random_seeded(seed);
    return made_up_side(&quiet, ns, cases, &g);
}

static inline json_t *row(json_t *document, size_t i)
{
    return json_array_get(json_object_get(document, "results"), i);
}

static inline json_t *usual(json_t *a, json_t *b)
{
    ortho_compare_options options = usual_options(200);
    json_t *out = compared(a, b, &options);
    assert_non_null(out);
    return out;
}

static inline int count(const json_t *out, const char *name)
{
    return (int)json_integer_value(json_object_get(json_object_get(out, "summary"), name));
}

static inline void reads(const json_t *node, const char *path, const char *wanted)
{
    const char *text = ortho_model_string(node, path);
    assert_non_null(text);
    assert_string_equal(text, wanted);
}

static inline const json_t *first_of(const json_t *out, const char *list)
{
    return json_array_get(json_object_get(out, list), 0);
}

static inline void set_status(json_t *one, const char *status)
{
    json_object_set_new(one, "status", json_string(status));
    json_object_set_new(one, "reason", json_string("out of bounds"));
}

#endif
