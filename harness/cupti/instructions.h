/*
 * instructions.h (of CUPTI): a report in the making, for what counts and for what samples.
 */
#ifndef ORTHO_HARNESS_CUPTI_INSTRUCTIONS_H
#define ORTHO_HARNESS_CUPTI_INSTRUCTIONS_H

#include "harness/cupti/cubin.h"
#include "harness/instructions.h"

typedef struct ob_instruction_place {
    uint64_t crc; /* of the cubin */
    const char *function;
    uint32_t pc;
} ob_instruction_place;

/* The entry of an instruction, made at the first need; NULL when memory is short. The pointer holds
 * until the next call. */
ob_instruction *ob_instruction_at(const ob_cupti *c, ob_instruction_report *report,
                                  const ob_instruction_place *place);
/* Sorts by function and pc. */
void ob_instruction_sort(ob_instruction_report *report);

ortho_status ob_sass_start(const ob_cupti *c, CUcontext context);
ortho_status ob_sass_read(const ob_cupti *c, CUcontext context, ob_instruction_report *out);
void ob_sass_stop(const ob_cupti *c, CUcontext context);
ortho_status ob_sampling_start(const ob_cupti *c, CUcontext context);
ortho_status ob_sampling_read(const ob_cupti *c, CUcontext context, ob_instruction_report *out);
void ob_sampling_stop(const ob_cupti *c, CUcontext context);

#endif
