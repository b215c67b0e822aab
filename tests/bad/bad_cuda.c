/* The constant that makes a plug-in of bad_gemm.cu or bad_sieve.cu wrong in one way. */
#include "bad_cuda.h"

const bad_defect bad_cuda_defect = BAD_CUDA_DEFECT;
