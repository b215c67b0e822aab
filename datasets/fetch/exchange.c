#include "datasets/fetch/exchange.h"

#include "common/error.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DROPPED_LIMIT 65536 /* bytes of a body that nobody wants */
#define SLOW_BYTES    1024L /* a second */

struct ortho_connection {
    CURL *curl;
    const ortho_exchange_limits *limits;
    char why[CURL_ERROR_SIZE];
};

/* One exchange on its way. */
typedef struct transit {
    ortho_exchange *x;
    uint64_t expected; /* bytes of the body, at most */
    bool exact;        /* and at least */
    bool wanted;       /* the body is for the sink */
    size_t dropped;
    ortho_status refused; /* why a callback ended it; its message is the thread's */
} transit;

ortho_status ortho_connection_open(const ortho_exchange_limits *limits, ortho_connection **out)
{
    ortho_connection *c = calloc(1, sizeof *c);
    if (c)
        c->curl = curl_easy_init();
    if (!c || !c->curl) {
        free(c);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a connection");
    }
    c->limits = limits;
    *out = c;
    return ORTHO_OK;
}

void ortho_connection_close(ortho_connection *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    free(c);
}

/* ---- what came is held against what was asked for ---------------------------------------------
 */

static ortho_status judge_partial(transit *t)
{
    const ortho_exchange *x = t->x;
    const ortho_http_head *h = &x->head;
    if (!x->ranged)
        return ortho_fail(ORTHO_E_FORMAT, "it answered 206, a part, where the whole was asked for");
    if (!h->has_range)
        return ortho_fail(ORTHO_E_FORMAT, "it answered 206 without Content-Range");
    uint64_t end = x->end;
    if (x->to_its_end && !h->unknown_total && h->total < end)
        end = h->total;
    if (h->begin != x->begin || h->end != end)
        return ortho_fail(ORTHO_E_FORMAT,
                          "asked for bytes %llu to %llu, it answered with %llu to %llu",
                          (unsigned long long)x->begin, (unsigned long long)end - 1,
                          (unsigned long long)h->begin, (unsigned long long)h->end - 1);
    t->expected = end - x->begin;
    t->exact = true;
    if (h->has_length && h->length != t->expected)
        return ortho_fail(ORTHO_E_FORMAT, "its Content-Length %llu contradicts its Content-Range",
                          (unsigned long long)h->length);
    return ORTHO_OK;
}

static ortho_status judge_whole(transit *t)
{
    const ortho_exchange *x = t->x;
    const ortho_http_head *h = &x->head;
    if (x->ranged)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "it answered 200, the whole file, where a range was asked for: this "
                          "server, or a proxy before it, does no ranges");
    if (h->has_length && h->length > x->limit)
        return ortho_fail(ORTHO_E_FORMAT,
                          "%llu bytes, where %llu are the most that such a file has",
                          (unsigned long long)h->length, (unsigned long long)x->limit);
    t->expected = h->has_length ? h->length : x->limit;
    t->exact = h->has_length;
    return ORTHO_OK;
}

static ortho_status judge_head(transit *t)
{
    const ortho_http_head *h = &t->x->head;
    if (h->status < 200 || h->status >= 300)
        return ORTHO_OK;
    if (h->status != 200 && h->status != 206)
        return ortho_fail(ORTHO_E_FORMAT, "an answer of HTTP %d means nothing here", h->status);
    if (h->encoded)
        return ortho_fail(ORTHO_E_FORMAT, "it sends the file compressed, which wasn't asked for");
    t->wanted = true;
    return h->status == 206 ? judge_partial(t) : judge_whole(t);
}

/* ---- libcurl's callbacks: a short count ends the exchange -------------------------------------
 */

static size_t on_line(char *line, size_t size, size_t count, void *ctx)
{
    transit *t = ctx;
    bool passed = t->x->head.passed;
    t->refused = ortho_http_head_line(&t->x->head, line, size * count);
    if (t->refused == ORTHO_OK && !passed && t->x->head.passed)
        t->refused = judge_head(t);
    return t->refused == ORTHO_OK ? size * count : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    transit *t = ctx;
    ortho_exchange *x = t->x;
    size_t n = size * count;
    if (!t->wanted) {
        t->dropped += n;
        return t->dropped <= DROPPED_LIMIT ? n : 0;
    }
    if (n > t->expected - x->received)
        t->refused = ortho_fail(ORTHO_E_FORMAT, "it sends more than the %llu bytes of its answer",
                                (unsigned long long)t->expected);
    else
        t->refused = x->sink(x->ctx, x->begin + x->received, bytes, n);
    if (t->refused != ORTHO_OK)
        return n > 0 ? 0 : 1;
    x->received += n;
    return n;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now)
{
    const ortho_exchange_limits *limits = ctx;
    (void)total, (void)now, (void)up_total, (void)up_now;
    return limits->stopped(limits->ctx);
}

/* ---- the exchange ---------------------------------------------------------------------------- */

static void set_options(ortho_connection *c, transit *t)
{
    CURL *curl = c->curl;
    curl_easy_reset(curl); /* keeps the connections */
    curl_easy_setopt(curl, CURLOPT_URL, t->x->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "ortho-bench");
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, c->limits->timeout);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, c->limits->timeout);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_line);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c->limits);
    if (c->limits->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->limits->ca_file);
    if (t->x->direct)
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

static ortho_status set_fields(ortho_connection *c, const ortho_exchange *x,
                               struct curl_slist **fields)
{
    char text[1024];
    if (x->ranged) {
        snprintf(text, sizeof text, "%llu-%llu", (unsigned long long)x->begin,
                 (unsigned long long)x->end - 1);
        if (curl_easy_setopt(c->curl, CURLOPT_RANGE, text) != CURLE_OK)
            return ortho_fail(ORTHO_E_MEMORY, "no memory for a request");
    }
    if (!x->token)
        return ORTHO_OK;
    snprintf(text, sizeof text, "Authorization: Bearer %s", x->token);
    *fields = curl_slist_append(NULL, text);
    memset(text, 0, sizeof text);
    if (!*fields)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a request");
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, *fields);
    return ORTHO_OK;
}

static bool is_passing(CURLcode code)
{
    static const CURLcode passing[] = {
        CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT,
        CURLE_OPERATION_TIMEDOUT,   CURLE_PARTIAL_FILE,          CURLE_RECV_ERROR,
        CURLE_SEND_ERROR,           CURLE_GOT_NOTHING,           CURLE_HTTP2,
        CURLE_HTTP2_STREAM,         CURLE_SSL_CONNECT_ERROR,
    };
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (passing[i] == code)
            return true;
    return false;
}

static ortho_status conclude(const ortho_connection *c, const transit *t, CURLcode code,
                             ortho_fault *fault)
{
    const ortho_exchange *x = t->x;
    *fault = ORTHO_FAULT_LASTING;
    if (t->refused != ORTHO_OK)
        return t->refused;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return ortho_fail(ORTHO_E_CANCELLED, "interrupted");
    bool cut = !t->wanted && x->head.passed && code == CURLE_WRITE_ERROR; /* of what nobody wants */
    if (code != CURLE_OK && !cut) {
        *fault = is_passing(code) ? ORTHO_FAULT_PASSING : ORTHO_FAULT_LASTING;
        return ortho_fail(ORTHO_E_IO, "%s", c->why[0] ? c->why : curl_easy_strerror(code));
    }
    if (!x->head.passed) {
        *fault = ORTHO_FAULT_PASSING;
        return ortho_fail(ORTHO_E_IO, "the connection was closed within the answer's head");
    }
    if (t->exact && x->received != t->expected) {
        *fault = ORTHO_FAULT_PASSING;
        return ortho_fail(ORTHO_E_IO, "only %llu of %llu bytes came",
                          (unsigned long long)x->received, (unsigned long long)t->expected);
    }
    *fault = ORTHO_FAULT_NONE;
    return ORTHO_OK;
}

ortho_status ortho_exchange_run(ortho_connection *c, ortho_exchange *x, ortho_fault *fault)
{
    transit t = {.x = x};
    struct curl_slist *fields = NULL;
    ortho_http_head_begin(&x->head);
    x->received = 0;
    c->why[0] = '\0';
    *fault = ORTHO_FAULT_LASTING;
    set_options(c, &t);
    ortho_status status = set_fields(c, x, &fields);
    if (status == ORTHO_OK) {
        CURLcode code = curl_easy_perform(c->curl);
        status = conclude(c, &t, code, fault);
    }
    curl_slist_free_all(fields);
    return status;
}
