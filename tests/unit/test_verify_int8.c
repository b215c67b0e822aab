/*
 * The tolerance of int8 activations: what the definition allows is accepted whatever the numbers,
 * anything beyond is refused; and what such a bound can't see is written down as a test, too.
 */
#include "harness/verify.h"
#include "tests/unit/fused_cpu.h"
#include "tests/unit/int8_model.h"

typedef struct fixture {
    ortho_split split;
    int64_t m;
    float *x;  /* [m, k] */
    double *y; /* [m, n] exact */
    ob_gemm_truth truth;
} fixture;

static double base_of(const ortho_split *s, int64_t row, int64_t c)
{
    int nibble = s->q[row * ((s->k + 1) / 2) + c / 2] >> (4 * (c % 2)) & 15;
    int64_t groups = (s->k + s->group - 1) / s->group;
    return (nibble >= 8 ? nibble - 16 : nibble) *
           (double)ortho_fp16_to_float(s->scale[row * groups + c / s->group]);
}

/* x * Base^T, and what Ortho adds from the fixture's own x. */
static double *product(const fixture *f, const float *x)
{
    const ortho_split *s = &f->split;
    double *y = make((size_t)(f->m * s->n) * sizeof *y);
    for (int64_t t = 0; t < f->m; t++)
        for (int64_t r = 0; r < s->n; r++) {
            double sum = 0;
            for (int64_t c = 0; c < s->k; c++)
                sum += base_of(s, r, c) * (double)x[t * s->k + c];
            for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++)
                sum += (double)ortho_fp16_to_float(s->val[i]) *
                       (double)f->x[t * s->k + ortho_split_col(s, i)];
            y[t * s->n + r] = sum;
        }
    return y;
}

static fixture fixture_new(int64_t n, int64_t k, int64_t group, int64_t m)
{
    fixture f = {.split = split_make(n, k, group, 3, (uint64_t)(n + k + m)), .m = m};
    uint64_t seed = (uint64_t)(k + m);
    f.x = make((size_t)(m * k) * sizeof *f.x);
    for (int64_t i = 0; i < m * k; i++)
        f.x[i] = random_unit(&seed);
    return f;
}

/* Once its split and x are as they shall be. */
static void know(fixture *f)
{
    const ob_gemm_inputs in = {.split = &f->split,
                               .x = f->x,
                               .dtype = ORTHO_F32,
                               .m = f->m,
                               .alpha = 1,
                               .threads = 2,
                               .seed = 3,
                               .activations = ORTHO_ACTIVATIONS_INT8};
    f->y = product(f, f->x);
    assert_int_equal(ob_gemm_truth_make(&in, &f->truth), ORTHO_OK);
    assert_non_null(f->truth.rounding);
}

static void fixture_free(fixture *f)
{
    ob_gemm_truth_free(&f->truth);
    split_free(&f->split);
    free(f->y);
    free(f->x);
}

static ortho_status judge(const fixture *f, const double *y)
{
    const int64_t outputs = f->m * f->split.n;
    float *got = make((size_t)outputs * sizeof *got);
    ob_verdict v = {0};
    for (int64_t i = 0; i < outputs; i++)
        got[i] = (float)y[i];
    ortho_status status = ob_gemm_verify(&f->truth, got, &v);
    free(got);
    return status;
}

/* x as whole multiples of `factor` times the step, by `round`. */
static ortho_status judge_rounded(const fixture *f, float (*round)(float), float factor)
{
    const ortho_split *s = &f->split;
    float *x = make((size_t)(f->m * s->k) * sizeof *x);
    for (int64_t t = 0; t < f->m; t++)
        for (int64_t first = 0; first < s->k; first += s->group) {
            float most = 0;
            const int64_t end = first + s->group < s->k ? first + s->group : s->k;
            for (int64_t c = first; c < end; c++)
                most = fmaxf(most, fabsf(f->x[t * s->k + c]));
            for (int64_t c = first; c < end; c++)
                x[t * s->k + c] = round(f->x[t * s->k + c] / (most / 127)) * (most / 127) * factor;
        }
    double *y = product(f, x);
    ortho_status status = judge(f, y);
    free(y);
    free(x);
    return status;
}

static void what_the_definition_gives_is_accepted(void **unused)
{
    (void)unused;
    static const struct {
        int64_t k, group, m;
    } shapes[] = {{8, 8, 1}, {300, 32, 5}, {700, 700, 2}, {700, 300, 40}, {3072, 128, 1}};
    for (int i = 0; i < 5; i++) {
        fixture f = fixture_new(40, shapes[i].k, shapes[i].group, shapes[i].m);
        know(&f);
        float *x = make((size_t)(f.m * f.split.k) * sizeof *x);
        int8_round(ORTHO_F32, f.x, f.m, f.split.k, f.split.group, x);
        double *y = product(&f, x);
        assert_int_equal(judge(&f, y), ORTHO_OK);
        assert_int_equal(judge(&f, f.y), ORTHO_OK); /* nothing says that it must be rounded */
        free(y);
        free(x);
        fixture_free(&f);
    }
}

/* Half a step times sum |w| over each stretch, worked out here once more. */
static double bound(const fixture *f, int64_t token, int64_t row)
{
    const ortho_split *s = &f->split;
    double all = 0;
    for (int64_t g = 0; g < s->k; g += s->group)
        for (int64_t c = g; c < s->k && c < g + s->group; c += ORTHO_INT8_COLUMNS) {
            double most = 0, sum = 0;
            for (int64_t i = c; i < c + ORTHO_INT8_COLUMNS && i < g + s->group && i < s->k; i++) {
                most = fmax(most, fabs((double)f->x[token * s->k + i]));
                sum += fabs(base_of(s, row, i));
            }
            all += most / 127 / 2 * sum;
        }
    return all;
}

static void an_output_may_be_off_by_the_bound_and_no_more(void **unused)
{
    (void)unused;
    fixture f = fixture_new(24, 620, 300, 3);
    know(&f);
    for (int64_t t = 0; t < f.m; t++)
        for (int64_t r = 0; r < f.split.n; r++) {
            double *at = &f.y[t * f.split.n + r], right = *at;
            for (int sign = -1; sign <= 1; sign += 2) {
                *at = right + sign * bound(&f, t, r);
                assert_int_equal(judge(&f, f.y), ORTHO_OK);
                *at = right + sign * 1.01 * bound(&f, t, r);
                assert_int_equal(judge(&f, f.y), ORTHO_E_WRONG);
            }
            *at = right;
        }
    fixture_free(&f);
}

/* Of 40 tokens 32 are looked at one by one; of the others each sum of all of them with signs. */
static void no_token_may_be_off_by_more_than_all_may(void **unused)
{
    (void)unused;
    fixture f = fixture_new(8, 96, 32, 40);
    know(&f);
    for (int64_t t = 0; t < f.m; t++) {
        double *at = &f.y[t * f.split.n + 5], right = *at, all = 0;
        for (int64_t i = 0; i < f.m; i++)
            all += bound(&f, i, 5);
        *at = right + 1.01 * all;
        assert_int_equal(judge(&f, f.y), ORTHO_E_WRONG);
        *at = right;
    }
    assert_int_equal(judge(&f, f.y), ORTHO_OK);
    fixture_free(&f);
}

/* Errors of many columns cancel, the bound doesn't count on it: a step that is wrong by 3 % is seen
 * in short rows, and not in long ones. */
static void a_wrong_step_is_seen_in_short_rows(void **unused)
{
    (void)unused;
    fixture narrow = fixture_new(64, 8, 8, 8), wide = fixture_new(64, 3072, 128, 8);
    know(&narrow);
    know(&wide);
    assert_int_equal(judge_rounded(&narrow, rintf, 1), ORTHO_OK);
    assert_int_equal(judge_rounded(&narrow, rintf, 1.03f), ORTHO_E_WRONG);
    assert_int_equal(judge_rounded(&narrow, rintf, 1 / 1.03f), ORTHO_E_WRONG);
    assert_int_equal(judge_rounded(&wide, rintf, 1), ORTHO_OK);
    assert_int_equal(judge_rounded(&wide, rintf, 1.03f), ORTHO_OK);
    assert_int_equal(judge_rounded(&wide, rintf, 2), ORTHO_E_WRONG);
    fixture_free(&wide);
    fixture_free(&narrow);
}

/* The same of numbers that are cut off: seen where signs agree and the parts cut off are large. */
static void cutting_off_is_seen_where_it_adds_up(void **unused)
{
    (void)unused;
    fixture any = fixture_new(64, 3072, 128, 1), alike = fixture_new(64, 3072, 128, 1);
    for (int64_t i = 0; i < alike.split.n * alike.split.k / 2; i++)
        alike.split.q[i] &= 0x77; /* no weight is negative */
    for (int64_t c = 0; c < alike.split.k; c++)
        alike.x[c] = c % 128 == 0 ? 127 : (float)(c % 100) + 0.7f;
    know(&any);
    know(&alike);
    assert_int_equal(judge_rounded(&any, truncf, 1), ORTHO_OK);
    assert_int_equal(judge_rounded(&alike, truncf, 1), ORTHO_E_WRONG);
    assert_int_equal(judge_rounded(&alike, rintf, 1), ORTHO_OK);
    fixture_free(&alike);
    fixture_free(&any);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_definition_gives_is_accepted),
        cmocka_unit_test(an_output_may_be_off_by_the_bound_and_no_more),
        cmocka_unit_test(no_token_may_be_off_by_more_than_all_may),
        cmocka_unit_test(a_wrong_step_is_seen_in_short_rows),
        cmocka_unit_test(cutting_off_is_seen_where_it_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
