/*
 * Linears that are more than what `fused` has room for at once: unpacked for cuBLAS in more than
 * one chunk, of more than 8192 columns (two windows of the packed form), of images that have more
 * entries than are sorted together; and with rows that don't fill a unit. And launches that count.
 */
#include "kernels/cuda/blas.h"
#include "rounded.h"
#include "served.h"

enum { TOKENS = 40, SOME = 4 };

/* Must there be the ways that this is about? */
static bool is_tested(void)
{
    return served_name() != NULL && has_all_ways();
}

typedef void check_fn(const linear *l, const char *x, const char *y);

/* Against the CPU's layer, some tokens of each end: where entries are few. */
static void check_exact(const linear *l, const char *x, const char *y)
{
    const int64_t n = l->split.n, k = l->split.k, last = TOKENS - SOME;
    must_be_near(l, x, SOME, ORTHO_F16, 1.0f, y);
    must_be_near(l, x + last * k * 2, SOME, ORTHO_F16, 1.0f, y + last * n * 2);
}

/* Against weights that are rounded as the kernel's are, which nothing is left of but the sums'
 * errors: where entries are so many that rounding all of them shows. */
static void check_rounded(const linear *l, const char *x, const char *y)
{
    const int64_t n = l->split.n, k = l->split.k;
    double *w = malloc((size_t)k * sizeof *w);
    assert_non_null(w);
    for (int64_t row = 0; row < n; row++) {
        rounded_row(&l->split, row, w);
        for (int64_t token = 0; token < TOKENS; token++) {
            double sum = 0, magnitude = 0;
            for (int64_t c = 0; c < k; c++) {
                const double term = w[c] * ortho_dtype_load(ORTHO_F16, x, token * k + c);
                sum += term;
                magnitude += fabs(term);
            }
            const double got = ortho_dtype_load(ORTHO_F16, y, token * n + row);
            if (!(fabs(got - sum) <= 0x1p-11 * fabs(sum) + 0x1p-19 * magnitude))
                fail_msg("%d x %d: y[%d, %d] is %g, not %g", (int)n, (int)k, (int)token, (int)row,
                         got, sum);
        }
    }
    free(w);
}

static void must_be_right_in(int way, const linear *l, const char *host_x, const void *x,
                             check_fn *check)
{
    const size_t bytes = (size_t)(TOKENS * l->split.n * 2);
    void *y = device_copy(NULL, bytes), *workspace = way_workspace(l->gpu, TOKENS);
    spoil_bytes(y, bytes);
    ok(forward_in_way(l->gpu, x, TOKENS, way, y, workspace, NULL));
    cuda_ok(cudaDeviceSynchronize());
    char *got = fetched(y, bytes);
    check(l, host_x, got);
    free(got);
    cuda_ok(cudaFree(workspace));
    cuda_ok(cudaFree(y));
}

/* In all ways whose names begin so; returns how many could take the call. */
static int must_be_right(int64_t n, int64_t k, double density, const char *prefix, check_fn *check)
{
    linear l = linear_open(n, k, density);
    char *host_x = activations(ORTHO_F16, TOKENS * k, 3, NULL);
    void *x = device_copy(host_x, (size_t)(TOKENS * k * 2));
    int taken = 0;
    for (int i = 1; i <= way_count(l.gpu); i++) {
        const char *way = way_of_layer(l.gpu, x, TOKENS, i);
        if (way == NULL || strncmp(way, prefix, strlen(prefix)) != 0)
            continue;
        must_be_right_in(i, &l, host_x, x, check);
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
    const int taken = must_be_right(12284, 3072, 0.01, "cublas", check_exact) +
                      must_be_right(4096, 10240, 0.002, "cublas", check_exact) +
                      must_be_right(300, 3072, 0.05, "cublas", check_exact); /* one chunk */
    const int others = must_be_right(12284, 3072, 0.01, "once", check_exact) +
                       must_be_right(4096, 10240, 0.002, "once", check_exact);
    assert_true(!is_tested() || others == 6);
    if (!is_tested() || ortho_cublas_supports(&services) != ORTHO_OK)
        print_message("skipped: there is no cuBLAS, or the variant isn't built for this GPU\n");
    else
        assert_int_equal(taken, 3);
}

/* Of all weights; of so many that an image at a time is sorted; in two windows. */
static void crowds_are_right(void **state)
{
    (void)state;
    const int whole = must_be_right(300, 3072, 1, "wgmma", check_rounded),
              most = must_be_right(200, 2944, 0.5, "wgmma", check_rounded),
              windows = must_be_right(130, 10240, 0.3, "wgmma", check_rounded);
    const int once = must_be_right(300, 3072, 1, "once", check_rounded) +
                     must_be_right(200, 2944, 0.5, "once", check_rounded) +
                     must_be_right(130, 10240, 0.3, "once", check_rounded);
    print_message("  %d, %d, %d ways, %d once\n", whole, most, windows, once);
    assert_true(!is_tested() || (whole > 0 && most > 0 && windows > 0 && once > 0));
}

enum { WORKSPACES = 7, ROUNDS = 3, MOST_TOKENS = 1100 };

/* The first way whose name begins with "once"; 0 if there is none. */
static int first_once(const linear *l, const void *x)
{
    for (int i = 1; i <= way_count(l->gpu); i++) {
        const char *way = way_of_layer(l->gpu, x, TOKENS, i);
        if (way != NULL && strncmp(way, "once", 4) == 0)
            return i;
    }
    return 0;
}

/* Launches count in sets of counters, or in the workspace once there are more workspaces than sets;
 * whichever tiles, tokens and workspace came before, and whatever stands there, y is the same. */
static void launches_follow_each_other(void **state)
{
    static const int64_t tokens[] = {MOST_TOKENS, 40, 300};
    linear l = linear_open(1000, 2560, 0.02);
    char *host_x = activations(ORTHO_F16, MOST_TOKENS * l.split.k, 3, NULL);
    const size_t bytes = (size_t)(MOST_TOKENS * l.split.n * 2);
    void *x = device_copy(host_x, (size_t)(MOST_TOKENS * l.split.k * 2));
    void *y = device_copy(NULL, bytes), *workspace[WORKSPACES];
    const int first = first_once(&l, x);
    char *want = NULL;
    (void)state;
    assert_true(!is_tested() || first > 0);
    for (int i = 0; i < WORKSPACES; i++) {
        workspace[i] = way_workspace(l.gpu, MOST_TOKENS);
        if (first > 0) /* else it may be nothing */
            spoil_bytes(workspace[i], 4096);
    }
    for (int i = 0; first > 0 && i < ROUNDS * WORKSPACES * 3; i++) {
        const int64_t m = tokens[i / 2 % 3];
        spoil_bytes(y, bytes);
        ok(forward_in_way(l.gpu, x, m, first + i % 3, y, workspace[i % WORKSPACES], NULL));
        cuda_ok(cudaDeviceSynchronize());
        char *got = fetched(y, (size_t)(m * l.split.n * 2));
        if (want == NULL)
            want = got; /* of the most tokens */
        else {
            assert_memory_equal(got, want, (size_t)(m * l.split.n * 2));
            free(got);
        }
    }
    if (want != NULL)
        must_be_near(&l, host_x, SOME, ORTHO_F16, 1.0f, want);
    free(want);
    for (int i = 0; i < WORKSPACES; i++)
        cuda_ok(cudaFree(workspace[i]));
    cuda_ok(cudaFree(y));
    cuda_ok(cudaFree(x));
    free(host_x);
    linear_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chunks_are_right),
                                       cmocka_unit_test(crowds_are_right),
                                       cmocka_unit_test(launches_follow_each_other)};
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, NULL, NULL);
}
