/*
 * The engine that works everywhere: threads that each take a piece from the line and stay with it
 * until it has ended.
 */
#include "lib/io_engine.h"

#include "common/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct crew {
    int count;
    pthread_t threads[];
} crew;

static ssize_t call(const ortho_io_piece *p)
{
    ssize_t got;
    int fd = ortho_io_fd(p);
    switch (p->request->kind) {
    case ORTHO_IO_READ:
        got = pread(fd, p->data, p->bytes, (off_t)p->offset);
        break;
    case ORTHO_IO_WRITE:
        got = pwrite(fd, p->data, p->bytes, (off_t)p->offset);
        break;
    default:
        got = fdatasync(fd);
    }
    return got < 0 ? -errno : got;
}

static void *work(void *user)
{
    ortho_io *io = user;
    ortho_io_piece piece;
    pthread_mutex_lock(&io->lock);
    for (;;) {
        while (!io->closing && io->waiting.first == NULL)
            pthread_cond_wait(&io->work, &io->lock);
        if (!ortho_io_take(io, &piece))
            break; /* closing, and the line is empty */
        pthread_mutex_unlock(&io->lock);
        while (ortho_io_continue(&piece, call(&piece)))
            ;
        ortho_io_finish(io, &piece);
        pthread_mutex_lock(&io->lock);
    }
    pthread_mutex_unlock(&io->lock);
    return NULL;
}

static ortho_status threads_start(ortho_io *io, const ortho_io_options *options)
{
    size_t wanted = (size_t)options->threads;
    crew *c = malloc(sizeof *c + wanted * sizeof *c->threads);
    if (c == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %d I/O threads", options->threads);
    int error = 0;
    c->count = 0;
    while (c->count < options->threads && error == 0)
        if ((error = ortho_io_thread(&c->threads[c->count], work, io)) == 0)
            c->count++;
    if (c->count == 0) { /* fewer than wanted will do, none won't */
        free(c);
        return ortho_fail(ORTHO_E_IO, "can't start a thread for reading and writing files: %s",
                          strerror(error));
    }
    io->state = c;
    return ORTHO_OK;
}

static void threads_wake(ortho_io *io)
{
    pthread_cond_broadcast(&io->work);
}

static void threads_stop(ortho_io *io)
{
    crew *c = io->state;
    for (int i = 0; i < c->count; i++)
        pthread_join(c->threads[i], NULL);
    free(c);
}

const ortho_io_engine ortho_io_engine_threads = {
    .name = "threads",
    .start = threads_start,
    .wake = threads_wake,
    .stop = threads_stop,
};
