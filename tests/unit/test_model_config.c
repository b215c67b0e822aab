/* The config.json of an artifact: one key more than the source's, and every other byte the same;
 * what is no JSON object is refused, and so is what somebody has quantised already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"
#include "lib/model_config.h"

#define TOLD                                                                                       \
    "\"quantization_config\": {\"quant_method\": \"libortho\", \"density\": 0.25, \"rule\": "      \
    "\"residual\", \"group\": 64}"

static const ortho_sieve_options sieve = {
    .size = sizeof sieve, .density = 0.25, .rule = ORTHO_RULE_RESIDUAL, .group = 64};

/* The text that comes of `from`, in memory that ends where it ends; NULL: refused. */
static char *tell(const char *from, size_t length, ortho_status *status, size_t *made)
{
    char *text = malloc(length + 1);
    memcpy(text, from, length);
    text[length] = '\0';
    *made = length;
    *status = ortho_model_config_tell("dir/config.json", &sieve, &text, made);
    if (*status == ORTHO_OK)
        return text;
    assert_int_equal(*made, length);
    assert_memory_equal(text, from, length);
    free(text);
    return NULL;
}

static void becomes(const char *from, const char *wanted)
{
    ortho_status status;
    size_t length;
    char *made = tell(from, strlen(from), &status, &length);
    if (made == NULL)
        fail_msg("%s: %s", from, ortho_last_message());
    assert_string_equal(made, wanted);
    assert_int_equal(length, strlen(wanted));
    assert_true(length <= strlen(from) + ORTHO_MODEL_CONFIG_ROOM);
    free(made);
}

static void refused(const char *from, size_t length, ortho_status wanted, const char *words)
{
    ortho_status status;
    size_t made;
    assert_null(tell(from, length, &status, &made));
    if (status != wanted || strstr(ortho_last_message(), words) == NULL ||
        strstr(ortho_last_message(), "dir/config.json") == NULL)
        fail_msg("%.60s: %s: '%s' isn't '%s'", from, ortho_status_name(status),
                 ortho_last_message(), words);
}

static void one_key_more(void **state)
{
    (void)state;
    becomes("{\n  \"eps\": 1e-05,\n  \"n\": 2\n}\n",
            "{\n  \"eps\": 1e-05,\n  \"n\": 2,\n  " TOLD "\n}\n");
    becomes("{\"eps\": 1E-05}", "{\"eps\": 1E-05, " TOLD "}");
    becomes(" \r\n{ \"a\":1 } \t\n", " \r\n{ \"a\":1, " TOLD " } \t\n");
    becomes("{}", "{" TOLD "}");
    becomes("{\n}\n", "{\n  " TOLD "\n}\n");
    becomes("{\"a\": \"}\\\"}\", \"b\": [{}]}", "{\"a\": \"}\\\"}\", \"b\": [{}], " TOLD "}");
}

static void a_null_gives_way(void **state)
{
    (void)state;
    becomes("{\"a\": 1, \"quantization_config\": null, \"b\": 2}",
            "{\"a\": 1, " TOLD ", \"b\": 2}");
    becomes("\n{\"quantization_config\": null}\n", "\n{" TOLD "}\n");
    /* neither a text, nor what lies deeper */
    becomes("{\"a\": \"quantization_config\", \"b\": {\"quantization_config\": null}}",
            "{\"a\": \"quantization_config\", \"b\": {\"quantization_config\": null}, " TOLD "}");
    static const char escaped[] = "{\"quantization\\u005fconfig\": null}";
    refused(escaped, sizeof escaped - 1, ORTHO_E_UNSUPPORTED, "remove that key");
}

/* What Python's json writes, and JSON doesn't know. */
static void numbers_of_python(void **state)
{
    (void)state;
    becomes("{\"a\": [0.0, Infinity], \"b\": -Infinity, \"c\": NaN, \"d\": \"x\\\" NaN\"}",
            "{\"a\": [0.0, Infinity], \"b\": -Infinity, \"c\": NaN, \"d\": \"x\\\" NaN\", " TOLD
            "}");
    becomes("{\"a\": \"\\\"\", \"b\": NaN}", "{\"a\": \"\\\"\", \"b\": NaN, " TOLD "}");
    static const char *const bad[] = {
        "{\"a\": 1NaN}",     "{\"a\": 1e-Infinity}", "{\"a\": NaNNaN}",
        "{NaN: 1}",          "{\"a\": Infinity1}",   "{\"a\": 5-Infinity}",
        "{\"a\": \"b\"NaN}", "{\"a\": Infinit",      "{\"a\": - Infinity}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i], strlen(bad[i]), ORTHO_E_FORMAT, "mend it, or move it away");
}

static void group_and_rule(void **state)
{
    (void)state;
    static const struct {
        ortho_rule rule;
        int32_t group;
        const char *wanted;
    } cases[] = {{ORTHO_RULE_OUTLIER, 0,
                  "{\"quant_method\": \"libortho\", \"density\": 0.0, \"rule\": "
                  "\"outlier\", \"group\": 0}"},
                 {ORTHO_RULE_LEGACY, 128,
                  "{\"quant_method\": \"libortho\", \"density\": 0.0, \"rule\": "
                  "\"legacy\", \"group\": 0}"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ortho_sieve_options o = {.size = sizeof o, .rule = cases[i].rule, .group = cases[i].group};
        char *text = strdup("{}");
        size_t length = 2;
        assert_int_equal(ortho_model_config_tell("c", &o, &text, &length), ORTHO_OK);
        assert_non_null(strstr(text, cases[i].wanted));
        free(text);
    }
}

static void somebody_elses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{\"quantization_config\": {\"quant_method\": \"fp8\"}}", "quantised already (fp8)"},
        {"{\"quantization_config\": {\"quant_method\": \"a\\u001bb\"}}", "quantised already (a?b)"},
        {"{\"quantization_config\": {}}", "it doesn't say how"},
        {"{\"quantization_config\": 0}", "it doesn't say how"},
        {"{\"quantization_config\": NaN}", "it doesn't say how"},
        {"{\"quantization\\u005fconfig\": {\"quant_method\": \"awq\"}}", "quantised already (awq)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].text, strlen(cases[i].text), ORTHO_E_UNSUPPORTED, cases[i].words);
    refused("{" TOLD "}", sizeof "{" TOLD "}" - 1, ORTHO_E_UNSUPPORTED, "is sieved already");
}

static void hostile_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
#define TEXT(literal) {literal, sizeof literal - 1}
        TEXT(""),
        TEXT(" \n"),
        TEXT("["),
        TEXT("[]"),
        TEXT("null"),
        TEXT("\"{}\""),
        TEXT("{"),
        TEXT("{\"a\": 1"),
        TEXT("{\"a"),
        TEXT("{\"a\\"),
        TEXT("{} {}"),
        TEXT("{},"),
        TEXT("{}}"),
        TEXT("{\"a\": 1,}"),
        TEXT("{\"a\": 1, \"a\": 2}"),
        TEXT("{\"quantization_config\": null, \"quantization\\u005fconfig\": null}"),
        TEXT("\xef\xbb\xbf{}"),
        TEXT("{}\0"),
        TEXT("\0{}"),
        TEXT("{\0}"),
        TEXT("{\"a\": null\0}"),
        TEXT("{\"quantization_config\": null\0}"),
        TEXT("{\"a\0\": 1}"),
        TEXT("{\"a\": \"\\u0000\"}"),
        TEXT("{\"a\": \"\xff\"}"),
        TEXT("{\"a\": 1e999}"),
        TEXT("{\"a\": 99999999999999999999}"),
        TEXT("{'a': 1}"),
        TEXT("// c\n{}"),
        TEXT("{\"a\": 1, \"b\": x}"),
#undef TEXT
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].text, cases[i].length, ORTHO_E_FORMAT, "mend it, or move it away");
    assert_null(strstr(ortho_last_message(), "tensor")); /* a key isn't one */
}

/* n times the opening, and the closing n times behind it. */
static void nested(const char *opening, char closing, size_t n)
{
    size_t one = strlen(opening), length = n * (one + 1) + 5;
    char *text = malloc(length + 1);
    memcpy(text, "{\"a\":", 5);
    for (size_t i = 0; i < n; i++)
        memcpy(text + 5 + i * one, opening, one);
    memset(text + 5 + n * one, closing, n);
    text[length - 1] = '}';
    refused(text, length, ORTHO_E_FORMAT, "nested deeper");
    free(text);
}

static void large_texts(void **state)
{
    (void)state;
    enum { COMMAS = 4000100, LONG = 8 << 20 };
    nested("[", ']', 1000000);
    nested("{\"a\":", '}', 1000000);
    char *many = malloc(COMMAS + 8), *value = malloc(LONG + 16);
    memset(many, ',', COMMAS);
    memcpy(many, "{\"a\":[", 6);
    refused(many, COMMAS, ORTHO_E_FORMAT, "JSON tokens");
    free(many);
    int head = sprintf(value, "{\"a\":\"");
    memset(value + head, 'x', LONG);
    memcpy(value + head + LONG, "\"}", 3);
    ortho_status status;
    size_t made;
    char *text = tell(value, (size_t)head + LONG + 2, &status, &made);
    assert_non_null(text);
    assert_memory_equal(text, value, (size_t)head + LONG + 1);
    assert_string_equal(text + head + LONG + 1, ", " TOLD "}");
    free(text);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_key_more),      cmocka_unit_test(a_null_gives_way),
        cmocka_unit_test(numbers_of_python), cmocka_unit_test(group_and_rule),
        cmocka_unit_test(somebody_elses),    cmocka_unit_test(hostile_texts),
        cmocka_unit_test(large_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
