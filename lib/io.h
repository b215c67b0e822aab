/*
 * io.h: reads and writes by position, many at once, without a thread of the caller's waiting in
 * each: io_uring where the kernel lets us, else a pool of threads with pread and pwrite. What
 * finished goes into one queue, which one thread empties, or more. Thread-safe, all but open and
 * close.
 *
 * A large request is moved in pieces, several at once, and begins in the order of submission; the
 * order in which requests end is open.
 *
 * A request may bypass the page cache: its head and tail, up to where whole units of 4096 bytes
 * begin and end, go through the cache, so that neither the offset nor the size must be a multiple.
 * No page of the file is moved both ways by requests that don't overlap.
 */
#ifndef ORTHO_LIB_IO_H
#define ORTHO_LIB_IO_H

#include <ortho/ortho.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ortho_io ortho_io;

typedef enum ortho_io_kind {
    ORTHO_IO_READ,
    ORTHO_IO_WRITE,
    ORTHO_IO_SYNC, /* fdatasync: makes durable what finished before it was submitted */
} ortho_io_kind;

/* The caller's memory; it, `data`, `path`, `fd` and `direct` must stay until the request came out
 * of ortho_io_wait, or ortho_io_close returned. It may then be submitted again. */
typedef struct ortho_io_request {
    ortho_io_kind kind;
    int fd;
    /* The same file for moves past the page cache, of ortho_direct_open or its like; NULL or -1:
     * none. Used when `data` lies in its page as `offset` does in the file's; where the file system
     * refuses a move, `fd` serves. */
    const int *direct;
    uint64_t offset;  /* bytes from the file's start */
    void *data;       /* only read from, for a write */
    size_t bytes;     /* 0 is allowed: ends at once, without a look at fd. SYNC: 0 */
    const char *path; /* for messages; not NULL */
    void *user;       /* the caller's own */

    /* Set by the engine, to be read once the request has ended. */
    ortho_status status; /* OK: every byte was moved */
    int error;           /* errno behind a failure; 0 without one */
    uint64_t failed_at;  /* file offset at which it failed */
    size_t done;         /* bytes moved; after a failure not always the first ones */

    /* The engine's own. */
    size_t issued;
    int flying;
    struct ortho_io_request *next;
} ortho_io_request;

typedef enum ortho_io_engine_kind {
    ORTHO_IO_AUTO, /* what the environment's ORTHO_IO says, threads or io_uring; else the best */
    ORTHO_IO_URING,
    ORTHO_IO_THREADS,
} ortho_io_engine_kind;

/* 0 leaves the choice to us. */
typedef struct ortho_io_options {
    ortho_io_engine_kind engine;
    int depth;    /* io_uring: pieces in flight, at most 4096 */
    int threads;  /* threads: how many, so that many pieces in flight; at most 256 */
    size_t piece; /* bytes of a piece, at most 1 GiB */
} ortho_io_options;

/* `options` may be NULL. UNSUPPORTED when io_uring was demanded and isn't to be had here: AUTO
 * takes threads then. ARGUMENT, MEMORY, IO (no thread can be started). */
ortho_status ortho_io_open(const ortho_io_options *options, ortho_io **out);

/* What it came to: "io_uring" or "threads". */
const char *ortho_io_engine_name(const ortho_io *);

/* Takes all requests, or with ARGUMENT none. Never blocks: what can't start yet waits in line. */
ortho_status ortho_io_submit(ortho_io *, ortho_io_request *const *requests, size_t count);

/* A request that has ended, each one once. Waits for one for timeout_ms (negative: without end),
 * also when nothing was submitted yet; NULL when the time is over. */
ortho_io_request *ortho_io_wait(ortho_io *, int timeout_ms);

/* The status of a request that has ended; when it isn't OK, this thread's message names file,
 * offset and what to do. FORMAT: the file ended before the read did. CANCELLED: see close. */
ortho_status ortho_io_result(const ortho_io_request *);

/* Waits for what the kernel is busy with. Requests that have not come out of wait are the caller's
 * again; those that were still waiting in line end as CANCELLED. No other thread may be using the
 * engine. NULL is allowed. */
void ortho_io_close(ortho_io *);

#ifdef __cplusplus
}
#endif

#endif
