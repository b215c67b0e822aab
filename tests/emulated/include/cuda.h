/* cuda.h: of the driver's only what kernels see of it: where x comes from by TMA. */
#ifndef ORTHO_TESTS_EMULATED_CUDA_H
#define ORTHO_TESTS_EMULATED_CUDA_H

#include <stdint.h>

struct CUtensorMap {
    const uint8_t *x; /* whatever is asked for: these */
    uint32_t bytes;
};

#endif
