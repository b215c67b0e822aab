/* Options become cases: keys as documented, references added, unknown words refused with the known
 * ones. */
#include "harness/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static ob_options options(void)
{
    ob_options o;
    ob_options_default(&o);
    o.backend = OB_BACKEND_CPU;
    o.do_sieve = o.do_gemm = true;
    return o;
}

static ortho_dataset *dataset(const char *spec)
{
    ortho_dataset *d = NULL;
    assert_int_equal(ortho_dataset_open(spec, &d), ORTHO_OK);
    return d;
}

static int with_role(const ob_plan *plan, ortho_role role, bool sieve)
{
    int n = 0;
    for (int i = 0; i < plan->count; i++)
        n += plan->cases[i].variant->role == role && plan->cases[i].sieve == sieve;
    return n;
}

static bool has(const ob_plan *plan, const char *key)
{
    for (int i = 0; i < plan->count; i++)
        if (strcmp(plan->cases[i].key, key) == 0)
            return true;
    return false;
}

static void keys_are_those_of_the_document(void **state)
{
    ortho_dataset *d = dataset("random:64x96");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    o.batches = (ob_numbers){.count = 2, .item = {1, 16}};
    o.densities = (ob_numbers){.count = 2, .item = {0.005, 0.05}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_true(has(&plan, "gemm/csr/cpu/L0.w/m16/d0.005/outlier/g128/fp32/cold"));
    assert_true(has(&plan, "sieve/csr/cpu/L0.w/d0.05/outlier/g128/cold"));
    assert_int_equal(plan.cases[0].nnz, 30); /* floor(0.005 * 6144) */
    ob_plan_free(&plan);
    o.group = 0;
    o.rule = ORTHO_RULE_LEGACY;
    o.l2 = OB_L2_WARM;
    o.dtype = ORTHO_BF16;
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_true(has(&plan, "gemm/csr/cpu/L0.w/m1/d0.05/legacy/grow/bf16/warm"));
    assert_int_equal(plan.cases[0].group, 96);
    ob_plan_free(&plan);
    ortho_dataset_close(d);
}

/* Competitors alone have modes; both stand in one group. */
static void modes_of_activations_are_cases_of_a_group(void **state)
{
    ortho_dataset *d = dataset("random:64x96");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.variants = (ob_words){.count = 1, .item = {"fused"}};
    o.dtype = ORTHO_BF16;
    o.alpha = 0.5;
    o.activations = 1 << ORTHO_ACTIVATIONS_EXACT | 1 << ORTHO_ACTIVATIONS_INT8;
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_true(has(&plan, "gemm/fused/cpu/L0.w/m1/d0.01/outlier/g128/bf16/cold/a0.5"));
    assert_true(has(&plan, "gemm/fused/cpu/L0.w/m1/d0.01/outlier/g128/bf16/cold/int8/a0.5"));
    for (int i = 0; i < plan.count; i++) {
        const ob_case *c = &plan.cases[i];
        bool marked = strstr(c->key, "/int8") != NULL;
        assert_int_equal(marked, c->activations == ORTHO_ACTIVATIONS_INT8);
        assert_true(!marked || (!c->sieve && c->variant->role == ORTHO_COMPETITOR));
        assert_true(!marked || (plan.cases[i - 1].variant == c->variant &&
                                plan.cases[i - 1].group_number == c->group_number));
    }
    ob_plan_free(&plan);
    o.activations = 1 << ORTHO_ACTIVATIONS_INT8;
    o.pass = OB_PASS_DECODE;
    o.forms = OB_FORM_SINGLE | OB_FORM_PERSISTENT;
    o.do_sieve = false;
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_true(has(&plan, "pass/fused/cpu/decode/m1/d0.01/outlier/g128/bf16/int8/a0.5"));
    assert_true(
        has(&plan, "pass/fused/cpu/decode-persistent/m1/d0.01/outlier/g128/bf16/int8/a0.5"));
    assert_false(has(&plan, "pass/fused/cpu/decode/m1/d0.01/outlier/g128/bf16/a0.5"));
    assert_true(has(&plan, "pass/dense/cpu/decode/m1/d0.01/outlier/g128/bf16/a0.5"));
    ob_plan_free(&plan);
    ortho_dataset_close(d);
}

static void references_join_the_oracle_does_not(void **state)
{
    ortho_dataset *d = dataset("random:64x96");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(with_role(&plan, ORTHO_COMPETITOR, false), 1);
    assert_true(with_role(&plan, ORTHO_BASELINE, false) >= 1);
    assert_true(with_role(&plan, ORTHO_CEILING, false) >= 1);
    assert_true(with_role(&plan, ORTHO_HARNESS, false) >= 1);
    assert_int_equal(with_role(&plan, ORTHO_ORACLE, false), 0);
    ob_plan_free(&plan);
    o.variants = (ob_words){.count = 1, .item = {"all"}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_true(with_role(&plan, ORTHO_COMPETITOR, false) >= 4);
    assert_int_equal(with_role(&plan, ORTHO_ORACLE, false), 1);
    ob_plan_free(&plan);
    ortho_dataset_close(d);
}

static void groups_are_contiguous_and_alike(void **state)
{
    ortho_dataset *d = dataset("random:64x96");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.batches = (ob_numbers){.count = 3, .item = {1, 2, 3}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    for (int i = 1; i < plan.count; i++) {
        const ob_case *a = &plan.cases[i - 1], *b = &plan.cases[i];
        assert_true(b->group_number - a->group_number <= 1);
        if (a->group_number == b->group_number)
            assert_true(a->sieve == b->sieve && a->m == b->m && a->density == b->density);
    }
    assert_int_equal(plan.cases[plan.count - 1].group_number, 3); /* sieve, m 1, 2, 3 */
    ob_plan_free(&plan);
    ortho_dataset_close(d);
}

static void a_key_selects_its_case_alone(void **state)
{
    ortho_dataset *d = dataset("random:64x96");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.case_key = "gemm/coo/cpu/L0.w/m1/d0.01/outlier/g128/fp32/cold";
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(plan.count, 1);
    assert_string_equal(plan.cases[0].key, o.case_key);
    ob_plan_free(&plan);
    o.case_key = "gemm/coo/cpu/L9.w/m1/d0.01/outlier/g128/fp32/cold";
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_E_ARGUMENT);
    assert_int_equal(plan.count, 0);
    ortho_dataset_close(d);
}

static void refused(const ob_options *o, ortho_dataset *d, const char *one, const char *other)
{
    ob_plan plan = {0};
    assert_int_equal(ob_plan_make(o, d, &plan), ORTHO_E_ARGUMENT);
    assert_non_null(strstr(ortho_last_message(), one));
    assert_non_null(strstr(ortho_last_message(), other));
    assert_null(plan.cases);
}

static void unknown_words_are_refused_with_the_known_ones(void **state)
{
    ortho_dataset *d = dataset("synthetic:llama-3.2-3b");
    (void)state;
    ob_options o = options();
    o.variants = (ob_words){.count = 1, .item = {"cvs"}};
    refused(&o, d, "cvs", "block-csr, coo, csr");
    o = options();
    o.layers = (ob_numbers){.count = 2, .item = {0, 28}};
    refused(&o, d, "28", "0-27");
    o = options();
    o.projections = (ob_words){.count = 2, .item = {"gate", "gates"}};
    refused(&o, d, "gates", "q, k, v, o, gate, up, down");
    ortho_dataset_close(d);
}

static void layers_and_projections_choose_slices(void **state)
{
    ortho_dataset *d = dataset("synthetic:llama-3.2-3b");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.do_sieve = false;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    o.layers = (ob_numbers){.count = 2, .item = {3, 27}};
    o.projections = (ob_words){.count = 2, .item = {"down", "k"}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(with_role(&plan, ORTHO_COMPETITOR, false), 4);
    assert_true(has(&plan, "gemm/csr/cpu/L27.down/m1/d0.01/outlier/g128/fp32/cold"));
    ob_plan_free(&plan);
    o.layers.count = o.projections.count = 0; /* the first layer, all of it */
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(with_role(&plan, ORTHO_COMPETITOR, false), 7);
    ob_plan_free(&plan);
    ortho_dataset_close(d);
}

static void a_pass_is_one_case_over_all_linears(void **state)
{
    ortho_dataset *d = dataset("synthetic:llama-3.2-3b");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.pass = OB_PASS_DECODE;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(with_role(&plan, ORTHO_COMPETITOR, false), 1);
    assert_int_equal(with_role(&plan, ORTHO_COMPETITOR, true), 0);
    assert_true(has(&plan, "pass/csr/cpu/decode/m1/d0.01/outlier/g128/fp32"));
    assert_int_equal(plan.linear_count, 28 * 7);
    assert_int_equal(plan.cases[0].linears, 28 * 7);
    /* 28 times floor(0.01 n k) of q, k, v, o, gate, up, down */
    assert_int_equal(plan.cases[0].nnz, 28 * (2 * 94371 + 2 * 31457 + 3 * 251658));
    ob_plan_free(&plan);
    o.layers = (ob_numbers){.count = 1, .item = {5}};
    o.projections = (ob_words){.count = 2, .item = {"down", "q"}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(plan.linear_count, 2);
    assert_string_equal(plan.linears[0]->proj, "q"); /* in the model's order */
    assert_string_equal(plan.linears[1]->proj, "down");
    ob_plan_free(&plan);
    ortho_dataset_close(d);
}

static void a_pass_in_forms_is_a_case_each(void **state)
{
    ortho_dataset *d = dataset("synthetic:smollm2-135m");
    ob_options o = options();
    ob_plan plan = {0};
    (void)state;
    o.pass = OB_PASS_DECODE;
    o.forms = OB_FORM_GROUPED | OB_FORM_PERSISTENT;
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(with_role(&plan, ORTHO_COMPETITOR, false), 2);
    assert_true(has(&plan, "pass/csr/cpu/decode-grouped/m1/d0.01/outlier/g128/fp32"));
    assert_true(has(&plan, "pass/csr/cpu/decode-persistent/m1/d0.01/outlier/g128/fp32"));
    assert_false(has(&plan, "pass/csr/cpu/decode/m1/d0.01/outlier/g128/fp32"));
    for (int i = 1; i < plan.count; i++)
        assert_int_equal(plan.cases[i].group_number, plan.cases[0].group_number);
    ob_plan_free(&plan);
    o.pass = OB_PASS_NONE; /* forms are a pass's: nothing is doubled */
    o.do_sieve = false;
    assert_int_equal(ob_plan_make(&o, d, &plan), ORTHO_OK);
    assert_int_equal(with_role(&plan, ORTHO_COMPETITOR, false), 7);
    ob_plan_free(&plan);
    ortho_dataset_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_document),
        cmocka_unit_test(modes_of_activations_are_cases_of_a_group),
        cmocka_unit_test(references_join_the_oracle_does_not),
        cmocka_unit_test(groups_are_contiguous_and_alike),
        cmocka_unit_test(a_key_selects_its_case_alone),
        cmocka_unit_test(unknown_words_are_refused_with_the_known_ones),
        cmocka_unit_test(layers_and_projections_choose_slices),
        cmocka_unit_test(a_pass_is_one_case_over_all_linears),
        cmocka_unit_test(a_pass_in_forms_is_a_case_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
