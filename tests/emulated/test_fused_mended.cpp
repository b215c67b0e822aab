/*
 * Rows that `fused` computes once more, since rounding their weights to fp16 might bring them out
 * of the bound of verification: which they are, how many there may be, and that the others decide
 * then.
 */
#include "fused_rounding.h"

namespace
{

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
    int mended = 0;
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
        mended += rounding.mended;
    }
    assert_int_equal(mended, 2);
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

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_bad_rows_are_mended),
        cmocka_unit_test(others_decide_where_rows_are_mended),
        cmocka_unit_test(rows_of_no_number_are_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
