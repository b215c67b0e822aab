#define _GNU_SOURCE
#include "lib/ceilings.h"

#include "common/clock.h"
#include "common/error.h"
#include "datasets/file.h"
#include "lib/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_BYTES    (2ull << 30) /* of the source that is read, and of the scratch file */
#define COPIES        20
#define MOST_LAYERS   7 /* that are sieved: a transformer block's */
#define LEAST_TIMES   3 /* each */
#define MOST_TIMES    100
#define LAYER_SECONDS .1

/* Clean pages only: a file that was just written stays until it is synced. */
static void drop_source(const ortho_plan *plan)
{
    for (int32_t i = 0; i < plan->file_count; i++)
        (void)posix_fadvise(plan->files[i].fd, 0, 0, POSIX_FADV_DONTNEED);
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
    slot->unit = unit;
    ortho_slot_aim(s, slot);
    return move(s->io, &slot->request);
}

/* A file to write to, as shards are. */
typedef struct scratch {
    const char *path;
    int fd, direct; /* as the target's */
} scratch;

/* A pass of the stream's own reads, as many at once as it has slots, and of the writes that go with
 * them, without a sieve. */
typedef struct io_pass {
    ortho_stream *stream;
    const scratch *to; /* as many bytes are written there as a run writes; NULL: reads alone */
    uint64_t bytes_read, bytes_written;
    int64_t unit; /* the next */
    int flying;
} io_pass;

static ortho_status submit(io_pass *p, ortho_slot *slot)
{
    ortho_io_request *request = &slot->request;
    ortho_status status = ortho_io_submit(p->stream->io, &request, 1);
    p->flying += status == ORTHO_OK;
    return status;
}

/* The next layer into this slot, while there is one and not enough was read. */
static ortho_status read_next(io_pass *p, ortho_slot *slot)
{
    ortho_stream *s = p->stream;
    while (p->unit < s->plan->unit_count && s->plan->units[p->unit].layer < 0)
        p->unit++;
    if (p->unit == s->plan->unit_count || p->bytes_read >= MOST_BYTES)
        return ORTHO_OK;
    const ortho_unit *u = &s->plan->units[p->unit];
    slot->unit = p->unit++;
    ortho_slot_aim(s, slot);
    p->bytes_read += u->from_bytes;
    return submit(p, slot);
}

/* A read is followed by its share of the writes, and that by the next read. */
static ortho_status go_on(io_pass *p, ortho_slot *slot)
{
    ortho_stream *s = p->stream;
    ortho_status status = ortho_io_result(&slot->request);
    if (status != ORTHO_OK || slot->request.kind == ORTHO_IO_WRITE || p->to == NULL)
        return status == ORTHO_OK ? read_next(p, slot) : status;
    double share = (double)s->plan->to_bytes / (double)s->plan->from_bytes;
    uint64_t bytes = (uint64_t)(share * (double)slot->request.bytes);
    bytes = bytes < slot->request.bytes ? bytes : slot->request.bytes;
    slot->request = (ortho_io_request){.kind = ORTHO_IO_WRITE,
                                       .fd = p->to->fd,
                                       .direct = &p->to->direct,
                                       .offset = p->bytes_written,
                                       .data = slot->in + p->bytes_written % ORTHO_DIRECT_UNIT,
                                       .bytes = bytes,
                                       .path = p->to->path,
                                       .user = slot};
    p->bytes_written += bytes;
    return submit(p, slot);
}

static ortho_status sync_scratch(ortho_io *io, const scratch *to)
{
    return move(io, &(ortho_io_request){.kind = ORTHO_IO_SYNC, .fd = to->fd, .path = to->path});
}

static ortho_status run_pass(io_pass *p, double *rate)
{
    ortho_stream *s = p->stream;
    ortho_status status = ORTHO_OK;
    drop_source(s->plan);
    ortho_stream_open_direct(s);
    double began = ortho_seconds();
    for (int i = 0; i < s->held && status == ORTHO_OK; i++)
        status = read_next(p, &s->slots[i]);
    while (p->flying > 0) {
        ortho_io_request *done = ortho_io_wait(s->io, -1);
        p->flying--;
        if (status == ORTHO_OK)
            status = go_on(p, done->user);
    }
    if (status == ORTHO_OK && p->to != NULL)
        status = sync_scratch(s->io, p->to);
    if (status == ORTHO_OK)
        *rate = (double)(p->bytes_read + p->bytes_written) / (ortho_seconds() - began);
    drop_source(s->plan);
    return status;
}

static ortho_status time_reads(ortho_stream *s, double *rate)
{
    io_pass pass = {.stream = s};
    return s->plan->file_count > 0 ? run_pass(&pass, rate) : ORTHO_OK;
}

/* ---- synced writes --------------------------------------------------------------------------- */

static uint64_t scratch_bytes(const ortho_plan *plan)
{
    return plan->to_bytes < MOST_BYTES ? plan->to_bytes : MOST_BYTES;
}

/* Empty, its room taken. */
static ortho_status clear_scratch(const ortho_plan *plan, const scratch *to)
{
    if (ftruncate(to->fd, 0) != 0)
        return ortho_fail(ORTHO_E_IO, "%s: %s", to->path, strerror(errno));
    (void)fallocate(to->fd, 0, 0, (off_t)scratch_bytes(plan));
    return ORTHO_OK;
}

/* In whole units, so that each begins in memory where it begins in the file. */
static ortho_status write_scratch(ortho_stream *s, const scratch *to, double *rate)
{
    uint64_t all = scratch_bytes(s->plan), done = 0;
    uint64_t most = s->plan->largest_in / ORTHO_DIRECT_UNIT * ORTHO_DIRECT_UNIT;
    double began = ortho_seconds();
    ortho_status status = ORTHO_OK;
    while (done < all && status == ORTHO_OK) {
        uint64_t bytes = all - done < most ? all - done : most;
        ortho_io_request write = {.kind = ORTHO_IO_WRITE,
                                  .fd = to->fd,
                                  .direct = &to->direct,
                                  .offset = done,
                                  .data = s->slots[0].in,
                                  .bytes = bytes,
                                  .path = to->path};
        status = move(s->io, &write);
        done += bytes;
    }
    if (status == ORTHO_OK)
        status = sync_scratch(s->io, to);
    if (status == ORTHO_OK)
        *rate = (double)all / (ortho_seconds() - began);
    return status;
}

/* One disk for both: what it reads and writes at the same time is less than what it does alone. */
static bool on_one_device(const ortho_plan *plan, int fd)
{
    struct stat target, source;
    return plan->file_count > 0 && fstat(fd, &target) == 0 &&
           fstat(plan->files[0].fd, &source) == 0 && target.st_dev == source.st_dev;
}

static ortho_status time_scratch(ortho_stream *s, const scratch *to, ortho_ceilings *c)
{
    io_pass both = {.stream = s, .to = to};
    ortho_status status = clear_scratch(s->plan, to);
    if (status == ORTHO_OK)
        status = write_scratch(s, to, &c->write_rate);
    if (status != ORTHO_OK || !on_one_device(s->plan, to->fd))
        return status;
    status = clear_scratch(s->plan, to);
    return status == ORTHO_OK ? run_pass(&both, &c->both_rate) : status;
}

static ortho_status time_writes(ortho_stream *s, const ortho_target *target, ortho_ceilings *c)
{
    char *path = ortho_path_join(target->work, ORTHO_SCRATCH_FILE);
    if (path == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    ortho_status status = ORTHO_OK;
    scratch to = {.path = path, .fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (to.fd < 0) {
        status = ortho_fail(ORTHO_E_IO, "%s: %s", path, strerror(errno));
    } else {
        to.direct = ortho_direct_open_output(to.fd);
        status = time_scratch(s, &to, c);
        if (to.direct >= 0)
            close(to.direct);
        close(to.fd);
        (void)unlink(path);
    }
    free(path);
    return status;
}

/* ---- the sieve ------------------------------------------------------------------------------- */

/* The best of a few times that all workers sieve one layer, each its own copy. */
static ortho_status time_sieve(ortho_stream *s, double *seconds)
{
    double all = 0;
    for (int i = 0; i < LEAST_TIMES || (all < LAYER_SECONDS && i < MOST_TIMES); i++) {
        double began = ortho_seconds();
        ortho_status status = ortho_stream_work_all(s);
        double took = ortho_seconds() - began;
        if (status != ORTHO_OK)
            return status;
        all += took;
        *seconds = i == 0 || took < *seconds ? took : *seconds;
    }
    return ORTHO_OK;
}

static ortho_status read_for_all(ortho_stream *s, int64_t unit)
{
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < s->thread_count && status == ORTHO_OK; i++) {
        s->slots[i].unit = unit;
        if (s->plan->units[unit].file >= 0)
            status = read_unit(s, &s->slots[i], unit);
    }
    return status;
}

/* Layers of different shapes, each read before it is timed. */
static ortho_status time_sieves(ortho_stream *s, double *rate)
{
    double seconds = 0;
    uint64_t bytes = 0;
    int done = 0;
    for (int64_t i = 0; i < s->plan->unit_count && done < MOST_LAYERS; i++) {
        double took = 0;
        if (s->plan->units[i].layer < 0)
            continue;
        ortho_status status = read_for_all(s, i);
        if (status == ORTHO_OK)
            status = time_sieve(s, &took);
        if (status != ORTHO_OK)
            return status;
        seconds += took;
        bytes += s->plan->units[i].from_bytes * (uint64_t)s->thread_count;
        done++;
    }
    *rate = (double)bytes / seconds;
    return ORTHO_OK;
}

static ortho_status measure(ortho_stream *s, const ortho_target *target, ortho_ceilings *out)
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
        status = time_writes(s, target, &c);
    if (status == ORTHO_OK)
        status = time_reads(s, &c.read_rate);
    if (status == ORTHO_OK)
        *out = c;
    return status;
}

ortho_status ortho_ceilings_measure(ortho_stream *s, const ortho_target *target,
                                    ortho_ceilings *out)
{
    for (int i = 0; i < s->held; i++) /* there is room for so many of the largest */
        if (!ortho_slot_take(s, &s->slots[i], s->plan->largest_in, s->plan->largest_out))
            return ortho_fail(ORTHO_E_INTERNAL, "the arena doesn't hold %d layers", s->held);
    ortho_status status = measure(s, target, out);
    for (int i = 0; i < s->held; i++)
        ortho_slot_give(s, &s->slots[i]);
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
        {(double)s->bytes_read + (double)s->bytes_written, c->both_rate},
        {(double)s->bytes_sieved, c->sieve_rate}, /* on the GPU with its copies */
    };
    double floor = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].rate > 0 && parts[i].bytes / parts[i].rate > floor)
            floor = parts[i].bytes / parts[i].rate;
    return floor;
}
