/* Stands for NVIDIA's driver, under its name: all memory is a GPU's. */
#include <cuda.h>

__attribute__((visibility("default"))) CUresult
cuPointerGetAttributes(unsigned count, CUpointer_attribute *attributes, void **data,
                       CUdeviceptr pointer)
{
    (void)pointer;
    for (unsigned i = 0; i < count; i++)
        if (attributes[i] == CU_POINTER_ATTRIBUTE_MEMORY_TYPE)
            *(unsigned *)data[i] = CU_MEMORYTYPE_DEVICE;
    return CUDA_SUCCESS;
}
