#define _GNU_SOURCE
#include "lib/ceilings.h"

#include "common/error.h"
#include "datasets/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_BYTES  (2ull << 30) /* of the source that is read, and of the scratch file */
#define COPIES      20
#define MOST_LAYERS 7 /* that are sieved: a transformer block's */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Clean pages only: a file that was just written stays until it is synced. */
static void drop_source(const ortho_plan *plan)
{
    for (int32_t i = 0; i < plan->file_count; i++)
        (void)posix_fadvise(plan->source_fds[i], 0, 0, POSIX_FADV_DONTNEED);
}

/* Submits `request` and waits for it: the engine moves its pieces side by side. */
static ortho_status move(ortho_io *io, ortho_io_request *request)
{
    ortho_status status = ortho_io_submit(io, &request, 1);
    if (status != ORTHO_OK)
        return status;
    ortho_io_request *done = ortho_io_wait(io, -1);
    return ortho_io_result(done);
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* One unit's stored bytes into a slot. */
static ortho_status read_unit(ortho_stream *s, ortho_slot *slot, int64_t unit)
{
    const ortho_unit *u = &s->plan->units[unit];
    slot->unit = unit;
    slot->request = (ortho_io_request){.kind = ORTHO_IO_READ,
                                       .fd = s->plan->source_fds[u->file],
                                       .offset = u->from,
                                       .data = ortho_slot_raw(s, slot),
                                       .bytes = u->from_bytes,
                                       .path = s->plan->files[u->file]};
    return move(s->io, &slot->request);
}

/* The stream's own reads, as many at once as it has slots. */
static ortho_status time_reads(ortho_stream *s, double *rate)
{
    uint64_t bytes = 0;
    int64_t unit = 0, flying = 0;
    ortho_status status = ORTHO_OK;
    if (s->plan->file_count == 0)
        return ORTHO_OK;
    drop_source(s->plan);
    double began = now();
    for (int i = 0; i < s->layer_slots || flying > 0;) {
        ortho_slot *slot = i < s->layer_slots ? &s->slots[i++] : NULL;
        if (slot == NULL) {
            ortho_io_request *done = ortho_io_wait(s->io, -1);
            flying--;
            if (status == ORTHO_OK)
                status = ortho_io_result(done);
            slot = done->user;
        }
        while (unit < s->plan->unit_count && s->plan->units[unit].layer < 0)
            unit++;
        if (unit == s->plan->unit_count || bytes >= MOST_BYTES || status != ORTHO_OK)
            continue;
        const ortho_unit *u = &s->plan->units[unit];
        slot->unit = unit++;
        slot->request = (ortho_io_request){.kind = ORTHO_IO_READ,
                                           .fd = s->plan->source_fds[u->file],
                                           .offset = u->from,
                                           .data = ortho_slot_raw(s, slot),
                                           .bytes = u->from_bytes,
                                           .path = s->plan->files[u->file],
                                           .user = slot};
        ortho_io_request *request = &slot->request;
        status = ortho_io_submit(s->io, &request, 1);
        flying += status == ORTHO_OK;
        bytes += u->from_bytes;
    }
    if (status == ORTHO_OK)
        *rate = (double)bytes / (now() - began);
    drop_source(s->plan);
    return status;
}

/* ---- synced writes --------------------------------------------------------------------------- */

static ortho_status write_scratch(ortho_stream *s, int fd, const char *path, double *rate)
{
    uint64_t all = s->plan->to_bytes < MOST_BYTES ? s->plan->to_bytes : MOST_BYTES, done = 0;
    ortho_io_request sync = {.kind = ORTHO_IO_SYNC, .fd = fd, .path = path};
    ortho_status status = ORTHO_OK;
    (void)fallocate(fd, 0, 0, (off_t)all); /* as shards are */
    double began = now();
    while (done < all && status == ORTHO_OK) {
        uint64_t bytes = all - done < s->plan->largest_in ? all - done : s->plan->largest_in;
        ortho_io_request write = {.kind = ORTHO_IO_WRITE,
                                  .fd = fd,
                                  .offset = done,
                                  .data = s->slots[0].in,
                                  .bytes = bytes,
                                  .path = path};
        status = move(s->io, &write);
        done += bytes;
    }
    if (status == ORTHO_OK)
        status = move(s->io, &sync);
    if (status == ORTHO_OK)
        *rate = (double)all / (now() - began);
    return status;
}

static ortho_status time_writes(ortho_stream *s, const ortho_target *target, double *rate)
{
    char *path = ortho_path_join(target->work, ORTHO_SCRATCH_FILE);
    if (path == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    ortho_status status = ORTHO_OK;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = ortho_fail(ORTHO_E_IO, "%s: %s", path, strerror(errno));
    } else {
        status = write_scratch(s, fd, path, rate);
        close(fd);
        (void)unlink(path);
    }
    free(path);
    return status;
}

/* ---- the sieve ------------------------------------------------------------------------------- */

/* Different layers, each read before it is timed. Twice: the first time warms. */
static ortho_status time_sieves(ortho_stream *s, double *rate)
{
    double seconds = 0;
    uint64_t bytes = 0;
    int done = 0;
    ortho_slot *slot = &s->slots[0];
    ortho_status status = ORTHO_OK;
    for (int64_t i = 0; i < s->plan->unit_count && done < MOST_LAYERS; i++) {
        const ortho_unit *u = &s->plan->units[i];
        if (u->layer < 0)
            continue;
        slot->unit = i;
        if (u->file >= 0)
            status = read_unit(s, slot, i);
        if (status == ORTHO_OK && done == 0)
            ortho_stream_work(s, 0, slot);
        double began = now();
        if (status == ORTHO_OK) {
            ortho_stream_work(s, 0, slot);
            status =
                slot->status == ORTHO_OK ? ORTHO_OK : ortho_fail(slot->status, "%s", slot->message);
        }
        if (status != ORTHO_OK)
            return status;
        seconds += now() - began;
        bytes += u->from_bytes;
        done++;
    }
    *rate = (double)bytes / seconds;
    return ORTHO_OK;
}

ortho_status ortho_ceilings_measure(ortho_stream *s, const ortho_target *target,
                                    ortho_ceilings *out)
{
    double seconds = -1;
    ortho_ceilings c = {0};
    ortho_status status = time_sieves(s, &c.sieve_rate);
    if (status == ORTHO_OK)
        status =
            s->ops->time_copy(s->siever, s->slots[0].in, s->plan->largest_in, COPIES, &seconds);
    if (seconds > 0)
        c.copy_rate = (double)s->plan->largest_in * COPIES / seconds;
    if (status == ORTHO_OK)
        status = time_writes(s, target, &c.write_rate);
    if (status == ORTHO_OK)
        status = time_reads(s, &c.read_rate);
    if (status == ORTHO_OK)
        *out = c;
    return status;
}

double ortho_ceilings_floor(const ortho_ceilings *c, const ortho_stream *s)
{
    const struct {
        double bytes, rate;
    } parts[] = {
        {(double)s->bytes_read, c->read_rate},
        {(double)s->bytes_sieved, c->copy_rate},
        {(double)s->bytes_written, c->write_rate},
        /* A GPU's sieves run beside its copies; what one worker does alone isn't its limit. */
        {(double)s->bytes_sieved, s->ops->device == ORTHO_DEVICE_CPU ? c->sieve_rate : 0},
    };
    double floor = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].rate > 0 && parts[i].bytes / parts[i].rate > floor)
            floor = parts[i].bytes / parts[i].rate;
    return floor;
}
