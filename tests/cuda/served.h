/* served.h: the layers of the tests of groups and passes, and what they must give. They are served
 * by the variant that runs both in one launch, where this build has it, else by the library's
 * choice. */
#ifndef ORTHO_TESTS_CUDA_SERVED_H
#define ORTHO_TESTS_CUDA_SERVED_H

#include "layers.h"

/* The weights of one linear, and its layers on either side. */
typedef struct linear {
    ortho_split split;
    ortho_layer *gpu, *cpu;
} linear;

static inline const char *served_name(void)
{
    return ortho_variant_find("fused", ORTHO_CUDA) != NULL ? "fused" : NULL;
}

static inline ortho_layer *served(const ortho_split *split)
{
    ortho_layer_options options = on_gpu;
    options.variant = served_name();
    return layer_of(split, &options);
}

static inline linear linear_open(int64_t n, int64_t k, double density)
{
    linear l = {.split = split_make(n, k, k % 128 == 0 ? 128 : k, density)};
    l.gpu = served(&l.split);
    l.cpu = layer_of(&l.split, &on_cpu);
    return l;
}

static inline void linear_close(linear *l)
{
    ortho_layer_free(l->cpu);
    ortho_layer_free(l->gpu);
    split_drop(&l->split);
}

static inline void set_alpha(linear *l, float alpha)
{
    ok(ortho_layer_set_alpha(l->gpu, alpha));
    ok(ortho_layer_set_alpha(l->cpu, alpha));
}

/* y [m, n] of a dtype against scale times what the CPU's layer gives for x, as fp32: sums in
 * another order (sum_error), one rounding to the dtype, where F16 is coarse near 0. */
static inline void must_be_near(const linear *l, const void *x, int64_t m, ortho_dtype dtype,
                                float scale, const void *y)
{
    const float unit[] = {1e-6f, 0x1p-10f, 0x1p-7f};
    const int64_t n = l->split.n, k = l->split.k;
    float *floats = malloc((size_t)(m * k) * sizeof *floats), largest = 0.0f;
    float *wanted = malloc((size_t)(m * n) * sizeof *wanted);
    assert_true(floats != NULL && wanted != NULL);
    for (int64_t i = 0; i < m * k; i++) {
        floats[i] = ortho_dtype_load(dtype, x, i);
        largest = fmaxf(largest, fabsf(floats[i]));
    }
    ok(ortho_layer_forward(l->cpu, floats, m, ORTHO_F32, wanted, NULL));
    const float sums = fabsf(scale) * sum_error(&l->split, dtype) * (float)k * largest;
    for (int64_t i = 0; i < m * n; i++) {
        const float got = ortho_dtype_load(dtype, y, i), right = scale * wanted[i];
        const float coarse = dtype == ORTHO_F16 ? 0x1p-24f : 0.0f;
        if (!(fabsf(got - right) <= unit[dtype] * fabsf(right) + sums + coarse))
            fail_msg("%d x %d %s, %d tokens: y[%d] is %g, not %g", (int)n, (int)k,
                     ortho_dtype_name(dtype), (int)m, (int)i, (double)got, (double)right);
    }
    free(wanted);
    free(floats);
}

/* A layer whose Ortho holds a NaN in every entry, which no file and no split of a caller may. */
static inline ortho_layer *poisoned(const ortho_split *clean)
{
    ortho_layer_options options = on_gpu;
    const ortho_layer_facts facts = ortho_facts_of_split(clean);
    ortho_split split = *clean;
    ortho_layer *layer = NULL;
    split.val = malloc((size_t)split.nnz * sizeof *split.val);
    assert_non_null(split.val);
    for (int64_t i = 0; i < split.nnz; i++)
        split.val[i] = 0x7e00;
    options.variant = served_name();
    ok(ortho_layer_of(&facts, &split, &options, &layer));
    free(split.val);
    return layer;
}

/* A call of m tokens in fp16 in one of the ways of the layer's variant, counted from 1. */
static inline ortho_gemm_call call_in_way(const ortho_layer *layer, const void *x, int64_t m,
                                          int way)
{
    return (ortho_gemm_call){
        .x = x, .dtype = ORTHO_F16, .m = m, .alpha = layer->alpha, .threads = 1, .way = way};
}

static inline int way_count(const ortho_layer *layer)
{
    const char *const *ways = layer->server[0].variant->gemm->ways;
    int count = 0;
    while (ways != NULL && ways[count] != NULL)
        count++;
    return count;
}

/* The way's name; NULL where it can't take that call. */
static inline const char *way_of_layer(const ortho_layer *layer, const void *x, int64_t m, int way)
{
    const ortho_gemm_hooks *gemm = layer->server[0].variant->gemm;
    const ortho_gemm_call call = call_in_way(layer, x, m, way);
    return gemm->way(layer->server[0].state, &call) == way ? gemm->ways[way - 1] : NULL;
}

static inline void *way_workspace(const ortho_layer *layer, int64_t m)
{
    const ortho_gemm_hooks *gemm = layer->server[0].variant->gemm;
    void *workspace = NULL;
    const size_t bytes =
        gemm->workspace == NULL ? 0 : gemm->workspace(layer->server[0].state, m, ORTHO_F16);
    if (bytes > 0)
        cuda_ok(cudaMalloc(&workspace, bytes));
    return workspace;
}

static inline ortho_status forward_in_way(const ortho_layer *layer, const void *x, int64_t m,
                                          int way, void *y, void *workspace, cudaStream_t stream)
{
    ortho_gemm_call call = call_in_way(layer, x, m, way);
    call.y = y;
    call.workspace = workspace;
    call.stream = stream;
    return layer->server[0].variant->gemm->run(layer->server[0].state, &call);
}

/* y on the device becomes what no forward gives, at once. */
static inline void spoil_bytes(void *y, size_t bytes)
{
    cuda_ok(cudaMemset(y, 0xff, bytes));
    cuda_ok(cudaDeviceSynchronize());
}

/* Launches of something, recorded as one graph. */
typedef ortho_status launch_fn(const void *what, int i);

static inline cudaGraphExec_t recorded(cudaStream_t stream, launch_fn *launch, const void *what,
                                       int launches)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    cuda_ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    for (int i = 0; i < launches; i++)
        ok(launch(what, i));
    cuda_ok(cudaStreamEndCapture(stream, &graph));
    cuda_ok(cudaGraphInstantiate(&exec, graph, 0));
    cuda_ok(cudaGraphDestroy(graph));
    return exec;
}

/* Device memory, as the host sees it; the caller frees it. */
static inline void *fetched(const void *device, size_t bytes)
{
    void *host = malloc(bytes);
    assert_non_null(host);
    cuda_ok(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost));
    return host;
}

/* Device memory holds these very bytes, once the stream has come to its end. */
static inline void must_hold(cudaStream_t stream, const void *device, const void *wanted,
                             size_t bytes)
{
    cuda_ok(cudaStreamSynchronize(stream));
    void *host = fetched(device, bytes);
    assert_memory_equal(host, wanted, bytes);
    free(host);
}

#endif
