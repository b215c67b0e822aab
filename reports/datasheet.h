/* datasheet.h: what vendors promise of a GPU. Promises are drawn dashed, beside what was measured,
 * and nothing is computed from them. */
#ifndef ORTHO_REPORTS_DATASHEET_H
#define ORTHO_REPORTS_DATASHEET_H

#include <stdbool.h>

typedef struct ortho_datasheet {
    double gbps;   /* bandwidth of its memory, GB/s */
    double tflops; /* dense fp16 on tensor cores with fp32 sums, TFLOP/s */
} ortho_datasheet;

/* By the name that NVML gives; false for one that isn't known, or NULL. */
bool ortho_datasheet_find(const char *gpu, ortho_datasheet *out);

#endif
