/*
 * Where `fused` lets weights be rounded to fp16: what the kernel of many tokens then computes is
 * imitated weight by weight, and must stay within the bound of verification; where it wouldn't, the
 * linear must have been refused.
 */
#include "common/half.h"
#include "variants/fused/rounding.h"

#include <algorithm>
#include <math.h>
#include <random>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace
{

typedef std::mt19937_64 source;

double normal(source *from)
{
    return std::normal_distribution<double>()(*from);
}

double uniform(source *from, double least, double most)
{
    return std::uniform_real_distribution<double>(least, most)(*from);
}

/* One rounding, to nearest even: by way of float there would be two. */
double round_half(double v)
{
    int exponent = 0;
    frexp(v, &exponent);
    const int last = std::max(exponent - 11, -24);
    const double rounded = ldexp(nearbyint(ldexp(v, -last)), last);
    return fabs(rounded) > 65504 ? copysign(HUGE_VAL, v) : rounded;
}

uint16_t half_bits(double v)
{
    return ortho_float_to_fp16(static_cast<float>(round_half(v)));
}

/* ---- linears --------------------------------------------------------------------------------- */

/* How a linear is made. */
struct recipe {
    int64_t n = 32, k = 3072, group = 128;
    double scale = 0.01, spread = 0.15; /* of scales: the middle, and sigma of the logarithm */
    double q = 2.5;                     /* sigma of q before it is rounded and clamped */
    double zeros = 0;                   /* share of q that are 0 whatever that says */
    double density = 0.01;
    double entry = 4, entry_spread = 0.5; /* of entries, in `scale`s, as scales are told */
    uint64_t seed = 1;
};

struct linear {
    int64_t n, k, group, groups;
    std::vector<uint8_t> q;
    std::vector<uint16_t> scale, col, val;
    std::vector<int32_t> row_ptr;

    double base(int64_t row, int64_t column) const
    {
        const int byte = q[static_cast<size_t>(row * ((k + 1) / 2) + column / 2)];
        const int value = ((byte >> (column % 2 * 4) & 15) ^ 8) - 8;
        return value *
               ortho_fp16_to_float(scale[static_cast<size_t>(row * groups + column / group)]);
    }
};

void fill_row(const recipe &r, source *from, int64_t row, linear *l)
{
    for (int64_t g = 0; g < l->groups; g++)
        l->scale.push_back(half_bits(r.scale * exp(r.spread * normal(from))));
    for (int64_t c = 0; c < r.k; c++) {
        const bool zero = r.zeros > 0 && uniform(from, 0, 1) < r.zeros;
        const double q = zero ? 0 : std::min(std::max(nearbyint(r.q * normal(from)), -8.0), 7.0);
        const unsigned nibble = static_cast<unsigned>(static_cast<int>(q)) & 15u;
        l->q[static_cast<size_t>(row * ((r.k + 1) / 2) + c / 2)] |= nibble << (c % 2 * 4);
        if (r.density > 0 && uniform(from, 0, 1) < r.density) {
            const double v = r.scale * r.entry * exp(r.entry_spread * normal(from));
            l->col.push_back(static_cast<uint16_t>(c));
            l->val.push_back(half_bits(std::min(v, 6e4) * (uniform(from, -1, 1) < 0 ? -1 : 1)));
        }
    }
    l->row_ptr.push_back(static_cast<int32_t>(l->val.size()));
}

linear make(const recipe &r)
{
    linear l = {r.n, r.k, r.group, (r.k + r.group - 1) / r.group, {}, {}, {}, {}, {0}};
    source from(r.seed);
    l.q.resize(static_cast<size_t>(r.n * ((r.k + 1) / 2)));
    for (int64_t row = 0; row < r.n; row++)
        fill_row(r, &from, row, &l);
    return l;
}

ortho_fused::rounding rounding_of(linear *l)
{
    ortho_split s = {};
    s.n = l->n;
    s.k = l->k;
    s.group = l->group;
    s.nnz = static_cast<int64_t>(l->val.size());
    s.q = l->q.data();
    s.scale = l->scale.data();
    s.row_ptr = l->row_ptr.data();
    s.col = l->col.data();
    s.val = l->val.data();
    return ortho_fused::rounding_of(&s);
}

bool accepted(linear l, float alpha = 1)
{
    return ortho_fused::may_round(rounding_of(&l), alpha);
}

bool accepted(const recipe &r, float alpha = 1)
{
    return accepted(make(r), alpha);
}

/* ---- what the kernel makes of them ----------------------------------------------------------- */

/* A row's weights: what the kernel multiplies by less what they are, and their magnitudes, Base and
 * entries apart. Not patched with alpha 0, as wide.cu does it. */
struct rounded_row {
    std::vector<double> error, magnitude;
};

rounded_row round_row(const linear &l, int64_t row, double alpha)
{
    rounded_row out;
    int32_t at = l.row_ptr[static_cast<size_t>(row)];
    for (int64_t c = 0; c < l.k; c++) {
        const double base = l.base(row, c);
        const bool here = at < l.row_ptr[static_cast<size_t>(row) + 1] &&
                          l.col[static_cast<size_t>(at)] == c && ++at > 0;
        const double v = here && alpha != 0
                             ? alpha * ortho_fp16_to_float(l.val[static_cast<size_t>(at) - 1])
                             : 0;
        const double rounded = round_half(base);
        out.error.push_back((here ? round_half(rounded + v) : rounded) - (base + v));
        out.magnitude.push_back(fabs(base) + fabs(v));
    }
    return out;
}

double bound_of(double k, double magnitude)
{
    return 8 * sqrt(2 * k) * 0x1p-24 * magnitude;
}

/* An output's error for one x, in bounds. */
double drawn_error(const rounded_row &row, const std::vector<double> &x)
{
    double error = 0, magnitude = 0;
    for (size_t i = 0; i < x.size(); i++) {
        error += row.error[i] * x[i];
        magnitude += row.magnitude[i] * fabs(x[i]);
    }
    return error == 0 ? 0 : fabs(error) / bound_of(static_cast<double>(x.size()), magnitude);
}

/* How likely any normal x brings it beyond the bound. */
double true_chance(const rounded_row &row)
{
    double squares = 0, magnitude = 0;
    for (size_t i = 0; i < row.error.size(); i++) {
        squares += row.error[i] * row.error[i];
        magnitude += row.magnitude[i] * sqrt(2 / M_PI);
    }
    const double k = static_cast<double>(row.error.size());
    return squares == 0 ? 0 : erfc(bound_of(k, magnitude) / sqrt(2 * squares));
}

struct tally {
    int accepted, refused, outputs;
    double error, chance; /* the worst output in bounds; the worst linear */
};

/* The rules' own, and a percent for what they leave out. */
constexpr double CHANCE_MOST = 1.01e-7;

/* Every output of an accepted linear is within the bound, and not by luck. */
void must_be_within(const linear &l, double alpha, source *from, tally *t)
{
    std::vector<double> x(static_cast<size_t>(l.k));
    for (double &v : x)
        v = round_half(normal(from));
    double chance = 0;
    for (int64_t row = 0; row < l.n; row++) {
        const rounded_row rounded = round_row(l, row, alpha);
        const double error = drawn_error(rounded, x);
        assert_true(error <= 1);
        t->error = std::max(t->error, error);
        t->outputs++;
        chance += true_chance(rounded) / static_cast<double>(l.n);
    }
    if (!(chance <= CHANCE_MOST))
        print_message("  k %d, group %d, alpha %g: beyond the bound by a chance of %g\n",
                      static_cast<int>(l.k), static_cast<int>(l.group), alpha, chance);
    assert_true(chance <= CHANCE_MOST);
    t->chance = std::max(t->chance, chance);
}

template <typename T, size_t N> T pick(source *from, const T (&of)[N])
{
    return of[(*from)() % N];
}

/* Rows of any length and weights of any size, even and uneven. */
recipe any_recipe(source *from, uint64_t seed)
{
    const int64_t groups[] = {32, 64, 128, 256, 1 << 20};
    const double spreads[] = {0, 0.15, 0.5, 1.5}, widths[] = {1, 2.5, 2.5, 4, 20};
    const double densities[] = {0, 0.0003, 0.01, 0.05, 0.3}, entries[] = {0.3, 4, 4, 20, 300, 1e5};
    recipe r;
    r.n = 8;
    r.k = static_cast<int64_t>(exp(uniform(from, log(64), log(20000))));
    r.group = std::min(r.k, pick(from, groups));
    r.scale = exp2(uniform(from, 0, 3) < 2 ? uniform(from, -11, -4) : uniform(from, -18, 13));
    r.spread = pick(from, spreads);
    r.q = pick(from, widths);
    r.zeros = uniform(from, 0, 4) < 1 ? uniform(from, 0, 1) : 0;
    r.density = pick(from, densities);
    r.entry = pick(from, entries);
    r.entry_spread = pick(from, spreads);
    r.seed = seed;
    return r;
}

void accepted_are_within(void **)
{
    source from(20000);
    tally t = {};
    for (uint64_t seed = 0; seed < 1000; seed++) {
        linear l = make(any_recipe(&from, seed));
        const ortho_fused::rounding rounding = rounding_of(&l);
        for (float alpha : {1.0f, 0.5f, 0.0f}) {
            const bool may = ortho_fused::may_round(rounding, alpha);
            (may ? t.accepted : t.refused)++;
            if (may)
                must_be_within(l, alpha, &from, &t);
        }
    }
    print_message("  %d accepted, %d refused; worst of %d outputs %.2f of the bound, of all "
                  "chances %.1e\n",
                  t.accepted, t.refused, t.outputs, t.error, t.chance);
    assert_in_range(t.accepted, 500, 2500);
    assert_in_range(t.refused, 500, 2500);
}

/* The chance that decides is that of rounding weight by weight; x is taken to be 1 % smaller. */
void chances_are_true(void **)
{
    source from(2048);
    int compared = 0;
    for (uint64_t seed = 0; seed < 150; seed++) {
        recipe r = any_recipe(&from, seed);
        r.n = 2;
        r.k = std::max(r.k, int64_t{2048});
        r.scale = 0.01;
        linear l = make(r);
        const ortho_fused::rounding rounding = rounding_of(&l);
        for (int a = 0; a < ortho_fused::ROUNDED; a++) {
            double chance = 0;
            for (int64_t row = 0; row < l.n; row++)
                chance += true_chance(round_row(l, row, ortho_fused::ROUNDED_ALPHAS[a])) / 2;
            assert_true(rounding.chance[a] >= chance);
            assert_true(rounding.chance[a] <= pow(chance, 0.96));
            compared += chance > 1e-30 && chance < 0.5;
        }
    }
    print_message("  %d of 450 between 1e-30 and 0.5\n", compared);
    assert_in_range(compared, 100, 450);
}

/* ---- single cases ---------------------------------------------------------------------------- */

void linears_of_llama_are_accepted(void **)
{
    for (int64_t k : {3072, 8192})
        for (double scale : {0.005, 0.01, 0.02})
            for (double density : {0.0, 0.01, 0.05})
                for (double entry : {0.4, 4.0, 8.0}) /* what e^2 H chooses, and outliers */
                    for (float alpha : {1.0f, 0.5f, 0.0f}) {
                        recipe r;
                        r.k = k;
                        r.scale = scale;
                        r.density = density;
                        r.entry = entry;
                        assert_true(accepted(r, alpha));
                    }
}

void few_alphas_are_accepted(void **)
{
    for (float alpha : {1.0f, 0.5f, 0.0f, -0.0f})
        assert_true(accepted(recipe(), alpha));
    for (float alpha : {0.75f, 2.0f, 1.5f, 0x1p-20f, -1.0f, -0.5f, NAN, INFINITY})
        assert_false(accepted(recipe(), alpha));
}

void short_rows_are_refused(void **)
{
    recipe r;
    for (int64_t k : {64, 512, 1024, 2048}) {
        r.k = k;
        assert_false(accepted(r));
    }
    r.k = 2040; /* nothing is lost with such scales */
    r.density = r.spread = 0;
    r.scale = 0x1p-7;
    assert_false(accepted(r));
    r.k = 2048;
    assert_true(accepted(r));
}

/* Weights of which a few weigh more than the others: their errors don't average out. */
void uneven_rows_are_refused(void **)
{
    linear l = make(recipe());
    for (int64_t row = 0; row < l.n; row++) /* 1 group of 24 */
        l.scale[static_cast<size_t>(row * l.groups)] = half_bits(0.77);
    assert_false(accepted(l));
    recipe r;
    r.zeros = 0.9;
    assert_false(accepted(r));
    r = recipe();
    r.k = 8192;
    r.entry = 1000;
    assert_false(accepted(r));
}

/* Of 32 rows. */
void one_bad_row_is_enough(void **)
{
    for (int64_t row : {0, 17, 31}) {
        linear l = make(recipe());
        const size_t at = static_cast<size_t>(l.row_ptr[static_cast<size_t>(row)]);
        l.val[at] = half_bits(20); /* scales: 0.01 */
        assert_false(accepted(l));
        l.val[at] = half_bits(0.1);
        assert_true(accepted(l));
    }
}

/* A few large entries, or one of them could stand where Base is 0, and nothing be lost. */
void spoil(linear *l, int64_t row, double v)
{
    for (int i = 0; i < 4; i++)
        l->val[static_cast<size_t>(l->row_ptr[static_cast<size_t>(row)] + i)] = half_bits(v + i);
}

/* Of 512 rows two may be computed once more, with alpha 1: whichever they are, and however bad. */
void few_bad_rows_are_mended(void **)
{
    recipe r;
    r.n = 512;
    linear l = make(r);
    assert_int_equal(rounding_of(&l).mended, 0);
    spoil(&l, 511, 20); /* scales: 0.01 */
    assert_int_equal(rounding_of(&l).mended, 1);
    assert_int_equal(rounding_of(&l).row[0], 511);
    spoil(&l, 17, 40);
    const ortho_fused::rounding two = rounding_of(&l);
    assert_int_equal(two.mended, 2);
    assert_int_equal(two.row[0], 17); /* the worst */
    assert_int_equal(two.row[1], 511);
    assert_true(ortho_fused::may_round(two, 1));
    assert_false(ortho_fused::may_round(two, 0.5f));
    assert_true(ortho_fused::may_round(two, 0)); /* without the entries */
    spoil(&l, 100, 30);
    const ortho_fused::rounding three = rounding_of(&l);
    assert_int_equal(three.mended, 0);
    assert_false(ortho_fused::may_round(three, 1));
}

/* A linear is accepted for what its other rows are. */
void others_decide_where_rows_are_mended(void **)
{
    source from(11);
    tally t = {};
    recipe r;
    r.n = 256;
    for (double bad : {0.0, 20.0, 200.0}) {
        linear l = make(r);
        if (bad > 0)
            spoil(&l, 200, bad);
        const ortho_fused::rounding rounding = rounding_of(&l);
        assert_true(ortho_fused::may_round(rounding, 1));
        double chance = 0;
        for (int64_t row = 0; row < l.n; row++)
            if (rounding.mended == 0 || row != rounding.row[0])
                chance += true_chance(round_row(l, row, 1)) / static_cast<double>(l.n);
        assert_true(chance <= CHANCE_MOST);
        t.accepted += rounding.mended;
    }
    assert_int_equal(t.accepted, 2);
}

/* What is no number is none of the rows that can be mended. */
void rows_of_no_number_are_refused(void **)
{
    recipe r;
    r.n = 512;
    linear l = make(r);
    l.scale[7] = 0x7e00;
    assert_false(accepted(l));
    l = make(r);
    l.val[5] = 0x7e00;
    assert_false(accepted(l));
}

/* The range of fp16: long rows, so that nothing else is against them. */
void ranges_are_kept(void **)
{
    recipe r;
    r.k = 8192;
    r.scale = 0x1p10;
    r.entry = 3;
    r.entry_spread = 0.2;
    assert_true(accepted(r));
    linear l = make(r);
    l.val[5] = half_bits(40000);
    assert_false(accepted(l));
    l.val[5] = 0x7c00; /* infinity */
    assert_false(accepted(l));
    l = make(r);
    l.scale[7] = half_bits(3000); /* 8 * 3000 */
    assert_false(accepted(l));
    l.scale[7] = 0x7e00; /* NaN */
    assert_false(accepted(l));
    r = recipe();
    r.k = 8192;
    l = make(r);
    l.scale[7] = half_bits(0x1.8p-15);
    assert_false(accepted(l));
    l.scale[7] = half_bits(0x1.8p-14);
    assert_true(accepted(l));
}

/* Where Base is 0, an entry is all there is. */
void small_entries_beside_nothing_are_refused(void **)
{
    recipe r;
    r.k = 8192;
    linear l = make(r);
    l.val[0] = half_bits(0x1.8p-14);
    assert_true(accepted(l, 0.5f));
    l.scale[7] = 0;
    assert_true(accepted(l, 1.0f));
    assert_true(accepted(l, 0.0f));
    assert_false(accepted(l, 0.5f));
    l.val[0] = half_bits(0x1.8p-15);
    assert_false(accepted(l, 1.0f));
    assert_true(accepted(l, 0.0f));
}

/* alpha 0 is Base alone, which is within the bound wherever it is accepted. */
void alpha_0_is_base_alone(void **)
{
    source from(7);
    tally t = {};
    for (int64_t k : {2048, 3072, 8192})
        for (double zeros : {0.0, 0.9})
            for (uint16_t entry : {0x0001, 0x6400, 0x7bff, 0x7c00, 0x7e00}) {
                recipe r;
                r.k = k;
                r.zeros = zeros;
                linear l = make(r);
                std::fill(l.val.begin(), l.val.end(), entry);
                const bool may = accepted(l, 0);
                (may ? t.accepted : t.refused)++;
                if (may)
                    must_be_within(l, 0, &from, &t);
            }
    print_message("  %d accepted, %d refused\n", t.accepted, t.refused);
    assert_in_range(t.accepted, 5, 25);
}

/* Entries everywhere have room of their own, which Base alone hasn't. */
void base_alone_counts(void **)
{
    recipe r;
    r.zeros = 0.95;
    r.density = 0.9;
    r.entry_spread = 0.1;
    assert_true(accepted(r, 1));
    assert_false(accepted(r, 0));
}

void halves_are_rounded_once(void **)
{
    source from(3);
    for (int i = 0; i < 100000; i++) {
        const float v =
            static_cast<float>(ldexp(normal(&from), static_cast<int>(from() % 44) - 28));
        assert_true(round_half(v) == ortho_fp16_to_float(ortho_float_to_fp16(v)));
    }
    assert_true(round_half(1 + 0x1p-11 + 0x1p-40) == 1 + 0x1p-10); /* 1 by way of float */
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_are_rounded_once),
        cmocka_unit_test(accepted_are_within),
        cmocka_unit_test(chances_are_true),
        cmocka_unit_test(linears_of_llama_are_accepted),
        cmocka_unit_test(few_alphas_are_accepted),
        cmocka_unit_test(short_rows_are_refused),
        cmocka_unit_test(uneven_rows_are_refused),
        cmocka_unit_test(one_bad_row_is_enough),
        cmocka_unit_test(few_bad_rows_are_mended),
        cmocka_unit_test(others_decide_where_rows_are_mended),
        cmocka_unit_test(rows_of_no_number_are_refused),
        cmocka_unit_test(ranges_are_kept),
        cmocka_unit_test(small_entries_beside_nothing_are_refused),
        cmocka_unit_test(alpha_0_is_base_alone),
        cmocka_unit_test(base_alone_counts),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
