/*
 * The engine of io_uring: one thread owns the ring and keeps up to `depth` pieces in the kernel, so
 * the ring needs no lock. It sleeps in the kernel until a piece ends or an eventfd, on which a read
 * is always under way, says that the line has grown.
 */
#include "lib/io_engine.h"

#include "common/error.h"

#ifdef ORTHO_HAVE_URING

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

typedef struct slot {
    ortho_io_piece piece;
    struct slot *next; /* free slots */
} slot;

typedef struct uring {
    struct io_uring ring;
    pthread_t thread;
    int bell;       /* the eventfd */
    uint64_t rung;  /* where the read of it goes */
    bool listening; /* that read is under way */
    int flying;     /* pieces in the kernel */
    slot *idle;
    slot slots[];
} uring;

/* There is room: the ring has an entry for each slot and the bell. A slot is asked for once at a
 * time. */
static void ask(uring *u, slot *s)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    const ortho_io_piece *p = &s->piece;
    int fd = ortho_io_fd(p);
    switch (p->request->kind) {
    case ORTHO_IO_READ:
        io_uring_prep_read(sqe, fd, p->data, (unsigned)p->bytes, p->offset);
        break;
    case ORTHO_IO_WRITE:
        io_uring_prep_write(sqe, fd, p->data, (unsigned)p->bytes, p->offset);
        break;
    default:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    }
    /* By the kernel's own threads: else this one would copy from the page cache all alone. */
    io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
    io_uring_sqe_set_data(sqe, s);
}

static void listen_to_bell(uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    io_uring_prep_read(sqe, u->bell, &u->rung, sizeof u->rung, 0);
    io_uring_sqe_set_data(sqe, NULL);
    u->listening = true;
}

/* Fills the free slots from the line. False when all is done for good. */
static bool fill(ortho_io *io, uring *u)
{
    slot *taken = NULL, **end = &taken;
    pthread_mutex_lock(&io->lock);
    while (u->idle != NULL && ortho_io_take(io, &u->idle->piece)) {
        *end = u->idle;
        end = &(*end)->next;
        u->idle = *end;
    }
    *end = NULL;
    bool closing = io->closing;
    pthread_mutex_unlock(&io->lock);
    for (slot *s = taken; s != NULL; s = s->next, u->flying++)
        ask(u, s);
    if (!closing && !u->listening)
        listen_to_bell(u);
    return u->flying > 0 || u->listening;
}

static void reap(ortho_io *io, uring *u)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        slot *s = io_uring_cqe_get_data(cqe);
        int result = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        if (s == NULL) {
            u->listening = false;
        } else if (ortho_io_continue(&s->piece, result)) {
            ask(u, s);
        } else {
            ortho_io_finish(io, &s->piece);
            s->next = u->idle;
            u->idle = s;
            u->flying--;
        }
    }
}

static void *serve(void *user)
{
    ortho_io *io = user;
    uring *u = io->state;
    while (fill(io, u)) {
        /* What fails here passes: memory, or a full completion queue that reap empties. The
         * entries stay in the ring, and the next round hands them in. */
        int submitted = io_uring_submit_and_wait(&u->ring, 1);
        if (submitted < 0 && submitted != -EINTR)
            ortho_io_pause();
        reap(io, u);
    }
    return NULL;
}

/* An old kernel has the ring but not the calls. */
static bool knows_calls(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (probe == NULL)
        return false;
    bool known = io_uring_opcode_supported(probe, IORING_OP_READ) &&
                 io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
                 io_uring_opcode_supported(probe, IORING_OP_FSYNC);
    io_uring_free_probe(probe);
    return known;
}

static ortho_status refused(const char *why)
{
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "the kernel refuses io_uring here (%s), as many containers do: leave "
                      "ORTHO_IO unset, or set it to threads",
                      why);
}

static ortho_status open_ring(uring *u, unsigned entries)
{
    int error = io_uring_queue_init(entries, &u->ring, 0);
    if (error < 0)
        return refused(strerror(-error));
    u->bell = eventfd(0, EFD_CLOEXEC);
    if (u->bell >= 0 && knows_calls(&u->ring))
        return ORTHO_OK;
    ortho_status status = refused(u->bell < 0 ? strerror(errno) : "it is older than 5.6");
    if (u->bell >= 0)
        close(u->bell);
    io_uring_queue_exit(&u->ring);
    return status;
}

static void close_ring(uring *u)
{
    io_uring_queue_exit(&u->ring);
    close(u->bell);
    free(u);
}

static ortho_status uring_start(ortho_io *io, const ortho_io_options *options)
{
    size_t depth = (size_t)options->depth;
    uring *u = calloc(1, sizeof *u + depth * sizeof *u->slots);
    if (u == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %zu pieces in flight", depth);
    for (size_t i = depth; i-- > 0; u->idle = &u->slots[i])
        u->slots[i].next = u->idle;
    ortho_status status = open_ring(u, (unsigned)depth + 1);
    if (status != ORTHO_OK) {
        free(u);
        return status;
    }
    io->state = u;
    int error = ortho_io_thread(&u->thread, serve, io);
    if (error != 0) {
        close_ring(u);
        return ortho_fail(ORTHO_E_IO, "can't start a thread for reading and writing files: %s",
                          strerror(error));
    }
    return ORTHO_OK;
}

static void uring_wake(ortho_io *io)
{
    const uring *u = io->state;
    uint64_t one = 1;
    while (write(u->bell, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void uring_stop(ortho_io *io)
{
    uring *u = io->state;
    pthread_join(u->thread, NULL);
    close_ring(u);
}

#else

static ortho_status uring_start(ortho_io *io, const ortho_io_options *options)
{
    (void)io;
    (void)options;
    return ortho_fail(ORTHO_E_UNSUPPORTED, "this build has no io_uring: install liburing-dev and "
                                           "build again, or set ORTHO_IO to threads");
}

static void uring_wake(ortho_io *io)
{
    (void)io;
}

static void uring_stop(ortho_io *io)
{
    (void)io;
}

#endif

const ortho_io_engine ortho_io_engine_uring = {
    .name = "io_uring",
    .start = uring_start,
    .wake = uring_wake,
    .stop = uring_stop,
};
