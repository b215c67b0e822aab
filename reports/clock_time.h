/*
 * clock_time.h: the plot `clocks` where rows hold single readings (clocks.readings): clock, power
 * and temperature over the seconds of the run. Cases that took turns share a stretch of it, which
 * lies on a grey band; between bands, where nobody looked, the curve is broken.
 */
#ifndef ORTHO_REPORTS_CLOCK_TIME_H
#define ORTHO_REPORTS_CLOCK_TIME_H

#include "reports/model.h"

#include <stdbool.h>
#include <stdio.h>

/* A timed case holds a reading. */
bool ortho_clock_time_told(const json_t *results);

/* What ortho_plot's `data` and `body` are, of such results. */
ortho_status ortho_clock_time_data(const json_t *results, FILE *tsv);
ortho_status ortho_clock_time_body(const json_t *results, FILE *gp);

#endif
