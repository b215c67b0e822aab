/*
 * fused_linear.h: random linears, packed as `fused` packs them, for tests that run its kernels on a
 * CPU. All that a kernel may touch ends where a page begins that nobody may: who reads or writes
 * behind it ends the program.
 */
#ifndef ORTHO_TESTS_EMULATED_FUSED_LINEAR_H
#define ORTHO_TESTS_EMULATED_FUSED_LINEAR_H

#include "common/error.h"
#include "common/half.h"
#include "kernels/split.h"
#include "variants/fused/plan.h"
#include "variants/fused/state.h"

#include <algorithm>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "common/random.h"
}

namespace
{

using namespace ortho_fused;

/* ---- memory ---------------------------------------------------------------------------------- */

inline size_t page_bytes()
{
    return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

/* Bytes of 0xa5, behind which less than `alignment` is free before the page that nobody may touch.
 * A page before them keeps how many they all are. */
inline void *guarded_alloc(size_t bytes, size_t alignment)
{
    const size_t page = page_bytes(), mine = (bytes + alignment - 1) / alignment * alignment,
                 inner = std::max((mine + page - 1) / page * page, page), all = inner + 2 * page;
    void *const memory =
        mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return nullptr;
    char *const first = static_cast<char *>(memory);
    memcpy(first, &all, sizeof all);
    mprotect(first + page + inner, page, PROT_NONE);
    return memset(first + page + inner - mine, 0xa5, mine);
}

/* NULL is allowed. They begin in the first page behind the one that keeps how many they are. */
inline void guarded_free(void *p)
{
    size_t all = 0;
    if (p == nullptr)
        return;
    char *const first =
        static_cast<char *>(p) - reinterpret_cast<uintptr_t>(p) % page_bytes() - page_bytes();
    memcpy(&all, first, sizeof all);
    munmap(first, all);
}

inline void *service_alloc(void *, size_t bytes, ortho_space, ortho_purpose)
{
    return guarded_alloc(bytes, 64);
}

inline void service_free(void *, void *p)
{
    guarded_free(p);
}

inline ortho_services guarded_services()
{
    ortho_services s = {};
    s.alloc = service_alloc;
    s.free = service_free;
    s.fail = ortho_fail;
    s.threads = 1;
    return s;
}

/* ---- random numbers -------------------------------------------------------------------------- */

/* least .. most */
inline int draw(ortho_random *from, int least, int most)
{
    return least +
           static_cast<int>(ortho_random_below(from, static_cast<size_t>(most - least + 1)));
}

/* -1 .. 1 */
inline float draw_part(ortho_random *from)
{
    return static_cast<float>(draw(from, -(1 << 23), 1 << 23)) * 0x1p-23f;
}

template <typename T, size_t N> T pick_one(ortho_random *from, const T (&of)[N])
{
    return of[ortho_random_below(from, N)];
}

/* ---- a linear -------------------------------------------------------------------------------- */

struct recipe {
    int64_t n, k, group;
    int multiprocessors = 1;
    double density = 0; /* of entries; 0: there are none */
    bool full_row = true;
    bool few_bits = false; /* scales are powers of two, entries small multiples of 1/2 */
};

/* What is drawn, and its packed form as a kernel has it. */
struct packed_linear {
    ortho_split split;
    plan dealt;
    state fused;
};

/* Columns of a row's entries: every fifth row has none, and one may have all. */
inline std::vector<int64_t> draw_columns(const recipe &r, int64_t row, ortho_random *from)
{
    const bool full = r.full_row && r.density > 0 && row == r.n / 2;
    const double density = full ? 1 : row % 5 == 0 ? 0 : r.density * (1 + row % 3) / 2;
    std::vector<int64_t> columns;
    for (int64_t c = 0; c < r.k; c++)
        if (draw(from, 0, 9999) < density * 10000)
            columns.push_back(c);
    return columns;
}

inline void draw_entries(const recipe &r, ortho_random *from, const ortho_services *services,
                         ortho_split *out)
{
    std::vector<int64_t> columns;
    std::vector<int32_t> ends = {0};
    for (int64_t row = 0; row < r.n; row++) {
        const std::vector<int64_t> mine = draw_columns(r, row, from);
        columns.insert(columns.end(), mine.begin(), mine.end());
        ends.push_back(static_cast<int32_t>(columns.size()));
    }
    const int64_t count = ends.back();
    if (ortho_split_alloc(r.n, r.k, std::min(r.group, r.k), count, services, ORTHO_WORKING, out) !=
        ORTHO_OK)
        abort();
    std::copy(ends.begin(), ends.end(), out->row_ptr);
    for (int64_t i = 0; i < count; i++) {
        static_cast<uint16_t *>(out->col)[i] = static_cast<uint16_t>(columns[i]); /* k <= 65536 */
        out->val[i] = ortho_float_to_fp16(r.few_bits ? static_cast<float>(draw(from, -15, 15)) / 2
                                                     : 4 * draw_part(from));
    }
}

inline int64_t groups_of(const ortho_split &s)
{
    return (s.k + s.group - 1) / s.group;
}

inline void draw_base(const recipe &r, ortho_random *from, ortho_split *out)
{
    const int64_t bytes = (r.k + 1) / 2;
    for (int64_t i = 0; i < r.n * bytes; i++) /* nothing behind an odd k */
        out->q[i] =
            static_cast<uint8_t>(draw(from, 0, 255) & (2 * (i % bytes) + 1 < r.k ? 255 : 15));
    for (int64_t i = 0; i < r.n * groups_of(*out); i++)
        out->scale[i] =
            ortho_float_to_fp16(r.few_bits ? static_cast<float>(1 << draw(from, 0, 2)) / 2
                                           : 0.05f + 0.04f * draw_part(from));
}

inline int q_of(const ortho_split &s, int64_t row, int64_t column)
{
    const int byte = s.q[row * ((s.k + 1) / 2) + column / 2];
    return ((byte >> (column % 2 * 4) & 15) ^ 8) - 8;
}

inline uint16_t scale_of(const ortho_split &s, int64_t row, int64_t column)
{
    return s.scale[row * groups_of(s) + column / s.group];
}

/* A row of a unit in an image: as layout.cuh says; what isn't there has weights and scales of 0. */
inline void pack_row(const packed_linear &l, int unit, int image, int row, uint8_t *base)
{
    const shape &s = l.fused.w.s;
    const place at = image_place(s, unit, image);
    const int64_t from = static_cast<int64_t>(l.dealt.unit[unit]) * UNIT_ROWS + row;
    const auto exists = [&](int64_t column) { return from < s.n && column < s.k; };
    for (int c = 0; c < IMAGE_COLUMNS; c++) {
        const int64_t column = static_cast<int64_t>(image) * IMAGE_COLUMNS + c;
        const nibble_place p = nibble_of(c);
        const int q = exists(column) ? q_of(l.split, from, column) : 0;
        uint32_t *const lane =
            reinterpret_cast<uint32_t *>(base + at.nibbles) + (row * 4 + p.quad) * 4;
        lane[p.word] |= static_cast<uint32_t>(q + 8) << p.shift;
    }
    for (int g = 0; g < s.groups; g++) {
        const int64_t column = image * int64_t{IMAGE_COLUMNS} + g * (IMAGE_COLUMNS / s.groups);
        reinterpret_cast<uint16_t *>(base + at.scales)[g * UNIT_ROWS + row] =
            exists(column) ? scale_of(l.split, from, column) : 0;
    }
}

inline uint8_t *pack_base(const packed_linear &l)
{
    const shape &s = l.fused.w.s;
    const size_t bytes = static_cast<size_t>(s.base_bytes());
    uint8_t *const base = static_cast<uint8_t *>(guarded_alloc(bytes, 16));
    memset(base, 0, bytes);
    for (int unit = 0; unit < s.units; unit++)
        for (int image = 0; image < s.images; image++)
            for (int row = 0; row < UNIT_ROWS; row++)
                pack_row(l, unit, image, row, base);
    return base;
}

/* Packs the split anew. */
inline void pack(packed_linear *l, int multiprocessors)
{
    const ortho_services services = guarded_services();
    const shape s = shape_of(l->split.n, l->split.k, l->split.group, multiprocessors);
    l->dealt = {};
    if (plan_make(s, &l->split, &services, &l->dealt) != ORTHO_OK)
        abort();
    const plan &p = l->dealt;
    l->fused = {};
    l->fused.nnz = l->split.nnz;
    l->fused.w = {s, nullptr, p.steps, p.begin, p.unit, p.where, p.first, p.count};
    l->fused.w.base = pack_base(*l);
}

inline packed_linear make_linear(const recipe &r, ortho_random *from)
{
    const ortho_services services = guarded_services();
    packed_linear l;
    draw_entries(r, from, &services, &l.split);
    draw_base(r, from, &l.split);
    pack(&l, r.multiprocessors);
    return l;
}

inline void free_packed(packed_linear *l)
{
    const ortho_services services = guarded_services();
    guarded_free(const_cast<uint8_t *>(l->fused.w.base));
    plan_free(&l->dealt, &services);
}

inline void free_linear(packed_linear *l)
{
    const ortho_services services = guarded_services();
    free_packed(l);
    ortho_split_free(&l->split, &services);
}

} // namespace

#endif
