/* list_baselines.h: `ortho-bench list --baselines`. */
#ifndef ORTHO_HARNESS_LIST_BASELINES_H
#define ORTHO_HARNESS_LIST_BASELINES_H

#include "harness/log.h"

/* A line a baseline. Returns an ob_exit. */
int ob_list_baselines(FILE *out, const ob_log *log);

#endif
