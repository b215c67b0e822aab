/* What a user of the installed library writes: sieve a small layer, run it, switch Ortho off. */
#include <ortho/ortho.h>
#include <stdio.h>

enum { N = 8, K = 64 };

static int report(const char *what)
{
    fprintf(stderr, "consumer: %s: %s\n", what, ortho_last_message());
    return 1;
}

static int forward(const ortho_layer *layer, float y[N])
{
    float x[K];
    for (int i = 0; i < K; i++)
        x[i] = 1.0f;
    return ortho_layer_forward(layer, x, 1, ORTHO_F32, y, NULL) == ORTHO_OK;
}

int main(void)
{
    float w[N * K], with[N], without[N];
    for (int i = 0; i < N * K; i++)
        w[i] = (float)((i * 37) % 101) / 101.0f - 0.5f;
    const ortho_matrix matrix = {.rows = N, .cols = K, .stride = K, .dtype = ORTHO_F32, .data = w};
    ortho_layer *layer = NULL;
    if (ortho_layer_sieve(&matrix, NULL, NULL, &layer) != ORTHO_OK)
        return report("sieve");
    if (!forward(layer, with) || ortho_layer_set_alpha(layer, 0.0f) != ORTHO_OK ||
        !forward(layer, without))
        return report("forward");
    ortho_layer_free(layer);
    printf("libortho %d: y[0] = %g, base alone %g\n", ortho_version(), with[0], without[0]);
    return 0;
}
