/*
 * JUnit XML by hand: the format is five elements, and what is hard about it (characters that XML
 * can't hold) a library's writer leaves to its caller. Suites carry the counts of what they hold,
 * so each is kept in memory until it ends.
 */
#include "reports/junit.h"

#include "common/error.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CASE_DIGITS  12 /* picoseconds: an empty kernel takes a few hundred */
#define SUITE_DIGITS 3  /* Jenkins' schema takes no more for a suite */

/* A stream into memory. */
typedef struct buffer {
    FILE *stream;
    char *text;
    size_t size;
} buffer;

typedef struct counts {
    size_t cases, of[ORTHO_JUNIT_OUTCOMES];
    double seconds; /* NAN: no case told any */
} counts;

struct ortho_junit {
    char *name;
    buffer suites;            /* those that ended */
    buffer properties, cases; /* of the suite that is open */
    buffer head;              /* its attributes, but for the counts */
    bool open, failed;        /* failed: out of memory, told at the end */
    counts suite, total;
};

/* ---- characters ----------------------------------------------------------------------------- */

/* Decodes one code point and returns the bytes taken; a byte that starts no sequence of UTF-8
 * (overlong, surrogate, too large, broken off) is U+FFFD alone. The end of the string breaks a
 * sequence off: it is no byte that continues one. */
static size_t decode(const unsigned char *s, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80                   ? 1
                    : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                    : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                    : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                  : 0;
    *point = 0xfffd;
    if (length == 0)
        return 1;
    uint32_t value = length == 1 ? s[0] : s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (s[i] & 0x3fu);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 1;
    *point = value;
    return length;
}

/* What XML 1.0 can't hold, and what drives a terminal or turns the reading order of a page. */
static bool is_banned(uint32_t c)
{
    bool blank = c == '\t' || c == '\n' || c == '\r';
    return (c < 0x20 && !blank) || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfffe || c == 0xffff;
}

static const char *entity(uint32_t c, bool attribute)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\r': /* a parser reads a bare one as \n */
        return "&#13;";
    case '"':
        return attribute ? "&quot;" : NULL;
    case '\n': /* a parser reads blanks in an attribute as spaces */
        return attribute ? "&#10;" : NULL;
    case '\t':
        return attribute ? "&#9;" : NULL;
    default:
        return NULL;
    }
}

static void put_escaped(const char *text, bool attribute, FILE *out)
{
    size_t taken;
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s += taken) {
        uint32_t point;
        taken = decode(s, &point);
        const char *escaped = entity(point, attribute);
        if (escaped != NULL)
            fputs(escaped, out);
        else if (point == 0xfffd || is_banned(point))
            fputs("\xef\xbf\xbd", out);
        else
            fwrite(s, 1, taken, out);
    }
}

static void put_attribute(const char *name, const char *value, FILE *out)
{
    if (value == NULL)
        return;
    fprintf(out, " %s=\"", name);
    put_escaped(value, true, out);
    fputc('"', out);
}

/* Seconds with `digits` behind the point (zeros at the end left out), without an exponent, as the
 * schemas want it, and with a point in every locale. */
static void put_seconds(double seconds, int digits, FILE *out)
{
    if (!(seconds >= 0 && seconds < 1e12)) /* longer is no time, and too long for a schema */
        return;
    if (seconds >= 1e6) {
        fprintf(out, " time=\"%.0f\"", seconds);
        return;
    }
    uint64_t unit = 1;
    for (int i = 0; i < digits; i++)
        unit *= 10;
    uint64_t parts = (uint64_t)llround(seconds * (double)unit);
    if (parts == 0 && seconds > 0)
        parts = 1; /* what took time never reads 0 */
    char fraction[24];
    snprintf(fraction, sizeof fraction, "%0*" PRIu64, digits, parts % unit);
    for (size_t end = strlen(fraction); end > 1 && fraction[end - 1] == '0'; end--)
        fraction[end - 1] = '\0';
    fprintf(out, " time=\"%" PRIu64 ".%s\"", parts / unit, fraction);
}

/* The time without its zone, as the schemas want it. */
static void put_timestamp(const char *text, FILE *out)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    if (text == NULL || strlen(text) != sizeof form - 1)
        return;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
            return;
    fprintf(out, " timestamp=\"%.19s\"", text);
}

/* ---- buffers -------------------------------------------------------------------------------- */

static bool buffer_open(buffer *b)
{
    *b = (buffer){0};
    b->stream = open_memstream(&b->text, &b->size);
    return b->stream != NULL;
}

static void buffer_free(buffer *b)
{
    if (b->stream != NULL)
        fclose(b->stream);
    free(b->text);
    *b = (buffer){0};
}

/* Gives up writing; the text is there then, unless memory ran out. */
static bool buffer_close(buffer *b)
{
    FILE *stream = b->stream;
    b->stream = NULL;
    return stream != NULL && fclose(stream) == 0;
}

/* ---- document ------------------------------------------------------------------------------- */

ortho_status ortho_junit_begin(const char *name, ortho_junit **out)
{
    ortho_junit *j = calloc(1, sizeof *j);
    if (j != NULL)
        j->name = strdup(name != NULL ? name : "?");
    if (j == NULL || j->name == NULL || !buffer_open(&j->suites)) {
        ortho_junit_free(j);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a JUnit document");
    }
    j->total.seconds = NAN;
    *out = j;
    return ORTHO_OK;
}

static void close_suite(ortho_junit *j)
{
    buffer_free(&j->head);
    buffer_free(&j->properties);
    buffer_free(&j->cases);
    j->open = false;
}

void ortho_junit_free(ortho_junit *j)
{
    if (j == NULL)
        return;
    close_suite(j);
    buffer_free(&j->suites);
    free(j->name);
    free(j);
}

void ortho_junit_suite_begin(ortho_junit *j, const ortho_junit_suite *suite)
{
    if (j->failed)
        return;
    ortho_junit_suite_end(j); /* one that was forgotten */
    j->open = buffer_open(&j->head) && buffer_open(&j->properties) && buffer_open(&j->cases);
    j->suite = (counts){.seconds = NAN};
    if (!j->open) {
        j->failed = true;
        close_suite(j);
        return;
    }
    put_attribute("name", suite->name != NULL ? suite->name : "?", j->head.stream);
    put_attribute("hostname", suite->hostname, j->head.stream);
    put_timestamp(suite->timestamp, j->head.stream);
}

void ortho_junit_property(ortho_junit *j, const char *name, const char *value)
{
    if (!j->open || value == NULL)
        return;
    fputs("      <property", j->properties.stream);
    put_attribute("name", name, j->properties.stream);
    put_attribute("value", value, j->properties.stream);
    fputs("/>\n", j->properties.stream);
}

/* <failure message="..." type="...">text</failure>, and its kin */
static void put_outcome(const ortho_junit_case *c, FILE *out)
{
    static const char *const elements[ORTHO_JUNIT_OUTCOMES] = {
        [ORTHO_JUNIT_FAILURE] = "failure",
        [ORTHO_JUNIT_ERROR] = "error",
        [ORTHO_JUNIT_SKIPPED] = "skipped",
    };
    const char *element = elements[c->outcome];
    const char *text = c->text != NULL ? c->text : c->message;
    if (element == NULL)
        return;
    fprintf(out, "      <%s", element);
    put_attribute("message", c->message, out);
    if (c->outcome != ORTHO_JUNIT_SKIPPED)
        put_attribute("type", c->type != NULL ? c->type : element, out);
    fputc('>', out);
    if (text != NULL)
        put_escaped(text, false, out);
    fprintf(out, "</%s>\n", element);
}

static void add_seconds(counts *n, double seconds)
{
    if (isfinite(seconds) && seconds >= 0)
        n->seconds = isnan(n->seconds) ? seconds : n->seconds + seconds;
}

void ortho_junit_add(ortho_junit *j, const ortho_junit_case *c)
{
    if (!j->open || (unsigned)c->outcome >= ORTHO_JUNIT_OUTCOMES)
        return;
    FILE *out = j->cases.stream;
    j->suite.cases++;
    j->suite.of[c->outcome]++;
    add_seconds(&j->suite, c->seconds);
    fputs("    <testcase", out);
    put_attribute("classname", c->classname, out);
    put_attribute("name", c->name != NULL ? c->name : "?", out);
    put_seconds(c->seconds, CASE_DIGITS, out);
    if (c->outcome == ORTHO_JUNIT_PASS && c->note == NULL) {
        fputs("/>\n", out);
        return;
    }
    fputs(">\n", out);
    put_outcome(c, out);
    if (c->note != NULL) {
        fputs("      <system-out>", out);
        put_escaped(c->note, false, out);
        fputs("</system-out>\n", out);
    }
    fputs("    </testcase>\n", out);
}

static void put_counts(const counts *n, FILE *out)
{
    fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\"", n->cases,
            n->of[ORTHO_JUNIT_FAILURE], n->of[ORTHO_JUNIT_ERROR]);
    put_seconds(n->seconds, SUITE_DIGITS, out);
}

void ortho_junit_suite_end(ortho_junit *j)
{
    if (!j->open)
        return;
    FILE *out = j->suites.stream;
    bool whole = buffer_close(&j->head);
    whole = buffer_close(&j->properties) && whole;
    whole = buffer_close(&j->cases) && whole;
    j->failed = j->failed || !whole;
    if (whole) {
        fprintf(out, "  <testsuite%s", j->head.text);
        put_counts(&j->suite, out);
        fprintf(out, " skipped=\"%zu\">\n", j->suite.of[ORTHO_JUNIT_SKIPPED]);
        if (j->properties.size > 0)
            fprintf(out, "    <properties>\n%s    </properties>\n", j->properties.text);
        fprintf(out, "%s  </testsuite>\n", j->cases.text);
    }
    j->total.cases += j->suite.cases;
    add_seconds(&j->total, j->suite.seconds);
    for (int o = 0; o < ORTHO_JUNIT_OUTCOMES; o++)
        j->total.of[o] += j->suite.of[o];
    close_suite(j);
}

ortho_status ortho_junit_end(ortho_junit *j, FILE *out)
{
    ortho_junit_suite_end(j);
    bool whole = buffer_close(&j->suites) && !j->failed;
    if (whole) {
        fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", out);
        put_attribute("name", j->name, out);
        put_counts(&j->total, out);
        fprintf(out, ">\n%s</testsuites>\n", j->suites.text);
    }
    ortho_junit_free(j);
    return whole ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory for a JUnit document");
}
