/* ptx.cuh: what the header of this name in variants/fused does by PTX, in plain code. */
#ifndef ORTHO_TESTS_EMULATED_PTX_CUH
#define ORTHO_TESTS_EMULATED_PTX_CUH

#include "cuda_async.h"

#include <cuda.h>

namespace ortho_fused
{

namespace
{

template <int TABLE> inline uint32_t lop3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t d = 0;
    for (int bits = 0; bits < 8; bits++)
        if (TABLE >> bits & 1)
            d |= (bits & 4 ? a : ~a) & (bits & 2 ? b : ~b) & (bits & 1 ? c : ~c);
    return d;
}

/* ---- mma.m16n8k16 ---------------------------------------------------------------------------- */

/* A lane's, as the PTX ISA draws them. */
struct emulated_fragments {
    const uint32_t *a;
    uint32_t b[2];
    float *c;
};

/* A register's two elements. Register r of lane l has of A row l / 4 + 8 * (r % 2), columns from
 * l % 4 * 2 + 8 * (r / 2) on; of B column l / 4, rows from l % 4 * 2 + 8 * r on. */
template <float (*VALUE)(uint16_t)> inline void emulated_two(uint32_t v, float *to, int apart)
{
    to[0] = VALUE(static_cast<uint16_t>(v));
    to[apart] = VALUE(static_cast<uint16_t>(v >> 16));
}

/* c += a * b: products and their sum as good as exact, rounded once. */
template <float (*VALUE)(uint16_t)> inline void emulated_mma_of_warp(const uint64_t left[32])
{
    float a[16][16], b[16][8];
    const auto of = [&](int lane) {
        return reinterpret_cast<const emulated_fragments *>(left[lane]);
    };
    for (int l = 0; l < 32; l++) {
        for (int r = 0; r < 4; r++)
            emulated_two<VALUE>(of(l)->a[r], &a[l / 4 + 8 * (r % 2)][l % 4 * 2 + 8 * (r / 2)], 1);
        for (int r = 0; r < 2; r++)
            emulated_two<VALUE>(of(l)->b[r], &b[l % 4 * 2 + 8 * r][l / 4], 8);
    }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            double sum = of(l)->c[i];
            for (int k = 0; k < 16; k++)
                sum += static_cast<double>(a[l / 4 + 8 * (i / 2)][k]) * b[k][l % 4 * 2 + i % 2];
            of(l)->c[i] = static_cast<float>(sum);
        }
}

template <float (*VALUE)(uint16_t)>
inline void emulated_mma(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    const emulated_fragments mine = {a, {b0, b1}, c};
    emulated_together(reinterpret_cast<uintptr_t>(&mine), emulated_mma_of_warp<VALUE>);
}

inline void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    emulated_mma<ortho_fp16_to_float>(c, a, b0, b1);
}

inline void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    emulated_mma<ortho_bf16_to_float>(c, a, b0, b1);
}

inline void first_mma_f16(float d[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    d[0] = d[1] = d[2] = d[3] = 0;
    mma_f16(d, a, b0, b1);
}

inline void first_mma_bf16(float d[4], const uint32_t a[4], uint32_t b0, uint32_t b1)
{
    d[0] = d[1] = d[2] = d[3] = 0;
    mma_bf16(d, a, b0, b1);
}

/* ---- fp16, two and two ----------------------------------------------------------------------- */

/* f of both halves, exact before it is rounded. */
template <typename F> inline uint32_t emulated_halves(uint32_t a, uint32_t b, const F &f)
{
    const auto half = [&](int shift) -> uint32_t {
        return emulated_to_half(f(emulated_half(static_cast<uint16_t>(a >> shift)),
                                  emulated_half(static_cast<uint16_t>(b >> shift))))
            .bits;
    };
    return half(0) | half(16) << 16;
}

inline uint32_t half_add(uint32_t a, uint32_t b)
{
    return emulated_halves(a, b, [](double x, double y) { return x + y; });
}

inline uint32_t half_multiply(uint32_t a, uint32_t b)
{
    return emulated_halves(a, b, [](double x, double y) { return x * y; });
}

/* ---- shared memory --------------------------------------------------------------------------- */

inline uint4 load_shared_16(uint32_t at)
{
    return *emulated_shared<uint4>(at);
}

inline uint32_t load_shared_2(uint32_t at)
{
    return *emulated_shared<uint16_t>(at);
}

inline uint32_t load_shared_4(uint32_t at)
{
    return *emulated_shared<uint32_t>(at);
}

inline void store_shared_4(uint32_t at, uint32_t v)
{
    *emulated_shared<uint32_t>(at) = v;
}

inline float load_shared_float(uint32_t at)
{
    return *emulated_shared<float>(at);
}

inline void store_shared_float(uint32_t at, float v)
{
    *emulated_shared<float>(at) = v;
}

inline float2 load_shared_8(uint32_t at)
{
    return *emulated_shared<float2>(at);
}

inline void store_shared_8(uint32_t at, float a, float b)
{
    *emulated_shared<float2>(at) = {a, b};
}

inline void store_shared_16(uint32_t at, uint4 v)
{
    *emulated_shared<uint4>(at) = v;
}

inline void store_if(bool is, uint32_t at, float v)
{
    if (is)
        store_shared_float(at, v);
}

inline uint32_t add_shared_if(bool is, uint32_t at, uint32_t v)
{
    const uint32_t before = is ? load_shared_4(at) : 0;
    if (is)
        store_shared_4(at, before + v);
    return before;
}

inline void store_shared_if(bool is, uint32_t at, uint32_t v)
{
    if (is)
        store_shared_4(at, v);
}

inline void add_entry(uint32_t at, uint32_t entry, uint16_t alpha)
{
    uint16_t *const w = emulated_shared<uint16_t>(at);
    const double product = static_cast<double>(emulated_half(static_cast<uint16_t>(entry >> 16))) *
                           emulated_half(alpha);
    *w = emulated_to_half(product + emulated_half(*w)).bits;
}

inline unsigned char *dynamic_shared()
{
    return emulated_dynamic_shared();
}

/* What a lane has of four 8 x 8 matrices, and where a line of them is: line l % 8 of matrix l / 8.
 */
struct emulated_matrices {
    uint32_t at, *v;
};

/* Calls f(element, whose): all elements, and the register with the lane's two. Transposed: line
 * l % 4 * 2 + i of column l / 4 is element i of lane l. */
template <typename F> inline void emulated_each_element(const uint64_t left[32], const F &f)
{
    const auto of = [&](int lane) {
        return reinterpret_cast<const emulated_matrices *>(left[lane]);
    };
    for (int m = 0; m < 4; m++)
        for (int line = 0; line < 8; line++) {
            uint16_t *const elements =
                static_cast<uint16_t *>(emulated_shared_memory(of(8 * m + line)->at, 16));
            for (int column = 0; column < 8; column++)
                f(&elements[column], &of(column * 4 + line / 2)->v[m], line % 2 * 16);
        }
}

inline void emulated_load_matrices(const uint64_t left[32])
{
    emulated_each_element(left, [](const uint16_t *element, uint32_t *v, int shift) {
        *v = (*v & ~(0xffffu << shift)) | static_cast<uint32_t>(*element) << shift;
    });
}

inline void emulated_store_matrices(const uint64_t left[32])
{
    emulated_each_element(left, [](uint16_t *element, const uint32_t *v, int shift) {
        *element = static_cast<uint16_t>(*v >> shift);
    });
}

inline void load_transposed(uint32_t at, uint32_t v[4])
{
    const emulated_matrices mine = {at, v};
    emulated_together(reinterpret_cast<uintptr_t>(&mine), emulated_load_matrices);
}

inline void store_transposed(uint32_t at, uint4 v)
{
    uint32_t words[4] = {v.x, v.y, v.z, v.w};
    const emulated_matrices mine = {at, words};
    emulated_together(reinterpret_cast<uintptr_t>(&mine), emulated_store_matrices);
}

/* ---- copies ---------------------------------------------------------------------------------- */

inline void copy_16(uint32_t to, const void *from)
{
    emulated_copy_16(to, from);
}

inline void copy_16_hinted(uint32_t to, const void *from, uint64_t)
{
    emulated_copy_16(to, from);
}

inline void copies_commit()
{
    emulated_copies_commit();
}

template <int PENDING> inline void copies_wait()
{
    emulated_copies_wait(PENDING);
}

inline uint64_t weights_policy()
{
    return 0;
}

inline void bulk_piece(uint32_t to, const uint8_t *from, uint32_t bytes, uint32_t full, uint64_t)
{
    emulated_bulk_copy(to, from, bytes, full);
}

template <int SHARERS>
inline void bring_x(const CUtensorMap *map, uint32_t to, int, int, uint32_t full)
{
    emulated_bulk_copy(to, map->x, map->bytes, full);
}

/* ---- barriers -------------------------------------------------------------------------------- */

inline void barrier_init(uint32_t barrier, uint32_t arrivals)
{
    emulated_barrier_init(barrier, arrivals);
}

inline void barrier_arrive(uint32_t barrier)
{
    emulated_barrier_arrive(barrier, 0);
}

inline void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    emulated_barrier_arrive(barrier, bytes);
}

inline void barrier_wait(uint32_t barrier, uint32_t phase)
{
    emulated_barrier_wait(barrier, phase);
}

inline void barriers_show()
{
}

template <int NAME, int THREADS> inline void named_arrive()
{
    emulated_named_arrive(NAME, THREADS);
}

template <int NAME, int THREADS> inline void named_sync()
{
    emulated_named_sync(NAME, THREADS);
}

template <int NAME> inline void named_sync_of(int threads)
{
    emulated_named_sync(NAME, threads);
}

/* ---- what the compiler and the hardware are told --------------------------------------------- */

template <int REGISTERS> inline void take_registers()
{
}

template <int REGISTERS> inline void give_registers()
{
}

inline uint32_t kept(uint32_t v)
{
    return v;
}

template <typename T> inline void keep_address(const T *&)
{
}

inline void prefetch_line(const void *)
{
}

} // namespace

} // namespace ortho_fused

#endif
