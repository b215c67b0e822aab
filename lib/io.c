/*
 * The line of requests and the queue of ended ones: two lists under one lock, through the requests
 * themselves, so that neither submitting nor ending can run out of memory.
 *
 * Only the first request in line is ever begun but not dealt out; so a failure takes its request
 * out of the line by looking at the first.
 */
#define _GNU_SOURCE /* strerror_r */
#include "lib/io_engine.h"

#include "common/error.h"
#include "lib/direct.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_DEPTH   16
#define DEFAULT_THREADS 8
#define DEFAULT_PIECE   ((size_t)1 << 20)

static void append(ortho_io_line *line, ortho_io_request *r)
{
    r->next = NULL;
    if (line->first == NULL)
        line->first = r;
    else
        line->last->next = r;
    line->last = r;
}

static ortho_io_request *pop(ortho_io_line *line)
{
    ortho_io_request *r = line->first;
    if (r != NULL) {
        line->first = r->next;
        r->next = NULL;
    }
    return r;
}

static void end(ortho_io *io, ortho_io_request *r)
{
    append(&io->finished, r);
    pthread_cond_signal(&io->ended);
}

static bool is_whole(uint64_t number)
{
    return number % ORTHO_DIRECT_UNIT == 0;
}

/* Of the next piece: a request that may go past the page cache is cut where whole units begin and
 * end. */
static size_t piece_bytes(const ortho_io *io, const ortho_io_request *r)
{
    size_t left = r->bytes - r->issued, bytes = left < io->piece ? left : io->piece;
    size_t past = (size_t)((r->offset + r->issued) % ORTHO_DIRECT_UNIT);
    size_t to_whole = ORTHO_DIRECT_UNIT - past;
    if (r->direct == NULL || *r->direct < 0 || !is_whole((uintptr_t)r->data - r->offset))
        return bytes;
    if (past > 0)
        return bytes < to_whole ? bytes : to_whole;
    return bytes < ORTHO_DIRECT_UNIT ? bytes : bytes / ORTHO_DIRECT_UNIT * ORTHO_DIRECT_UNIT;
}

int ortho_io_fd(const ortho_io_piece *p)
{
    const int *direct = p->request->direct;
    return direct != NULL && *direct >= 0 && !p->cached && is_whole(p->offset) &&
                   is_whole(p->bytes) && is_whole((uintptr_t)p->data)
               ? *direct
               : p->request->fd;
}

bool ortho_io_take(ortho_io *io, ortho_io_piece *out)
{
    ortho_io_request *r = io->waiting.first;
    if (r == NULL)
        return false;
    size_t bytes = piece_bytes(io, r);
    *out = (ortho_io_piece){.request = r, .offset = r->offset + r->issued, .bytes = bytes};
    if (r->data != NULL)
        out->data = (char *)r->data + r->issued;
    r->issued += bytes;
    r->flying++;
    if (r->issued == r->bytes)
        pop(&io->waiting);
    return true;
}

static bool ended(ortho_io_piece *piece, ortho_status status, int error)
{
    piece->status = status;
    piece->error = error;
    return false;
}

bool ortho_io_continue(ortho_io_piece *piece, ssize_t result)
{
    if (result == -EINTR)
        return true;
    if (result == -EAGAIN && ++piece->tries < ORTHO_IO_TRIES) {
        ortho_io_pause();
        return true;
    }
    if (result == -EINVAL && ortho_io_fd(piece) != piece->request->fd) {
        piece->cached = true;
        return true;
    }
    if (result == -ENOMEM)
        return ended(piece, ORTHO_E_MEMORY, ENOMEM);
    if (result < 0)
        return ended(piece, ORTHO_E_IO, (int)-result);
    if (result == 0 && piece->bytes > 0) /* a write that moves nothing would never end */
        return piece->request->kind == ORTHO_IO_READ ? ended(piece, ORTHO_E_FORMAT, 0)
                                                     : ended(piece, ORTHO_E_IO, EIO);
    piece->tries = 0;
    piece->offset += (uint64_t)result;
    if (piece->data != NULL)
        piece->data += result;
    piece->moved += (size_t)result;
    piece->bytes -= (size_t)result;
    return piece->bytes > 0 || ended(piece, ORTHO_OK, 0);
}

void ortho_io_finish(ortho_io *io, const ortho_io_piece *piece)
{
    ortho_io_request *r = piece->request;
    pthread_mutex_lock(&io->lock);
    r->done += piece->moved;
    r->flying--;
    if (piece->status != ORTHO_OK) {
        if (r->status == ORTHO_OK || piece->offset < r->failed_at) {
            r->status = piece->status;
            r->error = piece->error;
            r->failed_at = piece->offset;
        }
        if (io->waiting.first == r) /* the rest of it is no use */
            pop(&io->waiting);
        r->issued = r->bytes;
    }
    if (r->flying == 0 && r->issued == r->bytes)
        end(io, r);
    pthread_mutex_unlock(&io->lock);
}

void ortho_io_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

int ortho_io_thread(pthread_t *out, void *(*body)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* threads inherit it */
    int error = pthread_create(out, NULL, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static ortho_status asked_engine(ortho_io_engine_kind *engine)
{
    const char *asked = getenv("ORTHO_IO");
    if (*engine != ORTHO_IO_AUTO || asked == NULL || *asked == '\0')
        return ORTHO_OK;
    if (strcmp(asked, "io_uring") == 0)
        *engine = ORTHO_IO_URING;
    else if (strcmp(asked, "threads") == 0)
        *engine = ORTHO_IO_THREADS;
    else
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "ORTHO_IO=%.40s: set it to threads or io_uring, or not at all", asked);
    return ORTHO_OK;
}

static ortho_status settle(const ortho_io_options *asked, ortho_io_options *out)
{
    ortho_io_options o = asked == NULL ? (ortho_io_options){0} : *asked;
    if (o.depth < 0 || o.depth > 4096 || o.threads < 0 || o.threads > 256 ||
        o.piece > (size_t)1 << 30 || (unsigned)o.engine > ORTHO_IO_THREADS)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "I/O with depth %d, %d threads, pieces of %zu bytes: at most 4096, 256 "
                          "and 1 GiB, and none negative",
                          o.depth, o.threads, o.piece);
    if (o.depth == 0)
        o.depth = DEFAULT_DEPTH;
    if (o.threads == 0)
        o.threads = DEFAULT_THREADS;
    if (o.piece == 0)
        o.piece = DEFAULT_PIECE;
    *out = o;
    return asked_engine(&out->engine);
}

static ortho_io *io_new(size_t piece)
{
    ortho_io *io = calloc(1, sizeof *io);
    if (io == NULL)
        return NULL;
    io->piece = piece;
    pthread_condattr_t monotonic; /* a clock that is set must not make a wait longer */
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&io->lock, NULL); /* on Linux, none of these can fail */
    pthread_cond_init(&io->work, NULL);
    pthread_cond_init(&io->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return io;
}

static void io_free(ortho_io *io)
{
    pthread_cond_destroy(&io->ended);
    pthread_cond_destroy(&io->work);
    pthread_mutex_destroy(&io->lock);
    free(io);
}

static ortho_status start(ortho_io *io, const ortho_io_engine *engine,
                          const ortho_io_options *options)
{
    io->engine = engine;
    return engine->start(io, options);
}

ortho_status ortho_io_open(const ortho_io_options *options, ortho_io **out)
{
    ortho_io_options settled;
    ortho_status status = settle(options, &settled);
    if (status != ORTHO_OK)
        return status;
    ortho_io *io = io_new(settled.piece);
    if (io == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for reading and writing files");
    status = ORTHO_E_UNSUPPORTED;
    if (settled.engine != ORTHO_IO_THREADS)
        status = start(io, &ortho_io_engine_uring, &settled);
    if (status != ORTHO_OK && settled.engine != ORTHO_IO_URING)
        status = start(io, &ortho_io_engine_threads, &settled);
    if (status != ORTHO_OK) {
        io_free(io);
        return status;
    }
    *out = io;
    return ORTHO_OK;
}

const char *ortho_io_engine_name(const ortho_io *io)
{
    return io->engine->name;
}

static ortho_status check(const ortho_io_request *r)
{
    if (r == NULL || r->path == NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "an I/O request without a path");
    if ((unsigned)r->kind > ORTHO_IO_SYNC || (r->data == NULL && r->bytes > 0) ||
        (r->kind == ORTHO_IO_SYNC && r->bytes > 0))
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s: an I/O request of kind %d, %zu bytes, data %p: not one that I know",
                          r->path, (int)r->kind, r->bytes, r->data);
    if (r->offset > INT64_MAX || r->bytes > (uint64_t)INT64_MAX - r->offset)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: %zu bytes at offset %llu: beyond the largest file",
                          r->path, r->bytes, (unsigned long long)r->offset);
    return ORTHO_OK;
}

ortho_status ortho_io_submit(ortho_io *io, ortho_io_request *const *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ortho_status status = check(requests[i]);
        if (status != ORTHO_OK)
            return status;
    }
    bool wake = false;
    pthread_mutex_lock(&io->lock);
    for (size_t i = 0; i < count; i++) {
        ortho_io_request *r = requests[i];
        r->status = ORTHO_OK;
        r->error = r->flying = 0;
        r->failed_at = 0;
        r->done = r->issued = 0;
        if (r->bytes == 0 && r->kind != ORTHO_IO_SYNC) {
            end(io, r);
        } else {
            append(&io->waiting, r);
            wake = true;
        }
    }
    pthread_mutex_unlock(&io->lock);
    if (wake)
        io->engine->wake(io);
    return ORTHO_OK;
}

static struct timespec after(int timeout_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

ortho_io_request *ortho_io_wait(ortho_io *io, int timeout_ms)
{
    struct timespec limit = after(timeout_ms < 0 ? 0 : timeout_ms);
    int error = 0;
    pthread_mutex_lock(&io->lock);
    while (io->finished.first == NULL && error != ETIMEDOUT)
        error = timeout_ms < 0 ? pthread_cond_wait(&io->ended, &io->lock)
                               : pthread_cond_timedwait(&io->ended, &io->lock, &limit);
    ortho_io_request *r = pop(&io->finished);
    pthread_mutex_unlock(&io->lock);
    return r;
}

static const char *remedy(int error)
{
    switch (error) {
    case ENOSPC:
        return "; free space on that file system, then go on with --resume";
    case EDQUOT:
        return "; your quota there is used up: free some of it, then go on with --resume";
    case EFBIG:
        return "; larger than ulimit -f or that file system allows: raise the limit or write "
               "elsewhere, then go on with --resume";
    case EIO:
        return "; the device or its connection failed: look into the kernel's log (dmesg)";
    case ESTALE:
        return "; the file was replaced on its server: try again";
    default:
        return "";
    }
}

ortho_status ortho_io_result(const ortho_io_request *r)
{
    static const char *const verbs[] = {"read", "write", "make durable"};
    unsigned long long at = r->failed_at;
    switch (r->status) {
    case ORTHO_OK:
        return ORTHO_OK;
    case ORTHO_E_CANCELLED:
        return ortho_fail(r->status, "%s: cancelled before all of it was done", r->path);
    case ORTHO_E_FORMAT:
        return ortho_fail(r->status,
                          "%s: the file became shorter while it was read: it ends at byte %llu, "
                          "and %zu bytes at offset %llu were wanted; try again once nothing "
                          "writes to it, or get the file anew",
                          r->path, at, r->bytes, (unsigned long long)r->offset);
    default:
        break;
    }
    char text[128];
    const char *why = strerror_r(r->error, text, sizeof text);
    if (r->kind == ORTHO_IO_SYNC)
        return ortho_fail(r->status, "%s: can't %s: %s%s", r->path, verbs[r->kind], why,
                          remedy(r->error));
    return ortho_fail(r->status, "%s: can't %s at offset %llu: %s%s", r->path, verbs[r->kind], at,
                      why, remedy(r->error));
}

/* What is in line ends here, unless pieces of it fly: the last of them ends it. */
static void cancel_waiting(ortho_io *io)
{
    for (ortho_io_request *r = pop(&io->waiting); r != NULL; r = pop(&io->waiting)) {
        if (r->status == ORTHO_OK) {
            r->status = ORTHO_E_CANCELLED;
            r->error = ECANCELED;
            r->failed_at = r->offset + r->issued;
        }
        r->issued = r->bytes;
        if (r->flying == 0)
            end(io, r);
    }
}

void ortho_io_close(ortho_io *io)
{
    if (io == NULL)
        return;
    pthread_mutex_lock(&io->lock);
    io->closing = true;
    cancel_waiting(io);
    pthread_mutex_unlock(&io->lock);
    io->engine->wake(io);
    io->engine->stop(io);
    io_free(io);
}
