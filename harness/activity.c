/* What can be told of an activity log without CUPTI. */
#include "harness/activity.h"

#include "common/error.h"

#include <stdlib.h>
#include <string.h>

void ob_activity_clear(ob_activity_log *log)
{
    for (size_t i = 0; i < log->kernel_count; i++)
        free(log->kernels[i].name);
    for (size_t i = 0; i < log->marker_count; i++) {
        free(log->markers[i].name);
        free(log->markers[i].domain);
    }
    free(log->kernels);
    free(log->transfers);
    free(log->memory);
    free(log->markers);
    *log = (ob_activity_log){0};
}

/* Whether a release gives back what was allocated since the log's start. */
static bool is_ours(const ob_activity_log *log, size_t release)
{
    for (size_t i = release; i-- > 0;)
        if (log->memory[i].address == log->memory[release].address)
            return !log->memory[i].release;
    return false;
}

uint64_t ob_activity_peak(const ob_activity_log *log)
{
    uint64_t live = 0, peak = 0;
    for (size_t i = 0; i < log->memory_count; i++) {
        uint64_t bytes = log->memory[i].bytes;
        if (!log->memory[i].release)
            live += bytes;
        else if (is_ours(log, i))
            live -= bytes < live ? bytes : live;
        peak = live > peak ? live : peak;
    }
    return peak;
}

/* *into grows by the `count` elements of `from`. */
static bool append(void **into, size_t *have, const void *from, size_t count, size_t size)
{
    if (count == 0)
        return true;
    char *grown = realloc(*into, (*have + count) * size);
    if (grown == NULL)
        return false;
    memcpy(grown + *have * size, from, count * size);
    *into = grown;
    *have += count;
    return true;
}

#define APPEND(list, counter)                                                                      \
    append((void **)&into->list, &into->counter, from->list, from->counter, sizeof *from->list)

ortho_status ob_activity_append(ob_activity_log *into, ob_activity_log *from)
{
    into->dropped += from->dropped;
    /* Names are owned by the records: what has moved must not be freed with `from`. */
    bool whole = APPEND(kernels, kernel_count);
    from->kernel_count = whole ? 0 : from->kernel_count;
    bool named = whole && APPEND(markers, marker_count);
    from->marker_count = named ? 0 : from->marker_count;
    whole = named && APPEND(transfers, transfer_count) && APPEND(memory, memory_count);
    ob_activity_clear(from);
    return whole ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory for the timeline");
}
