#include "variants/fused/x_map.h"

#include <cuda_runtime_api.h>

namespace ortho_fused
{

namespace
{

typedef CUresult encode_fn(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
                           const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
                           const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                           CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* The driver's, without linking it; NULL where it has none. */
encode_fn *encoder()
{
    static encode_fn *const found = [] {
        void *symbol = nullptr;
        cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
        const cudaError_t status = cudaGetDriverEntryPointByVersion(
            "cuTensorMapEncodeTiled", &symbol, 12000, cudaEnableDefault, &result);
        return status == cudaSuccess && result == cudaDriverEntryPointSuccess
                   ? reinterpret_cast<encode_fn *>(symbol)
                   : nullptr;
    }();
    return found;
}

} // namespace

bool can_map_x()
{
    return encoder() != nullptr;
}

bool map_x(const ortho_gemm_call &call, int64_t k, int64_t tokens, int box, CUtensorMap *map)
{
    const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(k), static_cast<cuuint64_t>(tokens)};
    const cuuint64_t line = static_cast<cuuint64_t>(k) * 2;
    const cuuint32_t boxes[2] = {64, static_cast<cuuint32_t>(box)}, steps[2] = {1, 1};
    encode_fn *encode = encoder();
    return encode != nullptr &&
           encode(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, const_cast<void *>(call.x), sizes, &line,
                  boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                  CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                  CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

} // namespace ortho_fused
