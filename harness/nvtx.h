/*
 * nvtx.h: ranges for whoever watches from outside (nsys, ncu, or our own timeline), in the NVTX
 * domain "ortho": slices, phases, and cases inside them. Nested, pushed and popped by the session's
 * one thread. Without a listener a call is one test of a pointer.
 */
#ifndef ORTHO_HARNESS_NVTX_H
#define ORTHO_HARNESS_NVTX_H

#include <stdint.h>

/* The category of a range. */
typedef enum ob_range_kind { OB_RANGE_SLICE = 1, OB_RANGE_PHASE, OB_RANGE_CASE } ob_range_kind;

/* What a tool shows beside a case's or a slice's name. */
typedef struct ob_range_shape {
    int64_t n, k, m;
    double density;
} ob_range_shape;

/* `text` is copied by the tool; `shape` may be NULL. Every push has its pop. */
void ob_nvtx_push(ob_range_kind kind, const char *text, const ob_range_shape *shape);
void ob_nvtx_pop(void);

#endif
