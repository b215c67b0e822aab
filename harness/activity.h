/*
 * activity.h: what the GPU did when, from CUPTI's activity records: kernels, copies, fills,
 * allocations, NVTX markers. Mechanism only. Times are nanoseconds of CUPTI's clock; `clock` tells
 * that clock now, for host phases on the same axis.
 */
#ifndef ORTHO_HARNESS_ACTIVITY_H
#define ORTHO_HARNESS_ACTIVITY_H

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ob_kernel_record {
    char *name; /* demangled is the writer's business: as the compiler made it */
    uint64_t start, end;
    uint32_t stream, correlation;
    int grid[3], block[3];
    int registers;                     /* of a thread */
    int static_shared, dynamic_shared; /* bytes of a block */
} ob_kernel_record;

typedef enum ob_transfer_kind {
    OB_TRANSFER_HOST_TO_DEVICE = 0,
    OB_TRANSFER_DEVICE_TO_HOST,
    OB_TRANSFER_DEVICE_TO_DEVICE,
    OB_TRANSFER_FILL,
    OB_TRANSFER_OTHER
} ob_transfer_kind;

typedef struct ob_transfer_record {
    ob_transfer_kind kind;
    uint64_t start, end, bytes;
    uint32_t stream, correlation;
} ob_transfer_record;

/* An allocation or its end, of device memory. */
typedef struct ob_memory_record {
    uint64_t at, address, bytes;
    bool release;
    bool pool; /* stream-ordered, from a pool */
} ob_memory_record;

/* A range of an NVTX domain, pushed and popped on one thread. */
typedef struct ob_marker_record {
    char *name, *domain;
    uint64_t start, end; /* end 0: never popped */
    uint32_t thread;
    uint32_t category;
} ob_marker_record;

typedef struct ob_activity_log {
    ob_kernel_record *kernels;
    size_t kernel_count;
    ob_transfer_record *transfers;
    size_t transfer_count;
    ob_memory_record *memory;
    size_t memory_count;
    ob_marker_record *markers;
    size_t marker_count;
    size_t dropped; /* records that CUPTI had to drop */
} ob_activity_log;

/* Begins to record; UNSUPPORTED with words where that is impossible. One recording at a time. */
ortho_status ob_activity_start(void);
/* Waits for the device and gives what was seen since `start` or the last `take`, in order of time
 * (kernels, transfers, memory by time; markers by start, those alone that have ended). The
 * recording goes on. The caller clears the log. */
ortho_status ob_activity_take(ob_activity_log *out);
void ob_activity_stop(void);
/* Moves everything of `from` behind what is in `into`; `from` is empty afterwards. */
ortho_status ob_activity_append(ob_activity_log *into, ob_activity_log *from);
void ob_activity_clear(ob_activity_log *log); /* zeroed is allowed */

/* Now, in nanoseconds of the records' clock; 0 where there is none. */
uint64_t ob_activity_clock(void);

/* The most that was allocated at once, in bytes as asked for, beyond what was there at the start;
 * pools included. */
uint64_t ob_activity_peak(const ob_activity_log *log);

/* Makes NVTX ranges visible to the records: to be called before the first NVTX call of the
 * process. An injection that is set already stays (a tool is at work). */
void ob_activity_catch_nvtx(void);

#endif
