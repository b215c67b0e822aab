/*
 * stream.h: the pipeline. Units go through slots of memory: read, sieve (or nothing), write, sync.
 * One thread, the caller's, owns all state and never computes or waits for a disk but in its one
 * queue; reads and writes are the I/O engine's, sieves the workers'. While one layer is sieved the
 * next is read and the one before is written.
 */
#ifndef ORTHO_LIB_STREAM_H
#define ORTHO_LIB_STREAM_H

#include "lib/arena.h"
#include "lib/io.h"
#include "lib/rss.h"
#include "lib/siever.h"
#include "lib/target.h"

#include <pthread.h>

#define ORTHO_LAYER_SLOTS  24 /* layers in flight at most: being read, sieved, written */
#define ORTHO_MOST_WORKERS 6
#define ORTHO_COPY_SLOTS   3
#define ORTHO_SYNC_BYTES   (64u << 20) /* written bytes of a shard after which it is synced */
#define ORTHO_STREAM_WORDS 768

/* Where a slot's unit stands. */
typedef enum ortho_slot_state {
    ORTHO_SLOT_FREE = 0,
    ORTHO_SLOT_READING,
    ORTHO_SLOT_WORKING, /* in line for a worker, or with one */
    ORTHO_SLOT_WRITING
} ortho_slot_state;

typedef struct ortho_slot {
    ortho_slot_state state;
    int64_t unit;
    char *in, *out; /* W and what is decoded into it; the layer's run of bytes: pieces of the arena,
                       the first given back once the layer is sieved. A copy's are its slot's own:
                       `in`, and `out` where it is decoded */
    size_t shift;   /* of what was read in its page, as in the file's; 0: not to be read directly */
    ortho_record record;
    ortho_io_request request; /* the read, the worker's word, the write: one after the other */
    ortho_status status;      /* the worker's */
    char message[ORTHO_STREAM_WORDS];
    struct ortho_slot *next; /* in line for a worker */
} ortho_slot;

/* What is written but not synced, of one shard. */
typedef struct ortho_shard_sync {
    int64_t *units; /* [units of the shard]: synced | being synced | written */
    int64_t covered, written;
    uint64_t bytes; /* written since the last sync was submitted */
    int64_t unwritten;
    bool busy;
    bool lost; /* a sync failed: the kernel may have dropped any page, and tells it once */
    ortho_io_request request;
} ortho_shard_sync;

typedef struct ortho_stream {
    const ortho_plan *plan;
    ortho_target *target;
    const ortho_siever_ops *ops;
    ortho_siever *siever;
    ortho_io *io;
    ortho_rss *rss;
    ortho_arena arena; /* of layers */
    int held; /* of the largest layer, as many as arena and device hold at once; <= workers'
                 limit */
    int copy_slots;
    ortho_slot slots[ORTHO_LAYER_SLOTS + ORTHO_COPY_SLOTS]; /* layers' first */
    size_t buffer_bytes;
    int *direct; /* [file_count] the source's files past the page cache; -1: through it */
    ortho_shard_sync *syncs; /* [shard_count] */
    ortho_record *records;   /* [unit_count] of what is written */
    int64_t next[2];         /* the first unit not looked at: copies, layers */
    int busy;                /* slots and syncs under way */

    pthread_t threads[ORTHO_MOST_WORKERS];
    int thread_count;
    pthread_mutex_t lock; /* of the line and `closing` */
    pthread_cond_t wake;
    ortho_slot *line;
    bool closing;
    pthread_mutex_t source_lock; /* a source serves one thread at a time */

    ortho_status status; /* the first failure; nothing is begun after it */
    char message[ORTHO_STREAM_WORDS];
    uint64_t bytes_done, bytes_resumed, bytes_read, bytes_written, bytes_sieved;
    int64_t units_done, layers_done, copies_done;
    int64_t last_unit; /* finished last; -1 */
} ortho_stream;

/* Called between events, at most every 100 ms; not 0 stops the stream. */
typedef int ortho_stream_tick(void *ctx, const ortho_stream *stream);

/* Whether the largest layer fits into the budget, found out before anything is written: ARGUMENT,
 * saying which would do. */
ortho_status ortho_stream_fits(const ortho_plan *plan, const ortho_siever_ops *ops,
                               uint64_t budget);

/* Slots, buffers within `budget` bytes of host and of device memory each, I/O engine and workers.
 * ARGUMENT when the budget is too small: says which would do. The stream must not move. */
ortho_status ortho_stream_open(ortho_stream *stream, const ortho_plan *plan,
                               const ortho_siever_ops *ops, uint64_t budget);

/* Does all units that the target's journal doesn't have. On failure everything that was written is
 * synced and in the journal all the same. */
ortho_status ortho_stream_run(ortho_stream *stream, ortho_target *target, ortho_stream_tick *tick,
                              void *ctx);

void ortho_stream_close(ortho_stream *stream);

/* The worker's part of a unit: reads a generated one, decodes, sieves. Leaves slot->status. */
void ortho_stream_work(ortho_stream *stream, int worker, ortho_slot *slot);

/* Memory for a layer in a slot; false: the arena has no room for it now. */
bool ortho_slot_take(ortho_stream *stream, ortho_slot *slot, size_t in, size_t out);
void ortho_slot_give(ortho_stream *stream, ortho_slot *slot);

/* One more worker, of the next number; all of them end. */
ortho_status ortho_stream_start_worker(ortho_stream *stream);
void ortho_stream_stop_workers(ortho_stream *stream);

/* Puts a slot in line for a worker. Its request, which needs a path, ends when the work is done. */
void ortho_stream_hand(ortho_stream *stream, ortho_slot *slot);

/* Takes all slots back that no worker has begun, in their order; linked by `next`. */
ortho_slot *ortho_stream_take_back(ortho_stream *stream);

/* Lets every worker do the unit of the slot of its number, all at once, and waits. Before a run. */
ortho_status ortho_stream_work_all(ortho_stream *stream);

/* The bytes that a slot's unit has in the artifact, once the worker is done, where they can be
 * written from: a copy's that can go past the page cache are moved to where they lie in their page
 * as in the file's. */
char *ortho_slot_place(const ortho_stream *stream, const ortho_slot *slot);

/* Where the unit's stored bytes are, once its read is aimed. */
char *ortho_slot_raw(const ortho_stream *stream, const ortho_slot *slot);

/* Sets a slot's request and shift for the read of its unit. The files must be open for it. */
void ortho_slot_aim(const ortho_stream *stream, ortho_slot *slot);

/* Opens those files for direct reads that the page cache doesn't hold. */
void ortho_stream_open_direct(ortho_stream *stream);
void ortho_stream_close_direct(ortho_stream *stream);

#endif
