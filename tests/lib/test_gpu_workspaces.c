/*
 * The pool of workspaces that the layers of a GPU share, over a CUDA that computes nothing: who
 * gets whose memory, who waits for whom, and how it ends.
 */
#include "fake_cuda.h"
#include "lib/device.h"

enum {
    KIB = 1 << 10,
    MIB = 1 << 20,
    SLOTS = 16,
    LAYERS = 5,
    STEPS = 20000,
    THREADS = 4,
    ROUNDS = 1000
};

static ortho_account account;

static ortho_gpu *layer_on(int device)
{
    ortho_gpu *gpu = NULL;
    fake.device = device;
    must(ortho_gpu_open(&account, &gpu));
    return gpu;
}

static cudaStream_t stream(int i)
{
    return &fake.stream[i];
}

static void no_fault(void)
{
    if (fake.fault != NULL)
        fail_msg("%s", fake.fault);
}

/* A forward, and the memory that it had. */
static const void *forward(ortho_gpu *gpu, int on, size_t bytes)
{
    ortho_gpu_lease lease;
    must(ortho_gpu_take(gpu, bytes, stream(on), &lease));
    launch(gpu, stream(on), lease.memory);
    must(ortho_gpu_give(gpu, &lease));
    return lease.memory;
}

/* One launch in the memory of all, which is taken before it. */
static void group_forward(ortho_gpu **layer, int count, int on, size_t bytes)
{
    ortho_gpu_lease lease[LAYERS];
    for (int i = 0; i < count; i++) {
        must(ortho_gpu_take(layer[i], bytes, stream(on), &lease[i]));
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(lease[i].memory, lease[j].memory);
    }
    for (int i = 0; i < count; i++)
        launch(layer[i], stream(on), lease[i].memory);
    for (int i = 0; i < count; i++)
        must(ortho_gpu_give(layer[i], &lease[i]));
}

static int set_up(void **state)
{
    (void)state;
    fake_reset();
    return 0;
}

/* All memory came back, all in order. */
static int tear_down(void **state)
{
    (void)state;
    no_fault();
    assert_int_equal(fake.held, 0);
    return 0;
}

/* ---- sharing --------------------------------------------------------------------------------- */

static void test_layers_of_a_stream_share(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0), *b = layer_on(0);
    const void *memory = forward(a, 0, MIB);
    for (int i = 0; i < 10; i++) {
        assert_ptr_equal(forward(b, 0, MIB), memory);
        assert_ptr_equal(forward(a, 0, 5), memory);
    }
    assert_int_equal(fake.held, MIB);
    assert_int_equal(fake.waits_of_host + fake.waits_of_streams, 0);
    assert_true(is_busy(stream(0)));
    ortho_gpu_close(b);
    ortho_gpu_close(a);
}

static void test_streams_do_not(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0), *b = layer_on(0);
    const void *first = forward(a, 0, MIB), *second = forward(b, 1, MIB);
    assert_ptr_not_equal(first, second);
    finish(stream(0));
    assert_ptr_equal(forward(b, 2, MIB), first); /* known to be idle */
    assert_int_equal(fake.held, 2 * MIB);
    assert_int_equal(fake.waits_of_host + fake.waits_of_streams, 0);
    ortho_gpu_close(b);
    ortho_gpu_close(a);
}

/* One stream after another waits, on the GPU, once there are so many slots. */
static void test_more_streams_than_slots(void **state)
{
    (void)state;
    ortho_gpu *layer[] = {layer_on(0), layer_on(0)};
    for (int i = 0; i < 3 * STREAMS; i++)
        (void)forward(layer[i % 2], i % STREAMS, MIB);
    assert_int_equal(fake.allocations, SLOTS);
    assert_true(fake.waits_of_streams > 0);
    assert_int_equal(fake.waits_of_host, 0);
    no_fault();
    ortho_gpu_close(layer[1]);
    ortho_gpu_close(layer[0]);
}

static void test_a_group_has_one_each(void **state)
{
    (void)state;
    ortho_gpu *layer[] = {layer_on(0), layer_on(0), layer_on(0)};
    for (int round = 0; round < 3; round++)
        group_forward(layer, 3, 0, MIB);
    assert_int_equal(fake.allocations, 3);
    assert_int_equal(fake.waits_of_host, 0);
    for (int i = 0; i < 3; i++)
        ortho_gpu_close(layer[i]);
}

static void test_devices_have_pools_of_their_own(void **state)
{
    (void)state;
    ortho_gpu *layer[] = {layer_on(0), layer_on(1), layer_on(0)};
    for (int i = 0; i < 3; i++) {
        ortho_gpu_scope scope;
        must(ortho_gpu_enter(layer[i], &scope));
        const void *memory = forward(layer[i], 0, MIB);
        ortho_gpu_leave(&scope);
        assert_int_equal(device_of(memory), i % 2);
    }
    assert_int_equal(fake.held, 2 * MIB);
    ortho_gpu_close(layer[0]);
    ortho_gpu_close(layer[2]);
    assert_int_equal(fake.held, MIB);
    ortho_gpu_close(layer[1]);
}

/* ---- growing --------------------------------------------------------------------------------- */

/* No forward frees, that would be to wait: what is outgrown stays, and is less than what came. */
static void test_what_is_outgrown_stays(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0), *b = layer_on(0);
    for (size_t bytes = 1; bytes <= 64 * MIB; bytes += bytes / 2 + 1) {
        (void)forward(bytes % 2 == 0 ? a : b, 0, bytes);
        finish(stream(0));
    }
    (void)forward(a, 0, 64 * MIB);
    assert_true(fake.held < 128 * (size_t)MIB);
    assert_int_equal(fake.frees + fake.waits_of_host, 0);
    ortho_gpu_close(b);
    ortho_gpu_close(a);
}

static void test_what_is_outgrown_makes_room(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0), *b = layer_on(0);
    ortho_gpu_lease lease;
    fake.room = 5 * MIB;
    (void)forward(a, 0, 2 * MIB);
    refused(ortho_gpu_take(b, 4 * MIB, stream(1), &lease), ORTHO_E_MEMORY, "workspace");
    assert_int_equal(fake.held, 2 * MIB); /* under way */
    finish(stream(0));
    must(ortho_gpu_take(a, 2 * MIB, stream(0), &lease));
    ortho_gpu_lease other;
    refused(ortho_gpu_take(b, 4 * MIB, stream(1), &other), ORTHO_E_MEMORY, "workspace");
    must(ortho_gpu_give(a, &lease)); /* it was out */
    (void)forward(b, 1, 4 * MIB);
    assert_int_equal(fake.held, 4 * MIB);
    assert_int_equal(fake.waits_of_host, 0);
    ortho_gpu_close(b);
    ortho_gpu_close(a);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* A layer waits for its own, and takes nothing from the others; the last takes all. */
static void test_a_layer_ends_among_others(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0), *b = layer_on(0);
    (void)forward(a, 0, MIB);
    const void *memory = forward(b, 1, MIB);
    ortho_gpu_settle(a);
    assert_false(has_work(a));
    assert_true(has_work(b));
    ortho_gpu_close(a);
    assert_true(has_work(b));
    assert_int_equal(fake.held, 2 * MIB);
    assert_ptr_equal(forward(b, 1, MIB), memory);
    ortho_gpu_close(b);
    assert_int_equal(fake.waits_of_host, 2);
}

/* Its launches lie before another's in the same memory. */
static void test_a_layer_ends_behind_another(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0), *b = layer_on(0);
    assert_ptr_equal(forward(a, 0, MIB), forward(b, 0, MIB));
    ortho_gpu_settle(a);
    assert_false(has_work(a));
    ortho_gpu_close(a);
    (void)forward(b, 0, MIB);
    ortho_gpu_close(b);
    ortho_gpu *c = layer_on(0); /* in a new pool */
    (void)forward(c, 0, MIB);
    assert_int_equal(fake.allocations, 2);
    ortho_gpu_close(c);
}

static ortho_gpu *other_layer;

/* No memory may be had without what is outgrown. */
static void grow_in_vain(void)
{
    ortho_gpu_lease lease;
    finish(stream(0));
    fake.room = fake.held;
    refused(ortho_gpu_take(other_layer, 2 * MIB, stream(1), &lease), ORTHO_E_MEMORY, "workspace");
}

/* Others' forwards go on, and leave it what it waits for. */
static void test_others_while_a_layer_waits(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0);
    other_layer = layer_on(0);
    (void)forward(a, 0, MIB);
    fake.meanwhile = grow_in_vain;
    ortho_gpu_settle(a);
    assert_null(fake.meanwhile);
    assert_int_equal(fake.frees, 0);
    ortho_gpu_close(a);
    fake.room = 2 * MIB;
    (void)forward(other_layer, 1, 2 * MIB);
    assert_int_equal(fake.frees, 1);
    ortho_gpu_close(other_layer);
}

/* A graph's memory is nodes of the graph, from no pool, and outlives every layer's. */
static void test_a_graph_has_its_own(void **state)
{
    (void)state;
    ortho_gpu *a = layer_on(0), *b = layer_on(0);
    const void *pooled = forward(a, 0, MIB);
    finish(stream(0));
    stream(0)->capturing = true;
    ortho_gpu_lease lease;
    must(ortho_gpu_take(a, MIB, stream(0), &lease));
    must(ortho_gpu_give(a, &lease));
    stream(0)->capturing = false;
    assert_ptr_not_equal(lease.memory, pooled);
    assert_int_equal(fake.graph_nodes, 2);
    assert_ptr_equal(forward(b, 0, MIB), pooled);
    ortho_gpu_close(a);
    ortho_gpu_close(b);
    assert_int_equal(fake.held, MIB);
    cudaFree(lease.memory);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static unsigned draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

static void end(ortho_gpu *layer)
{
    ortho_gpu_settle(layer);
    assert_false(has_work(layer));
    ortho_gpu_close(layer);
}

/* Layers that come and go, forwards of any size on any stream, in groups or alone, while work ends
 * at any time. */
static void test_at_random(void **state)
{
    (void)state;
    ortho_gpu *layer[LAYERS];
    unsigned seed = 1;
    for (int i = 0; i < LAYERS; i++)
        layer[i] = layer_on(0);
    for (int i = 0; i < STEPS; i++) {
        const int on = (int)draw(&seed, STREAMS), what = (int)draw(&seed, 40),
                  which = (int)draw(&seed, LAYERS);
        if (what == 0) {
            end(layer[which]);
            layer[which] = layer_on(0);
        } else if (what < 12) {
            finish(stream(on));
        } else {
            const int first = what < 30 ? which : 0; /* alone, or the first so many */
            group_forward(layer + first, which + 1 - first, on, (size_t)1 << draw(&seed, 25));
        }
        no_fault();
    }
    assert_true(fake.held < (size_t)STREAMS * 64 * MIB);
    for (int i = 0; i < LAYERS; i++)
        end(layer[i]);
}

static void *run_thread(void *arg)
{
    const int on = *(int *)arg;
    for (int round = 0; round < ROUNDS; round++) {
        ortho_gpu *gpu = NULL;
        bool good = ortho_gpu_open(&account, &gpu) == ORTHO_OK;
        for (int i = 0; i < 50 && good; i++) {
            ortho_gpu_lease lease;
            good = ortho_gpu_take(gpu, (size_t)KIB << i % 8, stream(on), &lease) == ORTHO_OK;
            if (!good)
                break;
            launch(gpu, stream(on), lease.memory);
            good = ortho_gpu_give(gpu, &lease) == ORTHO_OK;
            if (i % 7 == 0)
                finish(stream(on));
        }
        ortho_gpu_close(gpu);
        if (!good)
            return arg;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    int on[THREADS];
    void *failed[THREADS];
    for (int i = 0; i < THREADS; i++) {
        on[i] = i;
        assert_int_equal(pthread_create(&thread[i], NULL, run_thread, &on[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], &failed[i]);
    for (int i = 0; i < THREADS; i++)
        assert_null(failed[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_layers_of_a_stream_share),
        TEST(test_streams_do_not),
        TEST(test_more_streams_than_slots),
        TEST(test_a_group_has_one_each),
        TEST(test_devices_have_pools_of_their_own),
        TEST(test_what_is_outgrown_stays),
        TEST(test_what_is_outgrown_makes_room),
        TEST(test_a_layer_ends_among_others),
        TEST(test_a_layer_ends_behind_another),
        TEST(test_others_while_a_layer_waits),
        TEST(test_a_graph_has_its_own),
        TEST(test_at_random),
        TEST(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
