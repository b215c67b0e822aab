/* selftest_kernels.h: the sizes that the self-test's expectations follow from, and its launches. */
#ifndef ORTHO_HARNESS_SELFTEST_KERNELS_H
#define ORTHO_HARNESS_SELFTEST_KERNELS_H

#include "harness/selftest.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of every kernel but the copy. */
#define OB_SELFTEST_BLOCKS  64
#define OB_SELFTEST_THREADS 128
#define OB_SELFTEST_WARPS   (OB_SELFTEST_BLOCKS * OB_SELFTEST_THREADS / 32)

#define OB_SELFTEST_STEP  64  /* the ramp's lane i loops (i + 1) * this often */
#define OB_SELFTEST_READS 64  /* accesses of a warp to one bank */
#define OB_SELFTEST_FMAS  512 /* of a thread */
#define OB_SELFTEST_BYTES ((size_t)256 << 20)

/* Device memory. `to` is also where the small kernels leave what they computed. */
typedef struct ob_selftest_memory {
    const void *from;
    void *to;
    size_t bytes; /* of each of both, OB_SELFTEST_BYTES */
} ob_selftest_memory;

/* Enqueues one launch of one kernel on the default stream; a cudaError_t. */
int ob_selftest_launch(ob_selftest_kernel kernel, const ob_selftest_memory *memory);

/* Where the ramp's loop stands. Static storage. */
const ortho_loop *ob_selftest_loop(void);

#ifdef __cplusplus
}
#endif
#endif
