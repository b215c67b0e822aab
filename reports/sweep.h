/*
 * sweep.h: time against one number of a case (density, batch), one line a variant with its 95 %
 * confidence band, for one slice, and where each variant costs what the baseline does. A case
 * without a verified time is a gap in its line.
 */
#ifndef ORTHO_REPORTS_SWEEP_H
#define ORTHO_REPORTS_SWEEP_H

#include "reports/plot.h"

typedef struct ortho_sweep {
    const char *key;  /* the number that is swept: "density" */
    const char *axis; /* its name under the picture */
    const char *lack; /* what to do when no slice has two values of it */
    /* The title, of a row of the line that is shown. */
    void (*title)(const json_t *row, char *out, size_t size);
} ortho_sweep;

/* What a plot's data and body do (include/ortho/report.h). The slice and setting with the most
 * values is shown, the first of equals, GEMMs before sieves.
 *
 * Columns: value, median, lo, hi (microseconds), series, variant, status. The last rows, with
 * status "crossover", tell where a variant's time equals the baseline's, on a straight line in
 * logarithms between the two nearest values at which their intervals lie apart. */
ortho_status ortho_sweep_data(const json_t *results, const ortho_sweep *sweep, FILE *tsv);
ortho_status ortho_sweep_body(const json_t *results, const ortho_sweep *sweep, FILE *gp);

#endif
