/* Ratios of a pass in several forms, over several processes. */
#include "tests/unit/process_documents.h"

/* Of a pass in another form the baseline is that of the ratio's form, under a key of its own. */
static void a_ratio_finds_the_baseline_of_its_form(void **state)
{
    (void)state;
    static const char *const grouped = "pass/csr/cpu/decode-grouped/m1/d0.01/outlier/g128/fp32";
    static const char *const single = "pass/dense/cpu/decode/m1/d0.01/outlier/g128/fp32";
    static const char *const other = "pass/dense/cpu/decode-grouped/m1/d0.01/outlier/g128/fp32";
    static const char *const names[] = {"speedup", "speedup_grouped"};
    fixture f = three();
    for (int i = 0; i < 3; i++) {
        json_t *mine = row_at(&f, i, csr), *rows = json_object_get(f.document[i], "results");
        double over = ortho_model_number(row_at(&f, i, dense), "time_ns.median");
        json_t *second = row_of(other, "dense", 2 * over);
        json_object_set_new(mine, "key", json_string(grouped));
        json_object_set_new(mine, "linears", json_integer(7));
        json_object_set_new(row_at(&f, i, dense), "key", json_string(single));
        json_array_append_new(rows, second);
        for (int r = 0; r < 2; r++)
            json_object_set_new(mine, names[r],
                                json_pack("{s:s, s:f, s:f, s:f}", "over", "dense", "ratio", 9.0,
                                          "lo", 1.0, "hi", 10.0));
    }
    const json_t *row = merge(&f, 3, grouped);
    near(row, "speedup.ratio", 3);
    near(row, "speedup_grouped.ratio", 6);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ratio_finds_the_baseline_of_its_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
