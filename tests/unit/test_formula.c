/* Formulas: arithmetic, no value instead of infinity, and text that is no formula. */
#include "harness/formula.h"

#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* a = 6, b = 2, zero = 0, big = 1e308; gone has no value. */
static ortho_status look_up(void *ctx, const char *name, ob_formula_value *out)
{
    static const struct {
        const char *name;
        ob_formula_value value;
    } known[] = {{"a", {6, NULL}},
                 {"b", {2, NULL}},
                 {"zero", {0, NULL}},
                 {"big", {1e308, NULL}},
                 {"gone", {0, "gone away"}}};
    int *asked = ctx;
    ++*asked;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].value;
            return ORTHO_OK;
        }
    return ortho_fail(ORTHO_E_NOT_FOUND, "no '%s'", name);
}

static ob_formula_value value_of(const char *text)
{
    ob_formula_value v = {-1, "untouched"};
    int asked = 0;
    if (ob_formula_evaluate(text, look_up, &asked, &v) != ORTHO_OK)
        fail_msg("%s: %s", text, ortho_last_message());
    return v;
}

static void gives(const char *text, double wanted)
{
    ob_formula_value v = value_of(text);
    if (v.why != NULL || v.value != wanted)
        fail_msg("%s: %.17g (%s), wanted %.17g", text, v.value, v.why ? v.why : "", wanted);
}

static void has_no_value(const char *text, const char *why)
{
    ob_formula_value v = value_of(text);
    assert_non_null(v.why);
    assert_string_equal(v.why, why);
    assert_true(v.value == 0);
}

static void refuses(const char *text, ortho_status wanted, const char *words)
{
    ob_formula_value v = {-1, "untouched"};
    int asked = 0;
    if (ob_formula_evaluate(text, look_up, &asked, &v) != wanted)
        fail_msg("%s: not refused as it should be", text);
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("%s: '%s' lacks '%s'", text, ortho_last_message(), words);
    assert_true(v.value == -1); /* untouched */
}

static void arithmetic(void **state)
{
    (void)state;
    gives("1", 1);
    gives(" a ", 6);
    gives("1 + 2 * 3", 7);
    gives("(1 + 2) * 3", 9);
    gives("8 - 3 - 2", 3);
    gives("a / b / b", 1.5);
    gives("2 * a + b - 4 / b", 12);
    gives("100 * a / (a + b)", 75);
    gives("-a + 7", 1);
    gives("- -a", 6);
    gives("3 - -b", 5);
    gives("0.5*b", 1);
    gives(".5", 0.5);
    gives("((((a))))", 6);
}

static void zero_has_no_sign(void **state)
{
    (void)state;
    ob_formula_value v = value_of("-zero");
    assert_null(v.why);
    assert_false(signbit(v.value));
}

static void what_cannot_be_computed_has_no_value(void **state)
{
    (void)state;
    has_no_value("a / zero", "division by zero");
    has_no_value("zero / zero", "division by zero");
    has_no_value("1 + b / (a - 6)", "division by zero");
    has_no_value("-(1 / zero)", "division by zero");
    has_no_value("big * big", "too large a number");
    has_no_value("big + big - big", "too large a number");
    has_no_value("gone", "gone away");
    has_no_value("a + gone / zero", "gone away");
    has_no_value("1 / zero + gone", "division by zero"); /* the first one met */
    has_no_value("0 * gone", "gone away");
}

static void text_that_is_no_formula(void **state)
{
    (void)state;
    refuses("", ORTHO_E_ARGUMENT, "column 1: it ends too early");
    refuses("   ", ORTHO_E_ARGUMENT, "it ends too early");
    refuses("a +", ORTHO_E_ARGUMENT, "column 4: it ends too early");
    refuses("a b", ORTHO_E_ARGUMENT, "column 3: an operation is missing");
    refuses("2 a", ORTHO_E_ARGUMENT, "an operation is missing");
    refuses("(a + b", ORTHO_E_ARGUMENT, "a ) is missing");
    refuses("a)", ORTHO_E_ARGUMENT, "a ) too many");
    refuses("()", ORTHO_E_ARGUMENT, "missing");
    refuses("a ** b", ORTHO_E_ARGUMENT, "column 4");
    refuses("+a", ORTHO_E_ARGUMENT, "missing");
    refuses("a ^ b", ORTHO_E_ARGUMENT, "an operation is missing");
    refuses("1.2.3", ORTHO_E_ARGUMENT, "column 1: no number");
    refuses(".", ORTHO_E_ARGUMENT, "no number");
    refuses("1e3", ORTHO_E_ARGUMENT, "an operation is missing");
    refuses("0x10", ORTHO_E_ARGUMENT, "an operation is missing");
    refuses("A", ORTHO_E_ARGUMENT, "missing");
    refuses("a\n", ORTHO_E_ARGUMENT, "missing");
    refuses("\xff", ORTHO_E_ARGUMENT, "missing");
    refuses("nobody", ORTHO_E_NOT_FOUND, "no 'nobody'");
    refuses("1 / zero + nobody", ORTHO_E_NOT_FOUND, "no 'nobody'");
    refuses("gone * (a", ORTHO_E_ARGUMENT, "a ) is missing");
}

/* `count` times `before`, an a in the middle, `count` times `after`. */
static const char *nested(int count, char before, char after)
{
    static char text[200002];
    memset(text, before, (size_t)count);
    text[count] = 'a';
    memset(text + count + 1, after, (size_t)count);
    text[2 * count + 1] = '\0';
    return text;
}

static void hostile_text(void **state)
{
    (void)state;
    gives(nested(OB_FORMULA_DEPTH - 1, '(', ')'), 6);
    refuses(nested(OB_FORMULA_DEPTH, '(', ')'), ORTHO_E_ARGUMENT, "nested too deeply");
    refuses(nested(100000, '(', ')'), ORTHO_E_ARGUMENT, "nested too deeply");
    refuses(nested(100000, '-', ' '), ORTHO_E_ARGUMENT, "nested too deeply");
    refuses(nested(100000, 'a', 'a'), ORTHO_E_ARGUMENT, "too long");
    refuses(nested(100000, '1', '1'), ORTHO_E_ARGUMENT, "too long");
    char name[OB_FORMULA_NAME + 1];
    memset(name, 'n', sizeof name);
    name[OB_FORMULA_NAME - 1] = '\0';
    refuses(name, ORTHO_E_NOT_FOUND, "no 'nnn");
    name[OB_FORMULA_NAME - 1] = 'n';
    name[OB_FORMULA_NAME] = '\0';
    refuses(name, ORTHO_E_ARGUMENT, "too long");
}

static void a_long_chain_is_no_nesting(void **state)
{
    (void)state;
    char text[4096] = "a";
    for (int i = 0; i < 1000; i++)
        strcat(text, "+b");
    gives(text, 2006);
}

static void every_name_is_looked_up(void **state)
{
    (void)state;
    int asked = 0;
    ob_formula_value v;
    assert_int_equal(ob_formula_evaluate("gone + a / zero - b", look_up, &asked, &v), ORTHO_OK);
    assert_int_equal(asked, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(zero_has_no_sign),
        cmocka_unit_test(what_cannot_be_computed_has_no_value),
        cmocka_unit_test(text_that_is_no_formula),
        cmocka_unit_test(hostile_text),
        cmocka_unit_test(a_long_chain_is_no_nesting),
        cmocka_unit_test(every_name_is_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
