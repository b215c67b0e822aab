/*
 * cubin.h: the machine code that this process loaded, kept so that an instruction can be told its
 * source line. Only harness/cupti includes this.
 */
#ifndef ORTHO_HARNESS_CUPTI_CUBIN_H
#define ORTHO_HARNESS_CUPTI_CUBIN_H

#include "harness/cupti/cupti.h"

/* Begins to keep every module that is loaded from now on: before the first kernel. Kept until the
 * process ends. */
ortho_status ob_cubins_keep(const ob_cupti *c);

/* Where an instruction comes from: `file` as the compiler was told it, "" and 0 where unknown. */
typedef struct ob_source_line {
    char file[512];
    int line;
} ob_source_line;

void ob_cubins_locate(const ob_cupti *c, uint64_t crc, const char *function, uint32_t pc,
                      ob_source_line *out);

#endif
