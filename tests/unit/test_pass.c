/* A pass in its forms: which linears share x, what feeds what in a chain, weights and splits made
 * one, and sessions over them. */
#include "harness/memory.h"
#include "harness/session.h"
#include "harness/session_pass.h"

#include "common/dtype.h"
#include "kernels/split.h"
#include "variants/reference/oracle.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) ((int)(sizeof(a) / sizeof *(a)))

/* ---- groups and links ------------------------------------------------------------------------ */

static const ortho_slice layers[] = {
    {.layer = 0, .proj = "q", .n = 576, .k = 576},
    {.layer = 0, .proj = "k", .n = 192, .k = 576},
    {.layer = 0, .proj = "v", .n = 192, .k = 576},
    {.layer = 0, .proj = "o", .n = 576, .k = 576},
    {.layer = 0, .proj = "gate", .n = 1536, .k = 576},
    {.layer = 0, .proj = "up", .n = 1536, .k = 576},
    {.layer = 0, .proj = "down", .n = 576, .k = 1536},
    {.layer = 1, .proj = "q", .n = 576, .k = 576},
    {.layer = 1, .proj = "k", .n = 192, .k = 576},
};

typedef struct selection {
    const ortho_slice *linears[16];
    ob_linears groups[16];
    int count, group_count;
    int64_t x_at[16];
} selection;

/* Places in `layers`, up to a negative one. */
static selection select_linears(const int *places)
{
    selection s = {.count = 0};
    while (places[s.count] >= 0) {
        s.linears[s.count] = &layers[places[s.count]];
        s.count++;
    }
    s.group_count = ob_pass_groups(s.linears, s.count, s.groups);
    ob_pass_links(s.linears, s.groups, s.group_count, s.x_at);
    return s;
}

static void expect_groups(const selection *s, const int *counts, int group_count)
{
    assert_int_equal(s->group_count, group_count);
    for (int g = 0, first = 0; g < group_count; g++) {
        assert_int_equal(s->groups[g].first, first);
        assert_int_equal(s->groups[g].count, counts[g]);
        first += counts[g];
    }
}

static void linears_that_share_x_are_a_group(void **state)
{
    (void)state;
    selection s = select_linears((int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, -1});
    expect_groups(&s, (int[]){3, 1, 2, 1, 2}, 5);
    s = select_linears((int[]){0, 2, 6, -1}); /* q and v; down */
    expect_groups(&s, (int[]){2, 1}, 2);
    s = select_linears((int[]){2, 8, -1}); /* of two layers */
    expect_groups(&s, (int[]){1, 1}, 2);
    s = select_linears((int[]){2, 0, 0, -1}); /* against the order, and twice the same */
    expect_groups(&s, (int[]){1, 1, 1}, 3);
    s = select_linears((int[]){2, 4, -1}); /* neighbours of two sets */
    expect_groups(&s, (int[]){1, 1}, 2);
    ortho_slice wide = layers[1];
    wide.k = 600;
    const ortho_slice *unlike[] = {&layers[0], &wide};
    assert_int_equal(ob_pass_groups(unlike, 2, s.groups), 2);
}

static void expect_links(const selection *s, const int64_t *x_at)
{
    for (int i = 0; i < s->count; i++)
        if (s->x_at[i] != x_at[i])
            fail_msg("linear %d: x at %lld, not %lld", i, (long long)s->x_at[i],
                     (long long)x_at[i]);
}

static void a_chain_takes_the_last_outputs_of_the_group_before(void **state)
{
    (void)state;
    /* outputs: q 0, k 576, v 768, o 960, gate 1536, up 3072, down 4608, q 5184, k 5760 */
    selection s = select_linears((int[]){0, 1, 2, 3, 4, 5, 6, 7, 8, -1});
    expect_links(&s, (int64_t[]){-1, -1, -1, 960 - 576, 960, 960, 3072, 4608, 4608});
    s = select_linears((int[]){2, 3, -1}); /* v has 192 outputs, o wants 576 */
    expect_links(&s, (int64_t[]){-1, -1});
    s = select_linears((int[]){0, 6, -1}); /* q has 576, down wants 1536 */
    expect_links(&s, (int64_t[]){-1, -1});
    s = select_linears((int[]){0, 1, 2, 3, 6, -1}); /* 1536 outputs in all, but o has 576 of them */
    expect_links(&s, (int64_t[]){-1, -1, -1, 384, -1});
    s = select_linears((int[]){4, 6, 7, -1});
    expect_links(&s, (int64_t[]){-1, 0, 1536});
    s = select_linears((int[]){0, 1, 7, -1}); /* q and k have 768: the last 576 span both */
    expect_links(&s, (int64_t[]){-1, -1, 192});
}

/* ---- made one -------------------------------------------------------------------------------- */

static ortho_split split_of(int64_t n, int64_t k, int64_t group, double density, unsigned seed)
{
    ortho_services sv = ortho_services_default();
    int64_t each = (int64_t)(density * (double)k), at = 0;
    ortho_split s;
    assert_int_equal(ortho_split_alloc(n, k, group, n * each, &sv, ORTHO_OUTPUT, &s), ORTHO_OK);
    size_t row = (size_t)((k + 1) / 2);
    for (size_t i = 0; i < (size_t)n * row; i++)
        s.q[i] = (uint8_t)(i * 37 + seed);
    for (int64_t r = 0; k % 2 == 1 && r < n; r++)
        s.q[(size_t)(r + 1) * row - 1] &= 15;
    for (int64_t i = 0; i < n * ((k + group - 1) / group); i++)
        s.scale[i] = (uint16_t)(0x2c00 + (i * 11 + seed) % 1024);
    for (int64_t r = 0; r < n; r++) {
        for (int64_t e = 0; e < each; e++, at++) {
            if (k > 65536)
                ((uint32_t *)s.col)[at] = (uint32_t)(e * (k / each));
            else
                ((uint16_t *)s.col)[at] = (uint16_t)(e * (k / each));
            s.val[at] = (uint16_t)(0x3000 + (at * 7 + seed) % 1024);
        }
        s.row_ptr[r + 1] = (int32_t)at;
    }
    assert_int_equal(ortho_split_check(&s), ORTHO_OK);
    return s;
}

static double *product(const ortho_split *split, const ortho_matrix *w, const float *x, int64_t m,
                       int64_t n)
{
    double *y = malloc((size_t)(m * n) * sizeof *y);
    assert_non_null(y);
    ortho_oracle_job job = {.split = split,
                            .w = w,
                            .x = x,
                            .dtype = ORTHO_F32,
                            .m = m,
                            .alpha = 1,
                            .threads = 1,
                            .y = y};
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    return y;
}

/* The outputs of a joined problem are those of its parts, bit for bit. */
static void expect_parts(const double *joined, const double *part, ob_joined where)
{
    double *cut = malloc((size_t)(where.m * where.n) * sizeof *cut);
    assert_non_null(cut);
    where.element = sizeof *cut;
    ob_output_part(joined, where, cut);
    assert_memory_equal(cut, part, (size_t)(where.m * where.n) * sizeof *cut);
    free(cut);
}

static void join_and_compare(int64_t k, int64_t group, double density)
{
    static const int64_t rows[] = {5, 1, 9};
    ortho_services sv = ortho_services_default();
    ortho_split part[3], whole;
    const ortho_split *parts[3];
    float *x = malloc((size_t)(2 * k) * sizeof *x);
    assert_non_null(x);
    ob_fill_gaussian(x, ORTHO_F32, 2 * k, 3);
    for (int i = 0; i < 3; i++) {
        part[i] = split_of(rows[i], k, group, i == 1 ? 0 : density, (unsigned)i);
        parts[i] = &part[i];
    }
    assert_int_equal(ob_splits_join(parts, 3, &sv, &whole), ORTHO_OK);
    assert_int_equal(whole.n, 15);
    assert_int_equal(whole.nnz, part[0].nnz + part[2].nnz);
    assert_int_equal(ortho_split_check(&whole), ORTHO_OK);
    double *y = product(&whole, NULL, x, 2, 15);
    ob_joined where = {.m = 2, .all = 15};
    for (int i = 0; i < 3; i++) {
        double *own = product(&part[i], NULL, x, 2, rows[i]);
        where.n = rows[i];
        expect_parts(y, own, where);
        where.at += rows[i];
        free(own);
        ortho_split_free(&part[i], &sv);
    }
    free(y);
    free(x);
    ortho_split_free(&whole, &sv);
}

static void joined_splits_give_the_outputs_of_their_parts(void **state)
{
    (void)state;
    join_and_compare(64, 32, 0.1);
    join_and_compare(33, 16, 0.2); /* an odd k: a nibble of padding a row */
    join_and_compare(40, 40, 0);   /* no entry at all */
    join_and_compare(65540, 128, 0.001);
}

static void unlike_splits_are_refused(void **state)
{
    (void)state;
    ortho_services sv = ortho_services_default();
    ortho_split a = split_of(2, 64, 32, 0.1, 1), b = split_of(2, 64, 64, 0.1, 1);
    ortho_split c = split_of(2, 32, 32, 0.1, 1), whole = {.n = 7};
    assert_int_equal(ob_splits_join((const ortho_split *[]){&a, &b}, 2, &sv, &whole),
                     ORTHO_E_ARGUMENT);
    assert_int_equal(ob_splits_join((const ortho_split *[]){&a, &c}, 2, &sv, &whole),
                     ORTHO_E_ARGUMENT);
    assert_int_equal(whole.n, 7);
    ortho_split_free(&a, &sv);
    ortho_split_free(&b, &sv);
    ortho_split_free(&c, &sv);
}

/* Rows with a stride, and of two dtypes: F32 holds both exactly. */
static void joined_weights_keep_their_values(void **state)
{
    (void)state;
    ortho_services sv = ortho_services_default();
    uint16_t half[2 * 6], brain[3 * 4];
    for (int i = 0; i < LENGTH(half); i++)
        half[i] = (uint16_t)(0x3c00 + i);
    for (int i = 0; i < LENGTH(brain); i++)
        brain[i] = (uint16_t)(0x3f80 + i);
    ortho_matrix a = {.rows = 2, .cols = 4, .stride = 6, .dtype = ORTHO_F16, .data = half};
    ortho_matrix b = {.rows = 3, .cols = 4, .stride = 4, .dtype = ORTHO_BF16, .data = brain};
    ortho_matrix narrow = {.rows = 1, .cols = 3, .stride = 3, .dtype = ORTHO_F16, .data = half};
    ortho_matrix whole;
    assert_int_equal(ob_weights_join((const ortho_matrix *[]){&a, &b}, 2, &sv, &whole), ORTHO_OK);
    assert_true(whole.rows == 5 && whole.cols == 4 && whole.dtype == ORTHO_F32);
    for (int64_t r = 0; r < 5; r++)
        for (int64_t c = 0; c < 4; c++)
            assert_true(ortho_dtype_load(whole.dtype, whole.data, r * whole.stride + c) ==
                        (r < 2 ? ortho_dtype_load(ORTHO_F16, half, r * 6 + c)
                               : ortho_dtype_load(ORTHO_BF16, brain, (r - 2) * 4 + c)));
    sv.free(sv.ctx, (void *)whole.data);
    assert_int_equal(ob_weights_join((const ortho_matrix *[]){&a, &a}, 2, &sv, &whole), ORTHO_OK);
    assert_true(whole.dtype == ORTHO_F16 && memcmp(whole.data, half, 8) == 0 &&
                memcmp((const char *)whole.data + 24, half + 6, 8) == 0);
    sv.free(sv.ctx, (void *)whole.data);
    assert_int_equal(ob_weights_join((const ortho_matrix *[]){&a, &narrow}, 2, &sv, &whole),
                     ORTHO_E_ARGUMENT);
}

/* ---- which cases can be a chain ---------------------------------------------------------------
 */

static void refused(const ob_case *c, const char *words)
{
    assert_int_equal(ob_chain_supported(c), ORTHO_E_UNSUPPORTED);
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' lacks '%s'", ortho_last_message(), words);
}

static void what_cant_be_a_chain_says_why(void **state)
{
    (void)state;
    static const ortho_chain_hooks chain = {.state_size = 1};
    static const ortho_gemm_hooks with = {.chain = &chain}, without = {.state_size = 1};
    static const ortho_gemm_hooks unsplit = {.chain = &chain, .computes = ORTHO_COMPUTES_UNSPLIT};
    ortho_variant v = {.gemm = &with};
    ob_case c = {.pass = true,
                 .form = OB_FORM_PERSISTENT,
                 .variant = &v,
                 .m = 1,
                 .linears = ORTHO_CHAIN_MAX};
    assert_int_equal(ob_chain_supported(&c), ORTHO_OK);
    c.linears++;
    refused(&c, "513 linears are more than a chain's 512: choose fewer --layers");
    c.linears = 7;
    c.m = 2;
    refused(&c, "of one token, not of 2");
    c.m = 1;
    v.gemm = &unsplit;
    refused(&c, "the variant computes another");
    v.gemm = &without;
    refused(&c, "has no chain");
    c.form = OB_FORM_GROUPED;
    assert_int_equal(ob_chain_supported(&c), ORTHO_OK);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static ob_options options(void)
{
    ob_options o;
    ob_options_default(&o);
    o.backend = OB_BACKEND_CPU;
    o.model = "synthetic:smollm2-135m";
    o.do_gemm = true;
    o.pass = OB_PASS_DECODE;
    o.forms = OB_FORM_SINGLE | OB_FORM_GROUPED | OB_FORM_PERSISTENT;
    o.layers = (ob_numbers){.count = 1, .item = {3}};
    o.variants = (ob_words){.count = 1, .item = {"csr"}};
    o.min_time = 0.002;
    o.case_timeout = 0.2;
    o.ci_target = 1;
    o.threads = 1;
    return o;
}

static json_t *run(const ob_options *o)
{
    json_t *results = NULL;
    assert_int_equal(ob_session_run(o, NULL, &results), OB_EXIT_OK);
    assert_non_null(results);
    return results;
}

static const json_t *row_of(const json_t *results, const char *variant, const char *form)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(results, "results"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "variant")), variant) == 0 &&
            strcmp(json_string_value(json_object_get(row, "form")), form) == 0)
            return row;
    }
    fail_msg("no row of %s %s", variant, form);
    return NULL;
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

static void verified(const json_t *row)
{
    const json_t *v = json_object_get(row, "verified");
    if (strcmp(text_of(v, "before"), "pass") != 0 || strcmp(text_of(v, "after"), "pass") != 0)
        fail_msg("%s: %s: %s", text_of(row, "key"), text_of(row, "status"), text_of(row, "reason"));
}

static void all_forms_stand_in_one_group(void **state)
{
    (void)state;
    ob_options o = options();
    json_t *results = run(&o);
    const json_t *csr = row_of(results, "csr", "single"), *many = row_of(results, "csr", "grouped");
    const json_t *none = row_of(results, "csr", "persistent");
    const json_t *dense = row_of(results, "dense", "grouped");
    verified(csr);
    verified(many);
    verified(dense);
    assert_string_equal(text_of(none, "status"), "skipped");
    assert_non_null(strstr(text_of(none, "reason"), "has no chain"));
    assert_null(json_object_get(csr, "grouping"));
    assert_string_equal(text_of(many, "grouping"), "weights concatenated");
    assert_string_equal(text_of(many, "key"),
                        "pass/csr/cpu/decode-grouped/m1/d0.01/outlier/g128/fp32");
    assert_string_equal(text_of(json_object_get(many, "verified"), "checked"),
                        "all outputs of each of 7 linears");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(many, "time_ns"), "copies")), 4);
    /* Baselines: of speedup the single one, of speedup_grouped the grouped one. */
    assert_non_null(json_object_get(many, "speedup"));
    assert_non_null(json_object_get(csr, "speedup_grouped"));
    assert_non_null(json_object_get(dense, "speedup"));
    assert_null(json_object_get(dense, "speedup_grouped"));
    assert_null(json_object_get(row_of(results, "dense", "single"), "speedup"));
    double one = json_number_value(json_object_get(csr, "bytes"));
    double two = json_number_value(json_object_get(many, "bytes"));
    assert_true(two < one && two > 0.99 * one); /* x is read 4 times, not 7 */
    json_decref(results);
}

/* Every variant, its groups made one, over odd settings: more tokens than are checked exactly,
 * whole rows as groups, a part of the linears, Ortho switched off with NaN in it. */
static void groups_are_right_in_every_setting(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        ob_options o = options();
        o.verify_only = true;
        o.variants = (ob_words){.count = 1, .item = {"all"}};
        o.forms = OB_FORM_SINGLE | OB_FORM_GROUPED;
        o.projections = (ob_words){.count = 3, .item = {"q", "v", "o"}};
        o.batches.item[0] = i == 1 ? 33 : i == 2 ? 3 : 1;
        o.group = i == 2 ? 0 : 32;
        o.alpha = i == 3 ? 0 : 1;
        o.rule = i == 0 ? ORTHO_RULE_LEGACY : ORTHO_RULE_RESIDUAL;
        json_t *results = run(&o), *row;
        size_t at;
        json_array_foreach(json_object_get(results, "results"), at, row)
        {
            bool computes = strcmp(text_of(row, "role"), "ceiling") != 0 &&
                            strcmp(text_of(row, "role"), "harness") != 0;
            assert_string_not_equal(text_of(row, "status"), "failed");
            if (computes && strcmp(text_of(row, "status"), "ok") == 0)
                verified(row);
        }
        json_decref(results);
    }
}

/* Where nothing shares x there is nothing to tell of how. */
static void groups_of_one_are_no_groups(void **state)
{
    (void)state;
    ob_options o = options();
    o.forms = OB_FORM_GROUPED;
    o.projections = (ob_words){.count = 2, .item = {"o", "down"}};
    json_t *results = run(&o);
    const json_t *row = row_of(results, "csr", "grouped");
    verified(row);
    assert_null(json_object_get(row, "grouping"));
    assert_null(json_object_get(row, "speedup")); /* no baseline ran in form single */
    assert_non_null(json_object_get(row, "speedup_grouped"));
    json_decref(results);
}

static void a_key_of_a_form_runs_it_again(void **state)
{
    (void)state;
    ob_options o = options();
    o.case_key = "pass/csr/cpu/decode-grouped/m1/d0.01/outlier/g128/fp32";
    json_t *results = run(&o);
    assert_int_equal(json_array_size(json_object_get(results, "results")), 1);
    verified(row_of(results, "csr", "grouped"));
    json_decref(results);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return ob_memory_child(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linears_that_share_x_are_a_group),
        cmocka_unit_test(a_chain_takes_the_last_outputs_of_the_group_before),
        cmocka_unit_test(joined_splits_give_the_outputs_of_their_parts),
        cmocka_unit_test(unlike_splits_are_refused),
        cmocka_unit_test(joined_weights_keep_their_values),
        cmocka_unit_test(what_cant_be_a_chain_says_why),
        cmocka_unit_test(all_forms_stand_in_one_group),
        cmocka_unit_test(groups_are_right_in_every_setting),
        cmocka_unit_test(groups_of_one_are_no_groups),
        cmocka_unit_test(a_key_of_a_form_runs_it_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
