/*
 * Linears that `fused` unpacks for cuBLAS in more than one chunk, of more than 8192 columns (two
 * windows of the packed form), and with rows that don't fill a unit.
 */
#include "kernels/cuda/blas.h"
#include "served.h"

enum { TOKENS = 40, SOME = 4 };

/* -> 0 where no way has that name, or it can't take the call. */
static int way_named(const ortho_layer *layer, const void *x, const char *name)
{
    for (int i = 1; i <= way_count(layer); i++) {
        const char *way = way_of_layer(layer, x, TOKENS, i);
        if (way != NULL && strcmp(way, name) == 0)
            return i;
    }
    return 0;
}

static void must_be_right(int64_t n, int64_t k, double density)
{
    linear l = linear_open(n, k, density);
    const size_t x_bytes = (size_t)(TOKENS * k * 2), y_bytes = (size_t)(TOKENS * n * 2);
    char *host_x = activations(ORTHO_F16, TOKENS * k, 3, NULL);
    void *x = device_copy(host_x, x_bytes), *y = device_copy(NULL, y_bytes);
    const int way = way_named(l.gpu, x, "cublas");
    if (way == 0) {
        const ortho_services services = ortho_services_default();
        if (served_name() != NULL && ortho_cublas_supports(&services) == ORTHO_OK)
            fail_msg("%d x %d isn't unpacked, though cuBLAS is there", (int)n, (int)k);
        print_message("skipped: there is no cuBLAS, or the variant isn't built\n");
    } else {
        void *workspace = way_workspace(l.gpu, TOKENS);
        spoil_bytes(y, y_bytes);
        ok(forward_in_way(l.gpu, x, TOKENS, way, y, workspace, NULL));
        cuda_ok(cudaDeviceSynchronize());
        char *got = fetched(y, y_bytes);
        const int64_t last = TOKENS - SOME;
        must_be_near(&l, host_x, SOME, ORTHO_F16, 1.0f, got);
        must_be_near(&l, host_x + last * k * 2, SOME, ORTHO_F16, 1.0f, got + last * n * 2);
        free(got);
        cuda_ok(cudaFree(workspace));
    }
    cuda_ok(cudaFree(y));
    cuda_ok(cudaFree(x));
    free(host_x);
    linear_close(&l);
}

static void chunks_are_right(void **state)
{
    (void)state;
    must_be_right(12284, 3072, 0.01);
    must_be_right(4096, 10240, 0.002);
    must_be_right(300, 3072, 0.05); /* one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chunks_are_right)};
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, NULL, NULL);
}
