/* What the emulated sieves ask of the parts of kernels/cuda that aren't emulated. */
#include "kernels/cuda/base_gemm.h"

extern "C" bool ortho_cuda_has_programmatic_launch(void)
{
    return false;
}

extern "C" void ortho_cuda_kernel_report(const char *, const void *, int, size_t,
                                         const ortho_kernel_sink *)
{
}
