/* layers.h: splits, layers and device memory for the tests of the library's layers on a GPU. */
#ifndef ORTHO_TESTS_CUDA_LAYERS_H
#define ORTHO_TESTS_CUDA_LAYERS_H

#include "common/account.h"
#include "common/dtype.h"
#include "kernels/split.h"
#include "lib/layer.h"
#include "testing.h"
#include "variants/table.h"

#include <math.h>
#include <pthread.h>

/* Threads that give what they found to be wrong, or NULL. */
static inline void in_two_threads(void *(*run)(void *), void *first, void *second)
{
    void *const of[2] = {first, second};
    pthread_t thread[2];
    void *failed[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run, of[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], &failed[i]);
    for (int i = 0; i < 2; i++)
        assert_null(failed[i]);
}

static const ortho_layer_options on_gpu = {.size = sizeof on_gpu, .device = ORTHO_DEVICE_CUDA};
static const ortho_layer_options on_cpu = {.size = sizeof on_cpu, .device = ORTHO_DEVICE_CPU};

static inline void refused(ortho_status got, ortho_status wanted, const char *part)
{
    if (got != wanted)
        fail_msg("%s, not %s: %s", ortho_status_name(got), ortho_status_name(wanted),
                 ortho_last_message());
    says(part);
}

static inline uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static inline void put_column(ortho_split *s, int64_t i, int64_t col)
{
    if (s->k > 65536)
        ((uint32_t *)s->col)[i] = (uint32_t)col;
    else
        ((uint16_t *)s->col)[i] = (uint16_t)col;
}

static inline ortho_split split_make(int64_t n, int64_t k, int64_t group, double density)
{
    ortho_services services = ortho_services_default();
    uint64_t state = (uint64_t)(n * 31 + k);
    int64_t nnz = (int64_t)(density * (double)(n * k)), at = 0;
    ortho_split s;
    ok(ortho_split_alloc(n, k, group, nnz, &services, ORTHO_WORKING, &s));
    for (int64_t i = 0; i < n * ((k + 1) / 2); i++)
        s.q[i] = (uint8_t)(draw(&state) & (k % 2 != 0 && (i + 1) % ((k + 1) / 2) == 0 ? 15 : 255));
    for (int64_t i = 0; i < n * ((k + group - 1) / group); i++)
        s.scale[i] = (uint16_t)(0x2000 + draw(&state) % 256);
    for (int64_t i = 0; i < nnz; i++) {
        int64_t cell = (int64_t)((double)i / density);
        for (; at <= cell / k; at++)
            s.row_ptr[at] = (int32_t)i;
        put_column(&s, i, cell % k);
        s.val[i] = (uint16_t)((draw(&state) & 0x8000) | (0x2e00 + draw(&state) % 512));
    }
    for (; at <= n; at++)
        s.row_ptr[at] = (int32_t)nnz;
    ok(ortho_split_check(&s));
    return s;
}

static inline void split_drop(ortho_split *s)
{
    ortho_services services = ortho_services_default();
    ortho_split_free(s, &services);
}

static inline ortho_layer *layer_of(const ortho_split *s, const ortho_layer_options *options)
{
    ortho_layer *layer = NULL;
    ok(ortho_layer_from_split(s, options, &layer));
    return layer;
}

static inline ortho_split exported(const ortho_layer *layer)
{
    ortho_services services = ortho_services_default();
    ortho_layer_info info = {.size = sizeof info};
    ortho_split s;
    ok(ortho_layer_inspect(layer, &info));
    ok(ortho_split_alloc(info.n, info.k, info.group, info.nnz, &services, ORTHO_WORKING, &s));
    ok(ortho_layer_export(layer, &s));
    return s;
}

static inline void assert_same_split(const ortho_split *a, const ortho_split *b)
{
    assert_int_equal(a->nnz, b->nnz);
    assert_memory_equal(a->q, b->q, (size_t)(a->n * ((a->k + 1) / 2)));
    assert_memory_equal(a->scale, b->scale,
                        (size_t)(a->n * ((a->k + a->group - 1) / a->group)) * 2);
    assert_memory_equal(a->row_ptr, b->row_ptr, (size_t)(a->n + 1) * 4);
    if (a->nnz > 0) {
        assert_memory_equal(a->col, b->col, (size_t)a->nnz * ortho_split_col_bytes(a->k));
        assert_memory_equal(a->val, b->val, (size_t)a->nnz * 2);
    }
}

static inline void *device_copy(const void *from, size_t bytes)
{
    void *p = NULL;
    cuda_ok(cudaMalloc(&p, bytes > 0 ? bytes : 1));
    if (from != NULL)
        cuda_ok(cudaMemcpy(p, from, bytes, cudaMemcpyHostToDevice));
    else
        cuda_ok(cudaMemset(p, 0xff, bytes));
    return p;
}

static inline float largest_scale(const ortho_split *s)
{
    float largest = 0.0f;
    for (int64_t i = 0; i < s->n * ((s->k + s->group - 1) / s->group); i++)
        largest = fmaxf(largest, ortho_dtype_load(ORTHO_F16, s->scale, i));
    return largest;
}

/* What a sum over the columns of a split may be off, for each column and |x| = 1: fp32 sums in
 * another order, and what stands beside a weight. fused multiplies 1024 + q + 8 with fp16 x, 128 +
 * q + 8 with bf16 digits of any other, up to 1039 and 143 times the scale, and takes the rest off
 * again: sums of that size are kept in 24 bits. */
static inline float sum_error(const ortho_split *s, ortho_dtype dtype)
{
    return 1e-7f + (dtype == ORTHO_F16 ? 1039 : 143) * 0x1p-24f * largest_scale(s);
}

/* Activations in -1 .. 1 of a dtype, in host memory; as floats too, exactly. */
static inline void *activations(ortho_dtype dtype, int64_t count, uint64_t seed, float *floats)
{
    char *x = malloc((size_t)count * ortho_dtype_bytes(dtype));
    assert_non_null(x);
    for (int64_t i = 0; i < count; i++) {
        ortho_dtype_store(dtype, x, i, (float)draw(&seed) * 0x1p-30f - 1.0f);
        if (floats != NULL)
            floats[i] = ortho_dtype_load(dtype, x, i);
    }
    return x;
}

#endif
