/*
 * The ways of `fused` on the CPU: each that can take a call gives the product, on every level and
 * with any number of threads, within its workspace; each that can't is refused in words, and
 * nothing is written.
 */
#include "tests/unit/fused_cpu.h"
#include "variants/tuned.h"

enum { ROWS = 1, PANEL = 2, GUARD = 64 };

/* y [m, n] in fp64, and into `size` what its terms add up to without their signs. */
static double *product_of(const ortho_split *s, const input *in, double *size)
{
    int64_t groups = (s->k + s->group - 1) / s->group;
    double *y = make((size_t)(in->m * s->n) * sizeof(double));
    for (int64_t i = 0; i < in->m * s->n; i++) {
        int64_t t = i / s->n, r = i % s->n;
        size[i] = 0;
        for (int64_t c = 0; c < s->k; c++) {
            int q = s->q[r * ((s->k + 1) / 2) + c / 2] >> (4 * (c % 2)) & 15;
            double scale = (double)ortho_fp16_to_float(s->scale[r * groups + c / s->group]);
            double x = (double)ortho_dtype_load(in->dtype, in->x, t * s->k + c);
            y[i] += x * scale * (double)((q ^ 8) - 8);
            size[i] += fabs(x * scale * (double)((q ^ 8) - 8));
        }
        for (int64_t e = s->row_ptr[r]; e < s->row_ptr[r + 1]; e++) {
            double x = (double)ortho_dtype_load(in->dtype, in->x, t * s->k + ortho_split_col(s, e));
            y[i] += (double)in->alpha * x * (double)ortho_fp16_to_float(s->val[e]);
            size[i] += fabs(x * (double)ortho_fp16_to_float(s->val[e]));
        }
    }
    return y;
}

static ortho_status run_way(void *state, const input *in, int way, void *y)
{
    size_t bytes = hooks()->workspace(state, in->m, in->dtype);
    char *workspace = make(bytes + GUARD), guard[GUARD];
    memset(guard, 0x5a, GUARD);
    memset(workspace, 0xff, bytes);
    memcpy(workspace + bytes, guard, GUARD);
    ortho_gemm_call call = call_of(in, workspace, y);
    call.way = way;
    ortho_status status = hooks()->run(state, &call);
    assert_memory_equal(workspace + bytes, guard, GUARD);
    free(workspace);
    return status;
}

static int way_of(const void *state, int64_t m, int asked)
{
    return hooks()->way(state, &(ortho_gemm_call){.dtype = ORTHO_F32, .m = m, .way = asked});
}

static void check_product(const ortho_split *s, const input *in, int way)
{
    void *state = state_make(s, in->m, in->threads);
    float *y = make((size_t)(in->m * s->n) * sizeof(float));
    double *size = make((size_t)(in->m * s->n) * sizeof(double));
    double *truth = product_of(s, in, size);
    assert_int_equal(way_of(state, in->m, way), way);
    assert_int_equal(run_way(state, in, way, y), ORTHO_OK);
    for (int64_t i = 0; i < in->m * s->n; i++)
        if (!(fabs((double)y[i] - truth[i]) <= 1e-5 * size[i]))
            fail_msg("way %d, %lld tokens, element %lld: %g, not %g", way, (long long)in->m,
                     (long long)i, (double)y[i], truth[i]);
    free(truth);
    free(size);
    free(y);
    state_free(state);
}

static void every_way_gives_the_product(void **unused)
{
    (void)unused;
    static const int64_t tokens[] = {1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 200};
    ortho_split s = split_make(16 * 5 + 3, 333, 128, 20, 3);
    for (int l = 0; l < 3; l++)
        for (int i = 0; i < 11; i++)
            for (int threads = 1; threads <= 3; threads += 2) {
                input in = input_make(tokens[i], s.k, ORTHO_F32, 5);
                in.threads = threads;
                setenv("ORTHO_CPU", levels[l], 1);
                check_product(&s, &in, ROWS);
                if (tokens[i] > 1)
                    check_product(&s, &in, PANEL);
                free(in.x);
            }
    unsetenv("ORTHO_CPU");
    split_free(&s);
}

static void a_way_that_cannot_is_refused(void **unused)
{
    (void)unused;
    static const struct {
        int64_t m;
        int way;
        ortho_activation_mode activations;
        const char *words;
    } cases[] = {{1, PANEL, ORTHO_ACTIVATIONS_EXACT, "way 2 (panel) can't take 1 tokens"},
                 {8, PANEL, ORTHO_ACTIVATIONS_INT8, "way 2 (panel) can't take 8 tokens"},
                 {8, 3, ORTHO_ACTIVATIONS_EXACT, "way 3 (?) can't take 8 tokens"},
                 {8, -1, ORTHO_ACTIVATIONS_EXACT, "way -1 (?) can't take 8 tokens"}};
    ortho_split s = split_make(32, 64, 32, 5, 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        input in = input_make(cases[i].m, s.k, ORTHO_F32, 5);
        void *state = state_make_for(&s, in.m, 1, cases[i].activations);
        size_t bytes = (size_t)(in.m * s.n) * sizeof(float);
        unsigned char *y = make(bytes);
        memset(y, 0x5a, bytes);
        assert_int_equal(way_of(state, in.m, cases[i].way), 0);
        assert_int_equal(run_way(state, &in, cases[i].way, y), ORTHO_E_UNSUPPORTED);
        if (strstr(ortho_last_message(), cases[i].words) == NULL)
            fail_msg("'%s' lacks '%s'", ortho_last_message(), cases[i].words);
        for (size_t b = 0; b < bytes; b++)
            assert_int_equal(y[b], 0x5a);
        free(y);
        state_free(state);
        free(in.x);
    }
    split_free(&s);
}

/* q by rows, k by panels, v as it likes: y of each is what it alone would give. */
static void calls_of_a_group_go_each_its_way(void **unused)
{
    (void)unused;
    enum { LINEARS = 3, M = 6 };
    ortho_split s[LINEARS];
    void *states[LINEARS];
    ortho_gemm_call calls[LINEARS];
    float *y[LINEARS], *alone = make(M * 128 * sizeof(float));
    input in = input_make(M, 200, ORTHO_F32, 9);
    in.threads = 2;
    for (int i = 0; i < LINEARS; i++) {
        s[i] = split_make(48 + 16 * i, 200, 64, 10, (uint64_t)i + 1);
        states[i] = state_make(&s[i], M, 2);
        y[i] = make((size_t)(M * s[i].n) * sizeof(float));
        calls[i] = (ortho_gemm_call){.x = in.x,
                                     .y = y[i],
                                     .dtype = ORTHO_F32,
                                     .m = M,
                                     .alpha = 1,
                                     .workspace = make(hooks()->workspace(states[i], M, ORTHO_F32)),
                                     .threads = 2,
                                     .way = i == 0   ? ROWS
                                            : i == 1 ? PANEL
                                                     : 0};
    }
    assert_int_equal(hooks()->run_group((const void *const *)states, calls, LINEARS), ORTHO_OK);
    for (int i = 0; i < LINEARS; i++) {
        assert_int_equal(run_way(states[i], &in, calls[i].way, alone), ORTHO_OK);
        assert_memory_equal(y[i], alone, (size_t)(M * s[i].n) * sizeof(float));
    }
    calls[2].way = 9;
    assert_int_equal(hooks()->run_group((const void *const *)states, calls, LINEARS),
                     ORTHO_E_UNSUPPORTED);
    for (int i = 0; i < LINEARS; i++) {
        free(calls[i].workspace);
        free(y[i]);
        state_free(states[i]);
        split_free(&s[i]);
    }
    free(alone);
    free(in.x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_the_product),
        cmocka_unit_test(a_way_that_cannot_is_refused),
        cmocka_unit_test(calls_of_a_group_go_each_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
