/* fused: Base and Ortho in one pass over the packed weights. */
#include "variants/fused/state.h"

extern "C" void ortho_fused_lanes(const ortho_split *split, int64_t m, const ortho_lane_sink *sink);

namespace
{

const ortho_gemm_hooks gemm = {
    .state_size = sizeof(ortho_fused::state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .supports = ortho_fused::supports,
    .prepare = ortho_fused::prepare,
    .workspace = ortho_fused::workspace,
    .run = ortho_fused::run,
    .release = ortho_fused::release,
    .cost = ortho_fused::cost,
    .lanes = ortho_fused_lanes,
    .loop = &ortho_fused::steps_loop,
    .kernels = ortho_fused::kernels,
    .export_split = ortho_fused::export_split,
    .run_group = ortho_fused::run_group,
    .chain = &ortho_fused::chain_hooks,
    .ways = ortho_fused::way_names,
    .way = ortho_fused::way_of_call,
};

} // namespace

extern "C" const ortho_variant ortho_variant_fused_cuda;
const ortho_variant ortho_variant_fused_cuda = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "fused",
    .summary = "Base and Ortho in one pass over weights in the order in which they are consumed",
    .backend = ORTHO_CUDA,
    .role = ORTHO_COMPETITOR,
    .gemm = &gemm,
};
