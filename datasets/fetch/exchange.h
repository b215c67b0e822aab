/*
 * exchange.h: one request and its answer, over libcurl. No redirect is followed and nothing is
 * tried again here: that is client.h. The body goes to a sink as it comes, never beyond what was
 * asked for.
 */
#ifndef ORTHO_FETCH_EXCHANGE_H
#define ORTHO_FETCH_EXCHANGE_H

#include "datasets/fetch/headers.h"

/* Takes `bytes` of a body at `offset` in the file. A failure ends the exchange. */
typedef ortho_status (*ortho_http_sink)(void *ctx, uint64_t offset, const void *bytes,
                                        size_t count);

/* What a failure is worth. */
typedef enum ortho_fault {
    ORTHO_FAULT_NONE = 0,
    ORTHO_FAULT_PASSING, /* another try may do: a reset connection, a time-out, a short body */
    ORTHO_FAULT_LASTING
} ortho_fault;

typedef struct ortho_exchange_limits {
    long timeout;        /* seconds to connect, and of near silence (below 1 KiB/s) after that */
    const char *ca_file; /* certificates to trust; NULL: the system's */
    bool (*stopped)(void *ctx); /* asked all the time, by every thread: true ends the exchange */
    void *ctx;
} ortho_exchange_limits;

typedef struct ortho_exchange {
    const char *url;
    const char *token; /* for the header Authorization; NULL: none is sent */
    bool direct;       /* through no proxy */
    bool ranged;       /* bytes [begin, end) and nothing else; else the whole file, up to `limit` */
    bool to_its_end;   /* a file that ends within the range is legal */
    uint64_t begin, end, limit;
    ortho_http_sink sink;
    void *ctx;

    ortho_http_head head; /* out */
    uint64_t received;    /* out: bytes given to the sink */
} ortho_exchange;

typedef struct ortho_connection ortho_connection; /* keeps connections open; one a thread */

/* `limits` must outlive it. */
ortho_status ortho_connection_open(const ortho_exchange_limits *limits, ortho_connection **out);
void ortho_connection_close(ortho_connection *);

/* OK when an answer came whole, whatever its status: a redirect's or an error's body is dropped. A
 * 200 or 206 is held against what was asked for before a byte of its body is taken. CANCELLED when
 * `stopped` ended it. On a failure *fault is set. */
ortho_status ortho_exchange_run(ortho_connection *, ortho_exchange *, ortho_fault *fault);

#endif
