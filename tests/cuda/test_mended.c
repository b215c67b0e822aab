/*
 * Kernels that round weights to fp16 are told the rows which that would bring out of verification's
 * bound: such rows must come out as exact as all others, in every way that takes the call, and
 * nobody else's outputs may change.
 */
#include "rounded.h"
#include "served.h"
#include "variants/reference/oracle.h"

enum { N = 512, K = 3072, ROWS = 2, BAD = 4 };

static const int64_t bad_rows[ROWS] = {17, 511};
static linear spoilt;

/* Of all outputs, [m, N]. */
typedef struct truth {
    double *y, *magnitude;
} truth;

static truth truth_of(const uint16_t *x, int64_t m)
{
    const size_t bytes = (size_t)(m * N) * sizeof(double);
    truth t = {malloc(bytes), malloc(bytes)};
    assert_true(t.y != NULL && t.magnitude != NULL);
    const ortho_oracle_job job = {.split = &spoilt.split,
                                  .x = x,
                                  .dtype = ORTHO_F16,
                                  .m = m,
                                  .alpha = 1,
                                  .threads = 1,
                                  .y = t.y,
                                  .magnitude = t.magnitude};
    ok(ortho_oracle_gemm(&job));
    return t;
}

static void truth_free(truth *t)
{
    free(t->magnitude);
    free(t->y);
}

/* What verification allows an output (harness/verify_gemm.c). */
static double bound_of(double y, double magnitude)
{
    return 8 * sqrt(2.0 * K + 16) * 0x1p-24 * magnitude + 0x1p-11 * fabs(y) + 0x1p-25;
}

/* How many outputs of the bad rows rounding would bring out of the bound. */
static int count_needed(const uint16_t *x, int64_t m, const truth *t)
{
    static double w[K];
    int needed = 0;
    for (int r = 0; r < ROWS; r++) {
        rounded_row(&spoilt.split, bad_rows[r], w);
        for (int64_t token = 0; token < m; token++) {
            const int64_t at = token * N + bad_rows[r];
            double rounded = 0;
            for (int64_t c = 0; c < K; c++)
                rounded += w[c] * ortho_fp16_to_float(x[token * K + c]);
            needed += fabs(rounded - t->y[at]) > bound_of(t->y[at], t->magnitude[at]);
        }
    }
    return needed;
}

/* Large entries in a few rows: what their sums with Base lose in fp16 doesn't average out. In pairs
 * that cancel where x is the same (tie_x), or y would be so large that its own rounding hid that.
 */
static int setup(void **state)
{
    (void)state;
    spoilt = (linear){.split = split_make(N, K, 128, 0.01)};
    for (int i = 0; i < ROWS; i++)
        for (int e = 0; e < BAD; e++)
            spoilt.split.val[spoilt.split.row_ptr[bad_rows[i]] + e] =
                ortho_float_to_fp16(e % 2 == 0 ? 300.0f : -300.0f);
    spoilt.gpu = served(&spoilt.split);
    return 0;
}

static void tie_x(uint16_t *x, int64_t m)
{
    for (int64_t t = 0; t < m; t++)
        for (int i = 0; i < ROWS; i++)
            for (int e = 0; e < BAD; e += 2) {
                const int64_t at = spoilt.split.row_ptr[bad_rows[i]] + e;
                x[t * K + ortho_split_col(&spoilt.split, at + 1)] =
                    x[t * K + ortho_split_col(&spoilt.split, at)];
            }
}

static int teardown(void **state)
{
    (void)state;
    ortho_layer_free(spoilt.gpu);
    split_drop(&spoilt.split);
    return 0;
}

static void must_be_within(const char *way, const uint16_t *y, int64_t m, const truth *t)
{
    for (int64_t at = 0; at < m * N; at++) {
        const double got = ortho_fp16_to_float(y[at]), bound = bound_of(t->y[at], t->magnitude[at]);
        if (!(fabs(got - t->y[at]) <= bound))
            fail_msg("%s, %d tokens: y[%d, %d] is %g, not %g: %g off where %g may be", way, (int)m,
                     (int)(at / N), (int)(at % N), got, t->y[at], fabs(got - t->y[at]), bound);
    }
}

static void rows_are_mended_in(int way, const char *name, const void *x, int64_t m, const truth *t)
{
    const size_t bytes = (size_t)m * N * 2;
    void *y = device_copy(NULL, bytes), *workspace = way_workspace(spoilt.gpu, m);
    spoil_bytes(y, bytes);
    ok(forward_in_way(spoilt.gpu, x, m, way, y, workspace, NULL));
    cuda_ok(cudaDeviceSynchronize());
    uint16_t *got = fetched(y, bytes);
    must_be_within(name, got, m, t);
    free(got);
    cuda_ok(cudaFree(workspace));
    cuda_ok(cudaFree(y));
}

static void bad_rows_are_exact_with(int64_t m)
{
    uint16_t *host_x = activations(ORTHO_F16, m * K, 5, NULL);
    tie_x(host_x, m);
    void *x = device_copy(host_x, (size_t)(m * K * 2));
    truth t = truth_of(host_x, m);
    int taken = 0;
    assert_true(count_needed(host_x, m, &t) > 0); /* or nothing would be shown */
    for (int i = 1; i <= way_count(spoilt.gpu); i++) {
        const char *way = way_of_layer(spoilt.gpu, x, m, i);
        if (way == NULL)
            continue;
        rows_are_mended_in(i, way, x, m, &t);
        taken++;
    }
    print_message("  %d tokens: %d ways\n", (int)m, taken);
    assert_true(taken > 0 || served_name() == NULL);
    truth_free(&t);
    cuda_ok(cudaFree(x));
    free(host_x);
}

/* Few outputs are mended by the kernel itself, many by one behind it. */
static void bad_rows_are_exact(void **state)
{
    static const int64_t tokens[] = {12, 131, 2100};
    (void)state;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        bad_rows_are_exact_with(tokens[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_rows_are_exact)};
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, setup, teardown);
}
