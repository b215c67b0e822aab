/*
 * instructions.h: what every SASS instruction did, counted exactly by CUPTI's SASS metrics (the
 * kernels are patched, so nothing here is timed), or where warps stood still, sampled by its PC
 * sampling; each with the source line that the instruction came from (-lineinfo). One of the two at
 * a time, in a process of its own.
 *
 * CUPTI of CUDA 13.0 counts the one kernel that is launched first after `start`, as often as it is
 * launched until the first `read`, and nothing else in that process, whatever is asked for; the
 * kernel's module must have been loaded before, and nothing be in flight. So one process counts one
 * kernel of one case, which isolate.h brings to the front. Sampling is the other way round: it sees
 * the kernels that are loaded after `start`, all of them, so that it begins before the first.
 */
#ifndef ORTHO_HARNESS_INSTRUCTIONS_H
#define ORTHO_HARNESS_INSTRUCTIONS_H

#include <ortho/ortho.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ob_instruction {
    const char *function; /* mangled; of the report */
    const char *file;     /* "" where the cubin has no line table; of the report */
    int line;             /* 0: unknown */
    uint32_t pc;          /* byte offset in the function */
    uint64_t warps;       /* warp instructions executed */
    uint64_t threads;     /* thread instructions executed: warps * mean active lanes */
    uint64_t enabled;     /* of these, threads whose predicate held */
    uint64_t divergent;   /* branches whose lanes went different ways */
    uint64_t uniform;     /* branches whose lanes agreed */
    uint64_t stalls;      /* warp samples taken at this instruction; 0 where none were taken */
    uint64_t stalls_long; /* of these, waiting for global or local memory */
} ob_instruction;

typedef struct ob_instruction_report {
    ob_instruction *instructions; /* by function, then pc */
    size_t count;
    void *names; /* owns the strings */
} ob_instruction_report;

typedef enum ob_instruction_source {
    OB_INSTRUCTIONS_COUNTED = 0, /* warps to uniform */
    OB_INSTRUCTIONS_SAMPLED      /* stalls */
} ob_instruction_source;

/* Before the process makes its first launch, or the code that it loads has no source lines. */
ortho_status ob_instructions_prepare(void);
/* Begins in the current context, once a process. UNSUPPORTED with words where that is impossible.
 */
ortho_status ob_instructions_start(ob_instruction_source source);
/* Adds to a report, zeroed or read into before, what was executed since `start` or the read before.
 * Waits for the device. On an error the report is cleared. */
ortho_status ob_instructions_read(ob_instruction_report *out);
void ob_instructions_stop(void);
void ob_instructions_clear(ob_instruction_report *report); /* zeroed is allowed */

#endif
