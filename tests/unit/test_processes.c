/* Documents of several processes, made by hand, and what they are merged into. */
#include "common/stats.h"
#include "tests/unit/process_documents.h"

/* ---- times ----------------------------------------------------------------------------------- */

static void the_median_is_over_processes(void **state)
{
    (void)state;
    fixture f = three();
    const json_t *row = merge(&f, 3, csr);
    near(row, "time_ns.median", 10000);
    assert_int_equal(json_array_size(ortho_model_at(row, "time_ns.samples")), 21);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            json_integer_value(json_array_get(ortho_model_at(row, "time_ns.processes"), i)), 7);
    close_fixture(&f);
}

/* One that gave many samples weighs no more. */
static void every_process_weighs_the_same(void **state)
{
    (void)state;
    fixture f = three();
    for (int i = 0; i < 5; i++)
        json_array_extend(
            json_object_get(json_object_get(row_at(&f, 1, csr), "time_ns"), "samples"),
            json_object_get(json_object_get(row_at(&f, 1, dense), "time_ns"), "samples"));
    const json_t *row = merge(&f, 3, csr);
    near(row, "time_ns.median", 10000);
    assert_int_equal(
        json_integer_value(json_array_get(ortho_model_at(row, "time_ns.processes"), 1)), 42);
    close_fixture(&f);
}

static void samples_keep_their_order(void **state)
{
    (void)state;
    fixture f = three();
    const json_t *samples = ortho_model_at(merge(&f, 3, csr), "time_ns.samples");
    for (size_t i = 0; i < 21; i++) {
        const json_t *its = ortho_model_at(row_at(&f, (int)(i / 7), csr), "time_ns.samples");
        assert_true(json_equal(json_array_get(samples, i), json_array_get(its, i % 7)));
    }
    close_fixture(&f);
}

/* The interval reaches farther than three processes are apart, which no process's own does:
 * Student's of 0.9, 1 and 1.2. */
static void the_interval_knows_the_processes(void **state)
{
    (void)state;
    fixture f = three();
    const json_t *row = merge(&f, 3, csr);
    double lo = ortho_model_number(row, "time_ns.lo"), hi = ortho_model_number(row, "time_ns.hi");
    assert_true(lo > 7130 && lo < 7160);
    assert_true(hi > 14700 && hi < 14760);
    reads(row, "status", "ok");
    f.options.ci_target = 0.7;
    row = merge(&f, 3, csr);
    reads(row, "status", "ambiguous");
    assert_non_null(strstr(ortho_model_string(row, "reason"), "over 3 processes the interval is"));
    close_fixture(&f);
}

static void ambiguous_is_judged_anew(void **state)
{
    (void)state;
    fixture f = three();
    for (int i = 0; i < 2; i++) {
        set(row_at(&f, i, csr), NULL, "status", json_string("ambiguous"));
        set(row_at(&f, i, csr), NULL, "reason", json_string("the interval is 3 %"));
    }
    set(row_at(&f, 1, csr), "time_ns", "stop", json_string("timeout"));
    const json_t *row = merge(&f, 3, csr);
    reads(row, "status", "ok");
    assert_null(ortho_model_at(row, "reason"));
    reads(row, "time_ns.stop", "timeout");
    set(row_at(&f, 2, csr), "time_ns", "stop", json_string("interrupted"));
    reads(merge(&f, 3, csr), "time_ns.stop", "interrupted");
    close_fixture(&f);
}

static void a_handful_of_samples_stays_ambiguous(void **state)
{
    (void)state;
    fixture f = three();
    for (int i = 0; i < 3; i++)
        set(row_at(&f, i, csr), "time_ns", "samples", json_pack("[f]", 10000.0));
    reads(merge(&f, 3, csr), "reason", "only 3 samples in 3 processes");
    close_fixture(&f);
}

static void indices_move_with_their_samples(void **state)
{
    (void)state;
    fixture f = three();
    set(row_at(&f, 0, csr), "time_ns", "throttled", json_pack("[i]", 6));
    set(row_at(&f, 2, csr), "time_ns", "throttled", json_pack("[i, i, i]", 0, 5, 7));
    const json_t *list = ortho_model_at(merge(&f, 3, csr), "time_ns.throttled");
    static const int wanted[] = {6, 14, 19}; /* there is no sample 7 of 7 */
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_integer_value(json_array_get(list, i)), wanted[i]);
    close_fixture(&f);
}

/* A slow process isn't made of outliers: each sample is judged among its own. */
static void outliers_are_of_their_process(void **state)
{
    (void)state;
    fixture f = three();
    json_t *slow = json_object_get(json_object_get(row_at(&f, 1, csr), "time_ns"), "samples");
    near(merge(&f, 3, csr), "time_ns.outliers", 0);
    json_array_set_new(slow, 0, json_real(10000)); /* usual in process 1, odd in process 2 */
    near(merge(&f, 3, csr), "time_ns.outliers", 1);
    close_fixture(&f);
}

static void launches_and_copies_are_the_least(void **state)
{
    (void)state;
    fixture f = three();
    set(row_at(&f, 1, csr), "time_ns", "launches_per_sample", json_integer(12));
    json_object_del(json_object_get(row_at(&f, 2, csr), "time_ns"), "copies");
    set(row_at(&f, 2, csr), "time_ns", "flushed", json_true());
    const json_t *row = merge(&f, 3, csr);
    near(row, "time_ns.launches_per_sample", 12);
    near(row, "time_ns.copies", 4);
    assert_true(ortho_model_true(row, "time_ns.flushed"));
    close_fixture(&f);
}

static void tokens_follow_the_time(void **state)
{
    (void)state;
    fixture f = three();
    for (int i = 0; i < 3; i++)
        set(row_at(&f, i, csr), NULL, "tokens_per_s",
            json_pack("{s:f, s:f, s:f}", "value", 1.0, "lo", 1.0, "hi", 1.0));
    near(merge(&f, 3, csr), "tokens_per_s.value", 1e9 / 10000);
    close_fixture(&f);
}

/* Each process is slow as a whole or fast: the ratio within it is 3 all the same. */
static void a_ratio_is_formed_within_processes(void **state)
{
    (void)state;
    fixture f = three();
    const json_t *row = merge(&f, 3, csr);
    near(row, "speedup.ratio", 3);
    assert_true(ortho_model_number(row, "speedup.lo") > 2.98);
    assert_true(ortho_model_number(row, "speedup.hi") < 3.02);
    set(row_at(&f, 1, dense), NULL, "status", json_string("failed"));
    set(row_at(&f, 1, dense), NULL, "reason", json_string("wrong"));
    assert_null(ortho_model_at(merge(&f, 3, csr), "speedup"));
    close_fixture(&f);
}

static void the_floor_is_the_lowest(void **state)
{
    (void)state;
    fixture f = three();
    for (int i = 0; i < 3; i++) {
        set(row_at(&f, i, csr), NULL, "floor_ns", json_real(9000 - 100 * i));
        set(row_at(&f, i, csr), NULL, "floor_of", json_string(i == 2 ? "third" : "other"));
    }
    const json_t *row = merge(&f, 3, csr);
    near(row, "floor_ns", 8800);
    reads(row, "floor_of", "third");
    for (int i = 0; i < 3; i++)
        set(row_at(&f, i, csr), NULL, "floor_ns", json_real(10300));
    failed(merge(&f, 3, csr), "below the physical floor: 10000 ns over 3 processes, yet at least "
                              "10300 ns are needed");
    close_fixture(&f);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static void break_row(json_t *row, const char *status, const char *reason)
{
    set(row, NULL, "status", json_string(status));
    set(row, NULL, "reason", json_string(reason));
    json_object_del(row, "time_ns");
    json_object_del(row, "speedup");
}

static void failed_in_one_is_failed(void **state)
{
    (void)state;
    fixture f = three();
    break_row(row_at(&f, 2, csr), "failed", "y differs");
    break_row(row_at(&f, 1, csr), "skipped", "no such shape");
    failed(merge(&f, 3, csr), "process 3 of 5: y differs");
    reads(row_in(f.merged, dense), "status", "ok");
    close_fixture(&f);
}

static void skipped_in_one_is_skipped(void **state)
{
    (void)state;
    fixture f = three();
    break_row(row_at(&f, 1, csr), "skipped", "no memory");
    const json_t *row = merge(&f, 3, csr);
    reads(row, "status", "skipped");
    reads(row, "reason", "process 2 of 5: no memory");
    assert_null(ortho_model_at(row, "time_ns"));
    char words[602] = "x"; /* a cut that goes through a character leaves it out, not everything */
    for (size_t i = 1; i < 600; i += 2)
        memcpy(words + i, "µ", 2);
    break_row(row_at(&f, 1, csr), "skipped", words);
    assert_non_null(strstr(ortho_model_string(merge(&f, 3, csr), "reason"), ": xµ"));
    for (int i = 0; i < 3; i++)
        break_row(row_at(&f, i, csr), "skipped", "no memory");
    reads(merge(&f, 3, csr), "reason", "no memory");
    close_fixture(&f);
}

static void processes_must_agree_on_what_they_compute(void **state)
{
    (void)state;
    static const char *const facts[] = {"bytes", "flops", "nnz", "quality"};
    for (int i = 0; i < 4; i++) {
        char wanted[128];
        fixture f = three();
        set(row_at(&f, 2, csr), NULL, facts[i], json_pack("{s:f}", "snr_db", 20.0));
        snprintf(wanted, sizeof wanted,
                 "not deterministic: its %s in process 3 of 5 is not that of process 1", facts[i]);
        failed(merge(&f, 3, csr), wanted);
        for (int p = 0; p < 2; p++)
            set(row_at(&f, p, csr), NULL, facts[i], json_pack("{s:f}", "snr_db", 20.0));
        reads(merge(&f, 3, csr), "status", "ok");
        close_fixture(&f);
    }
}

static void a_case_that_a_process_lacks_fails(void **state)
{
    (void)state;
    fixture f = three();
    json_array_append_new(json_object_get(f.document[1], "results"),
                          row_of("gemm/new", "new", 5000));
    json_array_remove(json_object_get(f.document[2], "results"), 0);
    failed(merge(&f, 3, csr), "process 3 of 5 has no such case");
    failed(row_in(f.merged, "gemm/new"), "process 1 of 5 has no such case");
    reads(row_in(f.merged, dense), "status", "ok");
    assert_int_equal(json_array_size(json_object_get(f.merged, "results")), 3);
    close_fixture(&f);
}

static void rows_that_are_cold_here_and_warm_there(void **state)
{
    (void)state;
    fixture f = three();
    for (int i = 0; i < 3; i++)
        set(row_at(&f, i, csr), NULL, "floor_ns", json_real(20000));
    set(row_at(&f, 1, csr), NULL, "l2", json_string("warm"));
    const json_t *row = merge(&f, 3, csr);
    reads(row, "l2", "warm");
    reads(row, "status", "ambiguous");
    assert_null(ortho_model_at(row, "floor_ns"));
    close_fixture(&f);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static void errors_and_peaks_are_the_largest(void **state)
{
    (void)state;
    fixture f = three();
    set(row_at(&f, 1, csr), "verified", "rel_error", json_real(3e-6));
    set(row_at(&f, 2, csr), "verified", "rel_error", json_real(2e-6));
    set(row_at(&f, 1, csr), "peak_bytes", "working", json_integer(70));
    set(row_at(&f, 2, csr), "peak_bytes", "host", json_integer(99));
    const json_t *row = merge(&f, 3, csr);
    near(row, "verified.rel_error", 3e-6);
    near(row, "peak_bytes.working", 70);
    near(row, "peak_bytes.weights", 20);
    near(row, "peak_bytes.host", 99);
    close_fixture(&f);
}

static void clocks_are_the_widest(void **state)
{
    (void)state;
    fixture f = three();
    for (int i = 0; i < 3; i++)
        set(row_at(&f, i, csr), NULL, "clocks",
            json_pack("{s:{s:f, s:f, s:f}, s:f, s:[{s:f, s:f}], s:[s]}", "sm_mhz", "min",
                      1000.0 + i, "median", 1500.0 + i, "max", 1900.0 + i, "power_w", 300.0 - i,
                      "readings", "s", 0.5 + i, "sm_mhz", 1900.0 + i, "throttle",
                      i == 1 ? "hw-thermal" : "sw-power-cap"));
    const json_t *row = merge(&f, 3, csr);
    near(row, "clocks.sm_mhz.min", 1000);
    near(row, "clocks.sm_mhz.median", 1501);
    near(row, "clocks.sm_mhz.max", 1902);
    near(row, "clocks.power_w", 300);
    assert_int_equal(json_array_size(ortho_model_at(row, "clocks.throttle")), 2);
    const json_t *readings = ortho_model_at(row, "clocks.readings"); /* the first process's */
    assert_int_equal(json_array_size(readings), 1);
    near(json_array_get(readings, 0), "s", 0.5);
    near(json_array_get(readings, 0), "sm_mhz", 1900);
    close_fixture(&f);
}

static void the_context_is_the_first_ones(void **state)
{
    (void)state;
    fixture f = three();
    merge(&f, 3, csr);
    reads(f.merged, "schema", "ortho-bench/1");
    reads(f.merged, "context.binary", "b");
    near(f.merged, "context.ceilings.read_gbps", 12000);
    near(f.merged, "context.process.max_rss_bytes", 36000);
    close_fixture(&f);
}

static void one_process_is_taken_as_it_is(void **state)
{
    (void)state;
    fixture f = three();
    f.options.ci_target = 1e-6;
    const json_t *row = merge(&f, 1, csr);
    assert_true(json_equal(row, row_at(&f, 0, csr)));
    assert_null(ortho_model_at(row, "time_ns.processes"));
    close_fixture(&f);
}

/* What the children said must survive: it is merged again at the next checkpoint. */
static void what_is_merged_is_not_changed(void **state)
{
    (void)state;
    fixture f = three();
    json_t *before = json_deep_copy(f.document[0]);
    set(row_at(&f, 1, csr), "peak_bytes", "working", json_integer(70));
    merge(&f, 3, csr);
    assert_true(json_equal(before, f.document[0]));
    json_decref(before);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_is_over_processes),
        cmocka_unit_test(every_process_weighs_the_same),
        cmocka_unit_test(samples_keep_their_order),
        cmocka_unit_test(the_interval_knows_the_processes),
        cmocka_unit_test(ambiguous_is_judged_anew),
        cmocka_unit_test(a_handful_of_samples_stays_ambiguous),
        cmocka_unit_test(indices_move_with_their_samples),
        cmocka_unit_test(outliers_are_of_their_process),
        cmocka_unit_test(launches_and_copies_are_the_least),
        cmocka_unit_test(tokens_follow_the_time),
        cmocka_unit_test(a_ratio_is_formed_within_processes),
        cmocka_unit_test(the_floor_is_the_lowest),
        cmocka_unit_test(failed_in_one_is_failed),
        cmocka_unit_test(skipped_in_one_is_skipped),
        cmocka_unit_test(processes_must_agree_on_what_they_compute),
        cmocka_unit_test(a_case_that_a_process_lacks_fails),
        cmocka_unit_test(rows_that_are_cold_here_and_warm_there),
        cmocka_unit_test(errors_and_peaks_are_the_largest),
        cmocka_unit_test(clocks_are_the_widest),
        cmocka_unit_test(the_context_is_the_first_ones),
        cmocka_unit_test(one_process_is_taken_as_it_is),
        cmocka_unit_test(what_is_merged_is_not_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
