/* Allocations are booked by purpose and fenced: peaks are counts, a write beyond is seen. */
#include "harness/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void peaks_are_counted_by_purpose(void **state)
{
    ob_memory m;
    (void)state;
    ob_memory_init(&m, &ob_backend_cpu, 64);
    ortho_services s = ob_memory_services(&m, 2);
    assert_int_equal(s.threads, 2);
    void *a = s.alloc(s.ctx, 100, ORTHO_HOST, ORTHO_WORKING);
    void *b = s.alloc(s.ctx, 50, ORTHO_HOST, ORTHO_WORKING);
    void *c = s.alloc(s.ctx, 7, ORTHO_HOST, ORTHO_OUTPUT);
    assert_true((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0 && (uintptr_t)c % 64 == 0);
    s.free(s.ctx, a);
    assert_int_equal(m.peak[ORTHO_WORKING], 150);
    assert_int_equal(m.current[ORTHO_WORKING], 50);
    assert_int_equal(m.peak[ORTHO_OUTPUT], 7);
    assert_int_equal(m.peak[ORTHO_WEIGHTS], 0);
    ob_memory_restart(&m);
    assert_int_equal(m.peak[ORTHO_WORKING], 50);
    assert_int_equal(ob_memory_check(&m), ORTHO_OK);
    assert_int_equal(ob_memory_close(&m), 2); /* b and c were left behind */
}

static void a_write_beyond_is_seen(void **state)
{
    (void)state;
    for (int side = 0; side < 3; side++) {
        ob_memory m;
        ob_memory_init(&m, &ob_backend_cpu, 128);
        unsigned char *p = ob_memory_alloc(&m, 100, ORTHO_HOST, ORTHO_WEIGHTS);
        memset(p, 1, 100);
        assert_int_equal(ob_memory_check(&m), ORTHO_OK);
        p[side == 0 ? 100 : side == 1 ? 150 : -1] = 0;
        assert_int_equal(ob_memory_check(&m), ORTHO_E_WRONG);
        assert_non_null(strstr(ortho_last_message(), side == 2 ? "1 bytes before" : "beyond"));
        ob_memory_free(&m, p);
        /* Still known after the block is gone. */
        assert_int_equal(ob_memory_check(&m), ORTHO_E_WRONG);
        assert_int_equal(ob_memory_close(&m), 0);
    }
}

static void poison_reaches_one_purpose(void **state)
{
    ob_memory m;
    (void)state;
    ob_memory_init(&m, &ob_backend_cpu, 64);
    unsigned char *out = ob_memory_alloc(&m, 10, ORTHO_HOST, ORTHO_OUTPUT);
    unsigned char *work = ob_memory_alloc(&m, 10, ORTHO_HOST, ORTHO_WORKING);
    memset(out, 0, 10);
    memset(work, 0, 10);
    assert_int_equal(ob_memory_poison(&m, ORTHO_OUTPUT), ORTHO_OK);
    assert_int_equal(out[9], 0xff);
    assert_int_equal(work[9], 0);
    assert_int_equal(ob_memory_check(&m), ORTHO_OK);
    ob_memory_free(&m, work);
    ob_memory_free(&m, out);
    ob_memory_free(&m, NULL);
    assert_int_equal(ob_memory_close(&m), 0);
}

/* The CPU's memory, called a device's. */
static void *device_alloc(size_t bytes, ortho_space space)
{
    (void)space;
    return ob_backend_cpu.alloc(bytes, ORTHO_HOST);
}

/* Without fences the account is what the allocator was asked for, to the byte. */
static void an_empty_block_takes_a_byte(void **state)
{
    ob_memory m;
    ob_device_account account = {0};
    ob_backend device = ob_backend_cpu;
    (void)state;
    device.alloc = device_alloc;
    ob_memory_init(&m, &device, 0);
    m.account = &account;
    void *nothing = ob_memory_alloc(&m, 0, ORTHO_DEVICE, ORTHO_WORKING);
    void *seven = ob_memory_alloc(&m, 7, ORTHO_DEVICE, ORTHO_WORKING);
    assert_non_null(nothing);
    assert_int_equal(account.peak, 8);
    ob_memory_free(&m, seven);
    ob_memory_free(&m, nothing);
    assert_int_equal(account.current, 0);
    assert_int_equal(ob_memory_close(&m), 0);
}

static void what_is_not_ours_is_not_freed(void **state)
{
    ob_memory m;
    int local = 0;
    (void)state;
    ob_memory_init(&m, &ob_backend_cpu, 64);
    ob_memory_free(&m, &local);
    assert_int_equal(ob_memory_check(&m), ORTHO_E_WRONG);
    assert_null(ob_memory_alloc(&m, SIZE_MAX, ORTHO_HOST, ORTHO_WORKING));
    assert_null(ob_memory_alloc(&m, 8, ORTHO_DEVICE, ORTHO_WORKING));
    void *empty = ob_memory_alloc(&m, 0, ORTHO_HOST, ORTHO_WORKING);
    assert_non_null(empty);
    ob_memory_free(&m, empty);
    ob_memory_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peaks_are_counted_by_purpose),
        cmocka_unit_test(a_write_beyond_is_seen),
        cmocka_unit_test(poison_reaches_one_purpose),
        cmocka_unit_test(an_empty_block_takes_a_byte),
        cmocka_unit_test(what_is_not_ours_is_not_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
