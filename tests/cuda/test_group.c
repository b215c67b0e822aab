/*
 * Linears that share x, on a GPU: a group gives what its layers give, the same every time, in every
 * dtype and for long batches too; in a graph, on two streams at once, and without Ortho where alpha
 * is 0.
 */
#include "served.h"

enum { MOST = ORTHO_GROUP_MAX, ROUNDS = 200 };

/* The layers of a group, x and a y for each on the device. */
typedef struct group {
    int count;
    int64_t k, m;
    ortho_dtype dtype;
    linear linears[MOST];
    const ortho_layer *layers[MOST];
    void *x, *host_x, *y[MOST];
    void *wanted[MOST]; /* what the first forward gave */
    cudaStream_t stream;
} group;

static size_t y_bytes(const group *g, int i)
{
    return (size_t)(g->m * g->linears[i].split.n) * ortho_dtype_bytes(g->dtype);
}

/* Rows of different numbers, densities and alphas; one layer of them without entries. */
static group group_open(int count, int64_t k)
{
    static const int64_t rows[MOST] = {96, 32, 33, 1, 200, 7, 64, 128};
    group g = {.count = count, .k = k};
    for (int i = 0; i < count; i++) {
        g.linears[i] = linear_open(rows[i], k, 0.01 * (i == 3 ? 0 : i + 1));
        g.layers[i] = g.linears[i].gpu;
        set_alpha(&g.linears[i], i % 3 == 2 ? 0.0f : 1.0f - 0.5f * (float)i);
    }
    cuda_ok(cudaStreamCreateWithFlags(&g.stream, cudaStreamNonBlocking));
    return g;
}

static void group_close(group *g)
{
    cuda_ok(cudaStreamDestroy(g->stream));
    for (int i = 0; i < g->count; i++)
        linear_close(&g->linears[i]);
}

static void spoil(const group *g)
{
    for (int i = 0; i < g->count; i++)
        spoil_bytes(g->y[i], y_bytes(g, i));
}

static ortho_status forward(const group *g)
{
    return ortho_group_forward(g->layers, g->count, g->x, g->m, g->dtype, g->y, g->stream);
}

/* New activations, and a forward of them. */
static void begin(group *g, int64_t m, ortho_dtype dtype, uint64_t seed)
{
    g->m = m, g->dtype = dtype;
    g->host_x = activations(dtype, m * g->k, seed, NULL);
    g->x = device_copy(g->host_x, (size_t)(m * g->k) * ortho_dtype_bytes(dtype));
    for (int i = 0; i < g->count; i++)
        g->y[i] = device_copy(NULL, y_bytes(g, i));
    cuda_ok(cudaDeviceSynchronize());
    ok(forward(g));
    cuda_ok(cudaStreamSynchronize(g->stream));
    for (int i = 0; i < g->count; i++)
        g->wanted[i] = fetched(g->y[i], y_bytes(g, i));
}

static void end(group *g)
{
    for (int i = 0; i < g->count; i++) {
        free(g->wanted[i]);
        cuda_ok(cudaFree(g->y[i]));
    }
    cuda_ok(cudaFree(g->x));
    free(g->host_x);
}

/* The outputs are those of the first forward, bit for bit. */
static void must_be_the_same(const group *g)
{
    for (int i = 0; i < g->count; i++)
        must_hold(g->stream, g->y[i], g->wanted[i], y_bytes(g, i));
}

/* ---- results --------------------------------------------------------------------------------- */

static void check_group(group *g, int64_t m, ortho_dtype dtype)
{
    begin(g, m, dtype, (uint64_t)m);
    for (int i = 0; i < g->count; i++)
        must_be_near(&g->linears[i], g->host_x, m, dtype, 1.0f, g->wanted[i]);
    spoil(g);
    ok(forward(g));
    must_be_the_same(g);
    for (int i = 0; i < g->count; i++) { /* and its layers alone */
        cuda_ok(cudaMemset(g->y[i], 0xff, y_bytes(g, i)));
        ok(ortho_layer_forward(g->layers[i], g->x, m, dtype, g->y[i], NULL));
        void *y = fetched(g->y[i], y_bytes(g, i));
        must_be_near(&g->linears[i], g->host_x, m, dtype, 1.0f, y);
        free(y);
    }
    end(g);
}

static void groups_are_their_layers(void **state)
{
    (void)state;
    const int64_t tokens[] = {1, 2, 3, 8, 9, 33, 700}, widths[] = {512, 129, 3072};
    for (size_t w = 0; w < COUNT(widths); w++)
        for (int count = 1; count <= MOST; count += count == 3 ? 5 : 1) {
            group g = group_open(count, widths[w]);
            for (size_t t = 0; t < COUNT(tokens) * 3; t++)
                check_group(&g, tokens[t / 3], (ortho_dtype)(t % 3));
            group_close(&g);
        }
}

static void no_ortho_where_alpha_is_0(void **state)
{
    (void)state;
    for (int64_t m = 1; m <= 16; m *= 4) {
        group g = group_open(3, 512);
        ortho_layer *clean = g.linears[1].gpu, *bad = poisoned(&g.linears[1].split);
        set_alpha(&g.linears[1], 0.0f);
        ok(ortho_layer_set_alpha(bad, 0.0f));
        begin(&g, m, ORTHO_F16, 5);
        spoil(&g);
        g.layers[1] = bad;
        ok(forward(&g));
        must_be_the_same(&g);
        g.layers[1] = clean;
        ortho_layer_free(bad);
        end(&g);
        group_close(&g);
    }
}

/* ---- streams and graphs ---------------------------------------------------------------------- */

static ortho_status launch_group(const void *g, int i)
{
    (void)i;
    return forward(g);
}

static void in_a_graph(void **state)
{
    (void)state;
    for (int64_t m = 1; m <= 700; m += 699) {
        group g = group_open(3, 512);
        begin(&g, m, ORTHO_BF16, 3);
        cudaGraphExec_t exec = recorded(g.stream, launch_group, &g, 1);
        for (int i = 0; i < 3; i++) {
            spoil(&g);
            cuda_ok(cudaGraphLaunch(exec, g.stream));
            must_be_the_same(&g);
        }
        cuda_ok(cudaGraphExecDestroy(exec));
        end(&g);
        group_close(&g);
    }
}

/* One group's layers on two streams, each with its own x. */
static void on_two_streams(void **state)
{
    (void)state;
    group a = group_open(3, 512), b = a;
    cuda_ok(cudaStreamCreateWithFlags(&b.stream, cudaStreamNonBlocking));
    begin(&a, 1, ORTHO_F16, 1);
    begin(&b, 4, ORTHO_F16, 2);
    spoil(&a);
    spoil(&b);
    for (int i = 0; i < ROUNDS; i++) {
        ok(forward(&a));
        ok(forward(&b));
    }
    must_be_the_same(&a);
    must_be_the_same(&b);
    end(&b);
    end(&a);
    cuda_ok(cudaStreamDestroy(b.stream));
    group_close(&a);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void memory_of_the_wrong_side(void **state)
{
    (void)state;
    group g = group_open(3, 512);
    float here[256];
    begin(&g, 1, ORTHO_F32, 1);
    spoil(&g);
    void *there = g.y[2], *x = g.x;
    g.y[2] = here;
    refused(forward(&g), ORTHO_E_ARGUMENT, "layer 2: y isn't memory of GPU");
    g.y[2] = there, g.x = g.host_x;
    refused(forward(&g), ORTHO_E_ARGUMENT, "layer 0: x isn't memory of GPU");
    g.x = x, g.layers[1] = g.linears[1].cpu;
    refused(forward(&g), ORTHO_E_ARGUMENT, "layer 1 is on the CPU and layer 0 on GPU");
    for (int i = 0; i < g.count; i++) {
        unsigned char *y = fetched(g.y[i], y_bytes(&g, i));
        for (size_t j = 0; j < y_bytes(&g, i); j++)
            assert_int_equal(y[j], 0xff); /* untouched */
        free(y);
    }
    end(&g);
    group_close(&g);
}

static void a_variant_by_name(void **state)
{
    (void)state;
    ortho_split s = split_make(16, 256, 128, 0.02);
    ortho_layer_options options = on_gpu;
    ortho_layer *layer = NULL;
    ortho_layer_info info = {.size = sizeof info};
    options.variant = "csr";
    ok(ortho_layer_from_split(&s, &options, &layer));
    ok(ortho_layer_inspect(layer, &info));
    assert_string_equal(info.variant, "csr");
    ortho_layer_free(layer);
    /* A sieve on the GPU: whoever makes the split, the one that was asked for serves. */
    ortho_sieve_options sieve = {.size = sizeof sieve,
                                 .density = 0.02,
                                 .group = 64,
                                 .device = ORTHO_DEVICE_CUDA,
                                 .variant = served_name()};
    float *w = activations(ORTHO_F32, 16 * 256, 1, NULL);
    const ortho_matrix matrix = {16, 256, 256, ORTHO_F32, w};
    ok(ortho_layer_sieve(&matrix, NULL, &sieve, &layer));
    ok(ortho_layer_inspect(layer, &info));
    if (served_name() != NULL)
        assert_string_equal(info.variant, served_name());
    ortho_layer_free(layer);
    free(w);
    options.variant = "dense";
    refused(ortho_layer_from_split(&s, &options, &layer), ORTHO_E_UNSUPPORTED,
            "on the GPU: it isn't one that serves layers; these serve it: ");
    split_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_their_layers),
        cmocka_unit_test(no_ortho_where_alpha_is_0),
        cmocka_unit_test(in_a_graph),
        cmocka_unit_test(on_two_streams),
        cmocka_unit_test(memory_of_the_wrong_side),
        cmocka_unit_test(a_variant_by_name),
    };
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, NULL, NULL);
}
