/* --form: the forms of a pass, in a list, in a key, and without a pass. */
#include "tests/unit/options_lines.h"

#include <stdlib.h>

static void forms_are_of_a_pass(void **state)
{
    (void)state;
    ob_options o;
    load("--pass decode", &o);
    assert_int_equal(o.forms, OB_FORM_SINGLE);
    ob_options_clear(&o);
    load("--form grouped,persistent --pass decode", &o);
    assert_int_equal(o.forms, OB_FORM_GROUPED | OB_FORM_PERSISTENT);
    ob_options_clear(&o);
    load("--pass decode --form all", &o);
    assert_int_equal(o.forms, OB_FORM_SINGLE | OB_FORM_GROUPED | OB_FORM_PERSISTENT);
    ob_options_clear(&o);
    load("--case pass/csr/cpu/decode-persistent/m1/d0.05/outlier/g64/fp32 --form all", &o);
    assert_int_equal(o.pass, OB_PASS_DECODE);
    assert_int_equal(o.forms, OB_FORM_PERSISTENT);
    ob_options_clear(&o);
    load("--form all --case pass/csr/cpu/decode/m1/d0.05/outlier/g64/fp32", &o);
    assert_int_equal(o.forms, OB_FORM_SINGLE); /* as keys were before there were others */
    ob_options_clear(&o);
    load("--form single", &o); /* what goes without saying may be said */
    ob_options_clear(&o);
    setenv("ORTHO_BENCH_FORM", "all", 1); /* for the passes to come */
    load("--op gemm", &o);
    assert_int_equal(o.forms, OB_FORM_SINGLE);
    ob_options_clear(&o);
    load("--pass decode", &o);
    assert_int_equal(o.forms, OB_FORM_SINGLE | OB_FORM_GROUPED | OB_FORM_PERSISTENT);
    ob_options_clear(&o);
    unsetenv("ORTHO_BENCH_FORM");
    refuse("--form grouped", "--form: only a pass has forms: add --pass decode");
    refuse("--pass none --form all", "only a pass has forms");
    refuse("--pass decode --form group", "'group' is unknown: did you mean 'grouped'?");
    refuse("--pass decode --form single,all", "in the list twice");
    refuse("--pass decode --form single,", "is unknown");
    refuse("--case pass/csr/cpu/decode-paired/m1/d0/outlier/g32/fp32", "'paired' is unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_of_a_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
