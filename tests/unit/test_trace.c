/*
 * The timeline's writer, on logs made by hand. Each file stays in ORTHO_TRACE_DIR where that is
 * set, for tests/schema/check_trace.py to check.
 */
#define _GNU_SOURCE
#include "harness/trace.h"

#include "common/error.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[512];

static int make_folder(void **state)
{
    (void)state;
    const char *asked = getenv("ORTHO_TRACE_DIR");
    if (asked != NULL)
        return snprintf(folder, sizeof folder, "%s", asked) < 0;
    snprintf(folder, sizeof folder, "/tmp/ortho-trace-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return getenv("ORTHO_TRACE_DIR") == NULL && rmdir(folder) != 0;
}

static const char *path_of(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s.json", folder, name);
    return path;
}

/* Writes, reads back. */
static json_t *written(const char *name, const ob_activity_log *log, ob_phases *phases)
{
    json_error_t error;
    json_t *context = json_pack("{s:s, s:s, s:{s:s}}", "binary", "ortho-bench 0", "commit", "abc",
                                "gpu", "name", "Made-up GPU");
    const char *path = path_of(name);
    assert_int_equal(ob_trace_write(log, phases, context, path), ORTHO_OK);
    json_decref(context);
    json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    if (getenv("ORTHO_TRACE_DIR") == NULL)
        assert_int_equal(unlink(path), 0);
    return document;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* The number'th event of this name, from 0; NULL when there are fewer. */
static json_t *event(const json_t *document, const char *name, int number)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(document, "traceEvents"), i, e)
    {
        if (strcmp(text_of(e, "name"), name) == 0 && number-- == 0)
            return e;
    }
    return NULL;
}

static double number_of(const json_t *object, const char *key)
{
    assert_true(json_is_number(json_object_get(object, key)));
    return json_number_value(json_object_get(object, key));
}

static json_t *argument(const json_t *e, const char *key)
{
    assert_non_null(e);
    return json_object_get(json_object_get(e, "args"), key);
}

static void expect_times(const json_t *e, double ts, double dur)
{
    assert_non_null(e);
    assert_float_equal(number_of(e, "ts"), ts, 1e-9);
    assert_float_equal(number_of(e, "dur"), dur, 1e-9);
}

/* The name of the track that an event stands on. */
static const char *track_of(const json_t *document, const json_t *e)
{
    for (int i = 0;; i++) {
        const json_t *name = event(document, "thread_name", i);
        if (name == NULL)
            return "";
        if (json_equal(json_object_get(name, "tid"), json_object_get(e, "tid")))
            return json_string_value(argument(name, "name"));
    }
}

static int count_of(const json_t *document, const char *kind)
{
    size_t i;
    json_t *e;
    int n = 0;
    json_array_foreach(json_object_get(document, "traceEvents"), i, e) n +=
        strcmp(text_of(e, "ph"), kind) == 0;
    return n;
}

static ob_kernel_record kernel(const char *name, uint64_t start, uint64_t end, uint32_t stream)
{
    return (ob_kernel_record){.name = (char *)name,
                              .start = start,
                              .end = end,
                              .stream = stream,
                              .correlation = 5,
                              .grid = {7, 1, 1},
                              .block = {128, 2, 1},
                              .registers = 40,
                              .static_shared = 16,
                              .dynamic_shared = 4096};
}

static ob_marker_record marker(const char *name, uint64_t start, uint64_t end, uint32_t thread)
{
    return (ob_marker_record){
        .name = (char *)name, .domain = "ortho", .start = start, .end = end, .thread = thread};
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void nothing(void **state)
{
    (void)state;
    ob_phases phases = {0};
    json_t *d = written("nothing", &(ob_activity_log){.dropped = 3}, &phases);
    assert_int_equal(count_of(d, "X") + count_of(d, "C"), 0);
    json_t *about = json_object_get(d, "otherData");
    assert_int_equal(number_of(about, "kernel_count"), 0);
    assert_int_equal(number_of(about, "dropped_records"), 3);
    assert_string_equal(text_of(about, "binary"), "ortho-bench 0");
    assert_string_equal(text_of(about, "gpu"), "Made-up GPU");
    assert_string_equal(text_of(d, "displayTimeUnit"), "ns");
    json_decref(d);
    assert_int_equal(ob_trace_write(&(ob_activity_log){0}, NULL, NULL, path_of("bare")), ORTHO_OK);
    unlink(path_of("bare"));
}

static void work(void **state)
{
    (void)state;
    ob_kernel_record kernels[] = {kernel("_ZN5ortho4spmmILi4EEEvPKfi", 10001234, 10003234, 7),
                                  kernel("plain", 10005000, 10006000, 7),
                                  kernel("plain", 10007000, 10010000, 7),
                                  kernel("f", 10020000, 10020000, 7), kernel("lost", 0, 0, 7)};
    ob_transfer_record transfers[] = {{OB_TRANSFER_HOST_TO_DEVICE, 10000000, 10001000, 25000, 7, 1},
                                      {OB_TRANSFER_FILL, 10030000, 10030000, 64, 7, 2}};
    ob_activity_log log = {
        .kernels = kernels, .kernel_count = 5, .transfers = transfers, .transfer_count = 2};
    json_t *d = written("work", &log, NULL);
    const json_t *e = event(d, "void ortho::spmm<4>(float const*, int)", 0);
    expect_times(e, 1.234, 2.0);
    assert_string_equal(track_of(d, e), "stream 7");
    assert_string_equal(text_of(e, "cat"), "kernel");
    assert_int_equal(json_integer_value(json_array_get(argument(e, "grid"), 0)), 7);
    assert_int_equal(json_integer_value(json_array_get(argument(e, "block"), 1)), 2);
    assert_int_equal(json_integer_value(argument(e, "registers")), 40);
    assert_int_equal(json_integer_value(argument(e, "dynamic_shared")), 4096);
    expect_times(event(d, "f", 0), 20, 0); /* a C name, not the type float */
    e = event(d, "copy host to device", 0);
    expect_times(e, 0, 1);
    assert_int_equal(json_integer_value(argument(e, "bytes")), 25000);
    assert_float_equal(json_real_value(argument(e, "gb_per_s")), 25, 1e-9);
    assert_null(argument(event(d, "fill", 0), "gb_per_s")); /* no time, no rate */
    assert_null(event(d, "lost", 0));
    const json_t *about = json_object_get(d, "otherData");
    const json_t *longest = json_array_get(json_object_get(about, "kernels"), 0);
    assert_string_equal(text_of(longest, "name"), "plain");
    assert_int_equal(number_of(longest, "launches"), 2);
    assert_int_equal(number_of(longest, "ns"), 4000);
    assert_int_equal(number_of(about, "kernel_count"), 4);
    assert_int_equal(number_of(about, "kernel_ns"), 6000);
    assert_int_equal(number_of(about, "untimed_kernels"), 1);
    json_decref(d);
}

/* Two streams overlap on tracks of their own; what overlaps in one stream gets a second track,
 * which is used again once it is free. */
static void overlapping(void **state)
{
    (void)state;
    ob_kernel_record kernels[] = {kernel("c", 150, 260, 1), kernel("a", 100, 200, 1),
                                  kernel("b", 120, 180, 2), kernel("d", 200, 300, 1),
                                  kernel("e", 280, 290, 1)};
    json_t *d =
        written("overlapping", &(ob_activity_log){.kernels = kernels, .kernel_count = 5}, NULL);
    assert_string_equal(track_of(d, event(d, "a", 0)), "stream 1");
    assert_string_equal(track_of(d, event(d, "b", 0)), "stream 2");
    assert_string_equal(track_of(d, event(d, "c", 0)), "stream 1 (2)");
    assert_string_equal(track_of(d, event(d, "d", 0)), "stream 1");
    assert_string_equal(track_of(d, event(d, "e", 0)), "stream 1 (2)");
    json_decref(d);
}

static void markers(void **state)
{
    (void)state;
    ob_marker_record list[] = {
        marker("inner", 2000, 3000, 9),  marker("outer", 1000, 9000, 9),
        marker("open", 4000, 0, 9),      marker("within", 5000, 6000, 9),
        marker("long", 7000, 12000, 9),  marker("elsewhere", 1500, 8000, 10),
        marker("alone", 20000, 0, 9),    marker("later", 21000, 22000, 10),
        marker("backward", 900, 800, 9), marker("cublas", 500, 600, 9),
    };
    list[9].domain = "cuBLAS";
    list[0].category = 3;
    json_t *d = written("markers", &(ob_activity_log){.markers = list, .marker_count = 10}, NULL);
    expect_times(event(d, "outer", 0), 0, 8);
    expect_times(event(d, "inner", 0), 1, 1);
    assert_int_equal(json_integer_value(argument(event(d, "inner", 0), "category")), 3);
    expect_times(event(d, "open", 0), 3, 5); /* to the end of what it is in */
    assert_true(json_is_true(argument(event(d, "open", 0), "unfinished")));
    expect_times(event(d, "within", 0), 4, 1);
    expect_times(event(d, "long", 0), 6, 2);
    assert_true(json_is_true(argument(event(d, "long", 0), "cut")));
    assert_null(argument(event(d, "outer", 0), "cut"));
    expect_times(event(d, "alone", 0), 19, 2); /* to the end of everything */
    assert_string_equal(track_of(d, event(d, "outer", 0)), "NVTX of thread 9");
    assert_string_equal(track_of(d, event(d, "elsewhere", 0)), "NVTX of thread 10");
    assert_null(event(d, "backward", 0));
    assert_null(event(d, "cublas", 0));
    assert_int_equal(number_of(json_object_get(d, "otherData"), "other_markers"), 2);
    json_decref(d);
}

static void memory(void **state)
{
    (void)state;
    ob_memory_record list[] = {
        {.at = 1000, .address = 0x100, .bytes = 4096},
        {.at = 2000, .address = 0x900, .bytes = 77, .release = true}, /* was there before */
        {.at = 3000, .address = 0x200, .bytes = 1000, .pool = true},
        {.at = 4000, .address = 0x100, .bytes = 0, .release = true}, /* CUPTI may not say */
        {.at = 5000, .address = 0x100, .bytes = 10},
        {.at = 6000, .address = 0x100, .bytes = 30}, /* its release was lost */
        {.at = 7000, .address = 0x200, .bytes = 1000, .release = true},
    };
    static const double want[][2] = {{0, 4096}, {2, 5096}, {3, 1000},
                                     {4, 1010}, {5, 1030}, {6, 30}};
    json_t *d = written("memory", &(ob_activity_log){.memory = list, .memory_count = 7}, NULL);
    for (int i = 0; i < 6; i++) {
        const json_t *e = event(d, "device memory", i);
        assert_non_null(e);
        assert_float_equal(number_of(e, "ts"), want[i][0], 1e-9);
        assert_float_equal(json_number_value(argument(e, "bytes")), want[i][1], 0);
    }
    assert_null(event(d, "device memory", 6));
    json_decref(d);
}

/* Bytes that a JSON string can't hold as they are. */
static void hostile_names(void **state)
{
    (void)state;
    ob_kernel_record kernels[] = {kernel("a\"b\\c\n\x01\x7f", 10, 20, 1),
                                  kernel("\xff\xc0\xaf", 20, 30, 1),
                                  kernel("s\xed\xa0\x80", 30, 40, 1),
                                  kernel("caf\xc3\xa9 \xf0\x9f\x98\x80", 40, 50, 1),
                                  kernel("\xf4\x90\x80\x80", 50, 60, 1),
                                  kernel("cut\xe2\x82", 60, 70, 1),
                                  kernel("_Z\xff", 70, 80, 1),
                                  kernel("", 80, 90, 1),
                                  kernel("\xe0\x80\xafx\xf0\x80y", 90, 95, 1)};
    json_t *d = written("hostile", &(ob_activity_log){.kernels = kernels, .kernel_count = 9}, NULL);
#define BAD "\xef\xbf\xbd"
    static const char *const want[] = {"a\"b\\c\n\x01\x7f",
                                       BAD BAD BAD,
                                       "s" BAD BAD BAD,
                                       "caf\xc3\xa9 \xf0\x9f\x98\x80",
                                       BAD BAD BAD BAD,
                                       "cut" BAD BAD,
                                       "_Z" BAD,
                                       "",
                                       BAD BAD BAD "x" BAD BAD "y"};
#undef BAD
    for (int i = 0; i < 9; i++)
        expect_times(event(d, want[i], 0), i * 0.01, i == 8 ? 0.005 : 0.01);
    json_decref(d);
}

/* ---- phases ---------------------------------------------------------------------------------- */

static uint64_t fake_now; /* what the clock of the records tells */

static uint64_t fake_clock(void)
{
    return fake_now;
}

static void phases(void **state)
{
    (void)state;
    ob_phases list = {.clock = fake_clock};
    fake_now = 5000;
    size_t outer = ob_phases_begin(&list, "case", "session");
    fake_now = 6000;
    size_t inner = ob_phases_begin(&list, "verify", "case");
    fake_now = 8000;
    ob_phases_end(&list, inner);
    ob_phases_end(&list, OB_PHASE_LOST);
    fake_now = 9000;
    ob_phases_end(&list, outer);
    (void)ob_phases_begin(&list, "open", "session");
    ob_kernel_record kernels[] = {kernel("k", 9500, 9900, 1)};
    json_t *d = written("phases", &(ob_activity_log){.kernels = kernels, .kernel_count = 1}, &list);
    expect_times(event(d, "case", 0), 0, 4);
    expect_times(event(d, "verify", 0), 1, 2);
    expect_times(event(d, "open", 0), 4, 0.9);
    assert_string_equal(text_of(event(d, "verify", 0), "cat"), "case");
    assert_string_equal(track_of(d, event(d, "case", 0)), "phases");
    assert_int_equal(json_integer_value(json_object_get(event(d, "case", 0), "pid")), 1);
    json_decref(d);
    ob_phases_clear(&list);
    assert_int_equal(list.count, 0);
}

/* Phases from before the records' clock could be asked move onto it, lengths kept. */
static void early_phases(void **state)
{
    (void)state;
    ob_phases list = {.clock = fake_clock};
    fake_now = 0;
    ob_phases_end(&list, ob_phases_begin(&list, "early", "session"));
    ob_phase before = list.items[0];
    fake_now = UINT64_C(1) << 60; /* far from CLOCK_MONOTONIC */
    ob_phases_end(&list, ob_phases_begin(&list, "late", "session"));
    const ob_phase *early = &list.items[0], *late = &list.items[1];
    assert_true(early->end - early->start == before.end - before.start);
    assert_true(late->start == fake_now);
    assert_true(early->end <= late->start);
    assert_true(late->start - early->end < UINT64_C(5000000000)); /* moments ago */
    ob_phases_clear(&list);
}

/* Something of everything: what tests/schema/check_trace.py breaks to see that it notices. */
static void whole(void **state)
{
    (void)state;
    ob_phases list = {.clock = fake_clock};
    fake_now = 1000;
    size_t run = ob_phases_begin(&list, "run", "session");
    fake_now = 9000;
    ob_phases_end(&list, run);
    ob_kernel_record kernels[] = {kernel("k", 2000, 3000, 1), kernel("l", 4000, 5500, 2)};
    ob_transfer_record copy = {OB_TRANSFER_DEVICE_TO_HOST, 6000, 7000, 10, 1, 3};
    ob_memory_record allocation = {.at = 1500, .address = 1, .bytes = 64};
    ob_marker_record range = marker("gemm", 1800, 7500, 4);
    ob_activity_log log = {.kernels = kernels,
                           .kernel_count = 2,
                           .transfers = &copy,
                           .transfer_count = 1,
                           .memory = &allocation,
                           .memory_count = 1,
                           .markers = &range,
                           .marker_count = 1};
    json_t *d = written("whole", &log, &list);
    assert_int_equal(count_of(d, "X"), 5);
    assert_int_equal(count_of(d, "C"), 1);
    json_decref(d);
    ob_phases_clear(&list);
}

/* ---- failing, and many ----------------------------------------------------------------------- */

static void refused(void **state)
{
    (void)state;
    assert_int_equal(ob_trace_write(&(ob_activity_log){0}, NULL, NULL, "/dev/null/trace.json"),
                     ORTHO_E_IO);
    assert_non_null(strstr(ortho_last_message(), "/dev/null"));
}

static void many(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    ob_kernel_record *kernels = calloc(COUNT, sizeof *kernels);
    assert_non_null(kernels);
    for (int i = 0; i < COUNT; i++) /* four streams, each always busy */
        kernels[i] = kernel(i % 3 ? "_ZN5ortho4spmmILi4EEEvPKfi" : "other", 1000 + (uint64_t)i,
                            1004 + (uint64_t)i, (uint32_t)(i % 4));
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(ob_trace_write(&(ob_activity_log){.kernels = kernels, .kernel_count = COUNT},
                                    NULL, NULL, path_of("many")),
                     ORTHO_OK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true(end.tv_sec - begin.tv_sec < 10); /* a quarter of a second, undisturbed */
    if (getenv("ORTHO_TRACE_DIR") == NULL)
        assert_int_equal(unlink(path_of("many")), 0);
    free(kernels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing), cmocka_unit_test(work),   cmocka_unit_test(overlapping),
        cmocka_unit_test(markers), cmocka_unit_test(memory), cmocka_unit_test(hostile_names),
        cmocka_unit_test(whole),   cmocka_unit_test(phases), cmocka_unit_test(early_phases),
        cmocka_unit_test(refused), cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
