/* testing.h: what the tests on a GPU share. */
#ifndef ORTHO_TESTS_CUDA_TESTING_H
#define ORTHO_TESTS_CUDA_TESTING_H

#include "common/error.h"
#include "harness/session_internal.h"

#include <cuda_runtime_api.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Whether there is no GPU to test on: said, and the test then exits with OB_EXIT_SKIPPED. */
static inline bool gpu_is_missing(void)
{
    char why[256];
    if (ob_backend_cuda.available(why))
        return false;
    printf("skipped: %s\n", why);
    return true;
}

/* Must `fused` have all of its ways here, and chains? By what the GPU is, and what this build is
 * compiled for: not by what the variant says. */
static inline bool has_all_ways(void)
{
    int major = 0, shared = 0;
    return BUILT_FOR_9 &&
           cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == 0 &&
           cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == 0 &&
           major >= 9 && shared >= 227 << 10;
}

static inline void cuda_ok(cudaError_t error)
{
    if (error != cudaSuccess)
        fail_msg("%s", cudaGetErrorString(error));
}

static inline void ok(ortho_status status)
{
    if (status != ORTHO_OK)
        fail_msg("%s: %s", ortho_status_name(status), ortho_last_message());
}

/* The last message holds a text. */
static inline void says(const char *text)
{
    if (strstr(ortho_last_message(), text) == NULL)
        fail_msg("'%s' doesn't say '%s'", ortho_last_message(), text);
}

#endif
