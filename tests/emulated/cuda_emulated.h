/*
 * cuda_emulated.h: as much of CUDA C++ as the sieve's kernels are written in, on a CPU, so that a
 * machine without a GPU runs them too. A thread of a block is a fiber; the lanes of a warp meet at
 * each operation that exchanges values, threads at each __syncthreads; blocks run one after
 * another, so that a grid whose blocks wait for one another must have one. Nothing here is ever
 * timed.
 *
 * It takes the place of cuda_runtime.h, cuda_fp16.h and cuda_bf16.h; include/variants/fused/ptx.cuh
 * that of PTX, with cuda_async.h for what goes on while threads do other things.
 */
#ifndef ORTHO_TESTS_CUDA_EMULATED_H
#define ORTHO_TESTS_CUDA_EMULATED_H

#include "common/half.h"

#include <functional>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__    inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__       thread_local /* one block at a time, on one thread of the host */

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

inline uint2 make_uint2(uint32_t x, uint32_t y)
{
    return {x, y};
}
inline float2 make_float2(float x, float y)
{
    return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w)
{
    return {x, y, z, w};
}

extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;

/* ---- meeting --------------------------------------------------------------------------------- */

/* Runs a kernel's body once for each thread of each block; ends the program where they wait in
 * vain. dynamic: bytes of shared memory, of which emulated_dynamic_shared() is the first. */
void emulated_run(dim3 grid, dim3 block, const std::function<void()> &body, size_t dynamic = 0);
void emulated_meet_block();

/* Leaves a value for the warp, waits for its lanes, and returns what each of the 32 left. */
const uint64_t *emulated_exchange(uint64_t mine);

/* The same, but the last lane to come does something for all before any goes on. */
const uint64_t *emulated_together(uint64_t mine, void (*all)(const uint64_t left[32]));

inline int emulated_lane()
{
    return static_cast<int>(threadIdx.x % 32);
}

template <typename T> T emulated_take(T mine, int lane)
{
    uint64_t bits = 0;
    memcpy(&bits, &mine, sizeof mine);
    bits = emulated_exchange(bits)[lane];
    memcpy(&mine, &bits, sizeof mine);
    return mine;
}

inline void __syncthreads()
{
    emulated_meet_block();
}
inline void __syncwarp()
{
    emulated_exchange(0);
}
template <typename T> T __shfl_sync(unsigned, T v, int lane)
{
    return emulated_take(v, lane % 32);
}
template <typename T> T __shfl_xor_sync(unsigned, T v, int mask)
{
    return emulated_take(v, emulated_lane() ^ mask);
}
template <typename T> T __shfl_up_sync(unsigned, T v, int by)
{
    const int lane = emulated_lane();
    return emulated_take(v, lane >= by ? lane - by : lane);
}
inline uint32_t __reduce_add_sync(unsigned, uint32_t v)
{
    const uint64_t *all = emulated_exchange(v);
    uint32_t sum = 0;
    for (int i = 0; i < 32; i++)
        sum += static_cast<uint32_t>(all[i]);
    return sum;
}
inline unsigned __ballot_sync(unsigned, bool v)
{
    const uint64_t *all = emulated_exchange(v);
    unsigned bits = 0;
    for (int i = 0; i < 32; i++)
        bits |= static_cast<unsigned>(all[i]) << i;
    return bits;
}
inline bool __any_sync(unsigned mask, bool v)
{
    return __ballot_sync(mask, v) != 0;
}
inline bool __all_sync(unsigned mask, bool v)
{
    return __ballot_sync(mask, v) == 0xffffffffu;
}
inline void __threadfence()
{
}
inline void __nanosleep(unsigned)
{
}

/* ---- memory ---------------------------------------------------------------------------------- */

void emulated_require_alignment(const void *p, size_t bytes);

template <typename T> T __ldg(const T *p)
{
    emulated_require_alignment(p, sizeof *p);
    return *p;
}
template <typename T> T __ldcg(const T *p)
{
    return __ldg(p);
}
template <typename T, typename V> T atomicAdd(T *p, V v)
{
    const T old = *p;
    *p = static_cast<T>(old + static_cast<T>(v));
    return old;
}
template <typename T> T atomicMin(T *p, T v)
{
    const T old = *p;
    *p = v < old ? v : old;
    return old;
}
template <typename T> T atomicMax(T *p, T v)
{
    const T old = *p;
    *p = v > old ? v : old;
    return old;
}

/* A shared address is the low half of a pointer: variables of a thread of the host stand within
 * 2 GiB of each other. */
inline size_t __cvta_generic_to_shared(const void *p)
{
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p));
}
void *emulated_shared_memory(uint32_t at, size_t bytes);

template <typename T> T *emulated_shared(uint32_t at)
{
    return static_cast<T *>(emulated_shared_memory(at, sizeof(T)));
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

inline int min(int a, int b)
{
    return a < b ? a : b;
}
inline uint32_t min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}
inline int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
inline int max(int a, int b)
{
    return a > b ? a : b;
}
inline int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
inline uint32_t max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}
inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector)
{
    const uint64_t both = static_cast<uint64_t>(b) << 32 | a;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++)
        out |= static_cast<uint32_t>(both >> (selector >> 4 * i & 7) * 8 & 255) << 8 * i;
    return out;
}
inline int __popc(uint32_t v)
{
    return __builtin_popcount(v);
}
inline int __ffs(uint32_t v)
{
    return __builtin_ffs(static_cast<int>(v));
}
inline int __clz(uint32_t v)
{
    return v != 0 ? __builtin_clz(v) : 32;
}
inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t by)
{
    return static_cast<uint32_t>((static_cast<uint64_t>(high) << 32 | low) >> (by & 31));
}
inline uint32_t __dp4a(uint32_t a, uint32_t b, uint32_t c)
{
    for (int i = 0; i < 32; i += 8)
        c += (a >> i & 255) * (b >> i & 255);
    return c;
}
inline uint32_t __funnelshift_l(uint32_t low, uint32_t high, uint32_t by)
{
    return static_cast<uint32_t>((static_cast<uint64_t>(high) << 32 | low) << (by % 32) >> 32);
}
inline uint32_t __float_as_uint(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}
inline float __uint_as_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
inline float __fmul_rn(float a, float b)
{
    return a * b;
}
inline float __fadd_rn(float a, float b)
{
    return a + b;
}
inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
inline float __frcp_rn(float a)
{
    return 1.0f / a;
}
inline float __fdividef(float a, float b)
{
    return a / b;
}
inline float rsqrtf(float a)
{
    return 1.0f / sqrtf(a);
}
inline double __dmul_rn(double a, double b)
{
    return a * b;
}
inline double __fma_rn(double a, double b, double c)
{
    return fma(a, b, c);
}

/* ---- 16 bits --------------------------------------------------------------------------------- */

struct __half {
    uint16_t bits;
};
struct __half2 {
    uint16_t low, high;
};
struct __nv_bfloat16 {
    uint16_t bits;
};
struct __nv_bfloat162 {
    uint16_t low, high;
};

inline float emulated_half(uint16_t bits)
{
    _Float16 f;
    memcpy(&f, &bits, sizeof f);
    return static_cast<float>(f);
}
template <typename T> __half emulated_to_half(T v)
{
    const _Float16 f = static_cast<_Float16>(v);
    __half h;
    memcpy(&h, &f, sizeof h);
    return h;
}
inline float __half2float(__half h)
{
    return emulated_half(h.bits);
}
inline float2 __half22float2(__half2 h)
{
    return {emulated_half(h.low), emulated_half(h.high)};
}
inline __half __float2half_rn(float f)
{
    return emulated_to_half(f);
}
inline __half __double2half(double d)
{
    return emulated_to_half(d);
}
inline uint16_t __half_as_ushort(__half h)
{
    return h.bits;
}
inline __half __ushort_as_half(uint16_t bits)
{
    return {bits};
}
inline float __bfloat162float(__nv_bfloat16 b)
{
    return __uint_as_float(static_cast<uint32_t>(b.bits) << 16);
}

inline __nv_bfloat16 __float2bfloat16_rn(float f)
{
    return {ortho_float_to_bf16(f)};
}
inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 b)
{
    return b.bits;
}
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high)
{
    return {ortho_float_to_bf16(low), ortho_float_to_bf16(high)};
}
inline float2 __bfloat1622float2(__nv_bfloat162 b)
{
    return {ortho_bf16_to_float(b.low), ortho_bf16_to_float(b.high)};
}

/* ---- the runtime's functions ----------------------------------------------------------------- */

typedef void *cudaStream_t;
enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount };
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize,
    cudaFuncAttributePreferredSharedMemoryCarveout
};
constexpr int cudaSharedmemCarveoutMaxShared = 100;
enum cudaLaunchAttributeID {
    cudaLaunchAttributeClusterDimension,
    cudaLaunchAttributeProgrammaticStreamSerialization
};
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    struct {
        int programmaticStreamSerializationAllowed;
        uint3 clusterDim;
    } val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute *attrs;
    unsigned numAttrs;
};

template <typename... P, typename... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *c, void (*kernel)(P...), A... arguments)
{
    emulated_run(
        c->gridDim, c->blockDim, [=] { kernel(arguments...); }, c->dynamicSmemBytes);
    return cudaSuccess;
}
template <typename F> cudaError_t cudaFuncSetAttribute(F, cudaFuncAttribute, int)
{
    return cudaSuccess;
}
inline cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}
inline const char *cudaGetErrorString(cudaError_t)
{
    return "";
}
inline const char *cudaGetErrorName(cudaError_t)
{
    return "";
}
inline cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}
struct cudaDeviceProp {
    char name[256];
};
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    memcpy(properties->name, "Emulated GPU", sizeof "Emulated GPU");
    return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int)
{
    *value = 1; /* blocks that wait for one another must fit the chip: one at a time does here */
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind)
{
    memcpy(to, from, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                                   cudaStream_t)
{
    memcpy(to, from, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    memset(to, value, bytes);
    return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t)
{
    memset(to, value, bytes);
    return cudaSuccess;
}

#endif
