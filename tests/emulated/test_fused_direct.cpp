/*
 * direct.cu, launch and kernel, on a CPU: its device code as it is, but for instructions that C++
 * has no names for (include/variants/fused/ptx.cuh). Every output of random linears against the
 * fp64 reference within what the arithmetic allows; where that is exact, every bit.
 *
 * Calls leave what stands beside y alone, read nothing behind x and the weights, and give the same
 * bits again.
 */
#include "fused_calls.h"

namespace
{

constexpr ortho_dtype DTYPES[] = {ORTHO_F32, ORTHO_F16, ORTHO_BF16};

/* ---- calls ----------------------------------------------------------------------------------- */

/* y [m, n], for the caller to free. y_off: as of x. */
outputs run(const packed_linear &l, const tokens &t, float alpha, int y_off)
{
    const outputs o = open_outputs(t.dtype, t.m * l.split.n, y_off);
    ortho_gemm_call call = {};
    call.x = t.x;
    call.y = o.y();
    call.dtype = t.dtype;
    call.m = t.m;
    call.alpha = alpha;
    assert_true(takes_direct(l.fused, call));
    assert_int_equal(run_direct(l.fused, call), ORTHO_OK);
    guards_must_be_whole(o);
    return o;
}

/* ---- what y must be -------------------------------------------------------------------------- */

/*
 * Roundings to 24 bits, each of at most 2^-24 of a sum of magnitudes, on the way of
 *
 *   an operand's product   4 mma at most, and as many of what is taken off; two chains are joined,
 *                          of either; the difference
 *   Base                   a warp adds a sum of each group of each of its images
 *   an entry               its product, that of two; a warp adds up the row's segments, at worst
 * all of them; halves of the warp are joined, then added to what it has all entries join Base, 8
 * warps' sums are added, and three digits'
 */
constexpr double OPERAND_ROUNDINGS = 4 + 4 + 2 + 1, ALL_ROUNDINGS = 1 + 7 + 2;

double base_roundings(const shape &s)
{
    double images = 0;
    for (int w = 0; w < s.windows; w++)
        for (int p = 0; p < s.panels_of(w); p++)
            images += static_cast<double>(divide_up(s.panel_images(w, p), 8));
    return images * s.groups;
}

double entry_roundings(const packed_linear &l, int64_t row)
{
    const int64_t entries = l.split.row_ptr[row + 1] - l.split.row_ptr[row];
    return static_cast<double>(entries / SEGMENT_ENTRIES + l.fused.w.s.windows) + 4;
}

/* Of output `at`. 1 % more: digits of x overlap by 2^-8 of it, and errors have errors. */
double tolerance_of(const packed_linear &l, ortho_dtype dtype, const reference &r, int64_t at,
                    double operands)
{
    const size_t o = static_cast<size_t>(at);
    const double sums =
        1.01 * 0x1p-24 *
        (OPERAND_ROUNDINGS * operands + base_roundings(l.fused.w.s) * r.base[o] +
         entry_roundings(l, at % l.split.n) * (r.all[o] - r.base[o]) + ALL_ROUNDINGS * r.all[o]);
    return sums + rounding_of_y(dtype, r.y[o], sums);
}

/* Returns how many outputs were finite. */
int64_t must_be_near(const packed_linear &l, const tokens &t, float alpha, const outputs &o)
{
    const reference r = reference_of(l, t, alpha);
    int64_t finite = 0;
    for (int64_t token = 0; token < t.m; token++) {
        const std::vector<double> sums = operand_sums(l, t, token);
        for (int64_t row = 0; row < l.split.n; row++) {
            const int64_t at = token * l.split.n + row;
            const double wanted = r.y[static_cast<size_t>(at)],
                         got = ortho_dtype_load(t.dtype, o.y(), at),
                         most = tolerance_of(l, t.dtype, r, at, operand_sum(l, sums, row));
            if (!is_within(got, wanted, most))
                fail_at(l, t, {alpha, token, row}, got, wanted, most);
            finite += isfinite(wanted);
        }
    }
    return finite;
}

/* One call, held against the reference; returns as must_be_near(). */
int64_t check(const packed_linear &l, const tokens &t, float alpha, int y_off = 0)
{
    const outputs o = run(l, t, alpha, y_off);
    const int64_t finite = must_be_near(l, t, alpha, o);
    guarded_free(o.memory);
    return finite;
}

void must_repeat(const packed_linear &l, const tokens &t, float alpha)
{
    const outputs first = run(l, t, alpha, 0), second = run(l, t, alpha, 1);
    assert_memory_equal(first.y(), second.y(), first.bytes);
    guarded_free(second.memory);
    guarded_free(first.memory);
}

/* ---- random linears -------------------------------------------------------------------------- */

/* Linears and calls of case `number`: dtypes and groups in turn, all else at random. */
void check_random(int number, int64_t n_most, int64_t k_least, int64_t k_most)
{
    ortho_random from = ortho_random_seeded(static_cast<uint64_t>(number));
    const double densities[] = {0, 0.01, 0.05, 0.2};
    const float alphas[] = {1, 1, 0, -0.7f};
    recipe r;
    r.n = draw(&from, 1, static_cast<int>(n_most));
    r.k = draw(&from, static_cast<int>(k_least), static_cast<int>(k_most));
    if (draw(&from, 0, 1) == 0)
        r.k = r.k / 8 * 8; /* 16 bytes at once */
    r.group = GROUPS[number / 3 % 5];
    r.multiprocessors = draw(&from, 1, 6);
    r.density = pick_one(&from, densities);
    packed_linear l = make_linear(r, &from);
    const int x_off = draw(&from, 0, 2) == 0, y_off = draw(&from, 0, 3);
    const tokens t = draw_tokens(DTYPES[number % 3], draw(&from, 1, 40), r.k, x_off, &from);
    const float alpha = pick_one(&from, alphas);
    assert_int_equal(check(l, t, alpha, y_off), t.m * r.n);
    if (number % 4 == 0)
        must_repeat(l, t, alpha);
    guarded_free(t.memory);
    free_linear(&l);
}

void random_linears_are_right(void **)
{
    for (int number = 0; number < 45; number++)
        check_random(number, 150, 1, 1500);
}

/* More than a batch of units a part, and blocks that have nothing to do. */
void many_rows_are_right(void **)
{
    for (int number = 0; number < 15; number++)
        check_random(1000 + number, 1000, 1, 200);
}

void two_windows_are_right(void **)
{
    for (int number = 0; number < 15; number++)
        check_random(2000 + number, 40, WINDOW_COLUMNS + 1, WINDOW_COLUMNS + 1500);
}

/* ---- single cases ---------------------------------------------------------------------------- */

/* Token t has one column, t, of x: of 18 bits in fp32, in each of its three digits. So y is a
 * weight of 6 bits times that, and nothing is rounded. */
void weights_come_out_exactly(void **)
{
    ortho_random from = ortho_random_seeded(1);
    for (const ortho_dtype dtype : DTYPES)
        for (const int64_t group : GROUPS) {
            recipe r = {77, 147, group, 2, 0.2};
            r.few_bits = true;
            packed_linear l = make_linear(r, &from);
            const tokens t = open_tokens(dtype, r.k, r.k, 0);
            for (int64_t i = 0; i < r.k; i++)
                for (int64_t c = 0; c < r.k; c++)
                    t.set(i, c, i != c ? 0 : dtype == ORTHO_F32 ? 1 + 0x1p-9f + 0x1p-17f : 1);
            const outputs o = run(l, t, 1, 0);
            const reference wanted = reference_of(l, t, 1);
            for (int64_t i = 0; i < t.m * r.n; i++)
                assert_true(ortho_dtype_load(dtype, o.y(), i) == wanted.y[static_cast<size_t>(i)]);
            guarded_free(o.memory);
            guarded_free(t.memory);
            free_linear(&l);
        }
}

/* A token's infinities and NaNs are nobody else's, be they where all rows have entries, where none
 * has, or in the token that lanes without one repeat. */
void what_is_not_finite_stays_in_its_token(void **)
{
    constexpr int64_t M = 23, BAD = 3;
    ortho_random from = ortho_random_seeded(2);
    for (const ortho_dtype dtype : DTYPES)
        for (const bool full_row : {false, true}) {
            recipe r = {70, 270, 64, 1, 0.03};
            r.full_row = full_row;
            packed_linear l = make_linear(r, &from);
            const tokens t = draw_tokens(dtype, M, r.k, 0, &from);
            t.set(2, 0, INFINITY); /* what only fills a section up points there */
            t.set(9, draw(&from, 0, 269), -INFINITY);
            t.set(M - 1, draw(&from, 0, 269), NAN);
            assert_int_equal(check(l, t, 1), (M - BAD) * r.n);
            guarded_free(t.memory);
            free_linear(&l);
        }
}

/* Entries that only fill up have values here that would be seen. */
void what_fills_up_adds_nothing(void **)
{
    constexpr uint32_t FILL = 1, NOT_A_NUMBER = 0x7e000000;
    ortho_random from = ortho_random_seeded(3);
    for (const ortho_dtype dtype : DTYPES) {
        packed_linear l = make_linear({90, 400, 128, 2, 0.02}, &from);
        const tokens t = draw_tokens(dtype, 5, 400, 0, &from);
        uint32_t *const entry = reinterpret_cast<uint32_t *>(l.dealt.steps);
        for (size_t i = 0; i < l.dealt.step_bytes / sizeof *entry; i++)
            entry[i] |= (entry[i] & FILL) != 0 ? NOT_A_NUMBER : 0;
        check(l, t, 1);
        guarded_free(t.memory);
        free_linear(&l);
    }
}

/* Nor are sums that entries have left in shared memory. There is nothing where they would be. */
void entries_are_not_read_where_alpha_is_0(void **)
{
    ortho_random from = ortho_random_seeded(4);
    for (const ortho_dtype dtype : DTYPES) {
        packed_linear l = make_linear({40, 300, 32, 1, 0.3, false}, &from);
        std::fill(l.split.val, l.split.val + l.split.nnz, static_cast<uint16_t>(0x7e00)); /* NaN */
        free_packed(&l);
        pack(&l, 1);
        const tokens t = draw_tokens(dtype, 6, 300, 0, &from);
        assert_int_equal(check(l, t, 1), 8 * 6); /* rows without entries */
        l.fused.w.ortho = nullptr;
        l.fused.w.begin = nullptr;
        assert_int_equal(check(l, t, 0), 40 * 6);
        guarded_free(t.memory);
        free_linear(&l);
    }
}

/* Beyond what a launch takes. */
void many_tokens_are_right(void **)
{
    ortho_random from = ortho_random_seeded(5);
    packed_linear l = make_linear({2, 3, 3, 1, 0.5}, &from);
    const tokens t = draw_tokens(ORTHO_F16, 32768 + 3, 3, 0, &from);
    const outputs o = run(l, t, 1, 0);
    must_be_near(l, t, 1, o);
    guarded_free(o.memory);
    guarded_free(t.memory);
    free_linear(&l);
}

} // namespace

int main(void)
{
    const CMUnitTest tests[] = {cmocka_unit_test(random_linears_are_right),
                                cmocka_unit_test(many_rows_are_right),
                                cmocka_unit_test(two_windows_are_right),
                                cmocka_unit_test(weights_come_out_exactly),
                                cmocka_unit_test(what_is_not_finite_stays_in_its_token),
                                cmocka_unit_test(what_fills_up_adds_nothing),
                                cmocka_unit_test(entries_are_not_read_where_alpha_is_0),
                                cmocka_unit_test(many_tokens_are_right)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
