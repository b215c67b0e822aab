/* The order of a sieve's work: every unit once, shard after shard, and within a few layers the
 * large ones apart from each other. */
#define _GNU_SOURCE /* mkdtemp */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/plan.h"
#include "tests/unit/pipeline_files.h"

enum { TOGETHER = 7 }; /* layers that are mixed */

static ortho_plan *planned(void **state, int shards)
{
    char folder[256];
    ortho_plan *plan = NULL;
    ortho_plan_options options = {.sieve = {.size = sizeof options.sieve, .density = 0.02}};
    made_checkpoint m = {.folder = at(state, "model", folder),
                         .layers = 10,
                         .shards = shards,
                         .n = 64,
                         .k = 32,
                         .seed = 3};
    made_checkpoint_write(&m);
    ok(ortho_plan_make(folder, &options, &plan));
    assert_int_equal(plan->layer_count, 20);
    return plan;
}

/* The sizes of a shard's layers as they are worked on; how many there are. */
static int sizes(const ortho_plan *plan, int32_t shard, uint64_t out[32])
{
    int count = 0;
    for (int64_t i = 0; i < plan->unit_count; i++)
        if (plan->units[i].shard == shard && plan->units[i].layer >= 0)
            out[count++] = plan->units[i].from_bytes;
    return count;
}

/* Weights of F32 take twice what those of the others do: they lie three layers apart. */
static void large_ones_take_turns(void **state)
{
    for (int shards = 1; shards <= 2; shards++) {
        ortho_plan *plan = planned(state, shards);
        int differ = 0;
        for (int32_t s = 0; s < plan->shard_count; s++) {
            uint64_t bytes[32];
            int count = sizes(plan, s, bytes);
            assert_int_equal(count, 20 / shards);
            for (int i = 0; i < count; i++)
                for (int j = i / TOGETHER * TOGETHER; j < count && j / TOGETHER == i / TOGETHER;
                     j++)
                    if (i % TOGETHER % 2 == 0 && j % TOGETHER % 2 == 1) {
                        assert_true(bytes[i] <= bytes[j]);
                        differ += bytes[i] < bytes[j];
                    }
        }
        assert_true(differ > 0);
        ortho_plan_free(plan);
    }
}

static void every_unit_is_there_once(void **state)
{
    ortho_plan *plan = planned(state, 2);
    uint64_t from = 0, to = 0;
    for (int64_t i = 0; i < plan->unit_count; i++) {
        const ortho_unit *u = &plan->units[i];
        from += u->from_bytes;
        to += u->to_bytes;
        assert_true(i == 0 || u->shard >= plan->units[i - 1].shard);
        for (int64_t j = 0; j < i; j++)
            assert_true(plan->units[j].shard != u->shard || plan->units[j].to != u->to);
    }
    assert_true(from == plan->from_bytes && to == plan->to_bytes);
    for (int32_t s = 0; s < plan->shard_count; s++)
        to -= plan->shards[s].header.data_bytes;
    assert_true(to == 0);
    ortho_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_ones_take_turns, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(every_unit_is_there_once, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
