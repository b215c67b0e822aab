/*
 * The CUDA backend of the harness: what it times, records, refuses and books, with fills and copies
 * as the work, whose bytes are known.
 */
#include "testing.h"

#define MIB ((size_t)1 << 20)

static const ob_backend *const cuda = &ob_backend_cuda;

/* Launch i fills `at` with byte i, and counts how often the host was asked. */
typedef struct fills {
    cudaStream_t stream;
    unsigned char *at;
    size_t bytes;
    int calls;
} fills;

static ortho_status launch_fill(void *ctx, int64_t i)
{
    fills *f = ctx;
    f->calls++;
    return cudaMemsetAsync(f->at, (int)i, f->bytes, f->stream) == cudaSuccess
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_DEVICE, "a fill failed");
}

typedef struct bench {
    ob_queue *queue;
    ob_timer timer;
    fills fills;
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    *state = b;
    ok(cuda->open(&b->queue));
    ok(ob_timer_calibrate(&b->timer));
    b->fills.stream = cuda->stream(b->queue);
    b->fills.bytes = 256 * MIB;
    b->fills.at = cuda->alloc(b->fills.bytes, ORTHO_DEVICE);
    assert_non_null(b->fills.at);
    return 0;
}

static int close_bench(void **state)
{
    bench *b = *state;
    cuda->free(b->fills.at, ORTHO_DEVICE);
    cuda->close(b->queue);
    free(b);
    return 0;
}

static double time_of(bench *b, ob_launches *launches, ob_span span)
{
    double ns = -1;
    ok(cuda->time(b->queue, &b->timer, launches, &span, &ns));
    return ns;
}

static unsigned char byte_at(const unsigned char *at)
{
    unsigned char byte = 0;
    ok(cuda->download(&byte, at, 1));
    return byte;
}

/* No memory moves 20 TB/s, and a GPU's is not as slow as 20 GB/s. */
static void in_bounds(double ns, double bytes)
{
    if (!(ns > bytes / 20e3 && ns < bytes / 20.0))
        fail_msg("%.0f bytes took %.0f ns", bytes, ns);
}

/* ---- timing ---------------------------------------------------------------------------------- */

static void a_fill_is_timed(void **state)
{
    bench *b = *state;
    ob_launches one = {.ctx = &b->fills, .launch = launch_fill, .copies = 1};
    double alone = time_of(b, &one, (ob_span){.first = 7, .count = 1});
    in_bounds(alone, (double)b->fills.bytes);
    assert_int_equal(byte_at(b->fills.at + b->fills.bytes - 1), 7);
    double ten = time_of(b, &one, (ob_span){.count = 10});
    in_bounds(ten, 10.0 * (double)b->fills.bytes);
    cuda->forget(&one);
}

static ortho_status launch_copy(void *ctx, int64_t i)
{
    const fills *f = ctx;
    (void)i;
    return cudaMemcpyAsync(f->at, f->at + f->bytes / 2, f->bytes / 2, cudaMemcpyDeviceToDevice,
                           f->stream) == cudaSuccess
               ? ORTHO_OK
               : ORTHO_E_DEVICE;
}

static void a_copy_is_timed(void **state)
{
    bench *b = *state;
    ob_launches copies = {.ctx = &b->fills, .launch = launch_copy, .copies = 1};
    in_bounds(time_of(b, &copies, (ob_span){.count = 20}), 20.0 * (double)b->fills.bytes);
    cuda->forget(&copies);
    assert_null(copies.capture);
}

/* ---- recording ------------------------------------------------------------------------------- */

static void a_hundred_launches_are_recorded_once(void **state)
{
    bench *b = *state;
    fills small = {.stream = b->fills.stream, .at = b->fills.at, .bytes = 4096};
    ob_launches l = {.ctx = &small, .launch = launch_fill, .copies = 10};
    const ob_span span = {.lead = 10, .count = 100};
    time_of(b, &l, span);
    assert_int_equal(small.calls, 110);
    for (int i = 0; i < 5; i++) {
        ok(cuda->fill(small.at, 0xee, small.bytes));
        time_of(b, &l, span);
        assert_int_equal(small.calls, 110);             /* the host wasn't asked again */
        assert_int_equal(byte_at(small.at + 4095), 99); /* yet the work was done */
    }
    time_of(b, &l, (ob_span){.lead = 10, .count = 50});
    assert_int_equal(small.calls, 160); /* another count is another recording; the lead is kept */
    cuda->forget(&l);
    assert_null(l.capture);
    time_of(b, &l, span);
    assert_int_equal(small.calls, 270);
    cuda->forget(&l);
    cuda->forget(&l);
}

/* ---- what a run hook may not do -------------------------------------------------------------- */

typedef enum sin { WAITS, ALLOCATES, TAKES_FROM_POOL, CALLS_HOST, USES_DEFAULT, IDLE, FAILS } sin;

typedef struct sinner {
    sin sin;
    fills fills;
} sinner;

static void host_function(void *unused)
{
    (void)unused;
}

static ortho_status launch_sin(void *ctx, int64_t i)
{
    sinner *s = ctx;
    void *scratch = NULL;
    if (s->sin == IDLE)
        return ORTHO_OK;
    if (s->sin == FAILS)
        return ortho_fail(ORTHO_E_DEVICE, "words of its own");
    if (s->sin == WAITS)
        (void)cudaStreamSynchronize(s->fills.stream);
    if (s->sin == ALLOCATES && cudaMalloc(&scratch, 4096) == cudaSuccess)
        (void)cudaFree(scratch);
    if (s->sin == TAKES_FROM_POOL &&
        cudaMallocAsync(&scratch, 4096, s->fills.stream) == cudaSuccess)
        (void)cudaFreeAsync(scratch, s->fills.stream);
    if (s->sin == CALLS_HOST)
        (void)cudaLaunchHostFunc(s->fills.stream, host_function, NULL);
    if (s->sin == USES_DEFAULT) {
        (void)cudaMemsetAsync(s->fills.at, 1, 1, cudaStreamLegacy);
        return ORTHO_OK;
    }
    (void)launch_fill(&s->fills, i);
    return ORTHO_OK; /* whatever CUDA said: it must be found out all the same */
}

static void each_sin_is_refused(void **state)
{
    static const struct {
        sin sin;
        const char *message;
    } sins[] = {{WAITS, "recording launches"},
                {ALLOCATES, "recording launches"},
                {TAKES_FROM_POOL, "allocates or frees device memory"},
                {CALLS_HOST, "calls the host"},
                {USES_DEFAULT, "recording launches"},
                {IDLE, "put nothing on the stream"},
                {FAILS, "words of its own"}};
    bench *b = *state;
    for (size_t i = 0; i < COUNT(sins); i++) {
        sinner s = {.sin = sins[i].sin,
                    .fills = {.stream = b->fills.stream, .at = b->fills.at, .bytes = 4096}};
        ob_launches l = {.ctx = &s, .launch = launch_sin, .copies = 1};
        ob_span span = {.lead = 2, .count = 4};
        double ns = 0;
        assert_int_not_equal(cuda->time(b->queue, &b->timer, &l, &span, &ns), ORTHO_OK);
        says(sins[i].message);
        cuda_ok(cudaGetLastError()); /* nobody else is blamed for it */
        cuda->forget(&l);
        a_hundred_launches_are_recorded_once(state); /* the queue works as before */
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void device_memory_is_booked_to_the_byte(void **state)
{
    ob_memory m;
    (void)state;
    ob_memory_init(&m, cuda, 64);
    void *weights = ob_memory_alloc(&m, 1000, ORTHO_DEVICE, ORTHO_WEIGHTS);
    void *output = ob_memory_alloc(&m, 77, ORTHO_DEVICE, ORTHO_OUTPUT);
    void *first = ob_memory_alloc(&m, 4096, ORTHO_DEVICE, ORTHO_WORKING);
    void *second = ob_memory_alloc(&m, 5, ORTHO_DEVICE, ORTHO_WORKING);
    void *host = ob_memory_alloc(&m, 30, ORTHO_HOST, ORTHO_WORKING);
    void *empty = ob_memory_alloc(&m, 0, ORTHO_DEVICE, ORTHO_WORKING);
    void *const all[] = {weights, output, first, second, empty};
    for (size_t i = 0; i < COUNT(all); i++) {
        assert_non_null(all[i]);
        assert_int_equal((uintptr_t)all[i] % 256, 0);
    }
    ob_memory_free(&m, first);
    assert_int_equal(m.current[ORTHO_WEIGHTS], 1000);
    assert_int_equal(m.current[ORTHO_OUTPUT], 77);
    assert_int_equal(m.current[ORTHO_WORKING], 35);
    assert_int_equal(m.peak[ORTHO_WORKING], 4131);
    ob_memory_restart(&m);
    assert_int_equal(m.peak[ORTHO_WORKING], 35);
    ok(ob_memory_check(&m));
    ob_memory_free(&m, empty);
    ob_memory_free(&m, host);
    ob_memory_free(&m, second);
    ob_memory_free(&m, output);
    assert_int_equal(ob_memory_close(&m), 1); /* the weights were left behind */
}

static void a_write_beyond_device_memory_is_seen(void **state)
{
    static const struct {
        int64_t at;
        const char *message;
    } writes[] = {{1000, "a write 1 bytes beyond a buffer of 1000 bytes"},
                  {1050, "a write 51 bytes beyond a buffer of 1000 bytes"},
                  {-1, "a write 1 bytes before a buffer of 1000 bytes"}};
    (void)state;
    for (size_t i = 0; i < COUNT(writes); i++) {
        ob_memory m;
        ob_memory_init(&m, cuda, 64);
        unsigned char *p = ob_memory_alloc(&m, 1000, ORTHO_DEVICE, ORTHO_WEIGHTS);
        cuda_ok(cudaMemset(p, 1, 1000));
        ok(ob_memory_check(&m));
        cuda_ok(cudaMemset(p + writes[i].at, 1, 1));
        assert_int_equal(ob_memory_check(&m), ORTHO_E_WRONG);
        says(writes[i].message);
        ob_memory_free(&m, p);
        assert_int_equal(ob_memory_check(&m), ORTHO_E_WRONG); /* known after the block is gone */
        ob_memory_close(&m);
    }
}

static void poison_reaches_one_purpose(void **state)
{
    ob_memory m;
    (void)state;
    ob_memory_init(&m, cuda, 64);
    unsigned char *out = ob_memory_alloc(&m, 300, ORTHO_DEVICE, ORTHO_OUTPUT);
    unsigned char *work = ob_memory_alloc(&m, 300, ORTHO_DEVICE, ORTHO_WORKING);
    cuda_ok(cudaMemset(out, 0, 300));
    cuda_ok(cudaMemset(work, 0, 300));
    ok(ob_memory_poison(&m, ORTHO_OUTPUT));
    assert_int_equal(byte_at(out), 0xff);
    assert_int_equal(byte_at(out + 299), 0xff);
    assert_int_equal(byte_at(work), 0);
    ok(ob_memory_check(&m));
    ob_memory_free(&m, work);
    ob_memory_free(&m, out);
    ob_memory_close(&m);
}

/* What a library takes behind the services' back: from the pool and given back within the
 * operation, or from the driver. */
static void the_high_water_mark_sees_what_nobody_booked(void **state)
{
    bench *b = *state;
    ob_session s = {.backend = cuda};
    ob_lane lane = {.session = &s};
    void *p = NULL;
    size_t mark = ob_device_mark(&s);
    ob_device_since(&lane, mark);
    assert_true(lane.device_peak < 16 * MIB);
    mark = ob_device_mark(&s);
    cuda_ok(cudaMallocAsync(&p, 64 * MIB, b->fills.stream));
    cuda_ok(cudaFreeAsync(p, b->fills.stream));
    cuda_ok(cudaStreamSynchronize(b->fills.stream));
    ob_device_since(&lane, mark);
    assert_true(lane.device_peak >= 64 * MIB && lane.device_peak < 128 * MIB);
    mark = ob_device_mark(&s);
    cuda_ok(cudaMalloc(&p, 64 * MIB));
    ob_device_since(&lane, mark);
    cuda_ok(cudaFree(p));
    assert_true(lane.device_peak >= 64 * MIB && lane.device_peak < 128 * MIB);
}

static void what_is_too_large_is_told(void **state)
{
    (void)state;
    assert_null(cuda->alloc((size_t)1 << 46, ORTHO_DEVICE));
    says("no device memory");
    cuda_ok(cudaGetLastError());
    assert_true(cuda->cache_bytes() >= MIB);
}

int main(void)
{
    if (gpu_is_missing())
        return OB_EXIT_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fill_is_timed),
        cmocka_unit_test(a_copy_is_timed),
        cmocka_unit_test(a_hundred_launches_are_recorded_once),
        cmocka_unit_test(each_sin_is_refused),
        cmocka_unit_test(device_memory_is_booked_to_the_byte),
        cmocka_unit_test(a_write_beyond_device_memory_is_seen),
        cmocka_unit_test(poison_reaches_one_purpose),
        cmocka_unit_test(the_high_water_mark_sees_what_nobody_booked),
        cmocka_unit_test(what_is_too_large_is_told),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
