/*
 * Decoding with libortho: the linears of a small block, first as groups that share x, with the
 * user's own work between them, then as one pass. Built against the static and the shared library,
 * with nothing but <ortho/ortho.h>.
 */
#include <ortho/ortho.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 128, KV = 32, INNER = 352, LINEARS = 7 };
enum { Q, K, V, O, GATE, UP, DOWN };

static const int64_t rows[LINEARS] = {WIDTH, KV, KV, WIDTH, INNER, INNER, WIDTH};
static const int64_t columns[LINEARS] = {WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, INNER};

static float random_value(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 16777216.0f - 0.5f;
}

static ortho_status sieve(unsigned seed, int64_t n, int64_t k, ortho_layer **out)
{
    float *weights = malloc((size_t)(n * k) * sizeof *weights);
    const ortho_matrix w = {.rows = n, .cols = k, .stride = k, .dtype = ORTHO_F32, .data = weights};
    ortho_status status = ORTHO_E_MEMORY;
    for (int64_t i = 0; weights != NULL && i < n * k; i++)
        weights[i] = random_value(&seed) * 4.0f / sqrtf((float)k);
    if (weights != NULL)
        status = ortho_layer_sieve(&w, NULL, NULL, out);
    free(weights);
    return status;
}

/* q, k and v of one token, each into memory of its own, here side by side. */
static ortho_status project(ortho_layer *const layer[LINEARS], const float *x, float *qkv)
{
    const ortho_layer *layers[] = {layer[Q], layer[K], layer[V]};
    void *y[] = {qkv, qkv + WIDTH, qkv + WIDTH + KV};
    return ortho_group_forward(layers, 3, x, 1, ORTHO_F32, y, NULL);
}

/* Where the outputs of a pass lie: q | k | v | o | gate | up | down. */
enum {
    AT_O = WIDTH + 2 * KV,
    AT_GATE = AT_O + WIDTH,
    AT_UP = AT_GATE + INNER,
    AT_DOWN = AT_UP + INNER,
    OUTPUTS = AT_DOWN + WIDTH
};

static ortho_status make_pass(ortho_layer *const layer[LINEARS], ortho_pass **out)
{
    const ortho_pass_step steps[LINEARS] = {
        {layer[Q], -1, 1.0f},           /* of the pass's x */
        {layer[K], -1, 1.0f},           /* of the pass's x */
        {layer[V], -1, 1.0f},           /* of the pass's x */
        {layer[O], AT_O - WIDTH, 0.5f}, /* of the last outputs before it */
        {layer[GATE], AT_O, 1.0f},      /* of o's */
        {layer[UP], AT_O, 1.0f},        /* of o's */
        {layer[DOWN], AT_UP, 0.25f},    /* of up's */
    };
    return ortho_pass_create(steps, LINEARS, ORTHO_F32, out);
}

static ortho_status compare(ortho_layer *const layer[LINEARS], const ortho_pass *pass, bool *same)
{
    float x[WIDTH], y[OUTPUTS], qkv[WIDTH + 2 * KV];
    double size = 0.0;
    unsigned seed = 99;
    for (int i = 0; i < WIDTH; i++)
        x[i] = random_value(&seed);
    ortho_status status = project(layer, x, qkv);
    if (status == ORTHO_OK)
        status = ortho_pass_forward(pass, x, y, NULL);
    if (status != ORTHO_OK)
        return status;
    *same = true;
    for (int i = 0; i < AT_O; i++)
        *same = *same && fabsf(y[i] - qkv[i]) < 1e-5f;
    for (int i = AT_DOWN; i < OUTPUTS; i++)
        size += (double)y[i] * (double)y[i];
    printf("q, k and v of the group and of the pass agree: %s; rms of down's outputs: %.3f\n",
           *same ? "yes" : "no", sqrt(size / WIDTH));
    *same = *same && size > 0.0;
    return ORTHO_OK;
}

int main(void)
{
    ortho_layer *layer[LINEARS] = {NULL};
    ortho_pass *pass = NULL;
    ortho_status status = ORTHO_OK;
    bool same = false;
    for (int i = 0; i < LINEARS && status == ORTHO_OK; i++)
        status = sieve((unsigned)i + 1, rows[i], columns[i], &layer[i]);
    if (status == ORTHO_OK)
        status = make_pass(layer, &pass);
    if (status == ORTHO_OK)
        status = compare(layer, pass, &same);
    if (status != ORTHO_OK)
        fprintf(stderr, "%s: %s\n", ortho_status_name(status), ortho_last_message());
    ortho_pass_free(pass); /* before its layers */
    for (int i = 0; i < LINEARS; i++)
        ortho_layer_free(layer[i]);
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}
