/* columns_gpu.h: the cells that only a GPU's rows fill, and the lanes; for columns.c. */
#ifndef ORTHO_REPORTS_COLUMNS_GPU_H
#define ORTHO_REPORTS_COLUMNS_GPU_H

#include "reports/columns.h"

void ortho_cell_percent(double share, ortho_cell *out); /* NAN leaves it empty */

void ortho_cell_throttled(const json_t *row, ortho_cell *out);
void ortho_cell_registers(const json_t *row, ortho_cell *out);
void ortho_cell_clock(const json_t *row, ortho_cell *out);
void ortho_cell_device(const json_t *row, ortho_cell *out);

/* One of two columns tells a group's lanes: the prediction alone, or beside the measurement where a
 * row of the group has one. */
bool ortho_lanes_measured(const ortho_group *group);
bool ortho_lanes_unmeasured(const ortho_group *group);
void ortho_cell_predicted(const json_t *row, ortho_cell *out);
void ortho_cell_lanes(const json_t *row, ortho_cell *out);

#endif
