/*
 * Linears that are more than what `fused` has room for at once: unpacked for cuBLAS in more than
 * one chunk, of more than 8192 columns (two windows of the packed form), of images that have more
 * entries than are sorted together; and with rows that don't fill a unit.
 */
#include "kernels/cuda/blas.h"
#include "served.h"

enum { TOKENS = 40, SOME = 4 };

static void must_be_right_in(int way, const linear *l, const char *host_x, const void *x)
{
    const int64_t n = l->split.n, k = l->split.k, last = TOKENS - SOME;
    const size_t bytes = (size_t)(TOKENS * n * 2);
    void *y = device_copy(NULL, bytes), *workspace = way_workspace(l->gpu, TOKENS);
    spoil_bytes(y, bytes);
    ok(forward_in_way(l->gpu, x, TOKENS, way, y, workspace, NULL));
    cuda_ok(cudaDeviceSynchronize());
    char *got = fetched(y, bytes);
    must_be_near(l, host_x, SOME, ORTHO_F16, 1.0f, got);
    must_be_near(l, host_x + last * k * 2, SOME, ORTHO_F16, 1.0f, got + last * n * 2);
    free(got);
    cuda_ok(cudaFree(workspace));
    cuda_ok(cudaFree(y));
}

/* In all ways whose names begin so; returns how many could take the call. */
static int must_be_right(int64_t n, int64_t k, double density, const char *prefix)
{
    linear l = linear_open(n, k, density);
    char *host_x = activations(ORTHO_F16, TOKENS * k, 3, NULL);
    void *x = device_copy(host_x, (size_t)(TOKENS * k * 2));
    int taken = 0;
    for (int i = 1; i <= way_count(l.gpu); i++) {
        const char *way = way_of_layer(l.gpu, x, TOKENS, i);
        if (way == NULL || strncmp(way, prefix, strlen(prefix)) != 0)
            continue;
        must_be_right_in(i, &l, host_x, x);
        taken++;
    }
    cuda_ok(cudaFree(x));
    free(host_x);
    linear_close(&l);
    return taken;
}

static void chunks_are_right(void **state)
{
    const ortho_services services = ortho_services_default();
    (void)state;
    const int taken = must_be_right(12284, 3072, 0.01, "cublas") +
                      must_be_right(4096, 10240, 0.002, "cublas") +
                      must_be_right(300, 3072, 0.05, "cublas"); /* one chunk */
    if (served_name() == NULL || ortho_cublas_supports(&services) != ORTHO_OK)
        print_message("skipped: there is no cuBLAS, or the variant isn't built\n");
    else
        assert_int_equal(taken, 3);
}

/* Of all weights; of so many that an image at a time is sorted; in two windows. */
static void crowds_are_right(void **state)
{
    (void)state;
    const int whole = must_be_right(300, 3072, 1, "wgmma"),
              most = must_be_right(200, 2944, 0.5, "wgmma"),
              windows = must_be_right(130, 10240, 0.3, "wgmma");
    print_message("  %d, %d, %d ways\n", whole, most, windows);
    assert_true(served_name() == NULL || (whole > 0 && most > 0 && windows > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chunks_are_right),
                                       cmocka_unit_test(crowds_are_right)};
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, NULL, NULL);
}
