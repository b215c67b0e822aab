/* spmm_run.h: entries of one row that lie side by side; private to kernels/spmm*. */
#ifndef ORTHO_KERNELS_SPMM_RUN_H
#define ORTHO_KERNELS_SPMM_RUN_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ortho_run {
    const uint16_t *col16; /* one of the two, as `wide` says */
    const uint32_t *col32;
    const uint16_t *val; /* fp16 */
    int64_t count;
    bool wide;
} ortho_run;

#endif
