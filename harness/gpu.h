/* gpu.h: the facts of a GPU that a results document tells. */
#ifndef ORTHO_HARNESS_GPU_H
#define ORTHO_HARNESS_GPU_H

#include "harness/nvml.h"

#include <stddef.h>

struct json_t;

/* The results' context.gpu (docs/RESULTS.md) of a CUDA device; a JSON null where this build has no
 * CUDA or the device can't be asked. `nvml` may be NULL: what only it knows is absent then. 0 for
 * context_bytes: unknown. The caller owns the reference. */
struct json_t *ob_gpu_context(int device, ob_nvml *nvml, size_t context_bytes);

/* Opens NVML at a CUDA device. UNSUPPORTED with the reason, as ob_nvml_open. */
ortho_status ob_gpu_nvml(int device, ob_nvml **out);

#endif
