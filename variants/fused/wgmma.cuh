/*
 * wgmma.cuh: the Hopper tensor cores' asynchronous products, both operands from shared memory: 64
 * rows of W by T tokens by 16 columns, or 64 tokens by T rows of W. sm_90a; elsewhere nothing is
 * compiled.
 */
#ifndef ORTHO_VARIANTS_FUSED_WGMMA_CUH
#define ORTHO_VARIANTS_FUSED_WGMMA_CUH

#include <stdint.h>

namespace ortho_fused
{

namespace
{

/* Writes of registers come before the products that use them. */
__device__ __forceinline__ void wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Until at most PENDING groups are on their way. */
template <int PENDING> __device__ __forceinline__ void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

/* A tile of 64 columns of W or x, 128 bytes a row or token, swizzled as TMA does it (PTX ISA,
 * "Matrix descriptor": 1024 bytes from 8 rows to the next, swizzling mode 1). */
__device__ __forceinline__ uint64_t wgmma_tile(uint32_t at)
{
    return static_cast<uint64_t>((at & 0x3ffff) >> 4) | static_cast<uint64_t>(1) << 16 |
           static_cast<uint64_t>(1024 >> 4) << 32 | static_cast<uint64_t>(1) << 62;
}

/* d += a * b. d[4 * j + i]: rows lane / 4 (i < 2) and lane / 4 + 8 of the warp's 16, tokens 8 * j +
 * 2 * (lane % 4) + i % 2. */
template <int T, int PARTS = 1> struct wgmma;

#define ORTHO_WGMMA_EIGHT(i)                                                                       \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]),    \
        "+f"(d[i + 6]), "+f"(d[i + 7])

template <> struct wgmma<32> {
    static __device__ __forceinline__ void run(float (&d)[16], uint64_t a, uint64_t b)
    {
        asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.f16.f16 "
                     "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, %16, %17, 1, 1, 1, "
                     "0, 0;"
                     : ORTHO_WGMMA_EIGHT(0), ORTHO_WGMMA_EIGHT(8)
                     : "l"(a), "l"(b));
    }
};

/* Sums of 64 tokens: their operands' numbers, and the operands. */
#define ORTHO_WGMMA_NAMES_0                                                                        \
    "%0,%1,%2,%3,%4,%5,%6,%7,"                                                                     \
    "%8,%9,%10,%11,%12,%13,%14,%15,"                                                               \
    "%16,%17,%18,%19,%20,%21,%22,%23,"                                                             \
    "%24,%25,%26,%27,%28,%29,%30,%31"
#define ORTHO_WGMMA_NAMES_1                                                                        \
    "%32,%33,%34,%35,%36,%37,%38,%39,"                                                             \
    "%40,%41,%42,%43,%44,%45,%46,%47,"                                                             \
    "%48,%49,%50,%51,%52,%53,%54,%55,"                                                             \
    "%56,%57,%58,%59,%60,%61,%62,%63"
#define ORTHO_WGMMA_NAMES_2                                                                        \
    "%64,%65,%66,%67,%68,%69,%70,%71,"                                                             \
    "%72,%73,%74,%75,%76,%77,%78,%79,"                                                             \
    "%80,%81,%82,%83,%84,%85,%86,%87,"                                                             \
    "%88,%89,%90,%91,%92,%93,%94,%95"
#define ORTHO_WGMMA_NAMES_3                                                                        \
    "%96,%97,%98,%99,%100,%101,%102,%103,"                                                         \
    "%104,%105,%106,%107,%108,%109,%110,%111,"                                                     \
    "%112,%113,%114,%115,%116,%117,%118,%119,"                                                     \
    "%120,%121,%122,%123,%124,%125,%126,%127"
#define ORTHO_WGMMA_SUMS(q)                                                                        \
    ORTHO_WGMMA_EIGHT(32 * (q)), ORTHO_WGMMA_EIGHT(32 * (q) + 8),                                  \
        ORTHO_WGMMA_EIGHT(32 * (q) + 16), ORTHO_WGMMA_EIGHT(32 * (q) + 24)

template <> struct wgmma<64> {
    static __device__ __forceinline__ void run(float (&d)[32], uint64_t a, uint64_t b)
    {
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" ORTHO_WGMMA_NAMES_0
                     "}, %32, %33, 1, 1, 1, 0, 0;"
                     : ORTHO_WGMMA_SUMS(0)
                     : "l"(a), "l"(b));
    }
};

/* 128 tokens, whose sums begin with those of 64-token part q. */
#define ORTHO_WGMMA_128(q, a, b)                                                                   \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" ORTHO_WGMMA_NAMES_0       \
                 "," ORTHO_WGMMA_NAMES_1 "}, %64, %65, 1, 1, 1, 0, 0;"                             \
                 : ORTHO_WGMMA_SUMS(q), ORTHO_WGMMA_SUMS(q + 1)                                    \
                 : "l"(a), "l"(b))

template <> struct wgmma<128> {
    static __device__ __forceinline__ void run(float (&d)[64], uint64_t a, uint64_t b)
    {
        ORTHO_WGMMA_128(0, a, b);
    }
};

template <> struct wgmma<192> {
    static __device__ __forceinline__ void run(float (&d)[96], uint64_t a, uint64_t b)
    {
        asm volatile("wgmma.mma_async.sync.aligned.m64n192k16.f32.f16.f16 {" ORTHO_WGMMA_NAMES_0
                     "," ORTHO_WGMMA_NAMES_1 "," ORTHO_WGMMA_NAMES_2 "}, %96, %97, 1, 1, 1, 0, 0;"
                     : ORTHO_WGMMA_SUMS(0), ORTHO_WGMMA_SUMS(1), ORTHO_WGMMA_SUMS(2)
                     : "l"(a), "l"(b));
    }
};

template <> struct wgmma<256> {
    static __device__ __forceinline__ void run(float (&d)[128], uint64_t a, uint64_t b)
    {
        asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {" ORTHO_WGMMA_NAMES_0
                     "," ORTHO_WGMMA_NAMES_1 "," ORTHO_WGMMA_NAMES_2 "," ORTHO_WGMMA_NAMES_3
                     "}, %128, %129, 1, 1, 1, 0, 0;"
                     : ORTHO_WGMMA_SUMS(0), ORTHO_WGMMA_SUMS(1), ORTHO_WGMMA_SUMS(2),
                       ORTHO_WGMMA_SUMS(3)
                     : "l"(a), "l"(b));
    }
};

/* In two, which reads `a` twice: where a launch gives so few registers that ptxas finds no room for
 * the operands of one. */
template <> struct wgmma<256, 2> {
    static __device__ __forceinline__ void run(float (&d)[128], uint64_t a, uint64_t b)
    {
        ORTHO_WGMMA_128(0, a, b);
        ORTHO_WGMMA_128(2, a, b + (128 * 128 >> 4));
    }
};

#undef ORTHO_WGMMA_128
#undef ORTHO_WGMMA_SUMS
#undef ORTHO_WGMMA_EIGHT
#undef ORTHO_WGMMA_NAMES_0
#undef ORTHO_WGMMA_NAMES_1
#undef ORTHO_WGMMA_NAMES_2
#undef ORTHO_WGMMA_NAMES_3

} // namespace

} // namespace ortho_fused

#endif
