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

/* Whether this build's CUDA loops count their lanes as they run (ORTHO_COUNT_LANES): it then times
 * nothing, and the results' context says `instrumented`. */
bool ob_divergence_counts(void);

/* In such a build, what the Ortho loops launched since the last clearing have counted. Waits for
 * the device. UNSUPPORTED in any other. */
ortho_status ob_divergence_exact(bool clear, ob_divergence *out);

#endif
