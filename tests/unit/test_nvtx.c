/* NVTX ranges as a listener hears them: the domain, its words and payloads; and that a session
 * closes each range that it opens, whatever becomes of its cases. */
#define _GNU_SOURCE
#include "harness/nvtx.h"

#include "harness/memory.h"
#include "harness/session.h"
#include "harness/timer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char log_path[] = "/tmp/ortho-test-nvtx-XXXXXX";

/* ---- without a listener --------------------------------------------------------------------- */

/* The least of several rounds: neighbours make it longer, nothing makes it shorter. */
static double push_and_pop_ns(void)
{
    enum { ROUNDS = 50, CALLS = 20000 };
    const ob_range_shape shape = {.n = 3072, .k = 3072, .m = 1, .density = 0.01};
    double least = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double start = ob_timer_now();
        for (int i = 0; i < CALLS; i++) {
            ob_nvtx_push(OB_RANGE_CASE, "gemm/csr", &shape);
            ob_nvtx_pop();
        }
        double each = (ob_timer_now() - start) / CALLS;
        least = each < least ? each : least;
    }
    return least;
}

/* In a process of its own: the first range decides whether anybody listens. */
static void costs_nothing_where_nobody_listens(void **state)
{
    int out[2], code;
    double ns = -1;
    (void)state;
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        ns = push_and_pop_ns();
        _exit(write(out[1], &ns, sizeof ns) == (ssize_t)sizeof ns ? 0 : 1);
    }
    assert_int_equal(read(out[0], &ns, sizeof ns), (ssize_t)sizeof ns);
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    close(out[0]);
    close(out[1]);
    print_message("push and pop without a listener: %.2f ns\n", ns);
    assert_true(ns >= 0 && ns < 1000); /* a sanitizer's build on a busy machine stays below */
}

#ifdef FAKE_NVTX

/* ---- with one ------------------------------------------------------------------------------- */

static char *heard(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = fopen(log_path, "r");
    assert_non_null(f);
    ssize_t length = getdelim(&text, &size, '\0', f);
    fclose(f);
    if (length < 0) { /* nothing was heard */
        free(text);
        return strdup("");
    }
    return text;
}

static void forget(void)
{
    assert_int_equal(truncate(log_path, 0), 0);
}

static void expect_line(const char *text, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%s\n", line);
    const char *at = strstr(text, wanted);
    if (at == NULL || (at != text && at[-1] != '\n'))
        fail_msg("no line '%s' in\n%s", line, text);
}

static void names_its_domain_categories_and_shapes(void **state)
{
    const ob_range_shape shape = {.n = 11, .k = 22, .m = 3, .density = 0.25};
    (void)state;
    ob_nvtx_push(OB_RANGE_SLICE, "model.w", &shape);
    ob_nvtx_push(OB_RANGE_PHASE, "time", NULL);
    ob_nvtx_pop();
    ob_nvtx_pop();
    char *text = heard();
    expect_line(text, "domain ortho");
    expect_line(text, "category 1 slice");
    expect_line(text, "category 2 phase");
    expect_line(text, "category 3 case");
    expect_line(text, "schema shape 4 32");
    expect_line(text, "push 1 ascii model.w 11 22 3 0.25");
    expect_line(text, "push 2 registered time");
    free(text);
}

static int count_of(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

/* More words than the table has places: each is still a range, and none is registered twice. */
static void registers_a_word_once_and_not_without_end(void **state)
{
    (void)state;
    forget();
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++) {
            char word[32];
            snprintf(word, sizeof word, "linear %d of 100", i);
            ob_nvtx_push(OB_RANGE_PHASE, word, NULL);
            ob_nvtx_pop();
        }
    char *text = heard();
    assert_int_equal(count_of(text, "push 2 "), 200);
    assert_in_range(count_of(text, "register "), 1, 99);
    assert_int_equal(count_of(text, "register linear 0 of 100\n"), 1);
    expect_line(text, "push 2 registered linear 0 of 100");
    expect_line(text, "push 2 ascii linear 99 of 100");
    free(text);
}

/* ---- a session ------------------------------------------------------------------------------ */

static ob_options options(void)
{
    ob_options o;
    ob_options_default(&o);
    o.backend = OB_BACKEND_CPU;
    o.model = "random:33x129";
    o.do_sieve = o.do_gemm = true;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    o.l2 = OB_L2_WARM;
    o.min_time = 0.002;
    o.case_timeout = 0.5;
    o.ci_target = 1;
    o.threads = 1;
    return o;
}

/* Every range was closed, and none that wasn't open. The text is taken apart. */
static void expect_balance(char *text)
{
    int depth = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        depth += strncmp(line, "push ", 5) == 0;
        depth -= strcmp(line, "pop") == 0;
        assert_true(depth >= 0);
    }
    assert_int_equal(depth, 0);
}

static char *heard_of(const ob_options *o, int code)
{
    json_t *results = NULL;
    forget();
    assert_int_equal(ob_session_run(o, NULL, &results), code);
    json_decref(results);
    return heard();
}

static void a_timed_session_closes_what_it_opens(void **state)
{
    ob_options o = options();
    (void)state;
    char *text = heard_of(&o, OB_EXIT_OK);
    assert_true(count_of(text, "push 1 ascii w 33 129 0 0\n") > 0);
    assert_true(count_of(text, " verify\n") > 0);
    assert_true(count_of(text, " time\n") > 0);
    assert_true(count_of(text, " verify again\n") > 0);
    expect_balance(text);
    free(text);
}

/* Each case once, and its range directly inside its phase. */
static void profiling_gives_each_case_one_range(void **state)
{
    static const char range[] =
        " profile\npush 3 ascii gemm/csr/cpu/L0.w/m2/d0.01/outlier/g128/fp32/warm 33 129 2 0.01\n";
    ob_options o = options();
    (void)state;
    o.profile = true;
    o.batches = (ob_numbers){.count = 1, .item = {2}};
    char *text = heard_of(&o, OB_EXIT_OK);
    assert_int_equal(count_of(text, range), 1);
    assert_int_equal(count_of(text, " time\n"), 0);
    expect_balance(text);
    free(text);
}

/* One launch takes longer than the timeout allows, even null's, for which none may be measured:
 * cases end in the middle of their first phase. */
static void a_skipped_case_closes_its_ranges(void **state)
{
    ob_options o = options();
    (void)state;
    o.case_timeout = -1;
    char *text = heard_of(&o, OB_EXIT_SKIPPED);
    assert_true(count_of(text, " verify\n") > 0);
    assert_int_equal(count_of(text, " time\n"), 0);
    expect_balance(text);
    free(text);
}

static int listen(void **state)
{
    (void)state;
    int file = mkstemp(log_path);
    if (file < 0)
        return -1;
    close(file);
    return setenv("NVTX_INJECTION64_PATH", FAKE_NVTX, 1) == 0 &&
                   setenv("FAKE_NVTX_LOG", log_path, 1) == 0
               ? 0
               : -1;
}

static int stop_listening(void **state)
{
    (void)state;
    return unlink(log_path);
}

#endif

/* The session measures peaks of memory in a child, which is this very program. */
int main(int argc, char **argv)
{
    if (argc > 1)
        return strcmp(argv[1], "__memory") == 0 ? ob_memory_child(argc, argv) : 2;
    const struct CMUnitTest alone[] = {cmocka_unit_test(costs_nothing_where_nobody_listens)};
    int failed = cmocka_run_group_tests_name("nobody listens", alone, NULL, NULL);
#ifdef FAKE_NVTX
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_its_domain_categories_and_shapes),
        cmocka_unit_test(registers_a_word_once_and_not_without_end),
        cmocka_unit_test(a_timed_session_closes_what_it_opens),
        cmocka_unit_test(profiling_gives_each_case_one_range),
        cmocka_unit_test(a_skipped_case_closes_its_ranges),
    };
    failed += cmocka_run_group_tests_name("a tool listens", tests, listen, stop_listening);
#else
    (void)log_path;
#endif
    return failed;
}
