/* plan_order.h: where every tensor lies in the artifact, and in which order the work is done. */
#ifndef ORTHO_LIB_PLAN_ORDER_H
#define ORTHO_LIB_PLAN_ORDER_H

#include "lib/plan.h"

/* Fills shards' headers and the units of a plan whose files, shards and layers are known. file_of:
 * a tensor's index in plan->files, -1 for generated ones. */
ortho_status ortho_plan_lay_out(ortho_plan *plan,
                                int32_t (*file_of)(const ortho_plan *, const ortho_tensor *));

#endif
