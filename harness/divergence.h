/*
 * divergence.h: sums what a lane model issues into a histogram of active lanes and one ratio.
 */
#ifndef ORTHO_HARNESS_DIVERGENCE_H
#define ORTHO_HARNESS_DIVERGENCE_H

#include <ortho/variant.h>

typedef struct ob_divergence {
    double histogram[33]; /* warp instructions issued with 0..32 active lanes */
} ob_divergence;

/* A sink that adds to `d`, which must outlive it. */
ortho_lane_sink ob_divergence_sink(ob_divergence *d);

/* Sum of active lanes over 32 times the sum issued, 0..1; false when nothing was issued (the Ortho
 * loop is empty: there is no ratio). */
bool ob_divergence_ratio(const ob_divergence *d, double *ratio);

#endif
