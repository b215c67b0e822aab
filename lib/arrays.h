/* arrays.h: a layer's five arrays in host memory, between a file and a layer. In a file they follow
 * each other without gaps, and so some lie at odd places; in memory each is aligned. */
#ifndef ORTHO_LIB_ARRAYS_H
#define ORTHO_LIB_ARRAYS_H

#include "lib/artifact.h"

/* One allocation, each array aligned to 64 bytes, contents undefined. Free with ortho_arrays_free.
 */
ortho_status ortho_arrays_new(const ortho_layer_facts *facts, ortho_split *out);
void ortho_arrays_free(ortho_split *split);

/* Where a part of ortho_part_bytes bytes lies. */
void *ortho_arrays_part(const ortho_split *split, ortho_part part);

#endif
