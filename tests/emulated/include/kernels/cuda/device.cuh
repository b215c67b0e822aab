/* device.cuh: what the header of this name in kernels/cuda does by PTX, in plain code. */
#ifndef ORTHO_TESTS_EMULATED_DEVICE_CUH
#define ORTHO_TESTS_EMULATED_DEVICE_CUH

#include "cuda_async.h"

inline void ortho_cuda_release_dependents()
{
}

inline void ortho_cuda_wait_for_previous()
{
    emulated_wait_for_previous();
}

inline uint4 *ortho_cuda_dynamic_shared()
{
    extern thread_local uint4 ortho_cuda_dynamic_words[];
    return ortho_cuda_dynamic_words;
}

inline float ortho_cuda_float(float v)
{
    return v;
}
inline float ortho_cuda_float(__half v)
{
    return __half2float(v);
}
inline float ortho_cuda_float(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

#endif
