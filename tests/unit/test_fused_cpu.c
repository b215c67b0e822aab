/*
 * What `fused` on the CPU promises besides its products (test_gemm.c, test_fused_products.c):
 * activations are integers exactly or not at all, y doesn't depend on threads, tokens that need
 * fp32 don't touch others, linears that share x and chains give what each linear alone gives.
 */
#include "tests/unit/fused_cpu.h"
#include "variants/fused/levels.h"

/* ---- digits --------------------------------------------------------------------------------- */

static const ortho_fused_level *level_of(int i)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (i == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &ortho_fused_level_avx2;
    if (i == 2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"))
        return &ortho_fused_level_avx512;
#endif
    return i == 0 ? &ortho_fused_level_portable : NULL;
}

/* The planes that a level makes of 24 values, whose last 3 are `rest` and the others `value`; that
 * they are the values exactly, and the starts of sums what they should be. */
static int planes_of(const ortho_fused_level *level, float value, float rest)
{
    float x[24];
    int8_t digits[4 * 24];
    ortho_fused_range range;
    ortho_fused_segment segment = {.columns = 24, .chunks = 3};
    const ortho_fused_packed packed = {.segments = 1, .segment = &segment};
    for (int i = 0; i < 24; i++)
        x[i] = i < 21 ? value : i % 2 == 0 ? rest : -rest;
    level->digits(&packed, &(ortho_fused_x){.padded = x, .digits = digits, .range = &range});
    for (int i = 0; i < 24 && range.planes > 0; i++) {
        double sum = 0;
        for (int p = range.planes - 1; p >= 0; p--)
            sum = sum * 256 + digits[p * 24 + i];
        assert_true(sum * (double)range.unit == (double)x[i]);
    }
    for (int p = 0; p < range.planes; p++) {
        int32_t sum = 0;
        for (int i = 0; i < 24; i++)
            sum += digits[p * 24 + i];
        assert_int_equal(range.start[p], -8 * sum);
    }
    return range.planes;
}

static void activations_are_integers_exactly_or_not_at_all(void **unused)
{
    (void)unused;
    static const struct {
        float value, rest;
        int planes;
    } cases[] = {
        {0, 0, 0},
        {-0.0f, 0, 0},
        {1, 0, 1},
        {-127, 1, 1},
        {128, 1, 2},  /* a digit is at most 127 */
        {-128, 1, 2}, /* and that goes for both signs here */
        {32639, 1, 2},
        {32640, 1, 3},
        {8355711, 1, 3},
        {8355712, 1, 4},
        {0x1.fep29f, 1, 4},
        {0x1p30f, 1, ORTHO_FUSED_PLAIN},
        {1, 0x1p-29f, 4},
        {1, 0x1p-30f, ORTHO_FUSED_PLAIN},
        {0x1.fcp0f, 0x1.82p-15f, 3}, /* bf16 over 2^15 */
        {0x1.fep0f, 0x1.82p-16f, 4},
        {0x1.fffffep0f, 0x1p-6f, 4}, /* fp32: 24 bits and 6 */
        {0x1.fffffep0f, 0x1.000002p-7f, ORTHO_FUSED_PLAIN},
        {0x1p-96f, 0x1p-99f, 1},
        {0x1p-97f, 0x1p-99f, ORTHO_FUSED_PLAIN}, /* its unit could be no normal number */
        {0x1p-140f, 0x1p-149f, ORTHO_FUSED_PLAIN},
        {0x1p126f, 0x1p120f, 1},
        {0x1p126f, 0x1p-149f, ORTHO_FUSED_PLAIN},
        {0x1p127f, 1, ORTHO_FUSED_PLAIN},
        {INFINITY, 1, ORTHO_FUSED_PLAIN},
        {1, NAN, ORTHO_FUSED_PLAIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int l = 1; l < 3; l++) {
            int planes =
                level_of(l) == NULL ? 0 : planes_of(level_of(l), cases[i].value, cases[i].rest);
            if (level_of(l) != NULL && planes != cases[i].planes)
                fail_msg("%s: %a and %a have %d planes, not %d", levels[l], (double)cases[i].value,
                         (double)cases[i].rest, planes, cases[i].planes);
        }
    assert_int_equal(planes_of(level_of(0), 1, 1), ORTHO_FUSED_PLAIN);
}

/* ---- threads, tokens ------------------------------------------------------------------------ */

static void y_is_the_same_with_any_number_of_threads(void **unused)
{
    (void)unused;
    const int64_t tokens[] = {1, 2, 4, 5, 16, 35, 200};
    const int threads[] = {1, 2, 3, 5, 40};
    ortho_split s = split_make(16 * 21 + 5, 200, 64, 20, 3);
    for (int i = 0; i < 21; i++) {
        input in = input_make(tokens[i / 3], s.k, ORTHO_BF16, 4);
        size_t bytes = (size_t)(in.m * s.n) * 2;
        setenv("ORTHO_CPU", levels[i % 3], 1);
        void *first = run_once(&s, &in);
        for (int t = 0; t < 5; t++) {
            in.threads = threads[t];
            void *y = run_once(&s, &in);
            assert_memory_equal(y, first, bytes);
            free(y);
        }
        free(first);
        free(in.x);
    }
    split_free(&s);
    unsetenv("ORTHO_CPU");
}

/* Token by token: what stands in fp32 beside digits, zeros and NaN gives what it gives alone, among
 * few tokens and many. */
static void tokens_do_not_touch_each_other(void **unused)
{
    (void)unused;
    ortho_split s = split_make(150, 300, 128, 20, 5);
    for (int i = 0; i < 6; i++) {
        input in = input_make(i < 3 ? 4 : 12, s.k, ORTHO_F32, 6), one = in;
        float *x = in.x;
        for (int64_t c = 0; c < s.k; c++) {
            x[c] = (float)(c % 200) - 100;    /* digits */
            x[2 * s.k + c] = c < 150 ? 0 : 2; /* zeros in the first segment */
            x[3 * s.k + c] *= 1 + 0x1p-20f;   /* fp32 */
        }
        x[s.k + 7] = NAN;
        setenv("ORTHO_CPU", levels[i % 3], 1);
        float *y = run_once(&s, &in);
        one.m = 1;
        for (int t = 0; t < 4; t++) {
            one.x = x + t * s.k;
            float *alone = run_once(&s, &one);
            for (int64_t r = 0; t != 1 && r < s.n; r++)
                assert_true(fabsf(y[t * s.n + r] - alone[r]) <= 1e-4f * (1 + fabsf(alone[r])));
            for (int64_t r = 0; t == 1 && r < s.n; r++)
                assert_true(isnan(y[s.n + r]) && isnan(alone[r]));
            free(alone);
        }
        free(y);
        free(in.x);
    }
    split_free(&s);
    unsetenv("ORTHO_CPU");
}

/* Many tokens are cut into batches and tiles: not seen in any token's y. */
static void a_token_has_the_same_y_in_any_batch(void **unused)
{
    (void)unused;
    ortho_split s = split_make(100, 300, 64, 20, 10);
    size_t row = (size_t)s.n * sizeof(float), x_row = (size_t)s.k * sizeof(float);
    for (int i = 0; i < 3; i++) {
        setenv("ORTHO_CPU", levels[i], 1);
        input all = input_make(200, s.k, ORTHO_F32, 11), some = all;
        char *y = run_once(&s, &all);
        for (int64_t first = 0; first + 15 <= all.m; first += some.m) {
            some.m = 9 + first % 7;
            some.x = (char *)all.x + (size_t)first * x_row;
            char *same = run_once(&s, &some);
            assert_memory_equal(same, y + (size_t)first * row, (size_t)some.m * row);
            free(same);
        }
        free(y);
        free(all.x);
    }
    split_free(&s);
    unsetenv("ORTHO_CPU");
}

/* Whoever cuts a batch into pieces has one workspace for all of them, the last one included. */
static void a_workspace_is_enough_for_fewer_tokens(void **unused)
{
    (void)unused;
    ortho_split s = split_make(33, 400, 32, 0, 12);
    for (int i = 0; i < 12; i++) {
        const int64_t tokens[] = {17, 193, 400, 4096};
        int64_t most = tokens[i / 3];
        setenv("ORTHO_CPU", levels[i % 3], 1);
        for (int int8 = 0; int8 < 2; int8++) {
            ortho_activation_mode mode = int8 ? ORTHO_ACTIVATIONS_INT8 : ORTHO_ACTIVATIONS_EXACT;
            void *state = state_make_for(&s, most, 40, mode);
            for (int64_t m = 1; m < most; m++)
                assert_true(hooks()->workspace(state, m, ORTHO_F32) <=
                            hooks()->workspace(state, most, ORTHO_F32));
            state_free(state);
        }
    }
    split_free(&s);
    unsetenv("ORTHO_CPU");
}

/* ---- several linears ------------------------------------------------------------------------ */

#define LINEARS 4

/* Three that share k and one group, one that doesn't; each y is what a run of its own gives. */
static void a_group_gives_what_each_alone_gives(void **unused)
{
    (void)unused;
    const int64_t rows[] = {130, 40, 40, 70}, groups[] = {64, 64, 64, 50};
    for (int i = 0; i < 9; i++) {
        input in = input_make(i / 3 == 0 ? 1 : i / 3 == 1 ? 3 : 18, 200, ORTHO_BF16, 7);
        ortho_gemm_call calls[LINEARS];
        const void *states[LINEARS];
        ortho_split splits[LINEARS];
        setenv("ORTHO_CPU", levels[i % 3], 1);
        in.threads = 2;
        for (int l = 0; l < LINEARS; l++) {
            splits[l] = split_make(rows[l], 200, groups[l], l * 10, 8 + (uint64_t)l);
            states[l] = state_make(splits + l, in.m, in.threads);
            calls[l] =
                (ortho_gemm_call){.x = in.x,
                                  .y = make((size_t)(in.m * rows[l]) * 2),
                                  .dtype = in.dtype,
                                  .m = in.m,
                                  .alpha = l == 3 ? 0.5f : 1,
                                  .workspace = make(hooks()->workspace(states[l], in.m, in.dtype)),
                                  .threads = in.threads};
        }
        assert_int_equal(hooks()->run_group(states, calls, LINEARS), ORTHO_OK);
        for (int l = 0; l < LINEARS; l++) {
            void *alone = make((size_t)(in.m * rows[l]) * 2);
            in.alpha = calls[l].alpha;
            run_into(states[l], &in, alone);
            assert_memory_equal(calls[l].y, alone, (size_t)(in.m * rows[l]) * 2);
            free(alone);
            free(calls[l].y);
            free(calls[l].workspace);
            state_free((void *)(uintptr_t)states[l]);
            split_free(splits + l);
        }
        free(in.x);
    }
    unsetenv("ORTHO_CPU");
}

#define STEPS 7

/* Two of 64 x 48 over x, three more over the first's y, one over the last two's, one over x again:
 * more than may run between barriers, and ranges that begin within an output. */
static const ortho_chain_step plan[STEPS] = {
    {.n = 64, .k = 48, .x_at = -1, .scale = 1},  {.n = 64, .k = 48, .x_at = -1, .scale = 0.5f},
    {.n = 80, .k = 64, .x_at = 0, .scale = 2},   {.n = 80, .k = 64, .x_at = 0, .scale = 1},
    {.n = 33, .k = 64, .x_at = 0, .scale = 1},   {.n = 16, .k = 100, .x_at = 150, .scale = 1},
    {.n = 20, .k = 48, .x_at = -1, .scale = -1},
};

static void check_chain(int threads)
{
    ortho_services services = ortho_services_default();
    ortho_chain_step steps[STEPS];
    ortho_split splits[STEPS];
    float y[400] = {0}, expected[400], alpha[STEPS];
    int64_t outputs = 0;
    input in = input_make(1, 48, ORTHO_F32, 9);
    in.threads = services.threads = threads;
    for (int i = 0; i < STEPS; i++) {
        splits[i] = split_make(plan[i].n, plan[i].k, 32, 5, 20 + (uint64_t)i);
        steps[i] = plan[i];
        steps[i].state = state_make(splits + i, 1, threads);
        alpha[i] = i == 3 ? 0 : 1;
        input one = in;
        one.alpha = alpha[i];
        one.x = plan[i].x_at < 0 ? in.x : expected + plan[i].x_at;
        run_into(steps[i].state, &one, expected + outputs);
        for (int64_t r = 0; r < plan[i].n; r++)
            expected[outputs + r] *= plan[i].scale;
        outputs += plan[i].n;
    }
    const ortho_chain_hooks *chain = hooks()->chain;
    const ortho_chain_problem problem = {.steps = steps, .count = STEPS, .dtype = ORTHO_F32};
    void *state = make(chain->state_size);
    assert_int_equal(chain->prepare(state, &problem, &services), ORTHO_OK);
    void *workspace = make(chain->workspace(state));
    const ortho_chain_call call = {.x = in.x, .y = y, .alpha = alpha, .workspace = workspace};
    for (int again = 0; again < 20; again++) {
        assert_int_equal(chain->run(state, &call), ORTHO_OK);
        assert_memory_equal(y, expected, (size_t)outputs * sizeof(float));
        memset(y, 0xff, sizeof y);
    }
    chain->release(state, &services);
    for (int i = 0; i < STEPS; i++) {
        state_free((void *)(uintptr_t)steps[i].state);
        split_free(splits + i);
    }
    free(state);
    free(workspace);
    free(in.x);
}

static void a_chain_gives_what_its_steps_give(void **unused)
{
    (void)unused;
    for (int i = 0; i < 9; i++) {
        setenv("ORTHO_CPU", levels[i % 3], 1);
        check_chain(1 + i / 3);
    }
    unsetenv("ORTHO_CPU");
}

static void a_chain_that_cannot_be_is_refused(void **unused)
{
    (void)unused;
    ortho_services services = ortho_services_default();
    const ortho_chain_hooks *chain = hooks()->chain;
    ortho_split s = split_make(8, 8, 8, 0, 1);
    void *state = make(chain->state_size), *linear = state_make(&s, 1, 1);
    const ortho_chain_step good = {.state = linear, .n = 8, .k = 8, .x_at = -1, .scale = 1};
    ortho_chain_step steps[2] = {good, good};
    ortho_chain_problem problem = {.steps = steps, .count = 0, .dtype = ORTHO_F32};
    assert_int_equal(chain->prepare(state, &problem, &services), ORTHO_E_ARGUMENT);
    problem.count = ORTHO_CHAIN_MAX + 1;
    assert_int_equal(chain->prepare(state, &problem, &services), ORTHO_E_ARGUMENT);
    problem.count = 2;
    steps[1].x_at = 1; /* one more than there are */
    assert_int_equal(chain->prepare(state, &problem, &services), ORTHO_E_ARGUMENT);
    assert_non_null(strstr(ortho_last_message(), "step 1 of the chain reads y from 1 on, 8"));
    steps[1].x_at = -2;
    assert_int_equal(chain->prepare(state, &problem, &services), ORTHO_E_ARGUMENT);
    steps[1] = good;
    steps[1].n = 9;
    assert_int_equal(chain->prepare(state, &problem, &services), ORTHO_E_ARGUMENT);
    state_free(linear);
    split_free(&s);
    free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_integers_exactly_or_not_at_all),
        cmocka_unit_test(y_is_the_same_with_any_number_of_threads),
        cmocka_unit_test(tokens_do_not_touch_each_other),
        cmocka_unit_test(a_token_has_the_same_y_in_any_batch),
        cmocka_unit_test(a_workspace_is_enough_for_fewer_tokens),
        cmocka_unit_test(a_group_gives_what_each_alone_gives),
        cmocka_unit_test(a_chain_gives_what_its_steps_give),
        cmocka_unit_test(a_chain_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
