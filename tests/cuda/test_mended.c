/*
 * Kernels that round weights to fp16 are told the rows which that would bring out of verification's
 * bound: such rows must come out as exact as all others, in every way that takes the call, and
 * nobody else's outputs may change.
 */
#include "common/half.h"
#include "served.h"

enum { N = 512, K = 3072, ROWS = 2, BAD = 4 };

static const int64_t bad_rows[ROWS] = {17, 511};
static linear spoilt;

/* What verification allows an output of a layer (harness/verify_gemm.c), its x in fp16. */
typedef struct truth {
    double y, bound, rounded; /* rounded: y of weights in fp16 */
} truth;

static double half_of(double v)
{
    return ortho_fp16_to_float(ortho_float_to_fp16((float)v));
}

static void exact_row(const ortho_split *s, int64_t row, double *base, double *ortho)
{
    for (int64_t c = 0; c < K; c++) {
        const int byte = s->q[row * (K / 2) + c / 2], q = ((byte >> (c % 2 * 4) & 15) ^ 8) - 8;
        base[c] = q * (double)ortho_fp16_to_float(s->scale[row * (K / 128) + c / 128]);
        ortho[c] = 0;
    }
    for (int64_t i = s->row_ptr[row]; i < s->row_ptr[row + 1]; i++)
        ortho[ortho_split_col(s, i)] = ortho_fp16_to_float(s->val[i]);
}

static truth truth_of(const double *base, const double *ortho, const uint16_t *x)
{
    truth t = {0};
    double magnitude = 0;
    for (int c = 0; c < K; c++) {
        const double v = ortho_fp16_to_float(x[c]);
        t.y += (base[c] + ortho[c]) * v;
        t.rounded += half_of(half_of(base[c]) + ortho[c]) * v;
        magnitude += (fabs(base[c]) + fabs(ortho[c])) * fabs(v);
    }
    t.bound = 8 * sqrt(2.0 * K + 16) * 0x1p-24 * magnitude + 0x1p-11 * fabs(t.y) + 0x1p-25;
    return t;
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

/* -> how many outputs rounding would have brought out of the bound. */
static int check_rows(const char *way, const uint16_t *x, const uint16_t *y, int64_t m)
{
    static double base[K], ortho[K];
    int needed = 0;
    for (int64_t row = 0; row < N; row += row == bad_rows[0] - 1 || row == 510 ? 1 : 7) {
        exact_row(&spoilt.split, row, base, ortho);
        for (int64_t t = 0; t < m; t++) {
            const truth is = truth_of(base, ortho, x + t * K);
            const double got = ortho_fp16_to_float(y[t * N + row]);
            if (!(fabs(got - is.y) <= is.bound))
                fail_msg("%s, %d tokens: y[%d, %d] is %g, not %g: %g off where %g may be", way,
                         (int)m, (int)t, (int)row, got, is.y, fabs(got - is.y), is.bound);
            needed += fabs(is.rounded - is.y) > is.bound;
        }
    }
    return needed;
}

static void rows_are_mended_in(int way, const char *name, const uint16_t *host_x, const void *x,
                               int64_t m)
{
    const size_t bytes = (size_t)m * N * 2;
    void *y = device_copy(NULL, bytes), *workspace = way_workspace(spoilt.gpu, m);
    spoil_bytes(y, bytes);
    ok(forward_in_way(spoilt.gpu, x, m, way, y, workspace, NULL));
    cuda_ok(cudaDeviceSynchronize());
    uint16_t *got = fetched(y, bytes);
    assert_true(check_rows(name, host_x, got, m) > 0); /* or nothing would be shown */
    free(got);
    cuda_ok(cudaFree(workspace));
    cuda_ok(cudaFree(y));
}

static void bad_rows_are_exact(void **state)
{
    const int64_t m = 131;
    uint16_t *host_x = activations(ORTHO_F16, m * K, 5, NULL);
    tie_x(host_x, m);
    void *x = device_copy(host_x, (size_t)(m * K * 2));
    const char *way;
    int taken = 0;
    (void)state;
    for (int i = 1; (way = way_of_layer(spoilt.gpu, x, m, i)) == NULL || way[0] != '\0'; i++)
        if (way != NULL) {
            rows_are_mended_in(i, way, host_x, x, m);
            taken++;
        }
    print_message("  %d ways\n", taken);
    assert_true(taken > 0 || served_name() == NULL);
    cuda_ok(cudaFree(x));
    free(host_x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bad_rows_are_exact)};
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, setup, teardown);
}
