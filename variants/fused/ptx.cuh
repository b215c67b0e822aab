/*
 * ptx.cuh: instructions that CUDA C++ has no names for, a function each. tests/emulated has a
 * header of the same name that does the same in plain code: kernels that take what they need of PTX
 * from here run on a CPU, too.
 */
#ifndef ORTHO_VARIANTS_FUSED_PTX_CUH
#define ORTHO_VARIANTS_FUSED_PTX_CUH

#include <cuda.h>
#include <stdint.h>

namespace ortho_fused
{

namespace
{

/* Any function of three bits, by its table. */
template <int TABLE> __device__ __forceinline__ uint32_t lop3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t d;
    asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(d) : "r"(a), "r"(b), "r"(c), "n"(TABLE));
    return d;
}

/* ---- mma.m16n8k16: d = a * b, and c += a * b ------------------------------------------------- */

__device__ __forceinline__ void first_mma_f16(float d[4], const uint32_t a[4], uint32_t b0,
                                              uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

__device__ __forceinline__ void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void first_mma_bf16(float d[4], const uint32_t a[4], uint32_t b0,
                                               uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

__device__ __forceinline__ void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* ---- fp16, two and two ----------------------------------------------------------------------- */

__device__ __forceinline__ uint32_t half_add(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

__device__ __forceinline__ uint32_t half_multiply(uint32_t a, uint32_t b)
{
    uint32_t d;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
    return d;
}

/* ---- shared memory --------------------------------------------------------------------------- */

__device__ __forceinline__ uint4 load_shared_16(uint32_t at)
{
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(at));
    return v;
}

__device__ __forceinline__ uint32_t load_shared_2(uint32_t at)
{
    uint16_t v;
    asm volatile("ld.shared.u16 %0, [%1];" : "=h"(v) : "r"(at));
    return v;
}

__device__ __forceinline__ uint32_t load_shared_4(uint32_t at)
{
    uint32_t v;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(at));
    return v;
}

__device__ __forceinline__ void store_shared_4(uint32_t at, uint32_t v)
{
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(at), "r"(v) : "memory");
}

__device__ __forceinline__ float load_shared_float(uint32_t at)
{
    float v;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(at) : "memory");
    return v;
}

__device__ __forceinline__ void store_shared_float(uint32_t at, float v)
{
    asm volatile("st.shared.f32 [%0], %1;" ::"r"(at), "f"(v) : "memory");
}

__device__ __forceinline__ float2 load_shared_8(uint32_t at)
{
    float2 v;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(at) : "memory");
    return v;
}

__device__ __forceinline__ void store_shared_8(uint32_t at, float a, float b)
{
    asm volatile("st.shared.v2.f32 [%0], {%1,%2};" ::"r"(at), "f"(a), "f"(b) : "memory");
}

__device__ __forceinline__ void store_shared_16(uint32_t at, uint4 v)
{
    asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(at), "r"(v.x), "r"(v.y), "r"(v.z),
                 "r"(v.w)
                 : "memory");
}

/* Where `is`, without a branch. */
__device__ __forceinline__ void store_if(bool is, uint32_t at, float v)
{
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.u32 p, %0, 0;\n"
                 "@p st.shared.f32 [%1], %2;\n"
                 "}" ::"r"(static_cast<uint32_t>(is)),
                 "r"(at), "f"(v)
                 : "memory");
}

/* A block's dynamic shared memory, which begins with the ring. A bulk copy to an address that isn't
 * a multiple of 128 bytes is cut into requests of a quarter of the size. */
__device__ __forceinline__ unsigned char *dynamic_shared()
{
    extern __shared__ __align__(128) unsigned char ortho_fused_dynamic_bytes[];
    return ortho_fused_dynamic_bytes;
}

/* Four registers of all lanes to or from four 8 x 8 matrices, a line's address from each lane. */
__device__ __forceinline__ void load_transposed(uint32_t at, uint32_t v[4])
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
                 : "r"(at));
}

__device__ __forceinline__ void store_transposed(uint32_t at, uint4 v)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(at),
                 "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
#endif
}

/* Where `is`, without a branch: adds, and says what was there before; stores. */
__device__ __forceinline__ uint32_t add_shared_if(bool is, uint32_t at, uint32_t v)
{
    uint32_t before = 0;
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.u32 p, %1, 0;\n"
                 "@p atom.shared.add.u32 %0, [%2], %3;\n"
                 "}"
                 : "+r"(before)
                 : "r"(static_cast<uint32_t>(is)), "r"(at), "r"(v)
                 : "memory");
    return before;
}

__device__ __forceinline__ void store_shared_if(bool is, uint32_t at, uint32_t v)
{
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "setp.ne.u32 p, %0, 0;\n"
                 "@p st.shared.u32 [%1], %2;\n"
                 "}" ::"r"(static_cast<uint32_t>(is)),
                 "r"(at), "r"(v)
                 : "memory");
}

/* A weight in shared memory has its entry. */
__device__ __forceinline__ void add_entry(uint32_t at, uint32_t entry, uint16_t alpha)
{
    asm volatile("{\n"
                 ".reg .b16 low, v, w;\n"
                 "ld.shared.b16 w, [%0];\n"
                 "mov.b32 {low, v}, %1;\n"
                 "fma.rn.f16 w, v, %2, w;\n"
                 "st.shared.b16 [%0], w;\n"
                 "}" ::"r"(at),
                 "r"(entry), "h"(alpha)
                 : "memory");
}

/* ---- copies of a thread, of 16 bytes --------------------------------------------------------- */

__device__ __forceinline__ void copy_16(uint32_t to, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

__device__ __forceinline__ void copy_16_hinted(uint32_t to, const void *from, uint64_t policy)
{
    asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2;" ::"r"(to),
                 "l"(from), "l"(policy)
                 : "memory");
}

/* Those asked for since the last time are a group. */
__device__ __forceinline__ void copies_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* All groups but the last PENDING are there. */
template <int PENDING> __device__ __forceinline__ void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

/* ---- barriers -------------------------------------------------------------------------------- */

__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals)
{
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t barrier)
{
    asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t phase)
{
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared.b64 p, [%0], %1;\n"
                 "@!p bra again;\n"
                 "}" ::"r"(barrier),
                 "r"(phase)
                 : "memory");
}

/* What was initialised can be seen, also by what copies. */
__device__ __forceinline__ void barriers_show()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

template <int NAME, int THREADS> __device__ __forceinline__ void named_arrive()
{
    asm volatile("bar.arrive %0, %1;" ::"n"(NAME), "n"(THREADS) : "memory");
}

template <int NAME, int THREADS> __device__ __forceinline__ void named_sync()
{
    asm volatile("bar.sync %0, %1;" ::"n"(NAME), "n"(THREADS) : "memory");
}

template <int NAME> __device__ __forceinline__ void named_sync_of(int threads)
{
    asm volatile("bar.sync %0, %1;" ::"n"(NAME), "r"(threads) : "memory");
}

/* ---- bulk copies ----------------------------------------------------------------------------- */

/* Weights are read once a token: they shall not push x and y out of the L2. */
__device__ __forceinline__ uint64_t weights_policy()
{
    uint64_t policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

/* Global to shared memory by one thread; bytes that `full` was told to expect. */
__device__ __forceinline__ void bulk_piece(uint32_t to, const uint8_t *from, uint32_t bytes,
                                           uint32_t full, uint64_t policy)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                 ".L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(to),
                 "l"(from), "r"(bytes), "r"(full), "l"(policy)
                 : "memory");
}

/* x of a tile by TMA, its tokens from `token` on and 64 columns from `column` on: to a block, or to
 * all SHARERS of a cluster. */
template <int SHARERS>
__device__ __forceinline__ void bring_x(const CUtensorMap *map, uint32_t to, int column, int token,
                                        uint32_t full)
{
    if (SHARERS == 1)
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                     "[%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                     "l"(map), "r"(column), "r"(token), "r"(full)
                     : "memory");
    else
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
                     ".multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(to),
                     "l"(map), "r"(column), "r"(token), "r"(full),
                     "h"(static_cast<uint16_t>((1 << SHARERS) - 1))
                     : "memory");
}

/* ---- what the compiler and the hardware are told --------------------------------------------- */

/* Hopper's own: registers move from warps that need few to those of Base. All warps of a group of
 * four. */
template <int REGISTERS> __device__ __forceinline__ void take_registers()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
#endif
}

template <int REGISTERS> __device__ __forceinline__ void give_registers()
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
#endif
}

/* Keeps a value in a register: cheaper than computing it again for each image, which ptxas prefers.
 */
__device__ __forceinline__ uint32_t kept(uint32_t v)
{
    asm volatile("" : "+r"(v));
    return v;
}

/* The compiler takes an address for one that it can't compute anew. */
template <typename T> __device__ __forceinline__ void keep_address(const T *&p)
{
    asm volatile("" : "+l"(p));
}

__device__ __forceinline__ void prefetch_line(const void *at)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(at));
}

} // namespace

} // namespace ortho_fused

#endif
