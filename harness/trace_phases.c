/* The host's phases of a timeline. */
#define _GNU_SOURCE
#include "harness/trace_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* From here on times are `clock`'s; those that CLOCK_MONOTONIC gave become so. */
static void convert(ob_phases *phases, uint64_t told)
{
    phases->shift = told - monotonic();
    phases->has_clock = true;
    for (size_t i = 0; i < phases->count; i++) {
        phases->items[i].start += phases->shift;
        if (phases->items[i].end != 0)
            phases->items[i].end += phases->shift;
    }
}

uint64_t ob_phases_now(ob_phases *phases)
{
    uint64_t told = phases->clock != NULL ? phases->clock() : ob_activity_clock();
    if (told != 0 && !phases->has_clock)
        convert(phases, told);
    return told != 0 ? told : monotonic() + phases->shift;
}

static bool has_room(ob_phases *phases)
{
    if (phases->count < phases->capacity)
        return true;
    size_t capacity = phases->capacity > 0 ? 2 * phases->capacity : 64;
    ob_phase *grown = realloc(phases->items, capacity * sizeof *grown);
    if (grown == NULL)
        return false;
    phases->items = grown;
    phases->capacity = capacity;
    return true;
}

size_t ob_phases_begin(ob_phases *phases, const char *name, const char *category)
{
    ob_phase phase = {.name = strdup(name), .category = strdup(category)};
    if (phase.name == NULL || phase.category == NULL || !has_room(phases)) {
        free(phase.name);
        free(phase.category);
        return OB_PHASE_LOST;
    }
    phase.start = ob_phases_now(phases);
    phases->items[phases->count] = phase;
    return phases->count++;
}

void ob_phases_end(ob_phases *phases, size_t number)
{
    if (number < phases->count)
        phases->items[number].end = ob_phases_now(phases);
}

void ob_phases_clear(ob_phases *phases)
{
    for (size_t i = 0; i < phases->count; i++) {
        free(phases->items[i].name);
        free(phases->items[i].category);
    }
    free(phases->items);
    *phases = (ob_phases){0};
}
