/* outputs.cuh: sums in shared memory become y, four rows of a token at a time. */
#ifndef ORTHO_VARIANTS_FUSED_OUTPUTS_CUH
#define ORTHO_VARIANTS_FUSED_OUTPUTS_CUH

#include "variants/fused/ring.cuh"

#include <type_traits>

namespace ortho_fused
{

namespace
{

__device__ __forceinline__ float4 load_shared_floats(uint32_t at)
{
    const uint4 v = load_shared_16(at);
    return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                       __uint_as_float(v.w));
}

/* The sum of `count` warps' sums, `each` bytes apart. */
__device__ __forceinline__ float4 total(uint32_t at, int count, int each)
{
    float4 sum = load_shared_floats(at);
#pragma unroll 7
    for (int w = 1; w < count; w++) {
        const float4 v = load_shared_floats(at + w * each);
        sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
    }
    return sum;
}

/* Four rows of a token, of which `left` are there. */
template <typename A>
__device__ __forceinline__ void store_rows(typename A::element *to, int64_t left, float4 v)
{
    typedef typename std::conditional<sizeof(typename A::element) == 2, uint2, uint4>::type whole;
    typename A::element four[4] = {A::rounded(v.x), A::rounded(v.y), A::rounded(v.z),
                                   A::rounded(v.w)};
    static_assert(sizeof four == sizeof(whole), "four at once");
    if (left >= 4 && reinterpret_cast<uintptr_t>(to) % sizeof four == 0) {
        *reinterpret_cast<whole *>(to) = *reinterpret_cast<const whole *>(four);
        return;
    }
    for (int i = 0; i < 4 && i < left; i++)
        to[i] = four[i];
}

} // namespace

} // namespace ortho_fused

#endif
