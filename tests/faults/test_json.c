/* JSON when memory lacks: jansson's n-th allocation fails, for each n. What comes out is whole, or
 * nothing and a word of memory; never a text with characters left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "datasets/json.h"

#include <errno.h>

/* Strings that outgrow jansson's buffer, numbers behind them (which reset errno), keys. None is 16,
 * 32, 64, ... bytes long with its quotes: there jansson itself writes beyond its buffer. */
static const char text[] =
    "{\"a long key, longer than sixteen characters, and than thirty-two\":"
    "\"a long value, longer than any before it was, and by more than its half, so that it grows\","
    "\"numbers\":[1,-2,3.5],\"nested\":{\"model.layers.0.self_attn.q_proj.weight\":true}}";

static long calls, fails_at;

static void *failing_malloc(size_t bytes)
{
    if (++calls != fails_at)
        return malloc(bytes);
    errno = ENOMEM;
    return NULL;
}

static int give_failing(void **state)
{
    (void)state;
    json_set_alloc_funcs(failing_malloc, free);
    return 0;
}

static int take_back(void **state)
{
    (void)state;
    json_set_alloc_funcs(malloc, free);
    return 0;
}

static json_t *load(long n, bool *no_memory)
{
    json_error_t error;
    calls = 0;
    fails_at = n;
    json_t *root = ortho_json_load(text, sizeof text - 1, &error, no_memory);
    fails_at = 0;
    return root;
}

static void loads(void **state)
{
    bool no_memory;
    json_t *whole = load(0, &no_memory);
    (void)state;
    assert_non_null(whole);
    assert_false(no_memory);
    json_decref(whole);
    for (long n = 1, all = calls; n <= all; n++) {
        assert_null(load(n, &no_memory));
        assert_true(no_memory);
    }
}

static void dumps(void **state)
{
    bool no_memory;
    json_t *whole = load(0, &no_memory);
    (void)state;
    for (long n = 1;; n++) {
        calls = 0;
        fails_at = n;
        char *made = ortho_json_dump(whole, JSON_COMPACT);
        fails_at = 0;
        assert_true((made == NULL) == (calls >= n));
        if (made != NULL) {
            assert_string_equal(made, text);
            free(made);
            break;
        }
    }
    assert_true(calls > 3);
    json_decref(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loads), cmocka_unit_test(dumps)};
    return cmocka_run_group_tests(tests, give_failing, take_back);
}
