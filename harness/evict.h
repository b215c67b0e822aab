/* evict.h: the one kernel of the CUDA backend's own. */
#ifndef ORTHO_HARNESS_EVICT_H
#define ORTHO_HARNESS_EVICT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Enqueues a read of all of `data` (device memory); a cudaError_t. */
int ob_evict_launch(const void *data, size_t bytes, void *stream);

#ifdef __cplusplus
}
#endif

#endif
