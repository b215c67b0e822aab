/* Counter groups: the embedded ones, and every way in which a text can be wrong. */
#include "harness/counter_groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "[group]\ntitle = T\nabout = A\n"
#define METRICS                                                                                    \
    HEAD "[metrics]\nhit = a__hit.sum | sector\nmiss = a__miss.sum, b__miss.sum | sector\n"

static ortho_status parse(const char *text, ob_groups **out)
{
    const ob_group_text texts[] = {{"mine", text}, {0}};
    return ob_groups_parse(texts, out);
}

static void refuses(const char *text, const char *words)
{
    ob_groups *groups = NULL;
    if (parse(text, &groups) != ORTHO_E_ARGUMENT)
        fail_msg("accepted:\n%s", text);
    assert_null(groups);
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("'%s' lacks '%s'", ortho_last_message(), words);
    if (strncmp(ortho_last_message(), "counter group 'mine', line ", 27) != 0)
        fail_msg("'%s' names neither group nor line", ortho_last_message());
}

static void a_text_is_read_whole(void **state)
{
    (void)state;
    ob_groups *groups = NULL;
    const char *text = "# a comment\n[group]\ntitle = Hits\ninstructions = yes\nabout = One,\n"
                       "  and two;\n\tand three.\n\n[metrics]\nhit = a__hit.sum | sector\n"
                       "miss = a__miss.sum,b__miss.sum | sector\n[derived]\n"
                       "rate = 100 * hit / (hit + miss) | % | found, of all\n"
                       "[absent]\nmiss = X1, X2\n";
    if (parse(text, &groups) != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
    const ob_group *g = ob_groups_find(groups, "mine");
    assert_non_null(g);
    assert_null(ob_groups_find(groups, "yours"));
    assert_string_equal(g->title, "Hits");
    assert_string_equal(g->about, "One, and two; and three.");
    assert_true(g->instructions);
    assert_int_equal(g->metric_count, 2);
    assert_string_equal(g->metrics[0].alias, "hit");
    assert_string_equal(g->metrics[0].names[0], "a__hit.sum");
    assert_string_equal(g->metrics[0].unit, "sector");
    assert_int_equal(g->metrics[0].name_count, 1);
    assert_null(g->metrics[0].absent);
    assert_int_equal(g->metrics[1].name_count, 2);
    assert_string_equal(g->metrics[1].names[1], "b__miss.sum");
    assert_string_equal(g->metrics[1].absent, "X1, X2");
    assert_int_equal(g->derived_count, 1);
    assert_string_equal(g->derived[0].name, "rate");
    assert_string_equal(g->derived[0].formula, "100 * hit / (hit + miss)");
    assert_string_equal(g->derived[0].unit, "%");
    assert_string_equal(g->derived[0].label, "found, of all");
    ob_groups_close(groups);
    ob_groups_close(NULL);
}

static void keys_and_sections(void **state)
{
    (void)state;
    refuses("[group]\ntitel = T\n", "line 2: unknown key 'titel'");
    refuses("[grup]\ntitle = T\n", "line 1: no section but");
    refuses("[group] \ntitle = T\n", "line 1: no section but");
    refuses("title = T\n", "line 1: 'title' stands before the first section");
    refuses(HEAD "instructions = perhaps\n", "line 4: instructions is yes or no");
    refuses(HEAD "instructions = yes\ninstructions = no\n",
            "line 5: 'instructions' is there twice");
    refuses(HEAD "title = U\n", "line 4: 'title' is there twice");
    refuses(HEAD "about = U\n", "line 4: 'about' is there twice");
    refuses("[group]\ntitle =\n", "line 2: 'title' is empty");
    refuses("[group]\ntitle = T\n  and more\n", "line 3: an indented line");
    refuses(METRICS "  and more\n", "line 7: an indented line");
    refuses("[group]\ntitle\n", "line 2: not of the form name = value");
    refuses(HEAD "title = a ; b\n", "line 4: a ; within a line");
}

static void what_is_missing(void **state)
{
    (void)state;
    refuses("", "title is missing");
    refuses("[group]\ntitle = T\n[metrics]\nhit = a__hit.sum | sector\n", "about is missing");
    refuses(HEAD, "there is no metric");
    refuses(HEAD "[metrics]\n", "there is no metric");
}

static void metrics(void **state)
{
    (void)state;
    refuses(HEAD "[metrics]\nhit = a__hit.sum\n", "line 5: not of the form alias = metric");
    refuses(HEAD "[metrics]\nhit = a__hit.sum |\n", "line 5: not of the form");
    refuses(HEAD "[metrics]\nhit = a__hit.sum | b | c\n", "line 5: not of the form");
    refuses(HEAD "[metrics]\nhit = cycles | b\n", "line 5: 'cycles' is no metric's name");
    refuses(HEAD "[metrics]\nhit = a__b, | b\n", "line 5: '' is no metric's name");
    refuses(HEAD "[metrics]\nhit = a__b!c | b\n", "line 5: 'a__b!c' is no metric's name");
    refuses(HEAD "[metrics]\nhit = a__b, a__b | b\n", "line 5: 'a__b' is there twice");
    refuses(HEAD "[metrics]\nhit = a__a, a__b, a__c, a__d | b\n", "line 5: more than 3 names");
    refuses(HEAD "[metrics]\nHit = a__b | b\n", "line 5: 'Hit': a name has small letters");
    refuses(HEAD "[metrics]\n1st = a__b | b\n", "line 5: '1st': a name has small letters");
    refuses(METRICS "hit = a__c | b\n", "line 7: 'hit' is there twice");
    refuses(METRICS "this_name_is_longer_than_any_formula_could_ever_hold = a__c | b\n",
            "line 7: 'this_name");
    char many[8192] = HEAD "[metrics]\n";
    for (int i = 0; i <= OB_GROUP_ITEMS; i++)
        sprintf(many + strlen(many), "m%d = a__m%d.sum | x\n", i, i);
    refuses(many, "line 29: more than 24 metrics");
}

static void derived_values(void **state)
{
    (void)state;
    refuses(METRICS "[derived]\nrate = hit / (hit + mist) | % | l\n",
            "line 8: the formula of 'rate': 'mist' is no metric of this group");
    refuses(METRICS "[derived]\nrate = hit / / miss | % | l\n",
            "line 8: the formula of 'rate': column 7");
    refuses(METRICS "[derived]\nrate = hit | %\n", "line 8: not of the form name = formula");
    refuses(METRICS "[derived]\nrate = hit | % | a | b\n", "line 8: not of the form");
    refuses(METRICS "[derived]\na = hit | % | a\na = miss | % | b\n", "line 9: 'a' is there twice");
    refuses(METRICS "[derived]\nRate = hit | % | a\n", "line 8: 'Rate'");
    refuses(HEAD "[derived]\nrate = hit | % | a\n[metrics]\nhit = a__b | c\n",
            "line 5: the formula of 'rate': 'hit' is no metric"); /* metrics stand first */
    refuses(METRICS "[absent]\nmist = X1\n", "line 8: 'mist' is no metric");
    refuses(METRICS "[absent]\nhit = X1\nhit = X2\n", "line 9: 'hit' is there twice");
}

static void texts_of_a_wrong_size(void **state)
{
    (void)state;
    char *text = malloc(OB_GROUP_TEXT + 1);
    assert_non_null(text);
    strcpy(text, METRICS);
    size_t head = strlen(METRICS);
    memset(text + head, '\n', OB_GROUP_TEXT - head);
    text[OB_GROUP_TEXT] = '\0';
    refuses(text, "longer than 16384 bytes");
    text[OB_GROUP_TEXT - 1] = '\0';
    ob_groups *groups = NULL;
    assert_int_equal(parse(text, &groups), ORTHO_OK);
    ob_groups_close(groups);
    memset(text + head, 'x', 4000);
    text[head + 4000] = '\0';
    refuses(text, "line 7: this line is too long");
    free(text);
}

static void the_embedded_groups_are_right(void **state)
{
    static const char *const wanted[] = {"coalescing", "divergence", "dram",      "flops",
                                         "l1",         "l2",         "occupancy", "shared",
                                         "spills",     "stalls",     "tensor",    "time"};
    (void)state;
    ob_groups *groups = NULL;
    if (ob_groups_parse(ob_group_texts, &groups) != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_non_null(ob_groups_find(groups, wanted[i]));
    for (int i = 0; i < groups->count; i++) {
        const ob_group *g = &groups->group[i];
        assert_true(g->derived_count > 0);
        assert_true(strlen(g->about) > 200); /* prose that teaches */
        assert_null(strstr(g->about, "  "));
        assert_int_equal(g->instructions, strcmp(g->name, "divergence") == 0);
        assert_false(ob_metric_looks(g->name)); /* or --counters couldn't tell them apart */
    }
    ob_groups_close(groups);
}

static void words_that_look_like_metrics(void **state)
{
    (void)state;
    assert_true(ob_metric_looks("dram__bytes.sum.pct_of_peak_sustained_elapsed"));
    assert_true(ob_metric_looks("CTC.TriageCompute.ctc__rx_bytes.sum"));
    assert_false(ob_metric_looks("dram_bytes.sum"));
    assert_false(ob_metric_looks("dram__bytes sum"));
    assert_false(ob_metric_looks("dram__bytes\x1b"));
    assert_false(ob_metric_looks(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_read_whole),
        cmocka_unit_test(keys_and_sections),
        cmocka_unit_test(what_is_missing),
        cmocka_unit_test(metrics),
        cmocka_unit_test(derived_values),
        cmocka_unit_test(texts_of_a_wrong_size),
        cmocka_unit_test(the_embedded_groups_are_right),
        cmocka_unit_test(words_that_look_like_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
