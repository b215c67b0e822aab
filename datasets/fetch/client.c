#define _GNU_SOURCE
#include "datasets/fetch/client.h"

#include "common/error.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MAX_REDIRECTS 10
#define MAX_BACKOFF   30.0 /* seconds */
#define MAX_RETRY     60.0 /* of what a Retry-After may ask for */
#define NAP           0.02 /* seconds between two looks at `stopped` */

/* One request through its hops and attempts. */
typedef struct get {
    const ortho_hub *hub;
    ortho_connection *connection;
    const ortho_hub_request *request;
    ortho_hub_answer answer;
    ortho_exchange x; /* of the hop at work */
    bool at_home;     /* that hop is the endpoint's own */
    uint64_t linked;  /* X-Linked-Size of the endpoint; 0: not said */
    char url[ORTHO_URL_SIZE], origin[ORTHO_ORIGIN_SIZE];
    bool https;
} get;

/* ---- what a status means --------------------------------------------------------------------- */

static ortho_status refuse_access(const get *g)
{
    const ortho_hub *hub = g->hub;
    const char *token = ortho_hub_sends_token(hub) ? "the token that was sent doesn't open it"
                        : hub->token[0]            ? "the token is not sent over plain http"
                                                   : "no token was sent";
    return ortho_fail(ORTHO_E_IO,
                      "HTTP %d: the model is gated or private, or there is none of this name (%s). "
                      "Accept its licence at %s/%s, then set HF_TOKEN to a token of that account",
                      g->x.head.status, token, hub->endpoint, hub->repository);
}

static ortho_status refuse_missing(get *g)
{
    const char *code = g->x.head.error_code;
    g->answer.missing = ORTHO_MISSING_OTHER;
    if (strcmp(code, "RepoNotFound") == 0)
        return ortho_fail(ORTHO_E_NOT_FOUND, "HTTP 404: the hub has no model %s",
                          g->hub->repository);
    if (strcmp(code, "RevisionNotFound") == 0)
        return ortho_fail(ORTHO_E_NOT_FOUND, "HTTP 404: the model has no revision %s",
                          g->request->revision);
    g->answer.missing =
        strcmp(code, "EntryNotFound") == 0 ? ORTHO_MISSING_FILE : ORTHO_MISSING_UNKNOWN;
    if (g->answer.missing == ORTHO_MISSING_FILE)
        return ortho_fail(ORTHO_E_NOT_FOUND, "HTTP 404: the model has no such file");
    return ortho_fail(ORTHO_E_NOT_FOUND,
                      "HTTP 404: no such repository, revision or file (the hub doesn't say which)");
}

static ortho_status refuse_busy(const get *g, ortho_fault *fault)
{
    const ortho_http_head *h = &g->x.head;
    *fault = ORTHO_FAULT_PASSING;
    if (h->retry_seconds >= 0)
        return ortho_fail(ORTHO_E_IO, "HTTP %d%s: it asks to wait %lld s", h->status,
                          h->status == 429 ? ", too many requests" : "",
                          (long long)h->retry_seconds);
    return ortho_fail(ORTHO_E_IO, "HTTP %d%s", h->status,
                      h->status == 429 ? ", too many requests" : "");
}

static ortho_status judge_status(get *g, ortho_fault *fault)
{
    int status = g->x.head.status;
    *fault = ORTHO_FAULT_LASTING;
    if (status == 200 || status == 206) {
        *fault = ORTHO_FAULT_NONE;
        return ORTHO_OK;
    }
    if (status == 429 || status == 408 || status >= 500)
        return refuse_busy(g, fault);
    if (!g->at_home && (status == 401 || status == 403)) {
        *fault = ORTHO_FAULT_PASSING; /* what the hub signed has expired: it signs anew */
        return ortho_fail(ORTHO_E_IO, "HTTP %d: the storage refuses what the hub sent there",
                          status);
    }
    if (status == 401 || status == 403)
        return refuse_access(g);
    if (status == 404 || status == 410)
        return refuse_missing(g);
    if (status == 416)
        return ortho_fail(
            ORTHO_E_FORMAT,
            "HTTP 416: the file ends before byte %llu: it is not the one whose header "
            "was read",
            (unsigned long long)g->request->begin);
    return ortho_fail(ORTHO_E_IO, "HTTP %d: the hub refuses", status);
}

/* ---- hops ------------------------------------------------------------------------------------ */

static ortho_status enter_hop(get *g)
{
    ortho_origin origin;
    ortho_status status = ortho_url_origin(g->url, &origin);
    if (status != ORTHO_OK)
        return status;
    if (g->https && !origin.https)
        return ortho_fail(ORTHO_E_FORMAT, "a redirect from https to plain http is not followed");
    g->https = origin.https;
    g->at_home = strcmp(origin.text, g->hub->origin.text) == 0;
    memcpy(g->origin, origin.text, sizeof g->origin);
    g->x.url = g->url;
    g->x.direct = origin.loopback;
    g->x.token = g->at_home && ortho_hub_sends_token(g->hub) ? g->hub->token : NULL;
    return ORTHO_OK;
}

/* What the endpoint says of the file, wherever its bytes lie. */
static ortho_status note_facts(get *g)
{
    const ortho_http_head *h = &g->x.head;
    const char *known = g->request->commit;
    if (!g->at_home || h->status >= 400)
        return ORTHO_OK;
    if (h->commit[0] && known[0] && strcmp(h->commit, known) != 0)
        return ortho_fail(ORTHO_E_FORMAT,
                          "the hub answers with commit %s, where %s was asked for: the repository "
                          "moved meanwhile, or a cache before it is stale",
                          h->commit, known);
    if (h->commit[0])
        memcpy(g->answer.commit, h->commit, sizeof g->answer.commit);
    if (h->etag[0])
        memcpy(g->answer.etag, h->etag, sizeof g->answer.etag);
    if (h->has_linked_size)
        g->linked = h->linked_size;
    return ORTHO_OK;
}

static ortho_status next_hop(get *g)
{
    char url[ORTHO_URL_SIZE];
    if (!g->x.head.location[0])
        return ortho_fail(ORTHO_E_FORMAT, "HTTP %d, a redirect, without a Location",
                          g->x.head.status);
    ortho_status status = ortho_url_resolve(g->url, g->x.head.location, url);
    if (status == ORTHO_OK)
        memcpy(g->url, url, sizeof g->url);
    return status;
}

/* The answer as a whole, once its body is in. */
static ortho_status judge_answer(get *g)
{
    const ortho_http_head *h = &g->x.head;
    if (!g->answer.commit[0])
        return ortho_fail(ORTHO_E_FORMAT, "no X-Repo-Commit: %s answers, but not as a hub does",
                          g->hub->endpoint);
    g->answer.received = g->x.received;
    g->answer.total = h->status == 206 ? h->total : g->x.received;
    if (h->status == 206 && h->unknown_total)
        return ortho_fail(ORTHO_E_FORMAT, "its Content-Range doesn't say how long the file is");
    if (g->linked && g->linked != g->answer.total)
        return ortho_fail(ORTHO_E_FORMAT, "the hub says %llu bytes, the storage %llu",
                          (unsigned long long)g->linked, (unsigned long long)g->answer.total);
    return ORTHO_OK;
}

/* A failure away from home says where; only the host, for the rest may be signed. */
static ortho_status say_where(const get *g, ortho_status status)
{
    if (status == ORTHO_OK || status == ORTHO_E_CANCELLED || g->at_home || !g->origin[0])
        return status;
    return ortho_fail_prefix(status, "%s", g->origin);
}

static ortho_status attempt(get *g, ortho_fault *fault)
{
    const ortho_hub_request *r = g->request;
    char revision[3 * ORTHO_REVISION_SIZE], file[1024];
    g->answer = (ortho_hub_answer){0};
    g->linked = 0;
    g->https = false;
    *fault = ORTHO_FAULT_LASTING;
    ortho_status status = ortho_url_escape(r->revision, revision, sizeof revision);
    if (status == ORTHO_OK)
        status = ortho_url_escape(r->file, file, sizeof file);
    if (status != ORTHO_OK)
        return status;
    snprintf(g->url, sizeof g->url, "%s/%s/resolve/%s/%s", g->hub->endpoint, g->hub->repository,
             revision, file);
    for (int hop = 0; hop <= MAX_REDIRECTS; hop++) {
        status = enter_hop(g);
        if (status == ORTHO_OK)
            status = ortho_exchange_run(g->connection, &g->x, fault);
        if (status == ORTHO_OK) {
            *fault = ORTHO_FAULT_LASTING;
            status = note_facts(g);
        }
        if (status == ORTHO_OK && !g->x.head.redirects) {
            status = judge_status(g, fault);
            return say_where(g, status == ORTHO_OK ? judge_answer(g) : status);
        }
        if (status == ORTHO_OK)
            status = next_hop(g);
        if (status != ORTHO_OK)
            return say_where(g, status);
    }
    return ortho_fail(ORTHO_E_FORMAT, "more than %d redirects", MAX_REDIRECTS);
}

/* ---- attempts -------------------------------------------------------------------------------- */

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds to wait after attempt number `n`, from 1: doubled each time and spread over a factor of
 * two, so that many who were turned away together don't come back together. */
static double delay_after(const get *g, int n)
{
    const ortho_http_head *h = &g->x.head;
    double asked = h->retry_seconds >= 0 ? (double)h->retry_seconds
                   : h->retry_date >= 0  ? (double)h->retry_date - now(CLOCK_REALTIME)
                                         : 0;
    double wait = g->hub->tuning.backoff, ticks = now(CLOCK_MONOTONIC) * 1e6;
    for (int i = 1; i < n && wait < MAX_BACKOFF; i++)
        wait *= 2;
    wait = wait < MAX_BACKOFF ? wait : MAX_BACKOFF;
    wait *= 0.75 + 0.5 * (double)((uint64_t)ticks % 1000) / 1000;
    asked = asked < MAX_RETRY ? asked : MAX_RETRY;
    return asked > wait ? asked : wait;
}

static ortho_status wait_for(const get *g, double seconds)
{
    const ortho_exchange_limits *limits = &g->hub->limits;
    double end = now(CLOCK_MONOTONIC) + seconds;
    for (double left = seconds; left > 0; left = end - now(CLOCK_MONOTONIC)) {
        if (limits->stopped(limits->ctx))
            return ortho_fail(ORTHO_E_CANCELLED, "interrupted");
        double nap = left < NAP ? left : NAP;
        nanosleep(&(struct timespec){.tv_nsec = (long)(nap * 1e9)}, NULL);
    }
    return ORTHO_OK;
}

static ortho_status try_often(get *g)
{
    const ortho_hub *hub = g->hub;
    for (int n = 1;; n++) {
        ortho_fault fault;
        ortho_status status = attempt(g, &fault);
        if (status == ORTHO_OK || status == ORTHO_E_CANCELLED || fault != ORTHO_FAULT_PASSING)
            return status;
        if (n >= hub->tuning.attempts)
            return ortho_fail_prefix(status, "after %d attempts", n);
        double wait = delay_after(g, n);
        char why[512];
        snprintf(why, sizeof why, "%s: %.300s; attempt %d of %d in %.1f s", g->request->file,
                 ortho_last_message(), n + 1, hub->tuning.attempts, wait);
        hub->trouble(hub->ctx, why);
        status = wait_for(g, wait);
        if (status != ORTHO_OK)
            return status;
    }
}

ortho_status ortho_hub_get(const ortho_hub *hub, ortho_connection *connection,
                           const ortho_hub_request *r, ortho_hub_answer *answer)
{
    get g = {.hub = hub,
             .connection = connection,
             .request = r,
             .x = {.ranged = r->ranged,
                   .to_its_end = r->to_its_end,
                   .begin = r->begin,
                   .end = r->end,
                   .limit = r->limit,
                   .sink = r->sink,
                   .ctx = r->ctx}};
    ortho_status status = try_often(&g);
    answer->missing = g.answer.missing;
    if (status == ORTHO_OK)
        *answer = g.answer;
    else if (status != ORTHO_E_CANCELLED)
        status = ortho_fail_prefix(status, "%s@%s: %s", hub->repository, r->revision, r->file);
    return status;
}
