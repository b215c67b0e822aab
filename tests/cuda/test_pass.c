/*
 * Passes on a GPU: every step against the CPU on the x that it saw; the same every time; in a
 * graph, two passes on two streams, beside ordinary forwards, freed while busy; and without Ortho
 * where alpha is 0. Skipped where the variant that serves the layers has no chain.
 */
#include "served.h"

/* Two blocks of a small Llama: q, k, v of x; o of the last outputs; gate, up of o's; down of the
 * last of theirs; the next block of down's. */
enum { WIDTH = 512, KV = 128, INNER = 1408, BLOCK = 7, STEPS = 2 * BLOCK, ROUNDS = 200 };

static const int64_t rows[BLOCK] = {WIDTH, KV, KV, WIDTH, INNER, INNER, WIDTH};
/* A step's x ends where the outputs of this many steps of its block do. */
static const int before[BLOCK] = {0, 0, 0, 3, 4, 4, 6};
static linear linears[STEPS];
static ortho_pass_step steps[STEPS];
static int64_t y_at[STEPS + 1];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        const int role = i % BLOCK;
        const int64_t k = role == 6 ? INNER : WIDTH;
        const int64_t end = y_at[i - role + before[role]];
        linears[i] = linear_open(rows[role], k, 0.01 * (1 + i % 3));
        set_alpha(&linears[i], i == 5 ? 0.0f : 1.0f);
        steps[i] = (ortho_pass_step){.layer = linears[i].gpu,
                                     .x_at = end == 0 ? -1 : end - k,
                                     .scale = role == 3   ? 0.7f
                                              : role == 6 ? -0.5f
                                                          : 1.0f};
        y_at[i + 1] = y_at[i] + rows[role];
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++)
        linear_close(&linears[i]);
    return 0;
}

/* Is there a chain? If not, the test is skipped, and says why. */
static ortho_pass *pass_of(ortho_dtype dtype)
{
    ortho_pass *pass = NULL;
    ortho_status status = ortho_pass_create(steps, STEPS, dtype, &pass);
    if (status == ORTHO_E_UNSUPPORTED) {
        print_message("skipped: %s\n", ortho_last_message());
        skip();
    }
    ok(status);
    return pass;
}

/* A pass with its x and y on a stream, and what it gave first. */
typedef struct work {
    ortho_pass *pass;
    ortho_dtype dtype;
    void *host_x, *x, *y, *wanted;
    cudaStream_t stream;
} work;

static size_t y_bytes(const work *w)
{
    return (size_t)y_at[STEPS] * ortho_dtype_bytes(w->dtype);
}

static ortho_status forward(const work *w)
{
    return ortho_pass_forward(w->pass, w->x, w->y, w->stream);
}

static work work_open(ortho_dtype dtype, uint64_t seed)
{
    work w = {.pass = pass_of(dtype), .dtype = dtype};
    w.host_x = activations(dtype, WIDTH, seed, NULL);
    w.x = device_copy(w.host_x, WIDTH * ortho_dtype_bytes(dtype));
    w.y = device_copy(NULL, y_bytes(&w));
    cuda_ok(cudaStreamCreateWithFlags(&w.stream, cudaStreamNonBlocking));
    cuda_ok(cudaDeviceSynchronize());
    ok(forward(&w));
    cuda_ok(cudaStreamSynchronize(w.stream));
    w.wanted = fetched(w.y, y_bytes(&w));
    return w;
}

static void work_close(work *w)
{
    ortho_pass_free(w->pass);
    cuda_ok(cudaStreamDestroy(w->stream));
    cuda_ok(cudaFree(w->y));
    cuda_ok(cudaFree(w->x));
    free(w->wanted);
    free(w->host_x);
}

static void spoil(const work *w)
{
    spoil_bytes(w->y, y_bytes(w));
}

static void must_be_the_same(const work *w)
{
    must_hold(w->stream, w->y, w->wanted, y_bytes(w));
}

/* Each step on the x it saw, which is rounded. */
static void must_be_right(const work *w)
{
    const size_t element = ortho_dtype_bytes(w->dtype);
    char *y = fetched(w->y, y_bytes(w));
    for (int i = 0; i < STEPS; i++) {
        const void *x = steps[i].x_at < 0 ? w->host_x : y + (size_t)steps[i].x_at * element;
        must_be_near(&linears[i], x, 1, w->dtype, steps[i].scale, y + (size_t)y_at[i] * element);
    }
    free(y);
}

/* ---- results --------------------------------------------------------------------------------- */

/* A variant's chain may leave a dtype to others, but not all of them. */
static bool is_taken(ortho_dtype dtype)
{
    ortho_pass *pass = NULL;
    ortho_status status = ortho_pass_create(steps, STEPS, dtype, &pass);
    ortho_pass_free(pass);
    if (status == ORTHO_E_UNSUPPORTED && dtype == ORTHO_F32) {
        print_message("  not F32: %s\n", ortho_last_message());
        return false;
    }
    return true;
}

static void every_step_is_right(void **state)
{
    (void)state;
    for (int dtype = ORTHO_F32; dtype <= ORTHO_BF16; dtype++) {
        if (!is_taken((ortho_dtype)dtype))
            continue;
        work w = work_open((ortho_dtype)dtype, 7);
        ortho_pass_info info = {.size = sizeof info};
        ok(ortho_pass_inspect(w.pass, &info));
        assert_int_equal(info.device, ORTHO_DEVICE_CUDA);
        print_message("  %s: %d steps by %s, %zu bytes beside the layers'\n",
                      ortho_dtype_name((ortho_dtype)dtype), (int)info.count, info.variant,
                      info.bytes);
        must_be_right(&w);
        for (int i = 0; i < 20; i++) {
            spoil(&w);
            ok(forward(&w));
            must_be_the_same(&w);
        }
        set_alpha(&linears[5], -2.0f); /* alpha is the layer's at the time of the call */
        ok(forward(&w));
        cuda_ok(cudaStreamSynchronize(w.stream));
        must_be_right(&w);
        set_alpha(&linears[5], 0.0f);
        ok(forward(&w));
        must_be_the_same(&w);
        work_close(&w);
    }
}

/* Takes x [n] through a square linear, on the CPU; the power of two that brings y back to x's size,
 * with which it replaces x. */
static float next_scale(const linear *l, float *x)
{
    const int64_t n = l->split.n;
    float *y = malloc((size_t)n * sizeof *y), size = 0.0f;
    assert_non_null(y);
    ok(ortho_layer_forward(l->cpu, x, 1, ORTHO_F32, y, NULL));
    for (int64_t i = 0; i < n; i++)
        size += y[i] * y[i] / (float)n;
    const float scale = exp2f(-roundf(log2f(size) / 2.0f));
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * y[i];
    free(y);
    return scale;
}

/* As many steps as there may be, none with much to do. */
static void many_small_steps(void **state)
{
    (void)state;
    enum { N = 64, BYTES = ORTHO_PASS_MAX * N * sizeof(float) };
    static ortho_pass_step many[ORTHO_PASS_MAX];
    ortho_pass *pass = NULL;
    ortho_pass_free(pass_of(ORTHO_F32)); /* or skips */
    linear small = linear_open(N, N, 0.05);
    float *x = activations(ORTHO_F32, N, 3, NULL), *walk = activations(ORTHO_F32, N, 3, NULL);
    float *dx = device_copy(x, N * sizeof *x), *dy = device_copy(NULL, BYTES);
    for (int i = 0; i < ORTHO_PASS_MAX; i++)
        many[i] = (ortho_pass_step){small.gpu, i == 0 ? -1 : N * (i - 1), next_scale(&small, walk)};
    ok(ortho_pass_create(many, ORTHO_PASS_MAX, ORTHO_F32, &pass));
    ok(ortho_pass_forward(pass, dx, dy, NULL));
    float *y = fetched(dy, BYTES);
    for (int i = 0; i < ORTHO_PASS_MAX; i++)
        must_be_near(&small, i == 0 ? x : y + N * (i - 1), 1, ORTHO_F32, many[i].scale, y + N * i);
    free(y);
    ortho_pass_free(pass);
    cuda_ok(cudaFree(dy));
    cuda_ok(cudaFree(dx));
    free(walk);
    free(x);
    linear_close(&small);
}

static void no_ortho_where_alpha_is_0(void **state)
{
    (void)state;
    work w = work_open(ORTHO_F16, 5);
    ortho_layer *bad = poisoned(&linears[5].split); /* whose alpha is 0 */
    ok(ortho_layer_set_alpha(bad, 0.0f));
    ortho_pass_free(w.pass);
    steps[5].layer = bad;
    w.pass = pass_of(ORTHO_F16);
    steps[5].layer = linears[5].gpu;
    spoil(&w);
    ok(forward(&w));
    must_be_the_same(&w);
    work_close(&w);
    ortho_layer_free(bad);
}

/* ---- streams and graphs ---------------------------------------------------------------------- */

static ortho_status launch_pass(const void *w, int i)
{
    (void)i;
    return forward(w);
}

static void in_a_graph(void **state)
{
    (void)state;
    work w = work_open(ORTHO_BF16, 3), other = work_open(ORTHO_BF16, 4);
    cudaGraphExec_t exec = recorded(w.stream, launch_pass, &w, 1);
    for (int i = 0; i < 20; i++) {
        spoil(&w);
        cuda_ok(cudaGraphLaunch(exec, w.stream));
        must_be_the_same(&w);
    }
    /* What lies in x at the launch counts. */
    cuda_ok(cudaMemcpy(w.x, other.host_x, WIDTH * 2, cudaMemcpyHostToDevice));
    cuda_ok(cudaGraphLaunch(exec, w.stream));
    must_hold(w.stream, w.y, other.wanted, y_bytes(&w));
    cuda_ok(cudaGraphExecDestroy(exec));
    work_close(&other);
    work_close(&w);
}

/* Two passes of the same layers, and ordinary forwards of one of them: nobody waits for another for
 * ever, nobody has another's workspace. */
static void two_passes_on_two_streams(void **state)
{
    (void)state;
    work a = work_open(ORTHO_F16, 1), b = work_open(ORTHO_F16, 2);
    void *y = device_copy(NULL, WIDTH * 2);
    cudaStream_t third;
    cuda_ok(cudaStreamCreateWithFlags(&third, cudaStreamNonBlocking));
    spoil(&a);
    spoil(&b);
    for (int i = 0; i < ROUNDS; i++) {
        ok(forward(&a));
        ok(forward(&b));
        ok(ortho_layer_forward(linears[0].gpu, a.x, 1, ORTHO_F16, y, third));
    }
    must_be_the_same(&a);
    must_be_the_same(&b);
    cuda_ok(cudaStreamSynchronize(third));
    void *back = fetched(y, WIDTH * 2);
    must_be_near(&linears[0], a.host_x, 1, ORTHO_F16, 1.0f, back);
    free(back);
    cuda_ok(cudaStreamDestroy(third));
    cuda_ok(cudaFree(y));
    work_close(&b);
    work_close(&a);
}

/* One pass on two streams. */
static void one_pass_on_two_streams(void **state)
{
    (void)state;
    work a = work_open(ORTHO_F16, 1), b = work_open(ORTHO_F16, 2);
    ortho_pass *own = b.pass;
    b.pass = a.pass;
    spoil(&a);
    spoil(&b);
    for (int i = 0; i < ROUNDS; i++) {
        ok(forward(&a));
        ok(forward(&b));
    }
    must_be_the_same(&a);
    must_be_the_same(&b);
    b.pass = own;
    work_close(&b);
    work_close(&a);
}

static void freed_while_busy(void **state)
{
    (void)state;
    work w = work_open(ORTHO_F16, 5);
    spoil(&w);
    for (int i = 0; i < ROUNDS; i++)
        ok(forward(&w));
    ortho_pass_free(w.pass);
    must_be_the_same(&w);
    w.pass = NULL;
    work_close(&w);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void memory_of_the_wrong_side(void **state)
{
    (void)state;
    work w = work_open(ORTHO_F16, 1);
    spoil(&w);
    refused(ortho_pass_forward(w.pass, w.host_x, w.y, w.stream), ORTHO_E_ARGUMENT, "x isn't");
    refused(ortho_pass_forward(w.pass, w.x, w.wanted, w.stream), ORTHO_E_ARGUMENT, "y isn't");
    char *apart = device_copy(NULL, WIDTH * 2 + 16); /* x may end where y begins */
    refused(ortho_pass_forward(w.pass, apart + 2, w.y, w.stream), ORTHO_E_ARGUMENT, "16 b");
    refused(ortho_pass_forward(w.pass, w.x, (char *)w.y + 2, w.stream), ORTHO_E_ARGUMENT, "16 b");
    cuda_ok(cudaFree(apart));
    work_close(&w);
}

/* Without skipping: what a GPU answers where no chain is. */
static void layers_that_make_no_pass(void **state)
{
    (void)state;
    ortho_layer_options options = on_gpu;
    ortho_pass *pass = NULL;
    options.variant = "csr";
    ortho_layer *csr = layer_of(&linears[0].split, &options);
    const ortho_pass_step alone[] = {{csr, -1, 1.0f}};
    const ortho_pass_step mixed[] = {{linears[0].gpu, -1, 1.0f}, {csr, -1, 1.0f}};
    const ortho_pass_step both[] = {{csr, -1, 1.0f}, {linears[0].cpu, -1, 1.0f}};
    refused(ortho_pass_create(alone, 1, ORTHO_F16, &pass), ORTHO_E_UNSUPPORTED,
            "csr, which serves the layers, runs no passes on a GPU");
    refused(ortho_pass_create(mixed, 2, ORTHO_F16, &pass), ORTHO_E_UNSUPPORTED,
            "step 1 is served by csr and step 0 by ");
    refused(ortho_pass_create(both, 2, ORTHO_F16, &pass), ORTHO_E_ARGUMENT,
            "step 1 is on the CPU and step 0 on GPU");
    assert_null(pass);
    ortho_layer_free(csr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_right),       cmocka_unit_test(many_small_steps),
        cmocka_unit_test(no_ortho_where_alpha_is_0), cmocka_unit_test(in_a_graph),
        cmocka_unit_test(two_passes_on_two_streams), cmocka_unit_test(one_pass_on_two_streams),
        cmocka_unit_test(freed_while_busy),          cmocka_unit_test(memory_of_the_wrong_side),
        cmocka_unit_test(layers_that_make_no_pass),
    };
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, setup, teardown);
}
