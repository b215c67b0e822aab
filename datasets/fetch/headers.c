#define _GNU_SOURCE /* strptime, timegm */
#include "datasets/fetch/headers.h"

#include "common/error.h"
#include "datasets/slice_cache.h"

#include <string.h>
#include <strings.h>
#include <time.h>

/* A stretch of a line: not NUL-terminated. */
typedef struct span {
    const char *at;
    size_t length;
} span;

void ortho_http_head_begin(ortho_http_head *head)
{
    memset(head, 0, sizeof *head);
    head->retry_seconds = head->retry_date = -1;
}

/* A further status line: what an interim answer said is forgotten, what it cost is not. */
static void restart(ortho_http_head *head)
{
    size_t bytes = head->bytes;
    int lines = head->lines;
    ortho_http_head_begin(head);
    head->bytes = bytes;
    head->lines = lines;
}

static span trim(span s)
{
    while (s.length > 0 && strchr(" \t\r\n", s.at[s.length - 1]) && s.at[s.length - 1])
        s.length--;
    while (s.length > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s.at++;
        s.length--;
    }
    return s;
}

static bool is(span s, const char *word)
{
    return s.length == strlen(word) && strncasecmp(s.at, word, s.length) == 0;
}

/* Takes digits from the front. False: none are there, or they overflow. */
static bool take_number(span *s, uint64_t *out)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < s->length && s->at[digits] >= '0' && s->at[digits] <= '9'; digits++) {
        unsigned digit = (unsigned)(s->at[digits] - '0');
        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    s->at += digits;
    s->length -= digits;
    *out = value;
    return digits > 0;
}

static bool take_char(span *s, char c)
{
    if (s->length == 0 || s->at[0] != c)
        return false;
    s->at++;
    s->length--;
    return true;
}

static bool whole_number(span s, uint64_t *out)
{
    return take_number(&s, out) && s.length == 0;
}

/* Printable ASCII without blanks, that fits; "" else. */
static void copy_word(span s, char *out, size_t size)
{
    out[0] = '\0';
    for (size_t i = 0; i < s.length; i++)
        if (s.at[i] <= ' ' || s.at[i] > '~')
            return;
    if (s.length >= size)
        return;
    memcpy(out, s.at, s.length);
    out[s.length] = '\0';
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* bytes 0-7/4965799096, or with a star in place of either part (416) */
static ortho_status take_range(ortho_http_head *head, span value)
{
    span s = value;
    uint64_t last = 0;
    if (head->has_range)
        return ortho_fail(ORTHO_E_FORMAT, "Content-Range is said twice");
    if (s.length < 6 || strncasecmp(s.at, "bytes ", 6) != 0)
        goto wrong;
    s = trim((span){s.at + 6, s.length - 6});
    if (take_char(&s, '*'))
        return ORTHO_OK; /* no range is satisfied: the status tells as much */
    if (!take_number(&s, &head->begin) || !take_char(&s, '-') || !take_number(&s, &last) ||
        last < head->begin || !take_char(&s, '/'))
        goto wrong;
    head->end = last + 1;
    head->unknown_total = take_char(&s, '*');
    if (!head->unknown_total && (!take_number(&s, &head->total) || head->total < head->end))
        goto wrong;
    if (s.length > 0)
        goto wrong;
    head->has_range = true;
    return ORTHO_OK;
wrong:
    return ortho_fail(ORTHO_E_FORMAT, "Content-Range \"%.*s\" is none",
                      (int)(value.length < 80 ? value.length : 80), value.at);
}

static ortho_status take_length(ortho_http_head *head, span value)
{
    uint64_t length;
    if (!whole_number(value, &length) || (head->has_length && head->length != length))
        return ortho_fail(ORTHO_E_FORMAT, "Content-Length is no number, or two");
    head->has_length = true;
    head->length = length;
    return ORTHO_OK;
}

static ortho_status take_commit(ortho_http_head *head, span value)
{
    char commit[64];
    copy_word(value, commit, sizeof commit);
    if (!ortho_commit_valid(commit) || (head->commit[0] && strcmp(head->commit, commit) != 0))
        return ortho_fail(ORTHO_E_FORMAT, "X-Repo-Commit is not one commit of 40 hex digits");
    memcpy(head->commit, commit, sizeof head->commit);
    return ORTHO_OK;
}

static ortho_status take_linked_size(ortho_http_head *head, span value)
{
    if (!whole_number(value, &head->linked_size))
        return ortho_fail(ORTHO_E_FORMAT, "X-Linked-Size is no number");
    head->has_linked_size = true;
    return ORTHO_OK;
}

/* Seconds, or a date; anything else is as if it weren't there. */
static ortho_status take_retry(ortho_http_head *head, span value)
{
    uint64_t seconds;
    char text[64];
    struct tm tm = {0};
    if (whole_number(value, &seconds)) {
        head->retry_seconds = (int64_t)seconds;
    } else if (value.length < sizeof text) {
        memcpy(text, value.at, value.length);
        text[value.length] = '\0';
        const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        if (end && *end == '\0' && strlen(text) == value.length)
            head->retry_date = (int64_t)timegm(&tm);
    }
    return ORTHO_OK;
}

static void take_etag(ortho_http_head *head, span value, bool linked)
{
    if (head->etag_is_linked && !linked)
        return;
    if (value.length > 2 && memcmp(value.at, "W/", 2) == 0)
        value = (span){value.at + 2, value.length - 2};
    if (value.length >= 2 && value.at[0] == '"' && value.at[value.length - 1] == '"')
        value = (span){value.at + 1, value.length - 2};
    copy_word(value, head->etag, sizeof head->etag);
    head->etag_is_linked = linked;
}

static ortho_status take_field(ortho_http_head *head, span name, span value)
{
    if (is(name, "content-range"))
        return take_range(head, value);
    if (is(name, "content-length"))
        return take_length(head, value);
    if (is(name, "x-repo-commit"))
        return take_commit(head, value);
    if (is(name, "x-linked-size"))
        return take_linked_size(head, value);
    if (is(name, "retry-after"))
        return take_retry(head, value);
    if (is(name, "etag"))
        take_etag(head, value, false);
    else if (is(name, "x-linked-etag"))
        take_etag(head, value, true);
    else if (is(name, "x-error-code"))
        copy_word(value, head->error_code, sizeof head->error_code);
    else if (is(name, "location"))
        copy_word(value, head->location, sizeof head->location);
    else if (is(name, "content-encoding"))
        head->encoded = value.length > 0 && !is(value, "identity");
    return ORTHO_OK;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* HTTP/1.1 206 Partial Content, HTTP/2 206 */
static ortho_status take_status(ortho_http_head *head, span line)
{
    uint64_t major, minor, status;
    span s = {line.at + 5, line.length - 5};
    if (head->status && !head->passed)
        return ortho_fail(ORTHO_E_FORMAT, "a second status line within one head");
    if (!take_number(&s, &major) || (take_char(&s, '.') && !take_number(&s, &minor)) ||
        !take_char(&s, ' ') || !take_number(&s, &status) || status < 100 || status > 599 ||
        (s.length > 0 && s.at[0] != ' '))
        return ortho_fail(ORTHO_E_FORMAT, "its status line is none of HTTP");
    restart(head);
    head->status = (int)status;
    return ORTHO_OK;
}

static ortho_status count_line(ortho_http_head *head, size_t length)
{
    head->lines++;
    head->bytes += length < ORTHO_HTTP_MAX_BYTES ? length : ORTHO_HTTP_MAX_BYTES;
    if (head->lines > ORTHO_HTTP_MAX_LINES || head->bytes > ORTHO_HTTP_MAX_BYTES)
        return ortho_fail(ORTHO_E_FORMAT, "a head of more than %d lines or %d bytes",
                          ORTHO_HTTP_MAX_LINES, ORTHO_HTTP_MAX_BYTES);
    return ORTHO_OK;
}

ortho_status ortho_http_head_line(ortho_http_head *head, const char *line, size_t length)
{
    ortho_status status = count_line(head, length);
    if (status != ORTHO_OK)
        return status;
    span all = trim((span){line, length});
    if (all.length >= 5 && memcmp(all.at, "HTTP/", 5) == 0)
        return take_status(head, all);
    if (!head->status)
        return ortho_fail(ORTHO_E_FORMAT, "it doesn't begin with a status line");
    if (head->passed)
        return ORTHO_OK; /* trailers of a body in chunks: nothing of them is believed */
    if (all.length == 0) {
        head->passed = true;
        head->redirects = head->status >= 301 && head->status <= 308 && head->status != 304 &&
                          head->status != 305 && head->status != 306;
        return ORTHO_OK;
    }
    const char *colon = memchr(all.at, ':', all.length);
    if (!colon)
        return ORTHO_OK;
    span name = {all.at, (size_t)(colon - all.at)};
    return take_field(head, name, trim((span){colon + 1, all.length - name.length - 1}));
}
