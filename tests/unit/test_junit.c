/* JUnit XML: any bytes come out as XML that reads back, counts are those of the cases, and what is
 * unknown is left out. */
#include "reports/junit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LOST "\xef\xbf\xbd"

static ortho_junit *begin(void)
{
    ortho_junit *j = NULL;
    assert_int_equal(ortho_junit_begin("name", &j), ORTHO_OK);
    return j;
}

static char *end(ortho_junit *j)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(ortho_junit_end(j, out), ORTHO_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* The document of one case. */
static char *one(const ortho_junit_case *c)
{
    ortho_junit *j = begin();
    ortho_junit_suite_begin(j, &(ortho_junit_suite){.name = "s"});
    ortho_junit_add(j, c);
    ortho_junit_suite_end(j);
    return end(j);
}

static void check_holds(const ortho_junit_case *c, const char *piece)
{
    char *text = one(c);
    if (strstr(text, piece) == NULL)
        fail_msg("no %s in\n%s", piece, text);
    free(text);
}

static void whole_document(void **state)
{
    (void)state;
    ortho_junit *j = begin();
    ortho_junit_suite_begin(j, &(ortho_junit_suite){.name = "first",
                                                    .timestamp = "2026-11-24T21:40:00Z",
                                                    .hostname = "h"});
    ortho_junit_property(j, "gpu", "H100");
    ortho_junit_property(j, "absent", NULL);
    ortho_junit_add(j, &(ortho_junit_case){.classname = "a", .name = "1", .seconds = 61e-6});
    ortho_junit_add(j, &(ortho_junit_case){.classname = "a",
                                           .name = "2",
                                           .seconds = NAN,
                                           .outcome = ORTHO_JUNIT_FAILURE,
                                           .type = "wrong",
                                           .message = "m",
                                           .text = "m\nmore"});
    ortho_junit_property(j, "late", "yes");
    ortho_junit_suite_begin(j, &(ortho_junit_suite){.name = "second"}); /* ends the first */
    ortho_junit_add(j, &(ortho_junit_case){.classname = "b",
                                           .name = "3",
                                           .seconds = NAN,
                                           .outcome = ORTHO_JUNIT_SKIPPED,
                                           .message = "why"});
    ortho_junit_add(j, &(ortho_junit_case){
                           .name = "4", .seconds = 2, .outcome = ORTHO_JUNIT_ERROR, .note = "n"});
    char *text = end(j);
    assert_string_equal(
        text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
              "<testsuites name=\"name\" tests=\"4\" failures=\"1\" errors=\"1\" time=\"2.0\">\n"
              "  <testsuite name=\"first\" hostname=\"h\" timestamp=\"2026-11-24T21:40:00\""
              " tests=\"2\" failures=\"1\" errors=\"0\" time=\"0.001\" skipped=\"0\">\n"
              "    <properties>\n"
              "      <property name=\"gpu\" value=\"H100\"/>\n"
              "      <property name=\"late\" value=\"yes\"/>\n"
              "    </properties>\n"
              "    <testcase classname=\"a\" name=\"1\" time=\"0.000061\"/>\n"
              "    <testcase classname=\"a\" name=\"2\">\n"
              "      <failure message=\"m\" type=\"wrong\">m\nmore</failure>\n"
              "    </testcase>\n"
              "  </testsuite>\n"
              "  <testsuite name=\"second\" tests=\"2\" failures=\"0\" errors=\"1\" time=\"2.0\""
              " skipped=\"1\">\n"
              "    <testcase classname=\"b\" name=\"3\">\n"
              "      <skipped message=\"why\">why</skipped>\n"
              "    </testcase>\n"
              "    <testcase name=\"4\" time=\"2.0\">\n"
              "      <error type=\"error\"></error>\n"
              "      <system-out>n</system-out>\n"
              "    </testcase>\n"
              "  </testsuite>\n"
              "</testsuites>\n");
    free(text);
}

/* In an attribute, and in the text of an element. */
static void escaping(void **state)
{
    (void)state;
    static const struct {
        const char *in, *attribute, *text;
    } cases[] = {
        {"<a href='x'>&amp;\"", "&lt;a href='x'&gt;&amp;amp;&quot;",
         "&lt;a href='x'&gt;&amp;amp;\""},
        {"]]>", "]]&gt;", "]]&gt;"},
        {"\t\n\r\n", "&#9;&#10;&#13;&#10;", "\t\n&#13;\n"},
        {"µ ± 😀 \xef\xbf\xbd", "µ ± 😀 " LOST, "µ ± 😀 " LOST},
        {"\x01\x1b[31m\x0b\x1f\x7f", LOST LOST "[31m" LOST LOST LOST,
         LOST LOST "[31m" LOST LOST LOST},
        {"a\xc2\x9b", "a" LOST, "a" LOST},                              /* C1: a terminal's CSI */
        {"a\xe2\x80\xae\xe2\x81\xa6", "a" LOST LOST, "a" LOST LOST},    /* right to left */
        {"\xef\xbf\xbe\xef\xbf\xbf", LOST LOST, LOST LOST},             /* U+FFFE, U+FFFF */
        {"\xed\xa0\x80z", LOST LOST LOST "z", LOST LOST LOST "z"},      /* a surrogate */
        {"\xc0\xaf\xc1\x81", LOST LOST LOST LOST, LOST LOST LOST LOST}, /* overlong */
        {"\xe0\x80\xaf", LOST LOST LOST, LOST LOST LOST},               /* overlong */
        {"\xf0\x80\x80\xaf<", LOST LOST LOST LOST "&lt;", LOST LOST LOST LOST "&lt;"},
        {"\xf4\x90\x80\x80", LOST LOST LOST LOST, LOST LOST LOST LOST}, /* above U+10FFFF */
        {"\xf5\xff\xfe\x80", LOST LOST LOST LOST, LOST LOST LOST LOST},
        {"\xe2\x80", LOST LOST, LOST LOST},                /* broken off */
        {"\xe2\x80<", LOST LOST "&lt;", LOST LOST "&lt;"}, /* eats no bracket */
        {"\xf4\x8f\xbf\xbd\xed\x9f\xbf\xee\x80\x80\xc2\x80\xf0\x90\x80\x80",
         "\xf4\x8f\xbf\xbd\xed\x9f\xbf\xee\x80\x80" LOST "\xf0\x90\x80\x80",
         "\xf4\x8f\xbf\xbd\xed\x9f\xbf\xee\x80\x80" LOST
         "\xf0\x90\x80\x80"}, /* the last good ones */
        {"", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wanted[256];
        const ortho_junit_case c = {.classname = cases[i].in,
                                    .name = cases[i].in,
                                    .seconds = NAN,
                                    .outcome = ORTHO_JUNIT_FAILURE,
                                    .message = cases[i].in,
                                    .note = cases[i].in};
        snprintf(wanted, sizeof wanted, "<testcase classname=\"%s\" name=\"%s\">",
                 cases[i].attribute, cases[i].attribute);
        check_holds(&c, wanted);
        snprintf(wanted, sizeof wanted, "<failure message=\"%s\" type=\"failure\">%s</failure>",
                 cases[i].attribute, cases[i].text);
        check_holds(&c, wanted);
        snprintf(wanted, sizeof wanted, "<system-out>%s</system-out>", cases[i].text);
        check_holds(&c, wanted);
    }
}

static void seconds(void **state)
{
    (void)state;
    static const struct {
        double in;
        const char *out;
    } times[] = {
        {0, "time=\"0.0\"/>"},
        {1, "time=\"1.0\"/>"},
        {0.25, "time=\"0.25\"/>"},
        {31e-12, "time=\"0.000000000031\"/>"},
        {1e-15, "time=\"0.000000000001\"/>"},
        {999999.9995, "time=\"999999.9995\"/>"},
        {1e6, "time=\"1000000\"/>"},
        {999999999999.0, "time=\"999999999999\"/>"},
        {1e12, "name=\"n\"/>"},
        {NAN, "name=\"n\"/>"},
        {INFINITY, "name=\"n\"/>"},
        {-1, "name=\"n\"/>"},
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        check_holds(&(ortho_junit_case){.name = "n", .seconds = times[i].in}, times[i].out);
    check_holds(&(ortho_junit_case){.name = "n", .seconds = NAN}, "errors=\"0\" skipped");
    check_holds(&(ortho_junit_case){.name = "n", .seconds = 1.0005001}, "time=\"1.001\" skipped");
}

static void timestamps(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2026-11-24",
                                      "2026-11-24T21:40:00",
                                      "2026-11-24 21:40:00Z",
                                      "2026-11-24T21:40:00Zx",
                                      "20x6-11-24T21:40:00Z",
                                      "\"><x a=\"00:00:00Z.."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ortho_junit *j = begin();
        ortho_junit_suite_begin(j, &(ortho_junit_suite){.name = "s", .timestamp = bad[i]});
        char *text = end(j);
        assert_null(strstr(text, "timestamp"));
        free(text);
    }
}

/* Calls that stand in no suite, and names that nobody gave, harm nothing. */
static void odd_calls(void **state)
{
    (void)state;
    ortho_junit *j = NULL;
    assert_int_equal(ortho_junit_begin(NULL, &j), ORTHO_OK);
    ortho_junit_suite_end(j);
    ortho_junit_property(j, "a", "b");
    ortho_junit_add(j, &(ortho_junit_case){.name = "lost", .seconds = 1});
    ortho_junit_suite_begin(j, &(ortho_junit_suite){0});
    ortho_junit_add(j, &(ortho_junit_case){.seconds = 1, .outcome = ORTHO_JUNIT_OUTCOMES});
    ortho_junit_add(j, &(ortho_junit_case){.seconds = NAN});
    char *text = end(j);
    assert_null(strstr(text, "lost"));
    assert_non_null(strstr(text, "<testsuites name=\"?\" tests=\"1\""));
    assert_non_null(strstr(text, "<testsuite name=\"?\" tests=\"1\""));
    assert_non_null(strstr(text, "<testcase name=\"?\"/>"));
    free(text);
    j = begin();
    ortho_junit_suite_begin(j, &(ortho_junit_suite){.name = "given up"});
    ortho_junit_free(j);
    ortho_junit_free(NULL);
    text = end(begin());
    assert_non_null(strstr(text, "tests=\"0\" failures=\"0\" errors=\"0\">\n</testsuites>"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_document), cmocka_unit_test(escaping),  cmocka_unit_test(seconds),
        cmocka_unit_test(timestamps),     cmocka_unit_test(odd_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
