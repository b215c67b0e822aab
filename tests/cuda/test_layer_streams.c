/*
 * Forwards of one layer on several streams, from several threads, and in graphs: each result is the
 * one that it is alone. What would go wrong is a workspace that two of them share, so launches are
 * many and small, and every stream has activations of its own. Once by the library's choice, once
 * by a variant that has a workspace.
 */
#include "layers.h"

#include <pthread.h>

enum { N = 2048, K = 512, M = 16, ROUNDS = 300, STREAMS = 20 };

static ortho_split split;
static ortho_layer *layer;
static ortho_layer_options options;

static int set_up(const char *variant)
{
    options = on_gpu;
    options.variant = variant;
    split = split_make(N, K, 128, 0.02);
    layer = layer_of(&split, &options);
    return 0;
}

static int chosen(void **state)
{
    (void)state;
    return set_up(NULL);
}

static int with_workspace(void **state)
{
    (void)state;
    return set_up("warp-per-row");
}

static int teardown(void **state)
{
    (void)state;
    ortho_layer_free(layer);
    split_drop(&split);
    return 0;
}

/* Activations on the device, and what a forward of them alone gives. */
typedef struct work {
    void *x, *y;
    uint16_t *wanted;
    cudaStream_t stream;
} work;

static const size_t y_bytes = (size_t)M * N * 2;

static work work_open(uint64_t seed)
{
    work w = {.wanted = malloc(y_bytes)};
    void *x = activations(ORTHO_F16, M * K, seed, NULL);
    w.x = device_copy(x, (size_t)M * K * 2);
    w.y = device_copy(NULL, y_bytes);
    free(x);
    cuda_ok(cudaStreamCreateWithFlags(&w.stream, cudaStreamNonBlocking));
    cuda_ok(cudaDeviceSynchronize());
    ok(ortho_layer_forward(layer, w.x, M, ORTHO_F16, w.y, w.stream));
    cuda_ok(cudaStreamSynchronize(w.stream));
    cuda_ok(cudaMemcpy(w.wanted, w.y, y_bytes, cudaMemcpyDeviceToHost));
    return w;
}

static void work_close(work *w)
{
    cuda_ok(cudaStreamDestroy(w->stream));
    cuda_ok(cudaFree(w->y));
    cuda_ok(cudaFree(w->x));
    free(w->wanted);
}

static bool work_is_right(const work *w)
{
    uint16_t *back = malloc(y_bytes);
    bool right = cudaStreamSynchronize(w->stream) == cudaSuccess &&
                 cudaMemcpy(back, w->y, y_bytes, cudaMemcpyDeviceToHost) == cudaSuccess &&
                 memcmp(back, w->wanted, y_bytes) == 0;
    free(back);
    return right;
}

static void spoil(const work *w)
{
    cuda_ok(cudaMemsetAsync(w->y, 0xff, y_bytes, w->stream));
}

/* More streams than the pool has places. */
static void many_streams_of_one_thread(void **state)
{
    (void)state;
    work w[STREAMS];
    for (int i = 0; i < STREAMS; i++)
        w[i] = work_open((uint64_t)i + 1);
    for (int i = 0; i < STREAMS; i++)
        spoil(&w[i]);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < STREAMS; i++)
            ok(ortho_layer_forward(layer, w[i].x, M, ORTHO_F16, w[i].y, w[i].stream));
    for (int i = 0; i < STREAMS; i++) {
        assert_true(work_is_right(&w[i]));
        work_close(&w[i]);
    }
}

static void *run_thread(void *arg)
{
    work *w = arg;
    for (int round = 0; round < ROUNDS; round++)
        if (ortho_layer_forward(layer, w->x, M, ORTHO_F16, w->y, w->stream) != ORTHO_OK)
            return w;
    return work_is_right(w) ? NULL : w;
}

static void two_threads(void **state)
{
    (void)state;
    work w[2] = {work_open(1), work_open(2)};
    in_two_threads(run_thread, &w[0], &w[1]);
    for (int i = 0; i < 2; i++)
        work_close(&w[i]);
}

/* A stream that is destroyed, and one that gets its handle: the work of the first goes on. */
static void a_stream_that_ends(void **state)
{
    (void)state;
    work w[2] = {work_open(1), work_open(2)};
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 2; i++) {
            ok(ortho_layer_forward(layer, w[i].x, M, ORTHO_F16, w[i].y, w[i].stream));
            cuda_ok(cudaStreamDestroy(w[i].stream));
            cuda_ok(cudaStreamCreateWithFlags(&w[i].stream, cudaStreamNonBlocking));
        }
    }
    cuda_ok(cudaDeviceSynchronize());
    for (int i = 0; i < 2; i++) {
        assert_true(work_is_right(&w[i]));
        work_close(&w[i]);
    }
}

/* ---- graphs ---------------------------------------------------------------------------------- */

static cudaGraphExec_t captured(const work *w, enum cudaStreamCaptureMode mode)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    cuda_ok(cudaStreamBeginCapture(w->stream, mode));
    ok(ortho_layer_forward(layer, w->x, M, ORTHO_F16, w->y, w->stream));
    cuda_ok(cudaStreamEndCapture(w->stream, &graph));
    cuda_ok(cudaGraphInstantiate(&exec, graph, 0));
    cuda_ok(cudaGraphDestroy(graph));
    return exec;
}

/* Two graphs and ordinary calls at once, on whatever streams: nobody has another's workspace. */
static void graphs_beside_calls(void **state)
{
    (void)state;
    const enum cudaStreamCaptureMode modes[] = {cudaStreamCaptureModeGlobal,
                                                cudaStreamCaptureModeThreadLocal,
                                                cudaStreamCaptureModeRelaxed};
    for (int mode = 0; mode < 3; mode++) {
        work w[3] = {work_open(1), work_open(2), work_open(3)};
        cudaGraphExec_t graph[2] = {captured(&w[0], modes[mode]), captured(&w[1], modes[mode])};
        for (int i = 0; i < 3; i++)
            spoil(&w[i]);
        for (int round = 0; round < ROUNDS; round++) {
            cuda_ok(cudaGraphLaunch(graph[0], w[0].stream));
            cuda_ok(cudaGraphLaunch(graph[1], w[1].stream));
            ok(ortho_layer_forward(layer, w[2].x, M, ORTHO_F16, w[2].y, w[2].stream));
        }
        for (int i = 0; i < 3; i++)
            assert_true(work_is_right(&w[i]));
        for (int i = 0; i < 2; i++)
            cuda_ok(cudaGraphExecDestroy(graph[i]));
        for (int i = 0; i < 3; i++)
            work_close(&w[i]);
    }
}

/* A long batch, in pieces, by a layer that has no workspace yet: the kernels alone were loaded, by
 * a call of the same m and dtype on another layer. */
static void a_long_batch_is_captured(void **state)
{
    (void)state;
    ortho_layer *fresh = layer_of(&split, &options);
    const int64_t m = 8192 + 188;
    void *x = activations(ORTHO_F32, m * K, 9, NULL);
    void *dx = device_copy(x, (size_t)(m * K) * 4);
    size_t bytes = (size_t)(m * N) * 4;
    void *dy = device_copy(NULL, bytes), *wanted = malloc(bytes), *got = malloc(bytes);
    cudaStream_t stream;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    cuda_ok(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    ok(ortho_layer_forward(layer, dx, m, ORTHO_F32, dy, stream));
    cuda_ok(cudaMemsetAsync(dy, 0xff, bytes, stream));
    cuda_ok(cudaStreamSynchronize(stream));
    cuda_ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    ok(ortho_layer_forward(fresh, dx, m, ORTHO_F32, dy, stream));
    cuda_ok(cudaStreamEndCapture(stream, &graph));
    cuda_ok(cudaGraphInstantiate(&exec, graph, 0));
    cuda_ok(cudaGraphLaunch(exec, stream));
    cuda_ok(cudaStreamSynchronize(stream));
    cuda_ok(cudaMemcpy(got, dy, bytes, cudaMemcpyDeviceToHost));
    ok(ortho_layer_forward(fresh, dx, m, ORTHO_F32, dy, stream));
    cuda_ok(cudaStreamSynchronize(stream));
    cuda_ok(cudaMemcpy(wanted, dy, bytes, cudaMemcpyDeviceToHost));
    assert_memory_equal(got, wanted, bytes);
    cuda_ok(cudaGraphExecDestroy(exec));
    cuda_ok(cudaGraphDestroy(graph));
    cuda_ok(cudaStreamDestroy(stream));
    free(got);
    free(wanted);
    cuda_ok(cudaFree(dy));
    cuda_ok(cudaFree(dx));
    free(x);
    ortho_layer_free(fresh);
}

static void *load_and_free(void *arg)
{
    for (int i = 0; i < 5; i++)
        ortho_layer_free(layer_of(&split, &options));
    return arg;
}

/* Layers come and go in one thread while another captures: its capture isn't broken. */
static void a_capture_survives_others(void **state)
{
    (void)state;
    work w = work_open(4);
    cudaGraph_t graph = NULL;
    pthread_t thread;
    cuda_ok(cudaStreamBeginCapture(w.stream, cudaStreamCaptureModeGlobal));
    assert_int_equal(pthread_create(&thread, NULL, load_and_free, NULL), 0);
    pthread_join(thread, NULL);
    ok(ortho_layer_forward(layer, w.x, M, ORTHO_F16, w.y, w.stream));
    cuda_ok(cudaStreamEndCapture(w.stream, &graph));
    cuda_ok(cudaGraphDestroy(graph));
    work_close(&w);
}

/* Freed with forwards under way: waits for them. */
static void freed_while_busy(void **state)
{
    (void)state;
    work w = work_open(5);
    ortho_layer *other = layer_of(&split, &options);
    spoil(&w);
    for (int round = 0; round < ROUNDS; round++)
        ok(ortho_layer_forward(other, w.x, M, ORTHO_F16, w.y, w.stream));
    ortho_layer_free(other);
    assert_true(work_is_right(&w));
    work_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_streams_of_one_thread), cmocka_unit_test(two_threads),
        cmocka_unit_test(a_stream_that_ends),         cmocka_unit_test(graphs_beside_calls),
        cmocka_unit_test(a_long_batch_is_captured),   cmocka_unit_test(a_capture_survives_others),
        cmocka_unit_test(freed_while_busy),
    };
    if (gpu_is_missing())
        return OB_EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, chosen, teardown) +
           cmocka_run_group_tests(tests, with_workspace, teardown);
}
