/*
 * client.h: files of one repository on the hub, by range: redirects, retries, and what the hub's
 * answers mean.
 *
 * The token goes to the endpoint's own origin and nowhere else: a redirect to a storage host is
 * followed without it, and over plain http only this machine itself may see it. Every answer of the
 * endpoint must come of one commit; an answer that doesn't fit what was asked for ends the fetch
 * before a byte of it counts.
 */
#ifndef ORTHO_FETCH_CLIENT_H
#define ORTHO_FETCH_CLIENT_H

#include "datasets/fetch/exchange.h"
#include "datasets/fetch/token.h"
#include "datasets/fetch/url.h"
#include "datasets/slice_cache.h"

#define ORTHO_ENDPOINT_SIZE 512

/* How patient a fetch is. */
typedef struct ortho_fetch_tuning {
    uint64_t piece; /* bytes of a large tensor that are asked for at once */
    int attempts;   /* of one request */
    double backoff; /* seconds before the second attempt; doubles, up to 30 */
    long timeout;   /* seconds: to connect, and of near silence */
} ortho_fetch_tuning;

/* What all threads of a fetch share; constant but for what `trouble` does. */
typedef struct ortho_hub {
    char endpoint[ORTHO_ENDPOINT_SIZE]; /* without a '/' at its end */
    ortho_origin origin;
    char repository[ORTHO_HUB_NAME_SIZE];
    char token[ORTHO_TOKEN_SIZE]; /* "" when there is none */
    ortho_exchange_limits limits;
    ortho_fetch_tuning tuning;
    /* A request is about to be tried again; called by any thread. */
    void (*trouble)(void *ctx, const char *why);
    void *ctx;
} ortho_hub;

typedef enum ortho_hub_missing {
    ORTHO_MISSING_NOTHING = 0,
    ORTHO_MISSING_FILE,
    ORTHO_MISSING_OTHER, /* repository or revision */
    ORTHO_MISSING_UNKNOWN
} ortho_hub_missing;

typedef struct ortho_hub_request {
    const char *revision; /* branch, tag or commit */
    const char *commit;   /* what the answer must be of; "": not known yet */
    const char *file;
    bool ranged, to_its_end; /* as of an exchange */
    uint64_t begin, end, limit;
    ortho_http_sink sink; /* a further attempt begins at `begin` again */
    void *ctx;
} ortho_hub_request;

typedef struct ortho_hub_answer {
    char commit[ORTHO_COMMIT_SIZE];
    char etag[ORTHO_ETAG_SIZE]; /* "" when the hub gave none */
    uint64_t total;             /* the file's length; of a whole file what came */
    uint64_t received;
    ortho_hub_missing missing; /* with NOT_FOUND */
} ortho_hub_answer;

/* From the environment: HF_ENDPOINT, the token, CURL_CA_BUNDLE or SSL_CERT_FILE. `limits.stopped`
 * and `trouble` are the caller's to set. */
ortho_status ortho_hub_open(const ortho_hub_spec *, const ortho_fetch_tuning *, ortho_hub *out);

/* Whether the token may be sent to the endpoint: not over plain http, but to this machine. */
bool ortho_hub_sends_token(const ortho_hub *);

/* Gets a file or a range of it. NOT_FOUND: the hub has no such thing; CANCELLED; else the message
 * says what is wrong and what to do. *answer->missing is set on NOT_FOUND, the rest on success. */
ortho_status ortho_hub_get(const ortho_hub *, ortho_connection *, const ortho_hub_request *,
                           ortho_hub_answer *answer);

#endif
