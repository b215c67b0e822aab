/* --counters into metrics, and counted metrics into the row. */
#include "harness/counter_choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <string.h>

static ob_counter_choice *choose(const char *text)
{
    ob_counter_choice *choice = NULL;
    if (ob_counter_choice_open(text, &choice) != ORTHO_OK)
        fail_msg("%s: %s", text, ortho_last_message());
    return choice;
}

static void refuses(const char *text, const char *words)
{
    ob_counter_choice *choice = NULL;
    assert_int_equal(ob_counter_choice_open(text, &choice), ORTHO_E_ARGUMENT);
    assert_null(choice);
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' lacks '%s'", ortho_last_message(), words);
}

static int count_of(const ob_counter_choice *choice, const char *name)
{
    int count = 0;
    for (int i = 0; i < choice->count; i++)
        count += strcmp(choice->names[i], name) == 0;
    return count;
}

static int at(const ob_counter_choice *choice, const char *name)
{
    for (int i = 0; i < choice->count; i++)
        if (strcmp(choice->names[i], name) == 0)
            return i;
    fail_msg("no %s", name);
    return -1;
}

static void groups_become_metrics(void **state)
{
    (void)state;
    ob_counter_choice *c = choose("time");
    assert_int_equal(c->group_count, 1);
    assert_string_equal(c->groups[0]->name, "time");
    assert_int_equal(c->count, 3);
    assert_string_equal(c->names[0], "gpu__time_duration.sum");
    assert_false(c->instructions);
    ob_counter_choice_close(c);
    c = choose("time,divergence");
    assert_true(c->instructions);
    assert_string_equal(c->groups[1]->name, "divergence");
    ob_counter_choice_close(c);
    ob_counter_choice_close(NULL);
}

static void nothing_is_counted_twice(void **state)
{
    (void)state;
    ob_counter_choice *c = choose("time,dram,time,gpu__time_duration.sum,a__b.sum,a__b.sum");
    assert_int_equal(c->group_count, 2);
    assert_int_equal(count_of(c, "gpu__time_duration.sum"), 1);
    assert_int_equal(count_of(c, "a__b.sum"), 1);
    assert_int_equal(c->count, 3 + 5 + 1);
    ob_counter_choice_close(c);
}

static void all_is_every_group(void **state)
{
    (void)state;
    ob_counter_choice *c = choose("all"), *again = choose("dram,all,a__b");
    int groups = 0;
    while (ob_group_texts[groups].name != NULL)
        groups++;
    assert_int_equal(c->group_count, groups);
    assert_int_equal(again->group_count, groups);
    assert_int_equal(again->count, c->count + 1);
    assert_true(c->instructions);
    for (int i = 0; i < c->count; i++)
        assert_int_equal(count_of(c, c->names[i]), 1);
    ob_counter_choice_close(c);
    ob_counter_choice_close(again);
}

static void unknown_words(void **state)
{
    (void)state;
    refuses("nonsense", "'nonsense' is neither a group nor a metric (groups: coalescing, ");
    refuses("divergance", "did you mean 'divergence'?");
    refuses("al", "did you mean 'all'?");
    refuses("time,dram_bytes.sum", "'dram_bytes.sum' is neither");
    refuses("", "an empty item");
    refuses("time,", "an empty item");
    refuses(",time", "an empty item");
    refuses("dram ,time", "'dram ' is neither a group nor a metric: did you mean 'dram'?");
}

/* ---- evaluation ------------------------------------------------------------------------------ */

#define VALUES 16

typedef struct counted {
    ob_counter_choice *choice;
    ob_counter_value values[VALUES];
    json_t *counters;
} counted;

static counted start(const char *text)
{
    counted c = {.choice = choose(text), .counters = json_object()};
    assert_true(c.choice->count <= VALUES);
    for (int i = 0; i < VALUES; i++)
        c.values[i] = (ob_counter_value){.code = 1, .reason = "not on this chip"};
    return c;
}

static void set(counted *c, const char *name, double value)
{
    c->values[at(c->choice, name)] = (ob_counter_value){.value = value};
}

static void evaluate(counted *c)
{
    assert_int_equal(ob_counter_choice_evaluate(c->choice, c->values, c->counters), ORTHO_OK);
}

static void finish(counted *c)
{
    json_decref(c->counters);
    ob_counter_choice_close(c->choice);
}

static void is_value(const counted *c, const char *key, double wanted)
{
    const json_t *o = json_object_get(c->counters, key);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "status")), "ok");
    assert_int_equal(json_integer_value(json_object_get(o, "code")), 0);
    assert_null(json_object_get(o, "reason"));
    double value = json_real_value(json_object_get(o, "value"));
    if (fabs(value - wanted) > 1e-12 * fabs(wanted))
        fail_msg("%s: %.17g, wanted %.17g", key, value, wanted);
}

static void is_absent(const counted *c, const char *key, int code, const char *reason)
{
    const json_t *o = json_object_get(c->counters, key);
    assert_non_null(o);
    assert_null(json_object_get(o, "value"));
    assert_string_equal(json_string_value(json_object_get(o, "status")), "n/a");
    assert_int_equal(json_integer_value(json_object_get(o, "code")), code);
    assert_string_equal(json_string_value(json_object_get(o, "reason")), reason);
}

static void says(const counted *c, const char *key, const char *field, const char *wanted)
{
    const json_t *o = json_object_get(json_object_get(c->counters, key), field);
    if (wanted == NULL)
        assert_null(o);
    else
        assert_string_equal(json_string_value(o), wanted);
}

static void values_and_what_derives_from_them(void **state)
{
    (void)state;
    counted c = start("l2,x__mine.sum");
    set(&c, "lts__t_sectors_srcunit_tex_lookup_hit.sum", 30);
    set(&c, "lts__t_sectors_srcunit_tex_lookup_miss.sum", 90);
    set(&c, "lts__t_sectors_srcunit_tex_op_read.sum", 100);
    set(&c, "lts__t_sectors_srcunit_tex_op_write.sum", 0);
    set(&c, "x__mine.sum", 7);
    evaluate(&c);
    is_value(&c, "lts__t_sectors_srcunit_tex_lookup_hit.sum", 30);
    says(&c, "lts__t_sectors_srcunit_tex_lookup_hit.sum", "unit", "sector");
    says(&c, "lts__t_sectors_srcunit_tex_lookup_hit.sum", "group", "l2");
    is_value(&c, "x__mine.sum", 7);
    says(&c, "x__mine.sum", "unit", NULL);
    says(&c, "x__mine.sum", "group", NULL);
    is_value(&c, "l2.hit_rate", 25);
    says(&c, "l2.hit_rate", "unit", "%");
    says(&c, "l2.hit_rate", "group", "l2");
    is_value(&c, "l2.read_bytes", 3200);
    is_value(&c, "l2.write_bytes", 0);
    assert_int_equal(json_object_size(c.counters), 5 + 3);
    const char *first = json_object_iter_key(json_object_iter(c.counters));
    assert_string_equal(first, "lts__t_sectors_srcunit_tex_lookup_hit.sum"); /* in their order */
    finish(&c);
}

static void absence_is_inherited(void **state)
{
    (void)state;
    counted c = start("l2");
    set(&c, "lts__t_sectors_srcunit_tex_lookup_hit.sum", 30);
    set(&c, "lts__t_sectors_srcunit_tex_op_read.sum", 1);
    c.values[at(c.choice, "lts__t_sectors_srcunit_tex_lookup_miss.sum")] =
        (ob_counter_value){.code = 35, .reason = "no permission"};
    evaluate(&c);
    is_absent(&c, "lts__t_sectors_srcunit_tex_lookup_miss.sum", 35, "no permission");
    is_absent(&c, "l2.hit_rate", 35, "no permission");
    is_absent(&c, "l2.write_bytes", 1, "not on this chip");
    is_value(&c, "l2.read_bytes", 32);
    finish(&c);
}

static void nothing_is_infinite(void **state)
{
    (void)state;
    counted c = start("l2,x__mine.ratio,x__code");
    set(&c, "lts__t_sectors_srcunit_tex_lookup_hit.sum", 0);
    set(&c, "lts__t_sectors_srcunit_tex_lookup_miss.sum", 0);
    set(&c, "lts__t_sectors_srcunit_tex_op_read.sum", INFINITY);
    set(&c, "x__mine.ratio", NAN);
    c.values[at(c.choice, "x__code")] = (ob_counter_value){.value = 1, .code = 9};
    evaluate(&c);
    const char *odd = "not a finite number: nothing to divide by was counted";
    is_value(&c, "lts__t_sectors_srcunit_tex_lookup_hit.sum", 0);
    is_absent(&c, "l2.hit_rate", 0, "division by zero");
    is_absent(&c, "l2.read_bytes", 0, odd);
    is_absent(&c, "x__mine.ratio", 0, odd);
    is_absent(&c, "x__code", 9, "CUPTI gave no value"); /* a code alone is reason enough */
    finish(&c);
}

static void the_name_that_the_chip_has_counts(void **state)
{
    (void)state;
    counted c = start("dram");
    set(&c, "dram__bytes_op_read.sum", 800);
    set(&c, "dram__bytes_write.sum", 200);
    set(&c, "dram__bytes_op_write.sum", 1e9); /* the first with a value counts */
    set(&c, "gpu__time_duration.sum", 10);
    evaluate(&c);
    is_value(&c, "dram.traffic", 1000);
    is_value(&c, "dram.bandwidth", 100);
    is_value(&c, "dram.read_share", 80);
    is_value(&c, "dram__bytes_op_read.sum", 800);
    assert_null(json_object_get(c.counters, "dram__bytes_read.sum"));
    assert_null(json_object_get(c.counters, "dram__bytes_op_write.sum"));
    finish(&c);
    c = start("dram,dram__bytes_op_read.sum"); /* asked for by name: told, come what may */
    set(&c, "dram__bytes_read.sum", 1);
    evaluate(&c);
    is_value(&c, "dram__bytes_read.sum", 1);
    is_absent(&c, "dram__bytes_op_read.sum", 1, "not on this chip");
    is_absent(&c, "dram__bytes_write.sum", 1, "not on this chip");
    assert_null(json_object_get(c.counters, "dram__bytes_op_write.sum"));
    is_absent(&c, "dram.traffic", 1, "not on this chip");
    finish(&c);
}

static void every_formula_can_be_computed(void **state)
{
    (void)state;
    ob_counter_choice *c = choose("all");
    ob_counter_value *values = calloc((size_t)c->count, sizeof *values);
    json_t *counters = json_object();
    for (int i = 0; i < c->count; i++)
        values[i].value = 1 + i;
    assert_int_equal(ob_counter_choice_evaluate(c, values, counters), ORTHO_OK);
    const char *key;
    json_t *o;
    json_object_foreach(counters, key, o)
    {
        if (strcmp(json_string_value(json_object_get(o, "status")), "ok") != 0)
            fail_msg("%s: %s", key, json_string_value(json_object_get(o, "reason")));
        assert_non_null(json_object_get(o, "unit"));
    }
    assert_non_null(json_object_get(counters, "divergence.branch_efficiency"));
    json_decref(counters);
    free(values);
    ob_counter_choice_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_become_metrics),
        cmocka_unit_test(nothing_is_counted_twice),
        cmocka_unit_test(all_is_every_group),
        cmocka_unit_test(unknown_words),
        cmocka_unit_test(values_and_what_derives_from_them),
        cmocka_unit_test(absence_is_inherited),
        cmocka_unit_test(nothing_is_infinite),
        cmocka_unit_test(the_name_that_the_chip_has_counts),
        cmocka_unit_test(every_formula_can_be_computed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
