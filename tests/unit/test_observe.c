/* What records and counts come to in a row, and what of a child's row its parent takes: made by
 * hand.
 */
#include "harness/observe.h"
#include "harness/observe_facts.h"
#include "harness/results.h"
#include "reports/model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void near(const json_t *row, const char *path, double wanted)
{
    double value = ortho_model_number(row, path);
    if (!(fabs(value - wanted) <= 1e-9 * fmax(1, fabs(wanted))))
        fail_msg("%s is %g, not %g", path, value, wanted);
}

static void reads(const json_t *row, const char *path, const char *wanted)
{
    const char *text = ortho_model_string(row, path);
    assert_non_null(text);
    assert_string_equal(text, wanted);
}

/* ---- activity -------------------------------------------------------------------------------- */

static void kernels_that_overlap_count_once(void **state)
{
    (void)state;
    /* two launches of two kernels: the second waits inside the first's time */
    ob_kernel_record kernels[] = {{.name = "a", .start = 1000, .end = 1100},
                                  {.name = "b", .start = 1050, .end = 1150},
                                  {.name = "a", .start = 2000, .end = 2100},
                                  {.name = "b", .start = 2200, .end = 2250}};
    ob_activity_log log = {.kernels = kernels, .kernel_count = 4};
    ob_activity_view view = {.launches = 2, .device = 640, .booked = 512};
    json_t *row = json_object();
    ob_row_activity_from(row, &log, &view);
    reads(row, "activity.status", "ok");
    near(row, "activity.ns", 150); /* 150 and 150 */
    near(row, "activity.launches", 2);
    near(row, "activity.peak_device_bytes", 640);
    near(row, "activity.allocator_bytes", 512);
    const json_t *list = ortho_model_at(row, "activity.kernels");
    assert_int_equal(json_array_size(list), 2);
    near(json_array_get(list, 0), "ns", 100);
    near(json_array_get(list, 1), "ns", 75); /* the median of 100 and 50 */
    json_decref(row);
}

static void a_kernel_within_another_adds_nothing(void **state)
{
    (void)state;
    ob_kernel_record kernels[] = {{.name = "a", .start = 1000, .end = 1500},
                                  {.name = "b", .start = 1100, .end = 1200}};
    ob_activity_log log = {.kernels = kernels, .kernel_count = 2};
    json_t *row = json_object();
    ob_row_activity_from(row, &log, &(ob_activity_view){.launches = 1});
    near(row, "activity.ns", 500);
    json_decref(row);
}

static void a_flush_is_not_the_operation(void **state)
{
    (void)state;
    ob_kernel_record kernels[] = {{.name = "a", .start = 1000, .end = 1100}};
    ob_transfer_record transfers[] = {{.kind = OB_TRANSFER_FILL, .start = 0, .end = 900}};
    ob_activity_log log = {
        .kernels = kernels, .kernel_count = 1, .transfers = transfers, .transfer_count = 1};
    for (int flushed = 0; flushed < 2; flushed++) {
        json_t *row = json_object();
        ob_activity_view view = {.launches = 1, .flushed = flushed};
        ob_row_activity_from(row, &log, &view);
        near(row, "activity.ns", flushed ? 100 : 1000);
        json_decref(row);
    }
}

static void a_copy_beside_a_flush_is(void **state)
{
    (void)state;
    ob_kernel_record kernels[] = {{.name = "a", .start = 1000, .end = 1100}};
    ob_transfer_record transfers[] = {
        {.kind = OB_TRANSFER_FILL, .start = 0, .end = 900},
        {.kind = OB_TRANSFER_DEVICE_TO_DEVICE, .start = 1200, .end = 1230}};
    ob_activity_log log = {
        .kernels = kernels, .kernel_count = 1, .transfers = transfers, .transfer_count = 2};
    json_t *row = json_object();
    ob_row_activity_from(row, &log, &(ob_activity_view){.launches = 1, .flushed = true});
    near(row, "activity.ns", 130);
    json_decref(row);
}

static void copies_with_kernels_of_their_own_have_a_mean(void **state)
{
    (void)state;
    ob_kernel_record kernels[] = {{.name = "a", .start = 0, .end = 100},
                                  {.name = "b", .start = 200, .end = 300},
                                  {.name = "c", .start = 400, .end = 500}};
    ob_activity_log log = {.kernels = kernels, .kernel_count = 3};
    json_t *row = json_object();
    ob_row_activity_from(row, &log, &(ob_activity_view){.launches = 2});
    near(row, "activity.ns", 150);
    assert_null(ortho_model_at(row, "activity.kernels"));
    json_object_clear(row);
    log.dropped = 1;
    ob_row_activity_from(row, &log, &(ob_activity_view){.launches = 3});
    reads(row, "activity.status", "n/a");
    assert_null(ortho_model_at(row, "activity.ns"));
    json_decref(row);
}

static void the_peak_counts_what_was_ours(void **state)
{
    (void)state;
    ob_memory_record memory[] = {
        {.at = 1, .address = 16, .bytes = 100},
        {.at = 2, .address = 32, .bytes = 50, .release = true}, /* from before */
        {.at = 3, .address = 48, .bytes = 30},
        {.at = 4, .address = 16, .bytes = 100, .release = true},
        {.at = 5, .address = 16, .bytes = 60},
        {.at = 6, .address = 16, .bytes = 60, .release = true},
        {.at = 7, .address = 16, .bytes = 60, .release = true}}; /* twice: not ours any more */
    ob_activity_log log = {.memory = memory, .memory_count = 7};
    assert_int_equal(ob_activity_peak(&log), 130);
    log.memory_count = 0;
    assert_int_equal(ob_activity_peak(&log), 0);
}

static void logs_join_in_order(void **state)
{
    (void)state;
    ob_activity_log into = {0};
    for (uint64_t i = 1; i <= 3; i++) {
        ob_activity_log part = {.dropped = 1};
        part.kernels = calloc(1, sizeof *part.kernels);
        part.kernels[0] = (ob_kernel_record){.name = strdup("k"), .start = i};
        part.kernel_count = 1;
        assert_int_equal(ob_activity_append(&into, &part), ORTHO_OK);
        assert_int_equal(part.kernel_count, 0);
    }
    assert_int_equal(into.kernel_count, 3);
    assert_int_equal(into.kernels[2].start, 3);
    assert_int_equal(into.dropped, 3);
    ob_activity_clear(&into);
}

/* ---- instructions ---------------------------------------------------------------------------- */

static const ortho_loop loop = {
    .kernel = "csr_kernel", .file = "/home/me/variants/csr/gemm.cu", .first = 20, .last = 30};
#define OURS   "/build/elsewhere/variants/csr/gemm.cu"
#define HEADER "/usr/include/cuda_fp16.hpp"

static void the_loop_is_its_lines_and_what_was_inlined_between(void **state)
{
    (void)state;
    static const char function[] = "_Z10csr_kernelv", other[] = "_Z11base_kernelv";
    ob_instruction list[] = {
        {.function = function, .file = HEADER, .line = 7, .warps = 1000, .threads = 32000},
        {.function = function, .file = OURS, .line = 10, .warps = 100, .threads = 3200},
        {.function = function, .file = HEADER, .line = 7, .warps = 100, .threads = 3200},
        {.function = function, .file = OURS, .line = 20, .warps = 10, .threads = 160},
        {.function = function, .file = HEADER, .line = 7, .warps = 10, .threads = 80},
        {.function = function, .file = HEADER, .line = 8, .warps = 0},
        {.function = function, .file = OURS, .line = 30, .warps = 10, .threads = 80},
        {.function = function, .file = "", .warps = 100, .threads = 3200},
        {.function = function, .file = OURS, .line = 31, .warps = 100, .threads = 3200},
        {.function = other, .file = OURS, .line = 25, .warps = 100, .threads = 3200}};
    ob_instruction_report report = {.instructions = list, .count = sizeof list / sizeof *list};
    json_t *row = json_object();
    ob_row_loop_from(row, &report, &loop);
    near(row, "divergence.measured.instructions", 3);
    near(row, "divergence.measured.warp_instructions", 30);
    near(row, "divergence.measured.value", 320.0 / (32 * 30));
    const json_t *bars = ortho_model_at(row, "divergence.measured.histogram");
    assert_true(json_real_value(json_array_get(bars, 16)) == 10);
    assert_true(json_real_value(json_array_get(bars, 8)) == 20);
    json_object_clear(row);
    report.count = 3; /* nothing of the loop */
    ob_row_loop_from(row, &report, &loop);
    reads(row, "divergence.measured.status", "n/a");
    json_decref(row);
}

static void a_namesake_is_another_file(void **state)
{
    (void)state;
    static const char *const files[] = {"/x/variants/block-csr/gemm.cu", "/x/other/csr/gemm.cu"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ob_instruction one = {.function = "block_csr_kernel",
                              .file = files[i],
                              .line = 25,
                              .warps = 1,
                              .threads = 32};
        ob_instruction_report report = {.instructions = &one, .count = 1};
        json_t *row = json_object();
        ob_row_loop_from(row, &report, &loop);
        reads(row, "divergence.measured.status", "n/a");
        json_decref(row);
    }
}

/* ---- merging --------------------------------------------------------------------------------- */

static json_t *parsed(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static const char counted[] =
    "{\"status\": \"ok\", \"counters\": {"
    "\"smsp__inst_executed.sum\": {\"status\": \"ok\", \"code\": 0, \"value\": 10},"
    "\"smsp__thread_inst_executed.sum\": {\"status\": \"ok\", \"code\": 0, \"value\": 160}},"
    "\"activity\": {\"status\": \"ok\", \"ns\": 9000.0}}";

static void what_was_found_is_judged_by_the_parents_times(void **state)
{
    (void)state;
    json_t *row = parsed("{\"status\": \"ok\", \"time_ns\": {\"median\": 10000.0}}");
    json_t *found = parsed(counted);
    ob_observe_merge(row, found, OB_OBSERVE_COUNTERS);
    assert_null(json_object_get(row, "activity")); /* a child tells what it is there for */
    near(row, "divergence.kernel.value", 0.5);
    ob_observe_merge(row, found, OB_OBSERVE_ACTIVITY);
    near(row, "activity.difference", -0.1);
    assert_true(json_is_false(ortho_model_at(row, "activity.agrees")));
    reads(row, "activity.why", "the gaps between kernels, which durations leave out");
    json_decref(found);
    json_decref(row);
}

/* Far apart, but the timer in the recording's own process agrees with the records: or doesn't. */
static void a_process_of_its_own_explains(void **state)
{
    (void)state;
    static const struct {
        double ns, timer, time;
        const char *why;
    } all[] = {{9.3e6, 9.32e6, 8.5e6, "two processes: in the recording's own, the timer agrees"},
               {9.3e6, 8.5e6, 8.5e6, NULL},
               {9.3e6, 0, 8.5e6, NULL},
               {9000, 9000, 10000, "the gaps between kernels, which durations leave out"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        json_t *row = json_pack("{s:s, s:{s:f}}", "status", "ok", "time_ns", "median", all[i].time);
        ob_row_activity_set(row, &(ob_activity_facts){.is = {.status = "ok"},
                                                      .ns = all[i].ns,
                                                      .timer_ns = all[i].timer,
                                                      .launches = 20});
        if (all[i].why != NULL)
            reads(row, "activity.why", all[i].why);
        else
            assert_null(ortho_model_at(row, "activity.why"));
        json_decref(row);
    }
}

static void a_failed_row_gets_no_numbers(void **state)
{
    (void)state;
    json_t *row = parsed("{\"status\": \"failed\", \"reason\": \"wrong\"}"),
           *found = parsed(counted);
    for (int what = OB_OBSERVE_ACTIVITY; what <= OB_OBSERVE_INSTRUCTIONS; what++) {
        ob_observe_merge(row, found, (ob_observe)what);
        ob_observe_absent(row, "x", (ob_observe)what);
    }
    assert_int_equal(json_object_size(row), 2);
    json_decref(found);
    json_decref(row);
}

static void what_the_child_did_not_verify_is_absent(void **state)
{
    (void)state;
    json_t *found = parsed(counted);
    json_object_set_new(found, "status", json_string("failed"));
    json_object_set_new(found, "reason", json_string("out of bounds"));
    json_t *row = parsed("{\"status\": \"ok\"}");
    ob_observe_merge(row, found, OB_OBSERVE_COUNTERS);
    reads(json_object_get(ortho_model_at(row, "counters"), "all"), "reason", "out of bounds");
    ob_observe_absent(row, "later", OB_OBSERVE_COUNTERS); /* the first reason stands */
    reads(json_object_get(ortho_model_at(row, "counters"), "all"), "reason", "out of bounds");
    json_decref(found);
    json_decref(row);
}

static void lanes_are_missed_only_where_they_are_predicted(void **state)
{
    (void)state;
    json_t *with =
        parsed("{\"status\": \"ok\", \"divergence\": {\"predicted\": {\"value\": 0.5}}}");
    json_t *without = parsed("{\"status\": \"ok\"}");
    ob_observe_absent(with, "no permission", OB_OBSERVE_INSTRUCTIONS);
    ob_observe_absent(without, "no permission", OB_OBSERVE_INSTRUCTIONS);
    reads(with, "divergence.measured.reason", "no permission");
    assert_null(json_object_get(without, "divergence"));
    json_decref(with);
    json_decref(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_that_overlap_count_once),
        cmocka_unit_test(a_kernel_within_another_adds_nothing),
        cmocka_unit_test(a_flush_is_not_the_operation),
        cmocka_unit_test(a_copy_beside_a_flush_is),
        cmocka_unit_test(copies_with_kernels_of_their_own_have_a_mean),
        cmocka_unit_test(the_peak_counts_what_was_ours),
        cmocka_unit_test(logs_join_in_order),
        cmocka_unit_test(the_loop_is_its_lines_and_what_was_inlined_between),
        cmocka_unit_test(a_namesake_is_another_file),
        cmocka_unit_test(what_was_found_is_judged_by_the_parents_times),
        cmocka_unit_test(a_process_of_its_own_explains),
        cmocka_unit_test(a_failed_row_gets_no_numbers),
        cmocka_unit_test(what_the_child_did_not_verify_is_absent),
        cmocka_unit_test(lanes_are_missed_only_where_they_are_predicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
