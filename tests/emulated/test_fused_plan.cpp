/*
 * How `fused` deals rows to the parts of a GPU and packs entries into steps: plain code of the
 * host. What is exported is what went in, bit for bit, for GPUs of several sizes; no part is loaded
 * with much more than its share.
 */
#include "common/error.h"
#include "kernels/split.h"
#include "variants/fused/plan.h"

#include <algorithm>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace
{

void *alloc(void *, size_t bytes, ortho_space, ortho_purpose)
{
    void *p = nullptr;
    if (posix_memalign(&p, 64, bytes > 0 ? bytes : 1) != 0)
        return nullptr;
    return memset(p, 0xa5, bytes);
}

void release(void *, void *p)
{
    free(p);
}

ortho_services services()
{
    ortho_services s = {};
    s.alloc = alloc;
    s.free = release;
    s.fail = ortho_fail;
    s.threads = 1;
    return s;
}

/* Rows of very unequal lengths, one of them full, some empty; values of 0 among the entries. */
ortho_split make(int64_t n, int64_t k, const ortho_services *s)
{
    std::vector<int64_t> lengths(static_cast<size_t>(n));
    int64_t nnz = 0, at = 0;
    for (int64_t r = 0; r < n; r++) {
        lengths[r] = r == n / 2 ? k : r % 3 == 0 ? 0 : (r * r * 37 + 11) % (k / 20 + 2);
        lengths[r] = std::min(lengths[r], k);
        nnz += lengths[r];
    }
    ortho_split split;
    assert_int_equal(
        ortho_split_alloc(n, k, std::min(k, int64_t{128}), nnz, s, ORTHO_WORKING, &split),
        ORTHO_OK);
    split.row_ptr[0] = 0;
    for (int64_t r = 0; r < n; r++) {
        for (int64_t i = 0; i < lengths[r]; i++, at++) {
            const int64_t column = i * k / lengths[r];
            if (k > 65536)
                static_cast<uint32_t *>(split.col)[at] = static_cast<uint32_t>(column);
            else
                static_cast<uint16_t *>(split.col)[at] = static_cast<uint16_t>(column);
            split.val[at] = static_cast<uint16_t>(at % 7 == 0 ? 0 : at * 2654435761u >> 17);
        }
        split.row_ptr[r + 1] = static_cast<int32_t>(at);
    }
    return split;
}

void must_be_dealt(const ortho_fused::shape &s, const ortho_fused::plan &p, const ortho_split &in)
{
    std::vector<int> seen(static_cast<size_t>(s.units));
    int64_t most = 0, heaviest = 0;
    for (int part = 0; part < s.parts; part++) {
        int64_t load = 0;
        for (int i = 0; i < s.units_of(part); i++) {
            const int64_t unit = p.unit[s.first_unit(part) + i];
            assert_in_range(unit, 0, s.units - 1);
            seen[static_cast<size_t>(unit)]++;
            const int64_t end = std::min(in.n, (unit + 1) * 8);
            const int64_t entries = in.row_ptr[end] - in.row_ptr[unit * 8];
            load += entries;
            heaviest = std::max(heaviest, entries);
        }
        most = std::max(most, load);
    }
    assert_int_equal(std::count(seen.begin(), seen.end(), 1), s.units);
    assert_true(most <= in.nnz / s.parts + heaviest);
}

int part_with(const ortho_fused::shape &s, int unit)
{
    int part = 0;
    while (unit >= s.first_unit(part + 1))
        part++;
    return part;
}

/* A row's entries stand where `first` and `count` say, in the order of their columns. */
void must_be_found(const ortho_fused::shape &s, const ortho_fused::plan &p, const ortho_split &in)
{
    for (int64_t u = 0; u < s.units * 8; u++) {
        const int64_t row = p.unit[u / 8] * int64_t{8} + u % 8;
        int64_t at = row < in.n ? in.row_ptr[row] : 0;
        const int part = part_with(s, static_cast<int>(u / 8));
        const int batch = (static_cast<int>(u / 8) - s.first_unit(part)) / ortho_fused::BATCH_UNITS;
        for (int w = 0; w < s.windows; w++) {
            const uint32_t *begin = p.begin + s.section(part, batch, w);
            const uint32_t *section = reinterpret_cast<const uint32_t *>(p.steps) + begin[0] * 128;
            int64_t entry = p.first[w * int64_t{s.units} * 8 + u] * int64_t{4};
            for (int image = w * 64; image < w * 64 + s.images_of(w); image++)
                for (int i = p.count[(u / 8 * s.images + image) * 8 + u % 8]; i > 0; i--) {
                    const int place = ortho_fused::segment_place(
                        static_cast<int>(begin[1] - begin[0]), static_cast<int>(entry / 4));
                    const uint32_t word = section[place * 4 + entry++ % 4];
                    assert_int_equal(word >> 16, in.val[at]);
                    assert_int_equal(w * 8192 + (word >> 1 & 8191), ortho_split_col(&in, at++));
                    assert_int_equal((w * 8192 + (word >> 1 & 8191)) / 128, image);
                }
        }
        assert_int_equal(at, row < in.n ? in.row_ptr[row + 1] : 0);
    }
}

/* Whether there is an index. */
bool check(int64_t n, int64_t k, int multiprocessors)
{
    const ortho_services s = services();
    ortho_split in = make(n, k, &s), out;
    const ortho_fused::shape sizes = ortho_fused::shape_of(n, k, 128, multiprocessors);
    ortho_fused::plan p = {};
    assert_int_equal(ortho_fused::plan_make(sizes, &in, &s, &p), ORTHO_OK);
    must_be_dealt(sizes, p, in);
    const bool indexed = p.count_bytes > 0;
    if (indexed)
        must_be_found(sizes, p, in);
    assert_int_equal(ortho_split_alloc(n, k, in.group, in.nnz, &s, ORTHO_WORKING, &out), ORTHO_OK);
    assert_int_equal(ortho_fused::plan_export(sizes, p, &s, &out), ORTHO_OK);
    assert_memory_equal(in.row_ptr, out.row_ptr, static_cast<size_t>(n + 1) * 4);
    assert_memory_equal(in.col, out.col, static_cast<size_t>(in.nnz) * ortho_split_col_bytes(k));
    assert_memory_equal(in.val, out.val, static_cast<size_t>(in.nnz) * 2);
    ortho_fused::plan_free(&p, &s);
    ortho_split_free(&out, &s);
    ortho_split_free(&in, &s);
    return indexed;
}

void entries_come_back(void **)
{
    const int64_t shapes[][2] = {{1, 1},      {7, 129},   {64, 3072},   {512, 3072},
                                 {1000, 300}, {33, 8193}, {200, 20000}, {20, 70001}};
    int indexed = 0;
    for (const auto &shape : shapes)
        for (int multiprocessors : {1, 7, 132})
            indexed += check(shape[0], shape[1], multiprocessors);
    print_message("  %d of 24 have an index\n", indexed);
    assert_in_range(indexed, 6, 24);
}

/* Bytes held, of those of an artifact, where rows have `density` of their columns, unevenly. */
double held(int64_t n, int64_t k, int64_t group, double density)
{
    const ortho_services s = services();
    std::vector<int64_t> ends(static_cast<size_t>(n) + 1);
    for (int64_t r = 0; r < n; r++) /* 0.5 to 1.5 times as many */
        ends[r + 1] = ends[r] + static_cast<int64_t>(density * k * (0.5 + r * 37 % 101 * 0.01) +
                                                     r * 61 % 97 / 97.0);
    ortho_split in;
    assert_int_equal(ortho_split_alloc(n, k, group, ends[n], &s, ORTHO_WORKING, &in), ORTHO_OK);
    for (int64_t r = 0; r < n; r++)
        for (int64_t at = ends[r]; at < ends[r + 1]; at++)
            static_cast<uint16_t *>(in.col)[at] =
                static_cast<uint16_t>((at - ends[r]) * k / (ends[r + 1] - ends[r]));
    std::copy(ends.begin(), ends.end(), in.row_ptr);
    const ortho_fused::shape sizes = ortho_fused::shape_of(n, k, group, 132);
    ortho_fused::plan p = {};
    assert_int_equal(ortho_fused::plan_make(sizes, &in, &s, &p), ORTHO_OK);
    const double bytes = static_cast<double>(sizes.base_bytes()) +
                         static_cast<double>(p.step_bytes + p.begin_bytes + p.unit_bytes +
                                             p.first_bytes + p.count_bytes);
    const double artifact =
        static_cast<double>(ortho_split_base_bytes(&in) + ortho_split_ortho_bytes(&in));
    if (density >= 0.01 && group <= 128) /* what wide.cu wants */
        assert_true(p.count_bytes > 0);
    ortho_fused::plan_free(&p, &s);
    ortho_split_free(&in, &s);
    return bytes / artifact;
}

/* The linears of Llama-3.2-3B on an H100. Beyond groups of 128 each image repeats its scales: 3 %
 * more, which with steps that few entries leave half empty is too much for k and v alone. */
void weights_are_held_once(void **)
{
    const int64_t linears[][2] = {{3072, 3072}, {1024, 3072}, {8192, 3072}, {3072, 8192}};
    for (const auto &l : linears)
        for (double density : {0.0, 0.0001, 0.001, 0.005, 0.01, 0.05}) {
            for (int64_t group : {32, 64, 128})
                assert_true(held(l[0], l[1], group, density) <= 1.05);
            if (l[0] > 1024)
                assert_true(held(l[0], l[1], l[1], density) <= 1.05);
        }
    assert_true(held(1024, 3072, 3072, 0.001) > 1.05);
}

/* Segments of a section have a place each, a lane's of a bundle follow each other, and three warps
 * can take the bundles in equal shares. */
void segments_have_places(void **)
{
    for (int steps = 1; steps < 300; steps++) {
        const int each = ortho_fused::bundle_steps(steps), bundles = (steps + each - 1) / each;
        std::vector<int> segment(static_cast<size_t>(steps * 32), -1);
        for (int i = 0; i < steps * 32; i++) {
            int &here = segment.at(static_cast<size_t>(ortho_fused::segment_place(steps, i)));
            assert_int_equal(here, -1);
            here = i;
        }
        for (int step = 1; step < steps; step++)
            for (size_t lane = 0; step % each != 0 && lane < 32; lane++) {
                const size_t at = static_cast<size_t>(step) * 32 + lane;
                assert_int_equal(segment[at], segment[at - 32] + 1);
            }
        assert_in_range(each, 1, ortho_fused::BUNDLE_STEPS);
        assert_in_range((bundles + 2) / 3 * each, 1, steps / 3 + each);
    }
}

/* Every image and its scales have a place of their own, and together they fill Base. */
void images_fill_base(void **)
{
    for (int64_t group : {32, 64, 128})
        for (int64_t k : {100, 3072, 5700, 8192, 9000}) {
            const ortho_fused::shape s = ortho_fused::shape_of(300, k, group, 7);
            std::vector<int> used(static_cast<size_t>(s.base_bytes() / 16));
            for (int unit = 0; unit < s.units; unit++)
                for (int image = 0; image < s.images; image++) {
                    const ortho_fused::place at = ortho_fused::image_place(s, unit, image);
                    for (int i = 0; i < ortho_fused::IMAGE_BYTES / 16; i++)
                        used.at(static_cast<size_t>(at.nibbles / 16 + i))++;
                    for (int i = 0; i < s.groups; i++)
                        used.at(static_cast<size_t>(at.scales / 16 + i))++;
                }
            assert_int_equal(std::count(used.begin(), used.end(), 1),
                             static_cast<int64_t>(used.size()));
        }
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back), cmocka_unit_test(segments_have_places),
        cmocka_unit_test(weights_are_held_once), cmocka_unit_test(images_fill_base)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
