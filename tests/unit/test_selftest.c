/* The self-test's verdicts on numbers fed to them, and what its table expects. */
#include "harness/selftest_kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define L2 ((size_t)50 << 20)

static const ob_selftest *find(const char *name)
{
    for (int i = 0; i < ob_selftest_count; i++)
        if (strcmp(ob_selftests[i].name, name) == 0)
            return &ob_selftests[i];
    fail_msg("no test %s", name);
    return NULL;
}

static ob_verdict verdict(const char *name, double read)
{
    ob_selftest_result r;
    ob_selftest_judge(find(name), L2, &(ob_counter_value){.value = read}, &r);
    assert_true(r.test == find(name));
    assert_true(r.read == read);
    assert_string_equal(r.why, "");
    return r.verdict;
}

#define RIGHT(name, read) assert_int_equal(verdict(name, read), OB_VERDICT_OK)
#define WRONG(name, read) assert_int_equal(verdict(name, read), OB_VERDICT_WRONG)

/* Each number worked out by hand: 64 blocks of 128 threads are 256 warps. */
static void exact(void **state)
{
    (void)state;
    RIGHT("divergent branches", 31 * 256);
    WRONG("divergent branches", 31 * 256 + 1);
    WRONG("divergent branches", 31 * 256 - 1);
    WRONG("divergent branches", 0);
    WRONG("divergent branches", 32 * 256); /* the uniform last one counted as well */
    RIGHT("multiply-adds", 64 * 128 * 512);
    WRONG("multiply-adds", 64 * 128 * 512 - 1);
    WRONG("multiply-adds", 64 * 128 * 512 / 32); /* by the warp */
    RIGHT("no spills", 0);
    WRONG("no spills", 1);
}

static void within(void **state)
{
    (void)state;
    RIGHT("lanes of a loop", 16.5);
    RIGHT("lanes of a loop", 16.64);
    WRONG("lanes of a loop", 16.67);
    WRONG("lanes of a loop", 16.3);
    WRONG("lanes of a loop", 32);
    RIGHT("bank conflicts", 31 * 64 * 256);
    RIGHT("bank conflicts", 31 * 64 * 256 + 1000);
    WRONG("bank conflicts", 32 * 64 * 256); /* accesses counted as conflicts */
    WRONG("bank conflicts", 0);
    RIGHT("spills", 1);
    RIGHT("spills", 1e9);
    WRONG("spills", 0);
}

static void traffic(void **state)
{
    (void)state;
    const double bytes = 256 << 20, cache = (double)L2;
    RIGHT("DRAM reads", bytes);
    RIGHT("DRAM reads", 1.019 * bytes);
    WRONG("DRAM reads", 1.021 * bytes);
    WRONG("DRAM reads", 0.979 * bytes);
    WRONG("DRAM reads", bytes - cache); /* it was in the L2 */
    RIGHT("DRAM writes", bytes);
    RIGHT("DRAM writes", bytes - cache);
    RIGHT("DRAM writes", 0.96 * (bytes - cache));
    WRONG("DRAM writes", 0.94 * (bytes - cache));
    WRONG("DRAM writes", 1.06 * bytes);
    WRONG("DRAM writes", 2 * bytes); /* reads counted too */
}

/* A cache beyond what is copied leaves nothing that must be written: no bound below zero. */
static void huge_cache(void **state)
{
    (void)state;
    ob_selftest_result r;
    ob_selftest_judge(find("DRAM writes"), (size_t)1 << 32, &(ob_counter_value){.value = 0}, &r);
    assert_int_equal(r.verdict, OB_VERDICT_OK);
    assert_true(r.least == 0);
}

static void not_read(void **state)
{
    (void)state;
    static const ob_counter_value values[] = {
        {.value = NAN, .code = 35, .reason = "no permission"},
        {.value = 31 * 256, .code = 7, .reason = "no permission"}, /* a number beside an error */
        {.value = INFINITY, .code = 0, .reason = NULL}};
    for (int i = 0; i < 3; i++) {
        ob_selftest_result r;
        ob_selftest_judge(find("divergent branches"), L2, &values[i], &r);
        assert_int_equal(r.verdict, OB_VERDICT_NA);
        assert_true(isnan(r.read));
        assert_string_equal(r.why, i < 2 ? "no permission" : "no number was read");
    }
}

/* ---- lanes of a loop ------------------------------------------------------------------------- */

static const ortho_loop loop = {"ramp", "/build/x/selftest.cu", 10, 20};

static double lanes_of(const ob_instruction *instructions, size_t count)
{
    return ob_selftest_lanes(
        &(ob_instruction_report){.instructions = (ob_instruction *)instructions, .count = count},
        &loop);
}

static ob_instruction at(int line, uint64_t warps, uint64_t threads)
{
    return (ob_instruction){.function = "_Z13selftest_rampPj",
                            .file = "harness/cupti/selftest.cu",
                            .line = line,
                            .warps = warps,
                            .threads = threads};
}

static void lanes(void **state)
{
    (void)state;
    ob_instruction all[] = {at(10, 2048, 33792), at(20, 2048, 33792), at(9, 7, 7), at(21, 7, 7),
                            at(15, 7, 7),        at(15, 7, 7),        at(0, 7, 7)};
    all[4].file = "elsewhere.cu";
    all[5].function = "_Z12selftest_fmaPf";
    assert_true(fabs(lanes_of(all, 7) - 16.5) <= 1e-12); /* false of NaN */
    assert_true(isnan(lanes_of(all + 2, 5)));            /* nothing of the loop */
    assert_true(isnan(lanes_of(NULL, 0)));
    ob_instruction idle = at(12, 0, 0); /* there, but not executed */
    assert_true(isnan(lanes_of(&idle, 1)));
}

/* ---- this machine ---------------------------------------------------------------------------- */

static void here(void **state)
{
    (void)state;
    ob_selftest_result results[32];
    assert_in_range(ob_selftest_count, 5, 32);
    ob_selftest_run(results);
    for (int i = 0; i < ob_selftest_count; i++) {
        const ob_selftest_result *r = &results[i];
        assert_true(r->test == &ob_selftests[i]);
        assert_int_not_equal(r->verdict, OB_VERDICT_WRONG);
        assert_true((r->verdict == OB_VERDICT_NA) == isnan(r->read));
        assert_true((r->verdict == OB_VERDICT_NA) == (r->why[0] != '\0'));
        assert_true(r->least <= r->most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact),      cmocka_unit_test(within),   cmocka_unit_test(traffic),
        cmocka_unit_test(huge_cache), cmocka_unit_test(not_read), cmocka_unit_test(lanes),
        cmocka_unit_test(here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
