/* list_counters.h: `list --counters`. */
#ifndef ORTHO_HARNESS_LIST_COUNTERS_H
#define ORTHO_HARNESS_LIST_COUNTERS_H

#include "harness/log.h"

/* Prints every group: title, prose, derived values, metrics with the vendor's words where libcupti
 * is at hand, passes for a few chips. Needs no GPU. Returns an ob_exit; tells why it failed. */
int ob_list_counters(FILE *out, const ob_log *log);

#endif
