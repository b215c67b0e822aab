/* NVML, against made-up libraries (tests/nvml): what is read, what is missing, what an error does.
 */
#include "common/error.h"
#include "harness/gpu.h"
#include "harness/nvml.h"

#include <dlfcn.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ADDRESS    "0000:0a:00.0"
#define FAKE(kind) FAKE_NVML_DIR "/fake_nvml_" kind ".so"

/* Openings of a library that weren't closed. */
static int open_count(const char *path)
{
    int (*count)(void);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    void *address = dlsym(library, "fake_nvml_open_count");
    assert_non_null(address);
    memcpy(&count, &address, sizeof address);
    int open = count();
    dlclose(library);
    return open;
}

static ob_nvml *open_fake(const char *path)
{
    ob_nvml *nvml = NULL;
    assert_int_equal(ob_nvml_open_library(path, ADDRESS, &nvml), ORTHO_OK);
    assert_non_null(nvml);
    return nvml;
}

static int reset(void **state)
{
    (void)state;
    return unsetenv("FAKE_NVML");
}

static void facts(void **state)
{
    (void)state;
    ob_nvml *nvml = open_fake(FAKE("current"));
    const ob_nvml_facts *f = ob_nvml_facts_of(nvml);
    assert_string_equal(f->name, "Made-up GPU");
    assert_string_equal(f->uuid, "GPU-00000000-1111-2222-3333-444444444444");
    assert_string_equal(f->driver, "580.0");
    assert_float_equal(f->sm_max_mhz, 1980, 0);
    assert_float_equal(f->power_limit_w, 700, 0);
    assert_int_equal(f->ecc, 1);
    assert_int_equal(f->persistence, 1);
    assert_int_equal(f->mig, 0);
    assert_int_equal(open_count(FAKE("current")), 1);
    ob_nvml_close(nvml);
    ob_nvml_close(NULL);
}

static void reading(void **state)
{
    (void)state;
    ob_nvml *nvml = open_fake(FAKE("current"));
    ob_nvml_state s;
    assert_true(ob_nvml_read(nvml, &s));
    assert_float_equal(s.sm_mhz, 1755, 0);
    assert_float_equal(s.mem_mhz, 2619, 0);
    assert_float_equal(s.power_w, 312.5, 0);
    assert_float_equal(s.temp_c, 41, 0);
    assert_true(s.throttle_told);
    assert_int_equal(s.throttle, 1 << 2 | 1 << 6);
    size_t used = 0, total = 0;
    assert_true(ob_nvml_memory(nvml, &used, &total));
    assert_true(used == (size_t)1 << 30 && total == (size_t)80 << 30);
    ob_nvml_close(nvml);
}

static void some_not_told(void **state)
{
    (void)state;
    ob_nvml *nvml = open_fake(FAKE("current"));
    ob_nvml_state s;
    setenv("FAKE_NVML", "partly", 1);
    assert_true(ob_nvml_read(nvml, &s));
    assert_float_equal(s.sm_mhz, 1755, 0);
    assert_true(isnan(s.power_w));
    assert_false(s.throttle_told);
    assert_int_equal(s.throttle, 0);
    ob_nvml_close(nvml);
}

static void gpu_lost(void **state)
{
    (void)state;
    ob_nvml *nvml = open_fake(FAKE("current"));
    ob_nvml_state s;
    size_t used = 7, total = 7;
    setenv("FAKE_NVML", "lost", 1);
    assert_false(ob_nvml_read(nvml, &s));
    assert_true(isnan(s.sm_mhz) && isnan(s.mem_mhz) && isnan(s.power_w) && isnan(s.temp_c));
    assert_false(s.throttle_told);
    assert_false(ob_nvml_memory(nvml, &used, &total));
    assert_true(used == 7 && total == 7);
    ob_nvml_close(nvml);
    nvml = open_fake(FAKE("current")); /* a GPU that tells nothing can still be opened */
    const ob_nvml_facts *f = ob_nvml_facts_of(nvml);
    assert_string_equal(f->name, "");
    assert_string_equal(f->driver, "");
    assert_true(isnan(f->sm_max_mhz) && isnan(f->power_limit_w));
    assert_true(f->ecc == -1 && f->persistence == -1 && f->mig == -1);
    ob_nvml_close(nvml);
}

static void old_driver(void **state)
{
    (void)state;
    ob_nvml *nvml = open_fake(FAKE("old"));
    ob_nvml_state s;
    size_t used, total;
    assert_true(ob_nvml_read(nvml, &s));
    assert_float_equal(s.sm_mhz, 1755, 0);
    assert_true(s.throttle_told);
    assert_true(isnan(s.power_w) && isnan(s.temp_c));
    assert_false(ob_nvml_memory(nvml, &used, &total));
    assert_int_equal(ob_nvml_facts_of(nvml)->mig, -1);
    assert_string_equal(ob_nvml_facts_of(nvml)->name, "");
    ob_nvml_close(nvml);
}

/* Nothing is opened, *out is untouched, the message tells why. */
static void refused(const char *path, const char *address, ortho_status status, const char *word)
{
    ob_nvml *const before = (ob_nvml *)(void *)&status;
    ob_nvml *nvml = before;
    assert_int_equal(ob_nvml_open_library(path, address, &nvml), status);
    assert_ptr_equal(nvml, before);
    assert_non_null(strstr(ortho_last_message(), path));
    assert_non_null(strstr(ortho_last_message(), word));
}

static void refusals(void **state)
{
    (void)state;
    refused("/nonexistent/libnvidia-ml.so.1", ADDRESS, ORTHO_E_UNSUPPORTED, "comes with");
    refused(FAKE("bare"), ADDRESS, ORTHO_E_UNSUPPORTED, "nvmlDeviceGetClockInfo");
    refused(FAKE("current"), "0000:0b:00.0", ORTHO_E_NOT_FOUND, "0000:0b:00.0: Not Found");
    setenv("FAKE_NVML", "no-driver", 1);
    refused(FAKE("current"), ADDRESS, ORTHO_E_UNSUPPORTED, "Driver Not Loaded");
    assert_int_equal(open_count(FAKE("current")), 0);
    assert_int_equal(open_count(FAKE("bare")), 0);
}

/* The real library: there with a driver, else a reason. */
static void real_library(void **state)
{
    (void)state;
    ob_nvml *nvml = NULL;
    ortho_status status = ob_nvml_open("ffff:ff:1f.0", &nvml);
    assert_true(status == ORTHO_E_UNSUPPORTED || status == ORTHO_E_NOT_FOUND);
    assert_null(nvml);
    assert_non_null(strstr(ortho_last_message(), "libnvidia-ml.so.1"));
}

static void reasons(void **state)
{
    (void)state;
    static const char *const words[] = {
        [2] = "sw-power-cap", [3] = "hw-slowdown",    [4] = "sync-boost", [5] = "sw-thermal",
        [6] = "hw-thermal",   [7] = "hw-power-brake", [8] = "display"};
    for (int bit = 2; bit <= 8; bit++)
        assert_string_equal(ob_nvml_reason(bit), words[bit]);
    assert_string_equal(ob_nvml_reason(0), "gpu-idle");
    assert_string_equal(ob_nvml_reason(1), "applications-clocks-setting");
    assert_string_equal(ob_nvml_reason(63), "other");
    assert_string_equal(ob_nvml_reason(-1), "other");
    assert_true(ob_nvml_throttled(0) == 0);
    assert_true(ob_nvml_throttled(3) == 0); /* idle, and clocks set on purpose */
    assert_true(ob_nvml_throttled(7) == 4);
    assert_true(ob_nvml_throttled(UINT64_C(1) << 63 | 1) == UINT64_C(1) << 63);
}

/* No GPU with that number: null, not a crash, with CUDA and without. */
static void no_gpu(void **state)
{
    (void)state;
    json_t *gpu = ob_gpu_context(4095, NULL, 0);
    assert_true(json_is_null(gpu));
    json_decref(gpu);
    ob_nvml *nvml = NULL;
    assert_int_equal(ob_gpu_nvml(4095, &nvml), ORTHO_E_UNSUPPORTED);
    assert_null(nvml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(facts, reset),
        cmocka_unit_test_teardown(reading, reset),
        cmocka_unit_test_teardown(some_not_told, reset),
        cmocka_unit_test_teardown(gpu_lost, reset),
        cmocka_unit_test_teardown(old_driver, reset),
        cmocka_unit_test_teardown(refusals, reset),
        cmocka_unit_test(real_library),
        cmocka_unit_test(reasons),
        cmocka_unit_test(no_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
