/*
 * How a launch of once.cu is dealt: plain code. Whatever the linear, the tokens and the GPU, every
 * tile is some cluster's, every image of every unit is unpacked once, what all begin with comes
 * first, and a workspace has room for it.
 */
#include "variants/fused/once_plan.h"
#include "variants/fused/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace
{

using namespace ortho_fused;

constexpr int ROWS[] = {128, 192, 256};
constexpr size_t WORKSPACE_MOST = size_t{64} << 20;

void every_tile_is_taken_once(const once_plan &p)
{
    std::vector<int> taken(static_cast<size_t>(p.tiles()));
    for (int i = 0; i < p.tiles(); i++) {
        const once_tile t = p.tile(i);
        assert_in_range(t.row, 0, p.row_tiles - 1);
        assert_in_range(t.pair, 0, p.token_pairs - 1);
        taken[static_cast<size_t>(t.row * p.token_pairs + t.pair)]++;
    }
    for (int count : taken)
        assert_int_equal(count, 1);
}

void every_image_is_unpacked_once(const shape &s, const once_plan &p)
{
    std::vector<int> taken(static_cast<size_t>(p.tasks()));
    int group = 0, chunk = 0;
    for (int i = 0; i < p.tasks(); i++) {
        const once_task t = p.task(i);
        assert_in_range(t.unit, 0, p.units - 1);
        assert_in_range(t.chunk, 0, p.chunks - 1);
        taken[static_cast<size_t>(t.unit * p.chunks + t.chunk)]++;
        /* group by group, chunk by chunk */
        assert_true(t.unit / p.group_units > group ||
                    (t.unit / p.group_units == group && t.chunk >= chunk));
        group = t.unit / p.group_units;
        chunk = t.chunk;
    }
    for (int count : taken)
        assert_int_equal(count, 1);
    assert_in_range(p.chunks * TASK_IMAGES, s.images, s.images + TASK_IMAGES - 1);
}

/* What clusters begin with is in the first group. */
void the_first_tiles_are_unpacked_first(const once_plan &p, int rows, int multiprocessors)
{
    for (int i = 0; i < p.tiles() && i < multiprocessors / ONCE_CLUSTER; i++)
        assert_in_range((p.tile(i).row + 1) * (rows / UNIT_ROWS), 1, p.group_units);
}

void check(int64_t n, int64_t k, int64_t tokens, int multiprocessors)
{
    const shape s = shape_of(n, k, 128, multiprocessors);
    for (int rows : ROWS) {
        const int all = once_row_tiles(s, rows), each = once_launch_tiles(s, rows);
        const size_t tile = static_cast<size_t>(rows * s.images) * IMAGE_COLUMNS * 2;
        int units = 0;
        for (int first = 0; first < all; first += each) {
            const once_plan p = once_plan_of(s, rows, tokens, multiprocessors, first);
            assert_int_equal(p.first, units);
            units += p.units;
            assert_in_range(p.row_tiles, 1, each);
            assert_in_range(p.token_pairs * ONCE_CLUSTER * ONCE_TOKENS, tokens,
                            tokens + ONCE_CLUSTER * ONCE_TOKENS - 1);
            assert_true(p.row_tiles == 1 || p.row_tiles * tile <= WORKSPACE_MOST);
            assert_in_range(p.row_tiles * p.chunks, 1, once_words(s, rows) - ONCE_CLAIMS);
            assert_true(once_counter_bytes(once_words(s, rows)) +
                            static_cast<size_t>(p.row_tiles) * tile <=
                        once_bytes(s, rows));
            every_tile_is_taken_once(p);
            every_image_is_unpacked_once(s, p);
            the_first_tiles_are_unpacked_first(p, rows, multiprocessors);
        }
        assert_int_equal(units, s.units);
    }
}

void all_is_dealt(void **)
{
    for (int64_t n : {1, 8, 127, 1024, 3072, 8192, 28672})
        for (int64_t k : {64, 640, 3072, 8192, 20000})
            for (int64_t tokens : {33, 256, 257, 2048})
                check(n, k, tokens, 132);
    check(3000, 3072, 1500, 2);
    check(3000, 3072, 1500, 78);
}

void a_set_belongs_to_a_workspace(void **)
{
    static uint8_t memory[once_sets::SETS * 512];
    char workspaces[once_sets::SETS + 1];
    once_sets sets = {};
    sets.memory = memory;
    sets.bytes = 512;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < once_sets::SETS; i++)
            assert_ptr_equal(once_counters_of(&sets, &workspaces[i]), memory + i * 512);
        assert_null(once_counters_of(&sets, &workspaces[once_sets::SETS]));
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(all_is_dealt),
                                cmocka_unit_test(a_set_belongs_to_a_workspace)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
