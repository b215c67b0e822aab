/*
 * batch.cu, launch and kernel, on a CPU: its device code as it is, but for instructions that C++
 * has no names for (include/variants/fused/ptx.cuh). Every output of random linears and groups
 * against the fp64 reference within what the arithmetic allows; where that is exact, every bit.
 *
 * Copies come late, warps rest at times, and x is there only once the kernel has waited for the
 * launch before: who doesn't wait finds NaNs. Calls leave what stands beside y alone, read nothing
 * behind x and the weights, and give the same bits again, whoever rests.
 */
#include "cuda_async.h"
#include "fused_calls.h"

namespace
{

constexpr ortho_dtype DTYPES[] = {ORTHO_F16, ORTHO_BF16};

/* ---- calls ----------------------------------------------------------------------------------- */

/* Linears that share x, each with an alpha of its own. */
struct job {
    const packed_linear *l;
    float alpha;
};
typedef std::vector<job> jobs;

/* NaNs until the launch before has ended. */
struct hidden_tokens {
    std::vector<char> bytes;
    char *x;

    explicit hidden_tokens(const tokens &t)
        : bytes(t.x, t.x + static_cast<size_t>(t.m * t.k) * ortho_dtype_bytes(t.dtype)), x(t.x)
    {
        emulated_set_previous([this](bool there) { show(there); });
    }
    ~hidden_tokens()
    {
        emulated_set_previous(nullptr);
        show(true);
    }
    hidden_tokens(const hidden_tokens &) = delete;
    hidden_tokens &operator=(const hidden_tokens &) = delete;

    void show(bool there) const
    {
        if (there)
            memcpy(x, bytes.data(), bytes.size());
        else
            memset(x, 0xff, bytes.size());
    }
};

/* y [m, n] of each, for the caller to free. y_off: as of x; seed: who rests. */
std::vector<outputs> run(const jobs &js, const tokens &t, int y_off, unsigned seed)
{
    std::vector<outputs> o;
    std::vector<const void *> states;
    std::vector<ortho_gemm_call> calls;
    for (const job &j : js) {
        ortho_gemm_call call = {};
        o.push_back(open_outputs(t.dtype, t.m * j.l->split.n, y_off));
        call.x = t.x;
        call.y = o.back().y();
        call.dtype = t.dtype;
        call.m = t.m;
        call.alpha = j.alpha;
        calls.push_back(call);
        states.push_back(&j.l->fused);
    }
    assert_true(takes_batch(t.dtype, t.m));
    emulated_uneven(seed);
    const hidden_tokens hidden(t);
    assert_int_equal(run_batch(states.data(), calls.data(), static_cast<int>(js.size())), ORTHO_OK);
    for (const outputs &one : o)
        guards_must_be_whole(one);
    return o;
}

void close(const std::vector<outputs> &o)
{
    for (const outputs &one : o)
        guarded_free(one.memory);
}

/* ---- what y must be -------------------------------------------------------------------------- */

/*
 * Roundings to 24 bits, each of at most 2^-24 of a sum of magnitudes, on the way of
 *
 *   an operand's product   4 mma at most, and as many of what is taken off; two chains are joined,
 *                          of either; the difference
 *   Base                   a warp adds a sum of each group of each of its images, and of a chunk,
 *                          which has 8 images or more or all of a panel
 *   an entry               each mma of its row, at worst one for each of a warp's and for each
 *                          digit; of a chunk, chains are joined, multiplied by alpha, and added
 *   all of them            sums of 15 warps
 */
constexpr double OPERAND_ROUNDINGS = 4 + 4 + 2 + 1, ALL_ROUNDINGS = 14;

/* Images of a warp, which also are the chunks at most. */
double images_of_warp(const shape &s)
{
    double images = 0;
    for (int w = 0; w < s.windows; w++)
        for (int p = 0; p < s.panels_of(w); p++)
            images += static_cast<double>(divide_up(s.panel_images(w, p), 8));
    return images;
}

double entry_roundings(const packed_linear &l, ortho_dtype dtype, int64_t row)
{
    const int64_t entries = l.split.row_ptr[row + 1] - l.split.row_ptr[row];
    const int digits = dtype == ORTHO_BF16 ? 2 : 1;
    return static_cast<double>(entries * digits) + 3 * images_of_warp(l.fused.w.s);
}

/* Of output `at`. 1 % more: errors have errors. */
double tolerance_of(const packed_linear &l, ortho_dtype dtype, const reference &r, int64_t at,
                    double operands)
{
    const shape &s = l.fused.w.s;
    const size_t o = static_cast<size_t>(at);
    const double sums =
        1.01 * 0x1p-24 *
        (OPERAND_ROUNDINGS * operands + images_of_warp(s) * (s.groups + 1) * r.base[o] +
         entry_roundings(l, dtype, at % l.split.n) * (r.all[o] - r.base[o]) +
         ALL_ROUNDINGS * r.all[o]);
    return sums + rounding_of_y(dtype, r.y[o], sums);
}

/* Returns how many outputs were finite. */
int64_t must_be_near(const job &j, const tokens &t, const outputs &o)
{
    const packed_linear &l = *j.l;
    const reference r = reference_of(l, t, j.alpha);
    int64_t finite = 0;
    for (int64_t token = 0; token < t.m; token++) {
        const std::vector<double> sums = operand_sums(l, t, token);
        for (int64_t row = 0; row < l.split.n; row++) {
            const int64_t at = token * l.split.n + row;
            const double wanted = r.y[static_cast<size_t>(at)],
                         got = ortho_dtype_load(t.dtype, o.y(), at),
                         most = tolerance_of(l, t.dtype, r, at, operand_sum(l, sums, row));
            if (!is_within(got, wanted, most))
                fail_at(l, t, {j.alpha, token, row}, got, wanted, most);
            finite += isfinite(wanted);
        }
    }
    return finite;
}

/* Held against the reference; returns as must_be_near(), of all linears. */
int64_t check(const jobs &js, const tokens &t, int y_off, unsigned seed)
{
    const std::vector<outputs> o = run(js, t, y_off, seed);
    int64_t finite = 0;
    for (size_t i = 0; i < js.size(); i++)
        finite += must_be_near(js[i], t, o[i]);
    close(o);
    return finite;
}

void must_repeat(const jobs &js, const tokens &t, unsigned seed)
{
    const std::vector<outputs> first = run(js, t, 0, 0), second = run(js, t, 1, seed);
    for (size_t i = 0; i < js.size(); i++)
        assert_memory_equal(first[i].y(), second[i].y(), first[i].bytes);
    close(first);
    close(second);
}

/* ---- random linears -------------------------------------------------------------------------- */

struct sizes {
    int linears, n_most, k_least, k_most, multiprocessors_most;
};

/* Linears and calls of case `number`: dtypes and groups in turn, all else at random. */
void check_random(int number, const sizes &of)
{
    ortho_random from = ortho_random_seeded(static_cast<uint64_t>(number));
    const double densities[] = {0, 0.01, 0.05, 0.2};
    const float alphas[] = {1, 1, 0, -0.7f};
    const int64_t multiples[] = {1, 8, IMAGE_COLUMNS}; /* the last: 16 bytes of x at once, always */
    recipe r;
    std::vector<packed_linear> linears(static_cast<size_t>(of.linears));
    jobs js;
    int64_t rows = 0;
    const int64_t whole = pick_one(&from, multiples);
    r.k = divide_up(draw(&from, of.k_least, of.k_most), whole) * whole;
    r.group = GROUPS[number / 2 % 5];
    r.multiprocessors = draw(&from, 1, of.multiprocessors_most);
    for (packed_linear &l : linears) {
        r.n = draw(&from, 1, of.n_most);
        r.density = pick_one(&from, densities);
        l = make_linear(r, &from);
        js.push_back({&l, pick_one(&from, alphas)});
        rows += r.n;
    }
    const int x_off = draw(&from, 0, 2) == 0, y_off = draw(&from, 0, 3);
    const tokens t = draw_tokens(DTYPES[number % 2], draw(&from, 9, 40), r.k, x_off, &from);
    const unsigned seed = static_cast<unsigned>(number) + 1;
    assert_int_equal(check(js, t, y_off, seed), t.m * rows);
    if (number % 4 == 0)
        must_repeat(js, t, seed + 1);
    guarded_free(t.memory);
    for (packed_linear &l : linears)
        free_linear(&l);
}

void random_linears_are_right(void **)
{
    for (int number = 0; number < 20; number++)
        check_random(number, {1, 100, 1, 1500, 4});
}

/* More than a batch of units a part, and blocks that have nothing to do. */
void many_rows_are_right(void **)
{
    for (int number = 0; number < 10; number++)
        check_random(1000 + number, {1, 500, 1, 300, 3});
}

/* So many columns and units that x comes in several chunks. */
void chunks_are_right(void **)
{
    for (int number = 0; number < 6; number++)
        check_random(2000 + number, {1, 90, 3500, 4096, 1});
}

void two_windows_are_right(void **)
{
    for (int number = 0; number < 6; number++)
        check_random(3000 + number, {1, 40, WINDOW_COLUMNS + 1, WINDOW_COLUMNS + 1500, 2});
}

void groups_are_right(void **)
{
    for (int number = 0; number < 10; number++)
        check_random(4000 + number, {2 + number % 2, 100, 1, 1000, 4});
}

/* Groups whose linears are taken together, in chunks, though 32 images could be all in one; one
 * after the other, with all of x; together, since there are more images. */
void large_groups_are_right(void **)
{
    for (int number = 0; number < 9; number += 3) {
        const int linears = 2 + number % 2;
        check_random(5000 + number, {linears, 60, 4000, 4096, 1});
        check_random(5001 + number, {linears, 28, 4000, 4096, 1});
        check_random(5002 + number, {linears, 28, 4097, 4200, 1});
    }
}

/* ---- single cases ---------------------------------------------------------------------------- */

/* Token t has one column, t, of x. So y is a weight of 6 bits, and nothing is rounded. */
void weights_come_out_exactly(void **)
{
    ortho_random from = ortho_random_seeded(1);
    for (const ortho_dtype dtype : DTYPES)
        for (const int64_t group : GROUPS) {
            recipe r = {35, 147, group, 2, 0.2};
            r.few_bits = true;
            packed_linear l = make_linear(r, &from);
            const tokens t = open_tokens(dtype, r.k, r.k, 0);
            for (int64_t i = 0; i < r.k; i++)
                for (int64_t c = 0; c < r.k; c++)
                    t.set(i, c, i == c);
            const std::vector<outputs> o = run({{&l, 1}}, t, 0, 1);
            const reference wanted = reference_of(l, t, 1);
            for (int64_t i = 0; i < t.m * r.n; i++)
                assert_true(ortho_dtype_load(dtype, o[0].y(), i) ==
                            wanted.y[static_cast<size_t>(i)]);
            close(o);
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
            assert_int_equal(check({{&l, 1}}, t, 0, 2), (M - BAD) * r.n);
            guarded_free(t.memory);
            free_linear(&l);
        }
}

/* There is nothing where they would be, nor sums of theirs. */
void entries_are_not_read_where_alpha_is_0(void **)
{
    ortho_random from = ortho_random_seeded(3);
    for (const ortho_dtype dtype : DTYPES) {
        packed_linear l = make_linear({40, 300, 32, 1, 0.3, false}, &from);
        const tokens t = draw_tokens(dtype, 11, 300, 0, &from);
        l.fused.w.ortho = nullptr;
        l.fused.w.begin = nullptr;
        assert_int_equal(check({{&l, 0}}, t, 0, 3), 40 * 11);
        guarded_free(t.memory);
        free_linear(&l);
    }
}

/* Beyond what a launch takes. */
void many_tokens_are_right(void **)
{
    ortho_random from = ortho_random_seeded(4);
    packed_linear l = make_linear({2, 3, 3, 1, 0.5}, &from);
    const tokens t = draw_tokens(ORTHO_F16, 32768 + 3, 3, 0, &from);
    assert_int_equal(check({{&l, 1}}, t, 0, 0), t.m * 2);
    guarded_free(t.memory);
    free_linear(&l);
}

} // namespace

int main(void)
{
    const CMUnitTest tests[] = {cmocka_unit_test(random_linears_are_right),
                                cmocka_unit_test(many_rows_are_right),
                                cmocka_unit_test(chunks_are_right),
                                cmocka_unit_test(two_windows_are_right),
                                cmocka_unit_test(groups_are_right),
                                cmocka_unit_test(large_groups_are_right),
                                cmocka_unit_test(weights_come_out_exactly),
                                cmocka_unit_test(what_is_not_finite_stays_in_its_token),
                                cmocka_unit_test(entries_are_not_read_where_alpha_is_0),
                                cmocka_unit_test(many_tokens_are_right)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
