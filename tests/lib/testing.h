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
