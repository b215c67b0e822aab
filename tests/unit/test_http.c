/* The head of an HTTP answer, and whom an URL addresses: what a fetch believes, to the byte. */
#include "datasets/fetch/headers.h"
#include "datasets/fetch/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Feeds lines that '|' separates; each gets its line break. */
static ortho_status feed(ortho_http_head *head, const char *lines)
{
    char line[512];
    ortho_status status = ORTHO_OK;
    ortho_http_head_begin(head);
    while (status == ORTHO_OK) {
        size_t length = strcspn(lines, "|");
        int n = snprintf(line, sizeof line, "%.*s\r\n", (int)length, lines);
        status = ortho_http_head_line(head, line, (size_t)n);
        if (lines[length] == '\0')
            break;
        lines += length + 1;
    }
    return status;
}

static void test_good_head(void **state)
{
    (void)state;
    ortho_http_head h;
    assert_int_equal(
        feed(&h, "HTTP/1.1 206 Partial Content|Content-Range: bytes 8-15/4965799096|"
                 "content-length:8|X-Repo-Commit: 0123456789abcdef0123456789abcdef01234567|"
                 "X-Linked-ETag: \"abc\"|ETag: W/\"def\"|X-Linked-Size: 4965799096|"
                 "Retry-After: 7|X-Error-Code: GatedRepo|Location: /elsewhere?a=b|nonsense|"),
        ORTHO_OK);
    assert_int_equal(h.status, 206);
    assert_true(h.passed && h.has_range && h.has_length && h.has_linked_size);
    assert_true(h.begin == 8 && h.end == 16 && h.total == 4965799096u && h.length == 8);
    assert_true(h.linked_size == 4965799096u && h.retry_seconds == 7 && h.retry_date == -1);
    assert_string_equal(h.commit, "0123456789abcdef0123456789abcdef01234567");
    assert_string_equal(h.etag, "abc"); /* the linked one, whichever comes first */
    assert_string_equal(h.error_code, "GatedRepo");
    assert_string_equal(h.location, "/elsewhere?a=b");
    assert_false(h.redirects || h.encoded || h.unknown_total);
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int status; /* 0: refused */
    } lines[] = {
        {"HTTP/2 206", 206},  {"HTTP/2 206 ", 206},   {"HTTP/1.0 404 Not", 404},
        {"HTTP/1.1 99 x", 0}, {"HTTP/1.1 600 x", 0},  {"HTTP/1.1  200 x", 0},
        {"HTTP/1.1 2000", 0}, {"HTTP/1.1 200x", 0},   {"HTTP/ 200", 0},
        {"HTTP/1. 200", 0},   {"HTTP/1.1 -200 x", 0}, {"HTTP/99999999999999999999 200", 0},
        {"http/1.1 200", 0},  {"200 OK", 0},          {"", 0},
        {"HTTP/1.1", 0},      {"X: HTTP/1.1 200", 0},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ortho_http_head h;
        ortho_status status = feed(&h, lines[i].line);
        if (lines[i].status == 0 && status != ORTHO_E_FORMAT)
            fail_msg("\"%s\" was taken", lines[i].line);
        if (lines[i].status != 0 && (status != ORTHO_OK || h.status != lines[i].status))
            fail_msg("\"%s\" is %d", lines[i].line, h.status);
    }
}

static void test_redirects(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        char lines[64];
        ortho_http_head h;
        snprintf(lines, sizeof lines, "HTTP/1.1 %d x|", status);
        assert_int_equal(feed(&h, lines), ORTHO_OK);
        assert_int_equal(h.redirects, status == 301 || status == 302 || status == 303 ||
                                          status == 307 || status == 308);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "bytes 8-7/100",
        "bytes 0-100/100",
        "bytes 0-9/9",
        "bytes -9/100",
        "bytes 0-/100",
        "bytes 0-9",
        "bytes 0-9/",
        "bytes 0-9/100x",
        "bytes 0-9/100, 20-29/100",
        "bytes=0-9/100",
        "0-9/100",
        "bytes 0x0-9/100",
        "bytes 0-9/18446744073709551616",
        "bytes 0-9223372036854775808/9223372036854775807",
        "bytes 18446744073709551615-18446744073709551615/18446744073709551615",
        "bytes",
        "",
    };
    ortho_http_head h;
    char lines[160];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(lines, sizeof lines, "HTTP/1.1 206 x|Content-Range: %s", bad[i]);
        if (feed(&h, lines) != ORTHO_E_FORMAT || h.has_range)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    assert_int_equal(feed(&h, "HTTP/1.1 416 x|Content-Range: bytes */100"), ORTHO_OK);
    assert_false(h.has_range);
    assert_int_equal(feed(&h, "HTTP/1.1 206 x|Content-Range: bytes 0-9/*"), ORTHO_OK);
    assert_true(h.has_range && h.unknown_total);
    assert_int_equal(feed(&h, "HTTP/1.1 206 x|Content-Range: BYTES  0-0/1"), ORTHO_OK);
    assert_true(h.begin == 0 && h.end == 1 && h.total == 1);
}

static void test_said_twice(void **state)
{
    (void)state;
    ortho_http_head h;
    assert_int_equal(feed(&h, "HTTP/1.1 206 x|Content-Range: bytes 0-9/10|"
                              "Content-Range: bytes 0-9/10"),
                     ORTHO_E_FORMAT);
    assert_int_equal(feed(&h, "HTTP/1.1 200 x|Content-Length: 5|Content-Length: 5"), ORTHO_OK);
    assert_int_equal(feed(&h, "HTTP/1.1 200 x|Content-Length: 5|Content-Length: 6"),
                     ORTHO_E_FORMAT);
    assert_int_equal(feed(&h, "HTTP/1.1 200 x|Content-Length: -5"), ORTHO_E_FORMAT);
    assert_int_equal(feed(&h, "HTTP/1.1 200 x|HTTP/1.1 200 x"), ORTHO_E_FORMAT);
    assert_int_equal(feed(&h,
                          "HTTP/1.1 200 x|X-Repo-Commit: 0123456789abcdef0123456789abcdef01234567|"
                          "X-Repo-Commit: 1123456789abcdef0123456789abcdef01234567"),
                     ORTHO_E_FORMAT);
    assert_int_equal(feed(&h, "HTTP/1.1 200 x|X-Repo-Commit: main"), ORTHO_E_FORMAT);
}

/* An interim answer is forgotten; a trailer changes nothing. */
static void test_several_heads(void **state)
{
    (void)state;
    ortho_http_head h;
    assert_int_equal(feed(&h, "HTTP/1.1 100 Continue|ETag: a||HTTP/1.1 200 OK||Location: /x"),
                     ORTHO_OK);
    assert_int_equal(h.status, 200);
    assert_string_equal(h.etag, "");
    assert_string_equal(h.location, "");
    assert_int_equal(h.lines, 6);
}

static void test_what_is_not_kept(void **state)
{
    (void)state;
    ortho_http_head h;
    assert_int_equal(feed(&h, "HTTP/1.1 302 x|Location: a b|ETag: \x1b[31m|Retry-After: soon|"
                              "Content-Encoding: identity|"),
                     ORTHO_OK);
    assert_string_equal(h.location, "");
    assert_string_equal(h.etag, "");
    assert_true(h.retry_seconds == -1 && h.retry_date == -1 && !h.encoded);
    assert_int_equal(feed(&h, "HTTP/1.1 200 x|Content-Encoding: gzip|Retry-After: Sun, 06 Nov 1994 "
                              "08:49:37 GMT|"),
                     ORTHO_OK);
    assert_true(h.encoded && h.retry_date == 784111777);
}

static void test_limits(void **state)
{
    (void)state;
    ortho_http_head h;
    static char line[ORTHO_HTTP_MAX_BYTES];
    memset(line, 'x', sizeof line);
    ortho_http_head_begin(&h);
    assert_int_equal(ortho_http_head_line(&h, "HTTP/1.1 200 x\r\n", 16), ORTHO_OK);
    assert_int_equal(ortho_http_head_line(&h, line, sizeof line), ORTHO_E_FORMAT);
    /* interim answers without end count together */
    ortho_http_head_begin(&h);
    int n = 0;
    while (ortho_http_head_line(&h, n % 2 ? "\r\n" : "HTTP/1.1 100 x\r\n", n % 2 ? 2 : 16) ==
           ORTHO_OK)
        n++;
    assert_int_equal(n, ORTHO_HTTP_MAX_LINES);
}

static void test_origins(void **state)
{
    (void)state;
    static const struct {
        const char *url, *origin;
        bool loopback;
    } urls[] = {
        {"https://huggingface.co/a/b?c#d", "https://huggingface.co:443", false},
        {"HTTPS://HuggingFace.CO:443", "https://huggingface.co:443", false},
        {"http://huggingface.co", "http://huggingface.co:80", false},
        {"https://huggingface.co:80/", "https://huggingface.co:80", false},
        {"http://127.0.0.1:8000/x", "http://127.0.0.1:8000", true},
        {"http://127.1.2.3/", "http://127.1.2.3:80", true},
        {"http://[::1]:8000/", "http://[::1]:8000", true},
        {"http://localhost/", "http://localhost:80", true},
        {"http://127.0.0.1.evil.org/", "http://127.0.0.1.evil.org:80", false},
        {"http://localhost.evil.org/", "http://localhost.evil.org:80", false},
        {"https://huggingface.co.evil.org/", "https://huggingface.co.evil.org:443", false},
    };
    ortho_origin o;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        assert_int_equal(ortho_url_origin(urls[i].url, &o), ORTHO_OK);
        assert_string_equal(o.text, urls[i].origin);
        assert_int_equal(o.loopback, urls[i].loopback);
        assert_int_equal(o.https, strncmp(o.text, "https:", 6) == 0);
    }
    static const char *const bad[] = {
        "ftp://huggingface.co", "file:///etc/passwd", "huggingface",  "", "http://",
        "https://me@host/",     "https://me:pw@host", "javascript:1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (ortho_url_origin(bad[i], &o) == ORTHO_OK)
            fail_msg("%s was taken", bad[i]);
}

static void test_references(void **state)
{
    (void)state;
    char url[ORTHO_URL_SIZE];
    assert_int_equal(ortho_url_resolve("https://a.org/x/y?z", "/p/q?r=s", url), ORTHO_OK);
    assert_string_equal(url, "https://a.org/p/q?r=s");
    assert_int_equal(ortho_url_resolve("https://a.org/x", "https://b.org/y?k=%2F", url), ORTHO_OK);
    assert_string_equal(url, "https://b.org/y?k=%2F");
    assert_int_equal(ortho_url_resolve("https://a.org/x", "//b.org/y", url), ORTHO_OK);
    assert_string_equal(url, "https://b.org/y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_head),        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_redirects),        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_said_twice),       cmocka_unit_test(test_several_heads),
        cmocka_unit_test(test_what_is_not_kept), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_origins),          cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
