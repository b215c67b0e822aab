/*
 * How a launch of few tokens is dealt: plain code of the host. Whatever the linear and the GPU,
 * every unit is some cluster's and every column some block's, no block has columns of two panels,
 * and what stands in shared memory fits and has a place of its own.
 */
#include "variants/fused/narrow_plan.h"
#include "variants/fused/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

extern "C" {
#include <cmocka.h>
}

namespace
{

using namespace ortho_fused;

/* Linears that share x, as one launch has them. */
narrow_group group_of(const shape *s, int count, int blocks, float density, int multiprocessors)
{
    narrow_group g = {};
    int64_t entries[GROUP_LINEARS];
    g.count = count;
    for (int i = 0; i < count; i++) {
        g.of[i].w.s = s[i];
        g.of[i].blocks = blocks;
        g.of[i].alpha = density > 0 ? 1.0f : 0.0f;
        entries[i] = static_cast<int64_t>(density * static_cast<float>(s[i].n * s[i].k));
    }
    assert_true(narrow_plan(&g, entries, multiprocessors));
    return g;
}

narrow_launch launch_of(const shape &s, int blocks, float density, int multiprocessors)
{
    return group_of(&s, 1, blocks, density, multiprocessors).of[0];
}

void every_unit_is_dealt(const narrow_launch &l)
{
    int next = 0;
    for (int c = 0; c < l.mine.count; c++) {
        const unit_range units = l.units_of(c);
        assert_int_equal(units.first, next);
        assert_in_range(units.count, 1, l.units_of(0).count);
        next += units.count;
    }
    assert_int_equal(next, l.w.s.units);
    assert_in_range(l.units_of(0).count, 1, NARROW_UNITS);
    assert_in_range(l.at.quads * QUAD_UNITS, l.units_of(0).count, NARROW_UNITS);
    assert_in_range(l.quads_ahead, 1, INT32_MAX);
    assert_in_range(1 << l.column_shift, 1, l.base);
    assert_int_equal(l.base % (1 << l.column_shift), 0); /* or a quad would be multiplied twice */
    assert_in_range(l.bringers, l.base, NARROW_WARPS);
    assert_in_range(l.base, 1, NARROW_WARPS - (l.alpha != 0));
}

void every_column_is_dealt(const narrow_launch &l)
{
    const shape &s = l.w.s;
    int next = 0;
    for (int b = 0; b < l.blocks; b++) {
        const image_range images = l.images[b];
        assert_int_equal(images.first, next);
        assert_in_range(images.count, 0, l.images[0].count);
        next += images.count;
        const int second = s.panel_first(0, 1);
        assert_true(s.panels_of(0) == 1 || next <= second || images.first >= second);
    }
    assert_int_equal(next, s.images);
}

void all_has_its_place(const narrow_launch &l)
{
    const narrow_layout &at = l.at;
    const int units = l.units_of(0).count, images = l.images[0].count, groups = l.w.s.groups;
    const bool patched = l.alpha != 0;
    const int senders = l.blocks * ((1 << l.column_shift) + patched);
    assert_int_equal(at.senders, senders);
    const struct {
        int begin, bytes, alignment;
    } pieces[] = {
        {at.weights, units * images * IMAGE_BYTES, 128},
        {at.x, images * IMAGE_TILE_BYTES, 128},
        {at.sums, (units + l.blocks - 1) / l.blocks * senders * UNIT_SUM_BYTES, 16},
        {at.chunks, patched ? l.ortho() * CHUNK_SLOTS * chunk_bytes(l.chunk) : 0, 16},
        {at.scales, units * images * groups * SCALE_BYTES, 16},
        {at.start, images * groups * TILE_TOKENS * 4, 4},
        {at.zeros, patched ? TILE_LINE : 0, 16},
        {at.rows, patched ? units * static_cast<int>(sizeof(unit_rows)) : 0, 8},
        {at.barriers, (at.quads + 1) * 8, 8},
    };
    int end = 0;
    for (const auto &p : pieces) {
        assert_int_equal(p.begin % p.alignment, 0);
        assert_true(p.begin >= end);
        end = p.begin + p.bytes;
    }
    assert_int_equal(at.bytes, end);
    assert_in_range(at.bytes, 1, BLOCK_MOST);
    assert_int_equal(at.unit_weights, images * IMAGE_BYTES);
    assert_int_equal(at.unit_scales, images * groups * SCALE_BYTES);
}

void any_linear_is_dealt(void **)
{
    for (const int64_t n : {1, 8, 100, 1024, 3072, 8192, 128256})
        for (const int64_t k : {1, 128, 700, 3072, 4224, 5248, 8192})
            for (const int64_t group : {32, 64, 128})
                for (const int multiprocessors : {1, 78, 132})
                    for (const int blocks : {2, 4})
                        for (const float density : {0.0f, 0.01f, 0.05f}) {
                            const narrow_launch l =
                                launch_of(shape_of(n, k, group, multiprocessors), blocks, density,
                                          multiprocessors);
                            every_unit_is_dealt(l);
                            every_column_is_dealt(l);
                            all_has_its_place(l);
                        }
}

/* Every cluster of the grid is some linear's, in order, and finds its own. */
void every_cluster_is_dealt(const narrow_group &g)
{
    int next = 0;
    for (int i = 0; i < g.count; i++) {
        const cluster_range mine = g.of[i].mine;
        assert_int_equal(mine.first, next);
        assert_in_range(mine.count, 1, g.of[i].w.s.units);
        for (int c = mine.first; c < mine.first + mine.count; c++)
            assert_ptr_equal(&g.of_cluster(c), &g.of[i]);
        next += mine.count;
        assert_in_range(g.of[i].at.bytes, 1, narrow_bytes(g));
    }
    assert_int_equal(g.clusters(), next);
}

void any_group_is_dealt(void **)
{
    for (const int64_t k : {128, 3072, 8192})
        for (const int multiprocessors : {1, 2, 78, 132})
            for (const int blocks : {2, 4})
                for (const float density : {0.0f, 0.05f}) {
                    const auto s = [&](int64_t n) { return shape_of(n, k, 128, multiprocessors); };
                    const shape all[GROUP_LINEARS] = {s(3072), s(1024), s(8), s(8192)};
                    for (int count = 1; count <= GROUP_LINEARS; count++) {
                        const narrow_group g =
                            group_of(all, count, blocks, density, multiprocessors);
                        every_cluster_is_dealt(g);
                        for (int i = 0; i < count; i++) {
                            every_unit_is_dealt(g.of[i]);
                            every_column_is_dealt(g.of[i]);
                            all_has_its_place(g.of[i]);
                        }
                    }
                }
}

/* q, k and v fill a wave: each takes its part of the multiprocessors, so that none ends late. */
void a_group_shares_a_wave(void **)
{
    const shape q = shape_of(3072, 3072, 128, 132), k = shape_of(1024, 3072, 128, 132);
    const shape all[] = {q, k, k};
    const narrow_group g = group_of(all, 3, 2, 0.01f, 132);
    assert_int_equal(g.clusters(), 66);
    for (int i = 0; i < 3; i++)
        assert_in_range(g.of[i].units_of(0).count, 9, 10);
}

/* As the kernel's notes say: launches of small linears overlap, those of large ones fill a wave. */
void two_blocks_share_a_multiprocessor_where_they_can(void **)
{
    constexpr int HALF = MULTIPROCESSOR_BYTES / 2 - BLOCK_RESERVED;
    const narrow_launch k = launch_of(shape_of(1024, 3072, 128, 132), 4, 0.05f, 132),
                        q = launch_of(shape_of(3072, 3072, 128, 132), 2, 0.01f, 132),
                        gate = launch_of(shape_of(8192, 3072, 128, 132), 2, 0, 132);
    assert_true(k.at.bytes <= HALF);
    assert_true(q.at.bytes <= HALF);
    assert_int_equal(k.mine.count, 32); /* one full quad each */
    assert_int_equal(gate.mine.count, 66);
}

} // namespace

int main(void)
{
    const CMUnitTest tests[] = {cmocka_unit_test(any_linear_is_dealt),
                                cmocka_unit_test(any_group_is_dealt),
                                cmocka_unit_test(a_group_shares_a_wave),
                                cmocka_unit_test(two_blocks_share_a_multiprocessor_where_they_can)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
