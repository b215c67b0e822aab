/* Clocks beside samples: what a row keeps of the readings, of made-up ones and of the made-up NVML
 * (tests/nvml). */
#include "harness/clocks.h"
#include "harness/timer.h"
#include "reports/model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FAKE(kind) FAKE_NVML_DIR "/fake_nvml_" kind ".so"

static int reset(void **state)
{
    (void)state;
    return unsetenv("FAKE_NVML");
}

/* A row with a time, of these clocks, which are cleared. */
static json_t *row_of(ob_clocks *clocks)
{
    json_t *row = json_pack("{s:{}}", "time_ns");
    ob_row_clocks_set(row, clocks);
    ob_clocks_clear(clocks);
    assert_null(clocks->readings);
    return row;
}

/* `count` readings, a quarter of a millisecond apart, that climb. */
static ob_clocks climbing(size_t count)
{
    ob_clocks clocks = {.readings = calloc(count, sizeof(ob_clock_reading)), .count = count};
    assert_non_null(clocks.readings);
    for (size_t i = 0; i < count; i++)
        clocks.readings[i] = (ob_clock_reading){.s = 2.5e-4 * (double)i,
                                                .sm_mhz = 1000 + (double)i,
                                                .power_w = 100 + (double)i,
                                                .temp_c = 30 + (double)(i % 40)};
    return clocks;
}

static const json_t *reading(const json_t *row, size_t index)
{
    return json_array_get(ortho_model_at(row, "clocks.readings"), index);
}

static size_t kept(const json_t *row)
{
    return json_array_size(ortho_model_at(row, "clocks.readings"));
}

static double number(const json_t *node, const char *path)
{
    return ortho_model_number(node, path);
}

/* Never true of what is absent, as assert_float_equal would be of NaN. */
static void is(const json_t *node, const char *path, double wanted)
{
    if (!(number(node, path) == wanted))
        fail_msg("%s is %g, not %g", path, number(node, path), wanted);
}

static void few_are_kept(void **state)
{
    (void)state;
    for (size_t count = 1; count <= OB_READINGS_MAX; count++) {
        ob_clocks clocks = climbing(count);
        json_t *row = row_of(&clocks);
        assert_int_equal(kept(row), count);
        for (size_t i = 0; i < count; i++)
            is(reading(row, i), "sm_mhz", 1000 + (double)i);
        json_decref(row);
    }
}

/* The first, the last, and between them steps that differ by one at most. */
static void many_are_thinned(void **state)
{
    (void)state;
    static const size_t counts[] = {33, 34, 61, 62, 63, 100, 20000};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t count = counts[c];
        ob_clocks clocks = climbing(count);
        json_t *row = row_of(&clocks);
        double step = (double)(count - 2) / (OB_READINGS_MAX - 2), last = 1000;
        assert_int_equal(kept(row), OB_READINGS_MAX);
        is(reading(row, 0), "sm_mhz", 1000);
        is(reading(row, OB_READINGS_MAX - 1), "sm_mhz", 999 + (double)count);
        for (size_t i = 1; i < OB_READINGS_MAX; i++) {
            double now = number(reading(row, i), "sm_mhz");
            assert_true(now > last && now - last <= step + 2);
            assert_true(number(reading(row, i), "s") >= number(reading(row, i - 1), "s"));
            last = now;
        }
        is(row, "clocks.sm_mhz.min", 1000); /* of all */
        is(row, "clocks.sm_mhz.median", 1000 + ((double)count - 1) / 2);
        is(row, "clocks.power_w", 99 + (double)count);
        json_decref(row);
    }
}

static void milliseconds(void **state)
{
    (void)state;
    ob_clocks clocks = climbing(7);
    json_t *row = row_of(&clocks);
    static const double s[] = {0, 0, 0.001, 0.001, 0.001, 0.001, 0.002}; /* 0, 0.25, 0.5 ... ms */
    for (size_t i = 0; i < 7; i++)
        is(reading(row, i), "s", s[i]);
    json_decref(row);
}

/* One of 1000 samples was throttled: its reading is kept, whichever it is. */
static void throttled_are_kept(void **state)
{
    (void)state;
    for (size_t which = 0; which < 1000; which += 37) {
        ob_clocks clocks = climbing(1000);
        clocks.readings[which].throttled = true;
        json_t *row = row_of(&clocks);
        int found = 0;
        for (size_t i = 0; i < kept(row); i++)
            if (ortho_model_true(reading(row, i), "throttled")) {
                is(reading(row, i), "sm_mhz", 1000 + (double)which);
                found++;
            } else {
                assert_null(json_object_get(reading(row, i), "throttled"));
            }
        assert_int_equal(found, 1);
        assert_int_equal(kept(row), OB_READINGS_MAX);
        json_decref(row);
    }
}

static void absent_is_absent(void **state)
{
    (void)state;
    ob_clocks clocks = climbing(3);
    clocks.readings[0].sm_mhz = clocks.readings[1].sm_mhz = NAN;
    clocks.readings[1].power_w = clocks.readings[1].temp_c = NAN;
    clocks.readings[2].sm_mhz = NAN;
    clocks.readings[1].sm_mhz = 1234;
    json_t *row = row_of(&clocks);
    assert_int_equal(json_object_size(reading(row, 0)), 3);
    assert_null(json_object_get(reading(row, 0), "sm_mhz"));
    assert_int_equal(json_object_size(reading(row, 1)), 2);
    is(row, "clocks.sm_mhz.min", 1234);
    is(row, "clocks.sm_mhz.median", 1234);
    is(row, "clocks.sm_mhz.max", 1234);
    is(row, "clocks.power_w", 102);
    json_decref(row);
    clocks = climbing(3);
    clocks.readings[1].sm_mhz = clocks.readings[2].sm_mhz = NAN;
    row = row_of(&clocks);
    is(row, "clocks.sm_mhz.median", 1000);
    json_decref(row);
    row = row_of(&clocks);
    assert_null(json_object_get(row, "clocks")); /* nothing was read */
    json_decref(row);
}

/* ---- of NVML -------------------------------------------------------------------------------- */

static ob_nvml *open_fake(const char *path)
{
    ob_nvml *nvml = NULL;
    assert_int_equal(ob_nvml_open_library(path, "0000:0a:00.0", &nvml), ORTHO_OK);
    return nvml;
}

/* Two cases that take turns share one clock; s never falls, and starts at 0 with the first. */
static void read_over_time(void **state)
{
    (void)state;
    ob_clocks first = {0}, second = {0};
    ob_nvml *nvml = open_fake(FAKE("current"));
    double first_ns = 0, before = ob_timer_now();
    for (size_t i = 0; i < 50; i++) {
        ob_clocks_read(&first, nvml, i, &first_ns);
        ob_clocks_read(&second, nvml, i, &first_ns);
        assert_true(first.readings[i].s <= second.readings[i].s);
        assert_true(i == 0 || second.readings[i - 1].s <= first.readings[i].s);
    }
    assert_true(first_ns >= before);
    assert_true(first.readings[0].s == 0);
    assert_true(second.readings[0].s > 0);
    assert_true(second.readings[49].s <= (ob_timer_now() - first_ns) * 1e-9);
    ob_nvml_close(nvml);
    json_t *row = row_of(&first);
    assert_int_equal(kept(row), OB_READINGS_MAX);
    is(reading(row, 0), "s", 0);
    is(reading(row, 9), "sm_mhz", 1755);
    is(reading(row, 9), "power_w", 312.5);
    is(reading(row, 9), "temp_c", 41);
    assert_true(ortho_model_true(reading(row, 9), "throttled"));
    assert_int_equal(json_array_size(ortho_model_at(row, "time_ns.throttled")), 50);
    assert_int_equal(json_array_size(ortho_model_at(row, "clocks.throttle")), 2);
    json_decref(row);
    ob_clocks_clear(&second);
}

static void not_told(void **state)
{
    (void)state;
    ob_clocks clocks = {0};
    double first_ns = 0;
    ob_clocks_read(&clocks, NULL, 0, &first_ns);
    ob_nvml *nvml = open_fake(FAKE("current"));
    setenv("FAKE_NVML", "lost", 1);
    ob_clocks_read(&clocks, nvml, 0, &first_ns);
    assert_true(first_ns == 0 && clocks.count == 0);
    setenv("FAKE_NVML", "partly", 1);
    ob_clocks_read(&clocks, nvml, 1, &first_ns);
    ob_nvml_close(nvml);
    json_t *row = row_of(&clocks);
    assert_int_equal(kept(row), 1);
    assert_int_equal(json_object_size(reading(row, 0)), 3); /* neither power nor throttling */
    assert_null(json_object_get(reading(row, 0), "power_w"));
    assert_null(ortho_model_at(row, "clocks.power_w"));
    assert_null(ortho_model_at(row, "time_ns.throttled"));
    json_decref(row);
    nvml = open_fake(FAKE("old"));
    unsetenv("FAKE_NVML");
    ob_clocks_read(&clocks, nvml, 0, &first_ns);
    ob_nvml_close(nvml);
    row = row_of(&clocks);
    assert_int_equal(json_object_size(reading(row, 0)), 3); /* s, sm_mhz, throttled */
    json_decref(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_are_kept),
        cmocka_unit_test(many_are_thinned),
        cmocka_unit_test(milliseconds),
        cmocka_unit_test(throttled_are_kept),
        cmocka_unit_test(absent_is_absent),
        cmocka_unit_test_teardown(read_over_time, reset),
        cmocka_unit_test_teardown(not_told, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
