/* Every variant that is built in, those of a GPU too, is described as a run will want it. */
#include "harness/plugin.h"
#include "variants/table.h"

#include <ortho/ortho.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void all_are_good(void **state)
{
    (void)state;
    int count = 0;
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++, count++)
        if (ob_variant_check(*v, "built-in") != ORTHO_OK)
            fail_msg("%s", ortho_last_message());
    assert_true(count > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_are_good)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
