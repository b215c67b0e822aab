/* gnuplot.h: the gnuplot program, run without a shell. */
#ifndef ORTHO_REPORTS_GNUPLOT_H
#define ORTHO_REPORTS_GNUPLOT_H

#include <ortho/ortho.h>
#include <stdio.h>

/* Runs a script with `folder` as working directory (NULL: ours), its output into `out` (NULL:
 * dropped). UNSUPPORTED when gnuplot is not installed; INTERNAL, with its words, when it complains
 * or takes longer than a minute. */
ortho_status ortho_gnuplot_run(const char *script, const char *folder, FILE *out);

#endif
