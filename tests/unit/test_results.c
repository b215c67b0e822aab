/* What the setters put into a row: every part merges, absent stays absent, what follows from two
 * parts is there whichever came last. */
#include "harness/results.h"
#include "reports/model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* cmocka's assert_float_equal takes NAN for equal to anything. */
static void assert_near(double value, double wanted, double epsilon)
{
    assert_true(fabs(value - wanted) <= epsilon);
}

static ob_divergence half_lanes(void)
{
    ob_divergence d = {.histogram = {0}};
    d.histogram[16] = 100; /* 0.5 */
    return d;
}

static ob_measured measured_of(const double histogram[33])
{
    ob_measured m = {.loop = {.is = {.status = "ok"},
                              .value = 0.6,
                              .histogram = histogram,
                              .instructions = 36,
                              .warp_instructions = 3600},
                     .kernel = {.is = {.status = "ok"},
                                .value = 0.7,
                                .enabled = 0.65,
                                .divergent_branches = 12,
                                .branch_efficiency = 0.75}};
    return m;
}

static void check_merged(const json_t *row)
{
    assert_near(ortho_model_number(row, "divergence.predicted.value"), 0.5, 0);
    assert_near(ortho_model_number(row, "divergence.measured.value"), 0.6, 0);
    assert_near(ortho_model_number(row, "divergence.measured.difference"), 0.2, 1e-12);
    assert_near(ortho_model_number(row, "divergence.kernel.enabled"), 0.65, 0);
    assert_true(json_is_integer(ortho_model_at(row, "divergence.kernel.divergent_branches")));
    assert_near(ortho_model_number(row, "divergence.exact.value"), 0.5, 0);
    assert_int_equal(json_array_size(ortho_model_at(row, "divergence.measured.histogram")), 33);
    assert_int_equal(json_object_size(ortho_model_at(row, "divergence")), 4);
}

static void divergence_in_any_order(void **state)
{
    (void)state;
    const ob_divergence half = half_lanes();
    const double histogram[33] = {[19] = 3600};
    ob_measured both = measured_of(histogram), exact = {.exact = &half};
    for (int order = 0; order < 3; order++) {
        json_t *row = json_object();
        for (int step = 0; step < 3; step++)
            switch ((order + step) % 3) {
            case 0:
                ob_row_divergence_set(row, &half);
                break;
            case 1:
                ob_row_measured_set(row, &both);
                break;
            default:
                ob_row_measured_set(row, &exact);
            }
        check_merged(row);
        json_decref(row);
    }
}

static void absent_stays_absent(void **state)
{
    (void)state;
    const ob_divergence nothing = {.histogram = {0}};
    json_t *row = json_object();
    ob_measured m = {.exact = &nothing};
    ob_row_measured_set(row, &m);
    ob_row_divergence_set(row, &nothing);
    ob_row_activity_set(row, &(ob_activity_facts){.ns = 5});
    ob_row_counters_set(row, NULL);
    ob_row_counters_set(row, json_object());
    assert_int_equal(json_object_size(row), 0);
    m = measured_of(NULL);
    m.loop.instructions = m.kernel.branch_efficiency = m.kernel.divergent_branches = NAN;
    ob_row_measured_set(row, &m);
    static const char *const gone[] = {
        "divergence.measured.instructions",     "divergence.measured.histogram",
        "divergence.measured.difference",       "divergence.measured.reason",
        "divergence.kernel.divergent_branches", "divergence.kernel.branch_efficiency"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_null(ortho_model_at(row, gone[i]));
    assert_string_equal(ortho_model_string(row, "divergence.measured.status"), "ok");
    json_decref(row);
}

/* Of what couldn't be measured no figure gets into the row, whatever the struct holds. */
static void unmeasured_has_no_figure(void **state)
{
    (void)state;
    const ob_divergence half = half_lanes();
    const double histogram[33] = {[19] = 3600};
    ob_measured m = measured_of(histogram);
    m.loop.is = m.kernel.is = (ob_availability){.status = "n/a", .reason = "no permission"};
    json_t *row = json_object();
    ob_row_divergence_set(row, &half);
    ob_row_measured_set(row, &m);
    ob_row_activity_set(row, &(ob_activity_facts){.is = m.loop.is, .ns = 5, .launches = 3});
    static const char *const parts[] = {"divergence.measured", "divergence.kernel", "activity"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *part = ortho_model_at(row, parts[i]);
        assert_int_equal(json_object_size(part), 2);
        assert_string_equal(ortho_model_string(part, "status"), "n/a");
        assert_string_equal(ortho_model_string(part, "reason"), "no permission");
    }
    json_decref(row);
}

static json_t *row_of_time(double ns)
{
    return json_pack("{s:{s:f}}", "time_ns", "median", ns);
}

static void activity_beside_time(void **state)
{
    (void)state;
    static const struct {
        double time, ns;
        int agrees; /* -1: not judged */
    } cases[] = {{10000, 10400, 1}, {10000, 10600, 0}, {10000, 9400, 0}, {4000, 8000, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ob_activity_kernel kernel = {.name = "k",
                                           .ns = 9000,
                                           .grid = {4, 5, 6},
                                           .block = {128, 1, 1},
                                           .registers = 40,
                                           .static_shared = 1024};
        json_t *row = row_of_time(cases[i].time);
        ob_row_activity_set(row, &(ob_activity_facts){.is = {.status = "ok"},
                                                      .ns = cases[i].ns,
                                                      .launches = 40,
                                                      .kernels = &kernel,
                                                      .kernel_count = 1,
                                                      .peak_device_bytes = 4096,
                                                      .allocator_bytes = NAN});
        assert_near(ortho_model_number(row, "activity.difference"), cases[i].ns / cases[i].time - 1,
                    1e-12);
        const json_t *agrees = ortho_model_at(row, "activity.agrees");
        assert_true(cases[i].agrees < 0 ? agrees == NULL : json_is_boolean(agrees));
        assert_true(cases[i].agrees < 0 || json_is_true(agrees) == cases[i].agrees);
        const json_t *first = json_array_get(ortho_model_at(row, "activity.kernels"), 0);
        assert_int_equal(json_integer_value(json_array_get(json_object_get(first, "grid"), 2)), 6);
        assert_near(ortho_model_number(first, "static_shared"), 1024, 0);
        assert_near(ortho_model_number(row, "activity.peak_device_bytes"), 4096, 0);
        assert_null(ortho_model_at(row, "activity.allocator_bytes"));
        json_decref(row);
    }
}

static void activity_without_time(void **state)
{
    (void)state;
    json_t *row = json_object();
    ob_row_activity_set(row,
                        &(ob_activity_facts){.is = {.status = "ok"}, .ns = 9000, .launches = 1});
    assert_near(ortho_model_number(row, "activity.ns"), 9000, 0);
    assert_null(ortho_model_at(row, "activity.difference"));
    assert_null(ortho_model_at(row, "activity.agrees"));
    assert_null(ortho_model_at(row, "activity.kernels"));
    json_decref(row);
}

static void counters_are_taken(void **state)
{
    (void)state;
    json_t *row = json_object();
    json_t *counters = json_pack("{s:{s:f}}", "memory.dram_read", "value", 5.0);
    json_incref(counters);
    ob_row_counters_set(row, counters);
    assert_ptr_equal(json_object_get(row, "counters"), counters);
    assert_int_equal(counters->refcount, 2);
    json_decref(row);
    assert_int_equal(counters->refcount, 1);
    json_decref(counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divergence_in_any_order),  cmocka_unit_test(absent_stays_absent),
        cmocka_unit_test(unmeasured_has_no_figure), cmocka_unit_test(activity_beside_time),
        cmocka_unit_test(activity_without_time),    cmocka_unit_test(counters_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
