/*
 * Layers of one GPU share their workspaces: on one stream they have the same memory, on two at once
 * they don't, and each result is the one that it is alone, whichever layers end meanwhile.
 */
#include "layers.h"

#include <pthread.h>
#include <unistd.h>

/* A workspace is M rows of N floats. */
enum { N = 2048, K = 512, M = 4096, FEW = 16, ROUNDS = 300, MIB = 1 << 20 };

static const size_t workspace_bytes = (size_t)M * N * 4, x_bytes = (size_t)M * K * 2,
                    y_bytes = (size_t)M * N * 2;

static ortho_split split;

static ortho_layer *new_layer(void)
{
    ortho_layer_options options = on_gpu;
    options.variant = "warp-per-row"; /* has a workspace */
    return layer_of(&split, &options);
}

/* A layer, a stream, and activations on the device with what a forward of them alone gives. */
typedef struct work {
    ortho_layer *layer;
    cudaStream_t stream;
    int64_t m;
    void *x, *y, *wanted;
} work;

static void forward(const work *w)
{
    ok(ortho_layer_forward(w->layer, w->x, w->m, ORTHO_F16, w->y, w->stream));
}

/* By a layer of its own, so that the last layer goes, and with it the pool, if there is no other.
 */
static work work_open(int64_t m, uint64_t seed)
{
    work w = {.m = m, .wanted = malloc(y_bytes)};
    void *x = activations(ORTHO_F16, M * K, seed, NULL);
    w.x = device_copy(x, x_bytes);
    w.y = device_copy(NULL, y_bytes);
    free(x);
    cuda_ok(cudaStreamCreateWithFlags(&w.stream, cudaStreamNonBlocking));
    cuda_ok(cudaDeviceSynchronize());
    w.layer = new_layer();
    forward(&w);
    cuda_ok(cudaStreamSynchronize(w.stream));
    cuda_ok(cudaMemcpy(w.wanted, w.y, y_bytes, cudaMemcpyDeviceToHost));
    ortho_layer_free(w.layer);
    cuda_ok(cudaMemset(w.y, 0xff, y_bytes));
    cuda_ok(cudaDeviceSynchronize());
    w.layer = new_layer();
    return w;
}

static bool is_right(const work *w)
{
    char *back = malloc(y_bytes);
    const size_t bytes = (size_t)w->m * N * 2;
    const bool right = cudaStreamSynchronize(w->stream) == cudaSuccess &&
                       cudaMemcpy(back, w->y, bytes, cudaMemcpyDeviceToHost) == cudaSuccess &&
                       memcmp(back, w->wanted, bytes) == 0;
    free(back);
    return right;
}

static void spoil(const work *w)
{
    cuda_ok(cudaMemsetAsync(w->y, 0xff, y_bytes, w->stream));
}

static void work_close(work *w)
{
    cuda_ok(cudaStreamSynchronize(w->stream));
    ortho_layer_free(w->layer);
    cuda_ok(cudaStreamDestroy(w->stream));
    cuda_ok(cudaFree(w->y));
    cuda_ok(cudaFree(w->x));
    free(w->wanted);
}

static size_t available(void)
{
    size_t bytes, total;
    cuda_ok(cudaMemGetInfo(&bytes, &total));
    return bytes;
}

static void doze(void *unused)
{
    (void)unused;
    usleep(300000);
}

/* What is enqueued there from now on waits for a while. */
static void hold(cudaStream_t stream)
{
    cuda_ok(cudaLaunchHostFunc(stream, doze, NULL));
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void one_stream_has_one_workspace(void **state)
{
    (void)state;
    work a = work_open(M, 1), b = work_open(M, 2);
    cudaStream_t own = b.stream;
    b.stream = a.stream;
    forward(&a);
    const size_t before = available();
    for (int round = 0; round < 10; round++) {
        forward(&b);
        forward(&a);
    }
    assert_int_equal(available(), before);
    assert_true(is_right(&a) && is_right(&b));
    b.stream = own;
    work_close(&b);
    work_close(&a);
}

static void two_streams_have_two(void **state)
{
    (void)state;
    work a = work_open(M, 1), b = work_open(M, 2);
    forward(&a);
    cuda_ok(cudaStreamSynchronize(a.stream));
    const size_t before = available();
    hold(a.stream);
    forward(&a);
    forward(&b);
    assert_true(available() + workspace_bytes <= before);
    assert_true(is_right(&a) && is_right(&b));
    work_close(&b);
    work_close(&a);
}

static void the_last_layer_frees_them(void **state)
{
    (void)state;
    work a = work_open(M, 1), b = work_open(M, 2);
    hold(a.stream);
    forward(&a);
    forward(&b);
    const size_t before = available();
    ortho_layer_free(a.layer);
    assert_true(available() < before + workspace_bytes);
    ortho_layer_free(b.layer);
    assert_true(available() >= before + 2 * workspace_bytes);
    assert_true(is_right(&a) && is_right(&b));
    b.layer = a.layer = NULL;
    work_close(&b);
    work_close(&a);
}

/* ---- results --------------------------------------------------------------------------------- */

/* One of them twice, on a stream that others' launches are on. */
static void a_group_has_one_each(void **state)
{
    (void)state;
    work a = work_open(M, 1), b = work_open(M, 2);
    void *y[] = {device_copy(NULL, y_bytes), device_copy(NULL, y_bytes),
                 device_copy(NULL, y_bytes)};
    const ortho_layer *const layers[] = {a.layer, b.layer, a.layer};
    void *back = malloc(y_bytes);
    cuda_ok(cudaDeviceSynchronize());
    ok(ortho_layer_set_alpha(b.layer, 0.5f)); /* and so another result */
    forward(&a);
    ok(ortho_group_forward(layers, 3, a.x, M, ORTHO_F16, y, a.stream));
    ok(ortho_layer_forward(b.layer, a.x, M, ORTHO_F16, b.y, a.stream));
    assert_true(is_right(&a));
    cuda_ok(cudaMemcpy(b.wanted, b.y, y_bytes, cudaMemcpyDeviceToHost));
    assert_true(memcmp(a.wanted, b.wanted, y_bytes) != 0);
    for (int i = 0; i < 3; i++) {
        cuda_ok(cudaMemcpy(back, y[i], y_bytes, cudaMemcpyDeviceToHost));
        assert_memory_equal(back, i == 1 ? b.wanted : a.wanted, y_bytes);
        cuda_ok(cudaFree(y[i]));
    }
    free(back);
    work_close(&b);
    work_close(&a);
}

static void *run_thread(void *arg)
{
    work *w = arg;
    for (int round = 0; round < ROUNDS; round++)
        if (ortho_layer_forward(w->layer, w->x, w->m, ORTHO_F16, w->y, w->stream) != ORTHO_OK)
            return w;
    return is_right(w) ? NULL : w;
}

static void two_threads_of_a_layer_each(void **state)
{
    (void)state;
    work w[2] = {work_open(FEW, 1), work_open(FEW, 2)};
    in_two_threads(run_thread, &w[0], &w[1]);
    for (int i = 0; i < 2; i++)
        work_close(&w[i]);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void freed_beside_another(void **state)
{
    (void)state;
    work a = work_open(M, 1), b = work_open(M, 2);
    for (int round = 0; round < 10; round++) {
        spoil(&a);
        spoil(&b);
        forward(&b);
        forward(&a);
        ortho_layer_free(b.layer); /* both are under way */
        forward(&a);
        assert_true(is_right(&a) && is_right(&b));
        b.layer = new_layer();
    }
    work_close(&b);
    work_close(&a);
}

static cudaGraphExec_t captured(const work *w)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    cuda_ok(cudaStreamBeginCapture(w->stream, cudaStreamCaptureModeGlobal));
    forward(w);
    cuda_ok(cudaStreamEndCapture(w->stream, &graph));
    cuda_ok(cudaGraphInstantiate(&exec, graph, 0));
    cuda_ok(cudaGraphDestroy(graph));
    return exec;
}

/* A graph of one layer; then another's forwards on its stream, that one's end, and memory for
 * somebody else. */
static void a_graph_outlives_another_layer(void **state)
{
    (void)state;
    work a = work_open(M, 1), b = work_open(M, 2);
    cudaStream_t own = b.stream;
    b.stream = a.stream;
    cudaGraphExec_t graph = captured(&a);
    forward(&b);
    assert_true(is_right(&b));
    ortho_layer_free(b.layer);
    b.layer = NULL;
    void *taken = device_copy(NULL, workspace_bytes);
    for (int round = 0; round < 10; round++) {
        spoil(&a);
        cuda_ok(cudaGraphLaunch(graph, a.stream));
        assert_true(is_right(&a));
        forward(&a);
        assert_true(is_right(&a));
    }
    unsigned char *back = malloc(workspace_bytes);
    cuda_ok(cudaMemcpy(back, taken, workspace_bytes, cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < workspace_bytes; i += MIB / 64)
        assert_int_equal(back[i], 0xff);
    free(back);
    cuda_ok(cudaFree(taken));
    cuda_ok(cudaGraphExecDestroy(graph));
    b.stream = own;
    work_close(&b);
    work_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stream_has_one_workspace),   cmocka_unit_test(two_streams_have_two),
        cmocka_unit_test(the_last_layer_frees_them),      cmocka_unit_test(a_group_has_one_each),
        cmocka_unit_test(two_threads_of_a_layer_each),    cmocka_unit_test(freed_beside_another),
        cmocka_unit_test(a_graph_outlives_another_layer),
    };
    if (gpu_is_missing())
        return OB_EXIT_SKIPPED;
    split = split_make(N, K, 128, 0.02);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    split_drop(&split);
    return failed;
}
