/* testing.h: layers and numbers for the tests of libortho. */
#ifndef ORTHO_TESTS_LIB_TESTING_H
#define ORTHO_TESTS_LIB_TESTING_H

#include <ortho/ortho.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static inline float random_float(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 16777216.0f - 0.5f;
}

/* [count] values in -0.5 .. 0.5; the caller frees them. */
static inline float *random_floats(int64_t count, unsigned seed)
{
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = random_float(&seed);
    return values;
}

static inline ortho_matrix matrix_of(const float *w, int64_t n, int64_t k)
{
    return (ortho_matrix){.rows = n, .cols = k, .stride = k, .dtype = ORTHO_F32, .data = w};
}

static inline ortho_sieve_options options_of(double density, ortho_rule rule, int group)
{
    return (ortho_sieve_options){
        .size = sizeof(ortho_sieve_options), .density = density, .rule = rule, .group = group};
}

static inline void must(ortho_status status)
{
    if (status != ORTHO_OK)
        fail_msg("%s: %s", ortho_status_name(status), ortho_last_message());
}

/* A call must have failed with this status and a message that holds `part`. */
static inline void refused(ortho_status got, ortho_status wanted, const char *part)
{
    if (got != wanted)
        fail_msg("%s, not %s: %s", ortho_status_name(got), ortho_status_name(wanted),
                 ortho_last_message());
    if (strstr(ortho_last_message(), part) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", ortho_last_message(), part);
}

/* A layer for the CPU, whatever GPU this machine has. */
static const ortho_layer_options on_cpu = {.size = sizeof on_cpu, .device = ORTHO_DEVICE_CPU};

static inline size_t column_bytes(int64_t k)
{
    return k > 65536 ? sizeof(uint32_t) : sizeof(uint16_t);
}

/* Bytes of a split's arrays, in the order q, scale, row_ptr, col, val. */
static inline void array_bytes(const ortho_split *s, size_t bytes[5])
{
    bytes[0] = (size_t)(s->n * ((s->k + 1) / 2));
    bytes[1] = (size_t)(s->n * ((s->k + s->group - 1) / s->group)) * 2;
    bytes[2] = (size_t)(s->n + 1) * 4;
    bytes[3] = (size_t)s->nnz * column_bytes(s->k);
    bytes[4] = (size_t)s->nnz * 2;
}

static inline ortho_split split_new(int64_t n, int64_t k, int64_t group, int64_t nnz)
{
    ortho_split s = {.n = n, .k = k, .nnz = nnz, .group = group};
    size_t bytes[5];
    array_bytes(&s, bytes);
    s.q = calloc(bytes[0] + 1, 1);
    s.scale = calloc(bytes[1] + 1, 1);
    s.row_ptr = calloc(bytes[2] + 1, 1);
    s.col = calloc(bytes[3] + 1, 1);
    s.val = calloc(bytes[4] + 1, 1);
    assert_true(s.q && s.scale && s.row_ptr && s.col && s.val);
    return s;
}

static inline void split_free(ortho_split *s)
{
    free(s->q);
    free(s->scale);
    free(s->row_ptr);
    free(s->col);
    free(s->val);
}

static inline void assert_same_split(const ortho_split *a, const ortho_split *b)
{
    size_t bytes[5];
    array_bytes(a, bytes);
    assert_memory_equal(a->q, b->q, bytes[0]);
    assert_memory_equal(a->scale, b->scale, bytes[1]);
    assert_memory_equal(a->row_ptr, b->row_ptr, bytes[2]);
    if (a->nnz > 0) {
        assert_memory_equal(a->col, b->col, bytes[3]);
        assert_memory_equal(a->val, b->val, bytes[4]);
    }
}

/* The canonical split of a layer. */
static inline ortho_split exported(const ortho_layer *layer)
{
    ortho_layer_info info = {.size = sizeof info};
    must(ortho_layer_inspect(layer, &info));
    ortho_split s = split_new(info.n, info.k, info.group, info.nnz);
    must(ortho_layer_export(layer, &s));
    return s;
}

static inline ortho_layer *sieved(const float *w, int64_t n, int64_t k, ortho_sieve_options options)
{
    ortho_matrix matrix = matrix_of(w, n, k);
    ortho_layer *layer = NULL;
    if (ortho_layer_sieve(&matrix, NULL, &options, &layer) != ORTHO_OK)
        fail_msg("sieve: %s", ortho_last_message());
    assert_non_null(layer);
    return layer;
}

#endif
