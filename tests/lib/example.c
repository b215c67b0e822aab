/*
 * What a user of libortho writes, the whole cycle: sieve a matrix, save it, load it again, compute
 * with it, and compare with the plain product. Built against the static and the shared library,
 * with nothing but <ortho/ortho.h>.
 *
 * usage: example [FILE]    (default: example.safetensors, which is removed at the end)
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

/* Sieves w at two densities and saves both layers in one file. */
static ortho_status sieve_and_save(const float *w, const char *path)
{
    const ortho_matrix matrix = {.rows = N, .cols = K, .stride = K, .dtype = ORTHO_F32, .data = w};
    ortho_sieve_options options = {.size = sizeof options,
                                   .rule = ORTHO_RULE_OUTLIER,
                                   .group = 64,
                                   .device = ORTHO_DEVICE_CPU};
    const double densities[] = {0.05, 1.0};
    const char *const names[] = {"some", "all"};
    ortho_writer *writer = NULL;
    ortho_status status = ortho_writer_open(path, &writer);
    for (int i = 0; i < 2 && status == ORTHO_OK; i++) {
        ortho_layer *layer = NULL;
        options.density = densities[i];
        status = ortho_layer_sieve(&matrix, NULL, &options, &layer);
        if (status == ORTHO_OK)
            status = ortho_layer_save(layer, writer, names[i]);
        ortho_layer_free(layer);
    }
    if (status == ORTHO_OK)
        return ortho_writer_commit(writer); /* now the file is there, whole */
    ortho_writer_abort(writer);
    return status;
}

/* The error of a layer of the file; negative when a call failed. */
static double error_of(const ortho_artifact *artifact, const char *name, float alpha,
                       const float *x, const double *wanted)
{
    const ortho_layer_options options = {.size = sizeof options, .device = ORTHO_DEVICE_CPU};
    ortho_layer *layer = NULL;
    ortho_layer_info info = {.size = sizeof info};
    static float y[M * N];
    double error = -1.0;
    if (ortho_layer_load(artifact, name, &options, &layer) == ORTHO_OK &&
        ortho_layer_set_alpha(layer, alpha) == ORTHO_OK &&
        ortho_layer_inspect(layer, &info) == ORTHO_OK &&
        ortho_layer_forward(layer, x, M, ORTHO_F32, y, NULL) == ORTHO_OK)
        error = relative_error(y, wanted);
    if (error < 0.0)
        fprintf(stderr, "%s\n", ortho_last_message());
    else
        printf("%-4s alpha %g: %5lld entries, %5zu bytes, served by %s: error %.2e\n", name,
               (double)alpha, (long long)info.nnz, info.bytes, info.variant, error);
    ortho_layer_free(layer);
    return error;
}

static int compare(const ortho_artifact *artifact, const float *x, const double *wanted)
{
    double base = error_of(artifact, "some", 0.0f, x, wanted); /* INT4 alone */
    double some = error_of(artifact, "some", 1.0f, x, wanted);
    double all = error_of(artifact, "all", 1.0f, x, wanted); /* every residual kept in fp16 */
    return all >= 0.0 && all < 1e-3 && some > all && some < base && base < 0.2;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "example.safetensors";
    static float w[N * K], x[M * K];
    static double wanted[M * N];
    ortho_artifact *artifact = NULL;
    unsigned state = 1;
    int good = 0;
    for (int i = 0; i < N * K; i++)
        w[i] = random_weight(&state);
    for (int i = 0; i < M * K; i++)
        x[i] = random_weight(&state);
    naive(x, w, wanted);
    if (ortho_check_version(ORTHO_VERSION) == ORTHO_OK && sieve_and_save(w, path) == ORTHO_OK &&
        ortho_artifact_open(path, &artifact) == ORTHO_OK)
        good = compare(artifact, x, wanted);
    else
        fprintf(stderr, "%s\n", ortho_last_message());
    ortho_artifact_close(artifact);
    if (argc <= 1)
        remove(path);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
