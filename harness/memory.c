/*
 * A block is fence | payload | slack to 64 | fence, its bookkeeping apart (so that it works for
 * device memory too). Fences hold a pattern that is a NaN in no float format's usual arithmetic
 * result; they are compared on the host.
 */
#include "harness/memory.h"

#include "common/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FENCE_BYTE = 0xa5 };

struct ob_block {
    ob_block *next, *previous;
    unsigned char *raw; /* fence, payload, slack, fence */
    size_t bytes;
    ortho_space space;
    ortho_purpose purpose;
};

void ob_memory_init(ob_memory *memory, const ob_backend *backend, size_t fence)
{
    bool exact = getenv("ORTHO_EXACT_MEMORY") != NULL;
    *memory = (ob_memory){.backend = backend, .fence = exact ? 0 : (fence + 63) / 64 * 64};
    pthread_mutex_init(&memory->mutex, NULL);
}

/* Device payloads are aligned to 256 bytes: so long is the fence before them at least. */
static size_t head(const ob_memory *memory, ortho_space space)
{
    return space == ORTHO_DEVICE ? (memory->fence + 255) / 256 * 256 : memory->fence;
}

/* What follows the payload: the slack that rounds it to 64, and the fence; nothing without one. */
static size_t tail(const ob_memory *memory, const ob_block *b)
{
    return memory->fence > 0 ? (64 - b->bytes % 64) % 64 + memory->fence : 0;
}

static ortho_status transfer(const ob_memory *memory, const ob_block *b, void *host,
                             const unsigned char *from, size_t bytes)
{
    if (b->space == ORTHO_HOST) {
        memcpy(host, from, bytes);
        return ORTHO_OK;
    }
    return memory->backend->download(host, from, bytes);
}

static ortho_status fill(const ob_memory *memory, const ob_block *b, unsigned char *at, int byte,
                         size_t bytes)
{
    if (b->space == ORTHO_HOST) {
        memset(at, byte, bytes);
        return ORTHO_OK;
    }
    return memory->backend->fill(at, byte, bytes);
}

/* What the backend is asked for: a byte at least, since an allocator knows no empty block. */
static size_t raw_bytes(const ob_memory *memory, const ob_block *b)
{
    size_t bytes = head(memory, b->space) + b->bytes + tail(memory, b);
    return bytes > 0 ? bytes : 1;
}

static void account(ob_memory *memory, const ob_block *b, bool taken)
{
    ob_device_account *a = memory->account;
    if (a == NULL || b->space != ORTHO_DEVICE)
        return;
    a->current = taken ? a->current + raw_bytes(memory, b) : a->current - raw_bytes(memory, b);
    a->peak = a->current > a->peak ? a->current : a->peak;
}

static void book(ob_memory *memory, ob_block *b)
{
    pthread_mutex_lock(&memory->mutex);
    b->next = memory->blocks;
    if (b->next != NULL)
        b->next->previous = b;
    memory->blocks = b;
    size_t now = memory->current[b->purpose] += b->bytes;
    if (now > memory->peak[b->purpose])
        memory->peak[b->purpose] = now;
    account(memory, b, true);
    pthread_mutex_unlock(&memory->mutex);
}

void *ob_memory_alloc(ob_memory *memory, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    if (bytes > SIZE_MAX / 4 || (unsigned)purpose >= OB_PURPOSES) {
        ortho_fail(ORTHO_E_ARGUMENT, "an allocation of %zu bytes for purpose %d", bytes,
                   (int)purpose);
        return NULL;
    }
    ob_block *b = calloc(1, sizeof *b);
    if (b == NULL) {
        ortho_fail(ORTHO_E_MEMORY, "no memory for the bookkeeping of %zu bytes", bytes);
        return NULL;
    }
    b->bytes = bytes;
    b->space = space;
    b->purpose = purpose;
    size_t before = head(memory, space);
    b->raw = memory->backend->alloc(raw_bytes(memory, b), space);
    if (b->raw == NULL) {
        free(b);
        return NULL;
    }
    unsigned char *payload = b->raw + before;
    if (fill(memory, b, b->raw, FENCE_BYTE, before) != ORTHO_OK ||
        fill(memory, b, payload + bytes, FENCE_BYTE, tail(memory, b)) != ORTHO_OK) {
        memory->backend->free(b->raw, space);
        free(b);
        return NULL;
    }
    book(memory, b);
    return payload;
}

/* Offset of the first byte that isn't the fence's; `bytes` when it is whole. */
static size_t first_damage(const ob_memory *memory, const ob_block *b, const unsigned char *from,
                           size_t bytes)
{
    unsigned char local[2048]; /* a fence of the harness at once: each part is a copy of its own */
    for (size_t done = 0; done < bytes;) {
        size_t part = bytes - done < sizeof local ? bytes - done : sizeof local;
        if (transfer(memory, b, local, from + done, part) != ORTHO_OK)
            return done;
        for (size_t i = 0; i < part; i++)
            if (local[i] != FENCE_BYTE)
                return done + i;
        done += part;
    }
    return bytes;
}

static bool whole(const ob_memory *memory, const ob_block *b, char *damage, size_t size)
{
    size_t fence = head(memory, b->space);
    size_t before = first_damage(memory, b, b->raw, fence);
    if (before < fence) {
        snprintf(damage, size, "out of bounds: a write %zu bytes before a buffer of %zu bytes",
                 fence - before, b->bytes);
        return false;
    }
    size_t after_bytes = tail(memory, b);
    size_t after = first_damage(memory, b, b->raw + fence + b->bytes, after_bytes);
    if (after < after_bytes) {
        snprintf(damage, size, "out of bounds: a write %zu bytes beyond a buffer of %zu bytes",
                 after + 1, b->bytes);
        return false;
    }
    return true;
}

/* Takes the block of a payload out of the list; NULL when it isn't one of ours. */
static ob_block *unlink_block(ob_memory *memory, const void *ptr)
{
    pthread_mutex_lock(&memory->mutex);
    ob_block *b = memory->blocks;
    while (b != NULL && b->raw + head(memory, b->space) != (const unsigned char *)ptr)
        b = b->next;
    if (b != NULL) {
        if (b->previous != NULL)
            b->previous->next = b->next;
        else
            memory->blocks = b->next;
        if (b->next != NULL)
            b->next->previous = b->previous;
        memory->current[b->purpose] -= b->bytes;
        account(memory, b, false);
    } else {
        snprintf(memory->damage, sizeof memory->damage,
                 "a pointer was freed that this case never allocated, or twice");
    }
    pthread_mutex_unlock(&memory->mutex);
    return b;
}

void ob_memory_free(ob_memory *memory, void *ptr)
{
    if (ptr == NULL)
        return;
    ob_block *b = unlink_block(memory, ptr);
    if (b == NULL)
        return;
    char damage[sizeof memory->damage];
    if (memory->damage[0] == '\0' && !whole(memory, b, damage, sizeof damage))
        memcpy(memory->damage, damage, sizeof damage);
    memory->backend->free(b->raw, b->space);
    free(b);
}

size_t ob_memory_close(ob_memory *memory)
{
    size_t leaked = 0;
    while (memory->blocks != NULL) {
        ob_memory_free(memory, memory->blocks->raw + head(memory, memory->blocks->space));
        leaked++;
    }
    pthread_mutex_destroy(&memory->mutex);
    return leaked;
}

static void *services_alloc(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    return ob_memory_alloc(ctx, bytes, space, purpose);
}

static void services_free(void *ctx, void *ptr)
{
    ob_memory_free(ctx, ptr);
}

ortho_services ob_memory_services(ob_memory *memory, int threads)
{
    return (ortho_services){
        .ctx = memory,
        .alloc = services_alloc,
        .free = services_free,
        .fail = ortho_fail,
        .threads = threads > 0 ? threads : 1,
    };
}

void ob_memory_restart(ob_memory *memory)
{
    memcpy(memory->peak, memory->current, sizeof memory->peak);
}

ortho_status ob_memory_check(ob_memory *memory)
{
    if (memory->damage[0] != '\0')
        return ortho_fail(ORTHO_E_WRONG, "%s", memory->damage);
    char damage[sizeof memory->damage];
    for (const ob_block *b = memory->blocks; b != NULL; b = b->next)
        if (!whole(memory, b, damage, sizeof damage))
            return ortho_fail(ORTHO_E_WRONG, "%s", damage);
    return ORTHO_OK;
}

ortho_status ob_memory_poison(ob_memory *memory, ortho_purpose purpose)
{
    for (ob_block *b = memory->blocks; b != NULL; b = b->next)
        if (b->purpose == purpose) {
            ortho_status status = fill(memory, b, b->raw + head(memory, b->space), 0xff, b->bytes);
            if (status != ORTHO_OK)
                return status;
        }
    return ORTHO_OK;
}
