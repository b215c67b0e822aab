/*
 * What a user of libortho writes: sieve a matrix, compute with it, compare with the plain product.
 * Built against the static and the shared library, with nothing but <ortho/ortho.h>.
 */
#include <ortho/ortho.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 96, K = 200, M = 3 };

static float random_weight(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return ((float)(*state >> 8) / 16777216.0f - 0.5f) * 0.1f;
}

/* y [M, N] = x [M, K] * w [N, K]^T */
static void naive(const float *x, const float *w, double *y)
{
    for (int t = 0; t < M; t++)
        for (int n = 0; n < N; n++) {
            y[t * N + n] = 0.0;
            for (int k = 0; k < K; k++)
                y[t * N + n] += (double)x[t * K + k] * (double)w[n * K + k];
        }
}

/* |y - wanted| over |wanted|, Frobenius. */
static double relative_error(const float *y, const double *wanted)
{
    double difference = 0.0, size = 0.0;
    for (int i = 0; i < M * N; i++) {
        difference += (y[i] - wanted[i]) * (y[i] - wanted[i]);
        size += wanted[i] * wanted[i];
    }
    return sqrt(difference / size);
}

/* The error of the dual GEMM at this density; negative when a call failed. */
static double error_at(double density, float alpha, const float *w, const float *x,
                       const double *wanted)
{
    ortho_matrix matrix = {.rows = N, .cols = K, .stride = K, .dtype = ORTHO_F32, .data = w};
    ortho_sieve_options options = {
        .size = sizeof options, .density = density, .rule = ORTHO_RULE_OUTLIER, .group = 64};
    ortho_layer *layer = NULL;
    ortho_layer_info info = {.size = sizeof info};
    static float y[M * N];
    double error = -1.0;
    if (ortho_layer_sieve(&matrix, NULL, &options, &layer) == ORTHO_OK &&
        ortho_layer_set_alpha(layer, alpha) == ORTHO_OK &&
        ortho_layer_inspect(layer, &info) == ORTHO_OK &&
        ortho_layer_forward(layer, x, M, ORTHO_F32, y, NULL) == ORTHO_OK)
        error = relative_error(y, wanted);
    if (error < 0.0)
        fprintf(stderr, "%s\n", ortho_last_message());
    else
        printf("density %.2f alpha %g: %lld entries, %zu bytes, served by %s: error %.2e\n",
               density, (double)alpha, (long long)info.nnz, info.bytes, info.variant, error);
    ortho_layer_free(layer);
    return error;
}

int main(void)
{
    static float w[N * K], x[M * K];
    static double wanted[M * N];
    unsigned state = 1;
    for (int i = 0; i < N * K; i++)
        w[i] = random_weight(&state);
    for (int i = 0; i < M * K; i++)
        x[i] = random_weight(&state);
    naive(x, w, wanted);
    double base = error_at(0.05, 0.0f, w, x, wanted); /* INT4 alone */
    double some = error_at(0.05, 1.0f, w, x, wanted);
    double all = error_at(1.0, 1.0f, w, x, wanted); /* every residual kept in fp16 */
    int good = all >= 0.0 && all < 1e-3 && some > all && some < base && base < 0.2;
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
