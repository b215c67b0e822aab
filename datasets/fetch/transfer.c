#define _GNU_SOURCE
#include "datasets/fetch/transfer.h"

#include "common/clock.h"
#include "common/error.h"
#include "datasets/fetch/transfer_save.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS      100000000L /* between two looks at the progress */
#define SAVE_SECONDS 2.0        /* of work that a kill may cost, beside pieces in flight */

/* What the threads share. The lock guards all but the atomic. */
typedef struct crew {
    ortho_transfer *transfer;
    pthread_mutex_t lock;
    pthread_cond_t moved; /* a thread has ended */
    size_t next;          /* the first tensor that may have pieces to take */
    int at_work;
    const char *label;
    bool dirty; /* more is done than the manifest says */
    _Atomic uint64_t came;
    ortho_status status; /* the first failure, with its words */
    char why[1024];
} crew;

/* A piece on its way. */
typedef struct piece {
    crew *crew;
    ortho_fetch_tensor *t;
    size_t number;
    uint64_t begin, end, came; /* absolute in the shard; bytes of this attempt */
} piece;

static bool take_piece(crew *c, piece *p)
{
    ortho_transfer *x = c->transfer;
    bool found = false;
    pthread_mutex_lock(&c->lock);
    for (; c->next < x->tensor_count && !found && c->status == ORTHO_OK; c->next += !found) {
        ortho_fetch_tensor *t = &x->tensors[c->next];
        while (t->next < t->count && t->pieces[t->next] != ORTHO_PIECE_TODO)
            t->next++;
        if (t->complete || t->next == t->count)
            continue;
        uint64_t size = x->request->tuning.piece;
        *p = (piece){.crew = c, .t = t, .number = t->next};
        p->begin = t->tensor->begin + t->next * size;
        p->end = t->tensor->end - p->begin > size ? p->begin + size : t->tensor->end;
        t->pieces[t->next++] = ORTHO_PIECE_TAKEN;
        c->label = t->tensor->name;
        found = true;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* The sink: each byte goes to its own place at once. */
static ortho_status write_bytes(void *ctx, uint64_t offset, const void *bytes, size_t count)
{
    piece *p = ctx;
    if (offset == p->begin && p->came > 0) { /* a further attempt */
        atomic_fetch_sub(&p->crew->came, p->came);
        p->came = 0;
    }
    for (size_t done = 0; done < count;) {
        ssize_t n = pwrite(p->t->shard->fd, (const char *)bytes + done, count - done,
                           (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ortho_fail(ORTHO_E_IO, "%s: writing failed: %s", p->t->tensor->file,
                              strerror(errno));
        done += (size_t)n;
    }
    p->came += count;
    atomic_fetch_add(&p->crew->came, count);
    return ORTHO_OK;
}

static ortho_status get_piece(const crew *c, ortho_connection *connection, piece *p)
{
    const ortho_transfer *x = c->transfer;
    const ortho_fetch_shard *shard = p->t->shard;
    ortho_hub_answer answer = {0};
    ortho_hub_request r = {.revision = x->commit,
                           .commit = x->commit,
                           .file = shard->name,
                           .ranged = true,
                           .begin = p->begin,
                           .end = p->end,
                           .sink = write_bytes,
                           .ctx = p};
    ortho_status status = ortho_hub_get(x->hub, connection, &r, &answer);
    if (status != ORTHO_OK)
        return status;
    if (answer.total != shard->bytes || strcmp(answer.etag, shard->etag) != 0)
        return ortho_fail(
            ORTHO_E_FORMAT,
            "%s: the hub gives another file (length or ETag) than the one whose header "
            "was read, under the same commit",
            shard->name);
    return ORTHO_OK;
}

/* The piece counts; with the last one the tensor is hashed, outside of the lock. */
static ortho_status finish_piece(crew *c, const piece *p)
{
    ortho_fetch_tensor *t = p->t;
    pthread_mutex_lock(&c->lock);
    t->pieces[p->number] = ORTHO_PIECE_DONE;
    c->transfer->fetched_bytes += p->end - p->begin;
    c->dirty = true;
    bool last = --t->left == 0;
    pthread_mutex_unlock(&c->lock);
    if (!last)
        return ORTHO_OK;
    ortho_status status =
        ortho_slice_hash(&t->shard->source->files[0], t->tensor->begin, t->tensor->end, t->xxh3);
    if (status != ORTHO_OK)
        return status;
    pthread_mutex_lock(&c->lock);
    t->complete = true;
    c->transfer->fetched++;
    pthread_mutex_unlock(&c->lock);
    return ORTHO_OK;
}

static void record_failure(crew *c, const piece *p, ortho_status status)
{
    pthread_mutex_lock(&c->lock);
    if (c->status == ORTHO_OK) {
        c->status = status;
        if (status != ORTHO_E_CANCELLED && p->t)
            ortho_fail_prefix(status, "tensor \"%.200s\"", p->t->tensor->name);
        snprintf(c->why, sizeof c->why, "%s", ortho_last_message());
    }
    pthread_mutex_unlock(&c->lock);
    atomic_store(c->transfer->halt, true);
}

static void count_thread(crew *c, int by)
{
    pthread_mutex_lock(&c->lock);
    c->at_work += by;
    pthread_cond_signal(&c->moved);
    pthread_mutex_unlock(&c->lock);
}

static void *work(void *ctx)
{
    crew *c = ctx;
    piece p = {0};
    ortho_connection *connection = NULL;
    ortho_status status = ortho_connection_open(&c->transfer->hub->limits, &connection);
    while (status == ORTHO_OK && take_piece(c, &p)) {
        status = get_piece(c, connection, &p);
        if (status == ORTHO_OK)
            status = finish_piece(c, &p);
    }
    if (status != ORTHO_OK)
        record_failure(c, &p, status);
    ortho_connection_close(connection);
    count_thread(c, -1);
    return NULL;
}

/* ---- the calling thread ---------------------------------------------------------------------- */

/* The manifest in memory learns under the lock what is done; the disk afterwards, without it. */
static ortho_status save(crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool dirty = c->dirty;
    c->dirty = false;
    ortho_status status = dirty ? ortho_transfer_note(c->transfer) : ORTHO_OK;
    pthread_mutex_unlock(&c->lock);
    return dirty && status == ORTHO_OK ? ortho_transfer_save(c->transfer) : status;
}

static void show(crew *c)
{
    const ortho_transfer *x = c->transfer;
    pthread_mutex_lock(&c->lock);
    const char *label = c->label ? c->label : ""; /* lives as long as its tensor */
    pthread_mutex_unlock(&c->lock);
    x->tell(x->ctx);
    x->request->progress(x->request->ctx, atomic_load(&c->came), x->total, label);
}

static void watch(crew *c)
{
    double saved = ortho_seconds();
    pthread_mutex_lock(&c->lock);
    while (c->at_work > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_NS;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&c->moved, &c->lock, &until);
        pthread_mutex_unlock(&c->lock);
        show(c);
        if (ortho_seconds() - saved >= SAVE_SECONDS) {
            ortho_status status = save(c);
            if (status != ORTHO_OK)
                record_failure(c, &(piece){0}, status);
            saved = ortho_seconds();
        }
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

/* As many threads as there can be; fewer do the same work. */
static int start(crew *c, pthread_t *threads, int jobs)
{
    for (int started = 0; started < jobs; started++) {
        count_thread(c, 1);
        int why = pthread_create(&threads[started], NULL, work, c);
        if (why == 0)
            continue;
        count_thread(c, -1);
        if (started == 0)
            record_failure(c, &(piece){0},
                           ortho_fail(ORTHO_E_MEMORY, "no thread can be made: %s", strerror(why)));
        return started;
    }
    return jobs;
}

ortho_status ortho_transfer_run(ortho_transfer *x)
{
    crew c = {.transfer = x, .dirty = true};
    int jobs = x->request->jobs;
    pthread_t *threads = calloc((size_t)jobs, sizeof *threads);
    if (!threads)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %d threads", jobs);
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.moved, NULL);
    int started = start(&c, threads, jobs);
    watch(&c);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    show(&c);
    ortho_status status = save(&c);
    if (c.status != ORTHO_OK)
        status = ortho_fail(c.status, "%s", c.why);
    pthread_cond_destroy(&c.moved);
    pthread_mutex_destroy(&c.lock);
    free(threads);
    return status;
}
