/*
 * Where `fused` lets weights be rounded to fp16: what the kernel of many tokens then computes is
 * imitated weight by weight, and must stay within the bound of verification; where it wouldn't, the
 * linear must have been refused.
 */
#include "fused_rounding.h"

namespace
{

struct tally {
    int accepted, refused, outputs;
    double error, chance; /* the worst output in bounds; the worst linear */
};

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
        cmocka_unit_test(ranges_are_kept),
        cmocka_unit_test(small_entries_beside_nothing_are_refused),
        cmocka_unit_test(alpha_0_is_base_alone),
        cmocka_unit_test(base_alone_counts),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
