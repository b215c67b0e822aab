/*
 * headers.h: the head of an HTTP answer, line by line: status, and the few fields that a fetch
 * believes. Pure: bytes in, a struct out; nothing here knows of sockets or clocks.
 *
 * Every byte is hostile: numbers that overflow, fields said twice, lines without end. Of a field
 * that isn't understood nothing is kept; a field that decides where bytes go must be understood.
 */
#ifndef ORTHO_FETCH_HEADERS_H
#define ORTHO_FETCH_HEADERS_H

#include "datasets/hub.h"

#include <stddef.h>
#include <stdint.h>

#define ORTHO_HTTP_MAX_BYTES 65536 /* of all heads of one exchange together */
#define ORTHO_HTTP_MAX_LINES 256
#define ORTHO_ETAG_SIZE      129
#define ORTHO_LOCATION_SIZE  8192

typedef struct ortho_http_head {
    int status;  /* 100 to 599; 0: no status line yet */
    bool passed; /* its empty line was seen */
    bool has_range, has_length, has_linked_size, redirects;
    bool unknown_total;    /* Content-Range without the file's length */
    bool encoded;          /* a Content-Encoding other than identity: bytes are not the file's */
    uint64_t begin, end;   /* Content-Range, end exclusive */
    uint64_t total;        /* its file's length */
    uint64_t length;       /* Content-Length */
    uint64_t linked_size;  /* X-Linked-Size: of the file that a redirect leads to */
    int64_t retry_seconds; /* Retry-After; -1: none */
    int64_t retry_date;    /* Retry-After as a date, seconds since 1970; -1: none */
    char commit[ORTHO_COMMIT_SIZE]; /* X-Repo-Commit; "" when absent */
    char etag[ORTHO_ETAG_SIZE];     /* X-Linked-Etag, else ETag; without quotes and W/ */
    bool etag_is_linked;
    char error_code[64]; /* X-Error-Code: "GatedRepo", "EntryNotFound", ... */
    char location[ORTHO_LOCATION_SIZE];
    size_t bytes; /* of all lines so far, those of an interim answer (100) included */
    int lines;
} ortho_http_head;

/* Nothing seen yet. */
void ortho_http_head_begin(ortho_http_head *);

/* Takes one line as it came, with its line break. FORMAT when it can't be believed. */
ortho_status ortho_http_head_line(ortho_http_head *, const char *line, size_t length);

#endif
