/* What the emulated sources ask of the parts of kernels/cuda that aren't emulated. */
#include "kernels/cuda/base_gemm.h"

extern "C" bool ortho_cuda_has_programmatic_launch(void)
{
    return false;
}

extern "C" void ortho_cuda_kernel_report(const char *, const void *, int, size_t,
                                         const ortho_kernel_sink *)
{
}

extern "C" ortho_status ortho_cuda_base_run(const ortho_cuda_base *, const ortho_gemm_call *,
                                            const float *, void *)
{
    return ORTHO_E_UNSUPPORTED;
}

extern "C" size_t ortho_cuda_base_workspace(const ortho_cuda_base *, int64_t)
{
    return 0;
}

extern "C" void ortho_cuda_base_cost(const ortho_cuda_base *, int64_t, int64_t, size_t,
                                     ortho_cost *)
{
}
