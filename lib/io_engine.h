/*
 * io_engine.h: what io.c and its two engines share. io.c keeps the line of requests and deals it
 * out in pieces; an engine moves a piece by one system call after another and reports what each
 * said.
 */
#ifndef ORTHO_LIB_IO_ENGINE_H
#define ORTHO_LIB_IO_ENGINE_H

#include "lib/io.h"

#include <pthread.h>
#include <sys/types.h>

/* Asked often enough, a kernel that can't right now can't at all. */
#define ORTHO_IO_TRIES 100

typedef struct ortho_io_engine {
    const char *name;
    /* Sets io->state. UNSUPPORTED when this machine won't have it. */
    ortho_status (*start)(ortho_io *io, const ortho_io_options *options);
    void (*wake)(ortho_io *io); /* the line has grown, or io->closing is set; without the lock */
    void (*stop)(ortho_io *io); /* io->closing is set: ends what flies, frees io->state */
} ortho_io_engine;

extern const ortho_io_engine ortho_io_engine_uring, ortho_io_engine_threads;

typedef struct ortho_io_line {
    ortho_io_request *first, *last;
} ortho_io_line;

struct ortho_io {
    const ortho_io_engine *engine;
    void *state; /* the engine's */
    size_t piece;
    pthread_mutex_t lock; /* of all below, and of what requests in it say */
    pthread_cond_t work;  /* the line has grown; for engines that wait here */
    pthread_cond_t ended;
    ortho_io_line waiting, finished;
    bool closing;
};

/* A piece of a request: what is left of it. */
typedef struct ortho_io_piece {
    ortho_io_request *request;
    uint64_t offset;
    char *data;
    size_t bytes, moved;
    int tries;           /* times in a row that the kernel said "not now" */
    bool cached;         /* the file system refused it past the page cache */
    ortho_status status; /* set when it ends */
    int error;
} ortho_io_piece;

/* The next piece in line, false when there is none. Holding the lock. */
bool ortho_io_take(ortho_io *io, ortho_io_piece *out);

/* The descriptor that serves what is left of a piece. */
int ortho_io_fd(const ortho_io_piece *piece);

/* What a system call for the piece returned, a failure as -errno. True: the piece has bytes left,
 * ask again. */
bool ortho_io_continue(ortho_io_piece *piece, ssize_t result);

/* The piece has ended. Takes the lock. */
void ortho_io_finish(ortho_io *io, const ortho_io_piece *piece);

/* A pause before the kernel is asked again. */
void ortho_io_pause(void);

/* pthread_create with every signal blocked: they are the program's, and a write beyond the file
 * size limit shall be an error, not SIGXFSZ. */
int ortho_io_thread(pthread_t *out, void *(*body)(void *), void *argument);

#endif
