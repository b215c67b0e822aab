/*
 * Whose memory it is, a layer on the CPU asks a driver that is loaded; that there was none at the
 * first forward must not be remembered for longer than that.
 *
 * usage: test_late_driver FILE, a library of the driver's name
 */
#include "testing.h"

#include <dlfcn.h>

enum { N = 8, K = 64 };

static const char *driver_path;

static ortho_status forward(const ortho_layer *layer)
{
    const float x[K] = {1};
    float y[N];
    return ortho_layer_forward(layer, x, 1, ORTHO_F32, y, NULL);
}

static void test_late_driver(void **state)
{
    (void)state;
    float *w = random_floats(N * K, 1);
    const ortho_matrix matrix = matrix_of(w, N, K);
    ortho_sieve_options options = options_of(0.1, ORTHO_RULE_OUTLIER, 0);
    ortho_layer *layer = NULL;
    options.device = ORTHO_DEVICE_CPU;
    must(ortho_layer_sieve(&matrix, NULL, &options, &layer));
    for (int i = 0; i < 2; i++)
        must(forward(layer));

    void *driver = dlopen(driver_path, RTLD_NOW | RTLD_LOCAL);
    if (driver == NULL)
        fail_msg("%s", dlerror());
    for (int i = 0; i < 2; i++)
        refused(forward(layer), ORTHO_E_ARGUMENT, "x is a GPU's memory");

    (void)dlclose(driver); /* it stays: libortho has found it */
    refused(forward(layer), ORTHO_E_ARGUMENT, "x is a GPU's memory");
    ortho_layer_free(layer);
    free(w);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    driver_path = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_late_driver)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
