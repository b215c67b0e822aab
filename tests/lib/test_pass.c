/*
 * Passes on the CPU, through the public API: what a pass gives is what its steps give in turn, each
 * x a range of the outputs before it; the factor is applied before the one rounding; and each
 * mistake names its step.
 */
#include "testing.h"

#include <pthread.h>

/* q, k, v of x; o of the last outputs; gate, up of o's; down of the last of theirs. */
enum { WIDTH = 48, KV = 16, INNER = 112, STEPS = 7, OUTPUTS = WIDTH * 3 + KV * 2 + INNER * 2 };

static const int64_t rows[STEPS] = {WIDTH, KV, KV, WIDTH, INNER, INNER, WIDTH};
static const int64_t columns[STEPS] = {WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, INNER};
static const int64_t x_at[STEPS] = {
    -1, -1, -1, 2 * KV, WIDTH + 2 * KV, WIDTH + 2 * KV, 2 * WIDTH + 2 * KV + INNER};

static ortho_layer *layers[STEPS];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++) {
        float *w = random_floats(rows[i] * columns[i], (unsigned)i + 1);
        layers[i] = sieved(w, rows[i], columns[i], options_of(0.02, ORTHO_RULE_OUTLIER, 32));
        must(ortho_layer_set_alpha(layers[i], i == 4 ? 0.0f : 0.5f + (float)i));
        free(w);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < STEPS; i++)
        ortho_layer_free(layers[i]);
    return 0;
}

static void steps_of(ortho_pass_step steps[STEPS], const float scale[STEPS])
{
    for (int i = 0; i < STEPS; i++)
        steps[i] = (ortho_pass_step){.layer = layers[i], .x_at = x_at[i], .scale = scale[i]};
}

static float bf16(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float wide;
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

static uint16_t to_bf16(float wide)
{
    uint32_t bits;
    memcpy(&bits, &wide, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- results --------------------------------------------------------------------------------- */

/* The steps of an F32 pass, one forward after the other. */
static void in_turn(const float *x, const float scale[STEPS], float *y)
{
    float *to = y;
    for (int i = 0; i < STEPS; i++) {
        const float *from = x_at[i] < 0 ? x : y + x_at[i];
        must(ortho_layer_forward(layers[i], from, 1, ORTHO_F32, to, NULL));
        for (int64_t j = 0; j < rows[i]; j++)
            to[j] *= scale[i];
        to += rows[i];
    }
}

static void test_fp32(void **state)
{
    (void)state;
    const float scale[STEPS] = {1.0f, -0.5f, 0.3f, 0.25f, 1e-3f, 3.0f, 0.0f};
    float *x = random_floats(WIDTH, 11), y[OUTPUTS + 1], wanted[OUTPUTS];
    ortho_pass_step steps[STEPS];
    ortho_pass *pass = NULL;
    steps_of(steps, scale);
    must(ortho_pass_create(steps, STEPS, ORTHO_F32, &pass));
    memset(steps, 0xff, sizeof steps); /* not kept */
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j <= OUTPUTS; j++)
            y[j] = NAN;
        must(ortho_layer_set_alpha(layers[0], (float)i - 1.0f)); /* as it is at the call */
        in_turn(x, scale, wanted);
        must(ortho_pass_forward(pass, x, y, NULL));
        assert_memory_equal(y, wanted, sizeof wanted);
        assert_true(isnan(y[OUTPUTS]));
    }
    ortho_pass_free(pass);
    free(x);
}

/* Of a step with a factor, the fp32 outputs times that, rounded: where the factor is a power of two
 * the outputs in bf16 times it, which is the same; otherwise those of an fp32 forward. */
static void check_bf16(float scale)
{
    uint16_t x[WIDTH], y[WIDTH], plain[WIDTH];
    float wide_x[WIDTH], wide_y[WIDTH];
    ortho_pass *pass = NULL;
    const ortho_pass_step step = {.layer = layers[0], .x_at = -1, .scale = scale};
    unsigned seed = 3;
    for (int i = 0; i < WIDTH; i++) {
        x[i] = to_bf16(random_float(&seed));
        wide_x[i] = bf16(x[i]);
    }
    must(ortho_layer_forward(layers[0], x, 1, ORTHO_BF16, plain, NULL));
    must(ortho_layer_forward(layers[0], wide_x, 1, ORTHO_F32, wide_y, NULL));
    must(ortho_pass_create(&step, 1, ORTHO_BF16, &pass));
    must(ortho_pass_forward(pass, x, y, NULL));
    for (int i = 0; i < WIDTH; i++) {
        const float wanted = scale == 0.3f ? wide_y[i] * scale : bf16(plain[i]) * scale;
        assert_int_equal(y[i], to_bf16(wanted));
        assert_true(fabsf(bf16(y[i]) - wide_y[i] * scale) <= fabsf(wide_y[i] * scale) / 200.0f);
    }
    ortho_pass_free(pass);
}

static void test_bf16(void **state)
{
    (void)state;
    check_bf16(1.0f);
    check_bf16(-0.125f);
    check_bf16(256.0f);
    check_bf16(0.3f);
}

/* Sums beyond fp16's range, and a factor that brings them back: nothing is rounded between. */
static void test_fp16_keeps_its_range(void **state)
{
    (void)state;
    enum { n = 8, k = 64 };
    float w[n * k];
    uint16_t x[k], y[2 * n];
    ortho_pass *pass = NULL;
    for (int i = 0; i < n * k; i++)
        w[i] = 1.0f;
    for (int i = 0; i < k; i++)
        x[i] = 0x7800; /* 32768 */
    ortho_layer *layer = sieved(w, n, k, options_of(0.0, ORTHO_RULE_RESIDUAL, 32));
    const ortho_pass_step steps[] = {{layer, -1, 0x1p-11f}, {layer, -1, 1.0f}};
    must(ortho_pass_create(steps, 2, ORTHO_F16, &pass));
    must(ortho_pass_forward(pass, x, y, NULL));
    for (int i = 0; i < n; i++) {
        assert_in_range(y[i], 0x63f0, 0x6410); /* 1024 = 64 * 32768 / 2048, as fine as Base is */
        assert_int_equal(y[n + i], 0x7c00);
    }
    ortho_pass_free(pass);
    ortho_layer_free(layer);
}

/* Steps of different k may share the pass's x: each takes the first of it. */
static void test_steps_of_other_widths_share_x(void **state)
{
    (void)state;
    const ortho_pass_step steps[] = {{layers[0], -1, 1.0f}, {layers[6], -1, 1.0f}};
    float *x = random_floats(INNER, 7), y[2 * WIDTH], wanted[2 * WIDTH];
    ortho_pass *pass = NULL;
    must(ortho_layer_forward(layers[0], x, 1, ORTHO_F32, wanted, NULL));
    must(ortho_layer_forward(layers[6], x, 1, ORTHO_F32, wanted + WIDTH, NULL));
    must(ortho_pass_create(steps, 2, ORTHO_F32, &pass));
    must(ortho_pass_forward(pass, x, y, NULL));
    assert_memory_equal(y, wanted, sizeof wanted);
    ortho_pass_free(pass);
    free(x);
}

static void test_the_longest(void **state)
{
    (void)state;
    static ortho_pass_step steps[ORTHO_PASS_MAX + 1];
    static float y[ORTHO_PASS_MAX * WIDTH];
    float *x = random_floats(WIDTH, 1);
    ortho_pass *pass = NULL;
    for (int i = 0; i <= ORTHO_PASS_MAX; i++)
        steps[i] = (ortho_pass_step){layers[3], i == 0 ? -1 : (i - 1) * WIDTH, 0.5f};
    refused(ortho_pass_create(steps, ORTHO_PASS_MAX + 1, ORTHO_F32, &pass), ORTHO_E_ARGUMENT,
            "count is 513; it must be 1 to 512");
    must(ortho_pass_create(steps, ORTHO_PASS_MAX, ORTHO_F32, &pass));
    must(ortho_pass_forward(pass, x, y, NULL));
    ortho_pass_free(pass);
    free(x);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 3, ROUNDS = 60 };

typedef struct job {
    const ortho_pass *pass;
    const uint16_t *x, *wanted;
    int wrong;
} job;

static void *forwards(void *arg)
{
    job *j = arg;
    uint16_t y[OUTPUTS];
    for (int i = 0; i < ROUNDS; i++) {
        memset(y, 0xff, sizeof y);
        j->wrong += ortho_pass_forward(j->pass, j->x, y, NULL) != ORTHO_OK;
        j->wrong += memcmp(y, j->wanted, sizeof y) != 0;
    }
    return NULL;
}

static void test_threads_share_a_pass(void **state)
{
    (void)state;
    const float scale[STEPS] = {0.3f, 1.0f, 0.5f, 0.3f, 1.0f, 0.7f, 0.9f};
    uint16_t x[THREADS][WIDTH], wanted[THREADS][OUTPUTS];
    ortho_pass_step steps[STEPS];
    ortho_pass *pass = NULL;
    pthread_t thread[THREADS];
    job jobs[THREADS];
    unsigned seed = 8;
    steps_of(steps, scale);
    must(ortho_pass_create(steps, STEPS, ORTHO_BF16, &pass));
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < WIDTH; j++)
            x[i][j] = to_bf16(random_float(&seed));
        must(ortho_pass_forward(pass, x[i], wanted[i], NULL));
        jobs[i] = (job){.pass = pass, .x = x[i], .wanted = wanted[i]};
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, forwards, &jobs[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(jobs[i].wrong, 0);
    }
    ortho_pass_free(pass);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void refuse_steps(const ortho_pass_step *steps, int32_t count, ortho_dtype dtype,
                         ortho_status wanted, const char *part)
{
    ortho_pass *const untouched = (ortho_pass *)(uintptr_t)0x40;
    ortho_pass *out = untouched;
    refused(ortho_pass_create(steps, count, dtype, &out), wanted, part);
    assert_ptr_equal(out, untouched);
}

static void refuse_step(int i, ortho_pass_step step, const char *part)
{
    const float scale[STEPS] = {1, 1, 1, 1, 1, 1, 1};
    ortho_pass_step steps[STEPS];
    steps_of(steps, scale);
    steps[i] = step;
    refuse_steps(steps, STEPS, ORTHO_F32, ORTHO_E_ARGUMENT, part);
}

static void test_steps(void **state)
{
    (void)state;
    const ortho_pass_step good = {layers[0], -1, 1.0f};
    refuse_steps(NULL, 1, ORTHO_F32, ORTHO_E_ARGUMENT, "steps is NULL");
    refuse_steps(&good, 0, ORTHO_F32, ORTHO_E_ARGUMENT, "count is 0");
    refuse_steps(&good, -3, ORTHO_F32, ORTHO_E_ARGUMENT, "count is -3");
    refuse_steps(&good, 1, ORTHO_I8, ORTHO_E_UNSUPPORTED, "I8");
    refused(ortho_pass_create(&good, 1, ORTHO_F32, NULL), ORTHO_E_ARGUMENT, "out is NULL");
    refuse_step(0, (ortho_pass_step){NULL, -1, 1.0f}, "step 0: the layer is NULL");
    refuse_step(2, (ortho_pass_step){NULL, -1, 1.0f}, "step 2: the layer is NULL");
    refuse_step(0, (ortho_pass_step){layers[0], 0, 1.0f}, "step 0: x_at is 0 and k 48");
    refuse_step(1, (ortho_pass_step){layers[1], -2, 1.0f}, "step 1: x_at is -2");
    refuse_step(1, (ortho_pass_step){layers[1], 1, 1.0f}, "give 48 outputs");
    refuse_step(1, (ortho_pass_step){layers[1], INT64_MAX, 1.0f}, "step 1: x_at is 9223");
    refuse_step(1, (ortho_pass_step){layers[6], 0, 1.0f}, "step 1: x_at is 0 and k 112");
    refuse_step(3, (ortho_pass_step){layers[3], 2 * KV + 1, 1.0f}, "give 80 outputs");
    refuse_step(6, (ortho_pass_step){layers[6], -1, NAN}, "step 6: scale is nan");
    refuse_step(6, (ortho_pass_step){layers[6], -1, -INFINITY}, "step 6: scale is -inf");
}

static void test_forward_arguments(void **state)
{
    (void)state;
    const ortho_pass_step steps[] = {
        {layers[0], -1, 1.0f}, {layers[6], -1, 1.0f}, {layers[1], -1, 1.0f}};
    enum { WANTED = 2 * WIDTH + KV }; /* outputs */
    float room[INNER + WANTED], before[COUNT(room)], *x = room, *y = room + INNER;
    ortho_pass *pass = NULL;
    must(ortho_pass_create(steps, 3, ORTHO_F32, &pass));
    memset(room, 0x5a, sizeof room);
    memcpy(before, room, sizeof room);
    refused(ortho_pass_forward(NULL, x, y, NULL), ORTHO_E_ARGUMENT, "pass is NULL");
    refused(ortho_pass_forward(pass, NULL, y, NULL), ORTHO_E_ARGUMENT, "x is NULL");
    refused(ortho_pass_forward(pass, x, NULL, NULL), ORTHO_E_ARGUMENT, "y is NULL");
    refused(ortho_pass_forward(pass, x, y - 1, NULL), ORTHO_E_ARGUMENT, "overlap");
    refused(ortho_pass_forward(pass, room + WANTED - 1, room, NULL), ORTHO_E_ARGUMENT, "overlap");
    refused(ortho_pass_forward(pass, x, y, room), ORTHO_E_UNSUPPORTED, "stream");
    assert_memory_equal(room, before, sizeof room);
    must(ortho_pass_forward(pass, x, y, NULL)); /* touching is no overlap */
    ortho_pass_free(pass);
    ortho_pass_free(NULL);
}

static void test_inspect(void **state)
{
    (void)state;
    const ortho_pass_step steps[] = {
        {layers[0], -1, 1.0f}, {layers[6], -1, 1.0f}, {layers[1], -1, 1.0f}};
    ortho_pass_info info = {.size = sizeof info};
    ortho_pass *pass = NULL;
    must(ortho_pass_create(steps, 3, ORTHO_F16, &pass));
    must(ortho_pass_inspect(pass, &info));
    assert_int_equal(info.k, INNER);
    assert_int_equal(info.n, 2 * WIDTH + KV);
    assert_int_equal(info.count, 3);
    assert_int_equal(info.device, ORTHO_DEVICE_CPU);
    info = (ortho_pass_info){.size = 7, .n = -5};
    refused(ortho_pass_inspect(pass, &info), ORTHO_E_ARGUMENT, "ortho_pass_info.size is 7");
    refused(ortho_pass_inspect(NULL, &info), ORTHO_E_ARGUMENT, "pass is NULL");
    refused(ortho_pass_inspect(pass, NULL), ORTHO_E_ARGUMENT, "info is NULL");
    assert_int_equal(info.n, -5);
    ortho_pass_free(pass);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp32),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_fp16_keeps_its_range),
        cmocka_unit_test(test_steps_of_other_widths_share_x),
        cmocka_unit_test(test_the_longest),
        cmocka_unit_test(test_threads_share_a_pass),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_forward_arguments),
        cmocka_unit_test(test_inspect),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
