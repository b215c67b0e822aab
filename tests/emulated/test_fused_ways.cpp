/*
 * Which kernel `fused` takes a call by on a GPU: plain code of the host, over kernels that say what
 * they can. Without a table near the call few tokens of a small linear are narrow.cu's; what else
 * there is is wide.cu's, once.cu's or chunks.cu's, the soonest done of them, else batch.cu's, else
 * gemv.cu's; a table changes that, where the way that it names can take the call; a way that is
 * asked for and can't is refused. Where the kernels that stream weights can't run, direct.cu's
 * takes all, and nothing else is had.
 */
#include "common/error.h"
#include "variants/fused/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

extern "C" {
#include <cmocka.h>
}

/* ---- the kernels' words, and a GPU ----------------------------------------------------------- */

namespace ortho_fused
{

bool takes_batch(ortho_dtype dtype, int64_t m)
{
    return m >= 9 && dtype != ORTHO_F32;
}

bool takes_direct(const state &s, const ortho_gemm_call &call)
{
    return !s.bulk || call.m <= 64;
}

bool takes_narrow(const state &s, const ortho_gemm_call &call)
{
    return s.hopper && call.m >= 9 && call.m <= 1024 && call.dtype != ORTHO_F32;
}

bool takes_wide(const state &s, const ortho_gemm_call &call)
{
    return s.hopper && call.m >= 17 && call.dtype == ORTHO_F16 && call.alpha == 1;
}

int wide_form(const state &, int64_t m)
{
    return m >= 128 ? 5 : 3; /* W64X64_K4, W64X64 */
}

float wide_us(const state &, int64_t m, int)
{
    return static_cast<float>(m);
}

bool takes_chunks(const state &s, const ortho_gemm_call &call)
{
    return s.blas != nullptr && call.m >= 33 && call.dtype == ORTHO_F16 && call.alpha == 1;
}

float chunks_us(const state &, int64_t)
{
    return 1000;
}

bool takes_once(const state &s, const ortho_gemm_call &call)
{
    return s.sets != nullptr && call.m >= 300 && call.dtype == ORTHO_F16 && call.alpha == 1;
}

int once_form_of(const state &, int64_t m)
{
    return m >= 4096 ? 2 : 1;
}

float once_us(const state &, int64_t m, int)
{
    return 200 + static_cast<float>(m) / 4;
}

} // namespace ortho_fused

namespace
{

const ortho_tuned_row rows[] = {{1, "mma16"},   {16, "gemv"},     {64, "wgmma-64x64-k2"},
                                {256, "mma16"}, {2048, "no-way"}, {8192, "gemv"}};
const ortho_tuned_shape shapes[] = {{1024, 2048, 128, 0.01, ORTHO_F16, 6, rows}};

} // namespace

extern "C" const ortho_tuned_table ortho_tuned_tables[] = {
    {"fused", ORTHO_CUDA, "Another GPU", 0, 1, shapes},
    {"fused", ORTHO_CUDA, "Emulated GPU", 0, 1, shapes},
    {},
};

namespace
{

using namespace ortho_fused;

state state_of(int64_t n, bool hopper)
{
    ortho_split split = {};
    split.n = n;
    split.k = 2048;
    split.group = 128;
    split.nnz = n * split.k / 100;
    state s = {};
    s.bulk = true;
    s.hopper = hopper;
    s.multiprocessors = 132;
    s.w.s.units = static_cast<int>((n + 7) / 8);
    s.dtype = ORTHO_F16;
    s.tuned = find_tuned(&split);
    return s;
}

int way_for(const state &s, int64_t m, int asked, ortho_dtype dtype = ORTHO_F16, float alpha = 1)
{
    ortho_gemm_call call = {};
    call.m = m;
    call.dtype = dtype;
    call.alpha = alpha;
    call.way = asked;
    const int way = way_of(s, call);
    assert_int_equal(way_of_call(&s, &call), way);
    return way;
}

enum {
    M16_K2 = WAY_NARROW,
    M16_K4,
    W32X64 = WAY_WIDE,
    W32X64_K2,
    W32X64_K4,
    W64X64,
    W64X64_K2,
    W64X64_K4,
    LAST = WAY_WIDE + WIDE_FORMS - 1
};

void without_a_table_it_is_as_the_kernels_say(void **)
{
    const state s = state_of(5000, true), old = state_of(5000, false);
    assert_null(s.tuned.of[ORTHO_F16]);
    assert_int_equal(way_for(s, 1, 0), WAY_GEMV);
    assert_int_equal(way_for(s, 8, 0), WAY_GEMV);
    assert_int_equal(way_for(s, 9, 0), WAY_MMA16);
    assert_int_equal(way_for(s, 16, 0), WAY_MMA16);
    assert_int_equal(way_for(s, 17, 0), W64X64);
    assert_int_equal(way_for(s, 128, 0), W64X64_K4);
    assert_int_equal(way_for(s, 128, 0, ORTHO_F16, 0.3f), WAY_MMA16);
    assert_int_equal(way_for(s, 128, 0, ORTHO_BF16), WAY_MMA16);
    assert_int_equal(way_for(s, 128, 0, ORTHO_F32), WAY_GEMV);
    assert_int_equal(way_for(old, 128, 0), WAY_MMA16);
    assert_int_equal(usual_way(s, 128), W64X64_K4);
    assert_int_equal(usual_way(s, 9), WAY_MMA16);
}

/* wide.cu's time is m, once.cu's 200 + m / 4, chunks.cu's 1000. */
void the_soonest_is_taken_without_a_table(void **)
{
    once_sets sets = {};
    state s = state_of(5000, true);
    s.sets = &sets;
    s.blas = reinterpret_cast<ortho_cublas *>(&way_for); /* any */
    assert_int_equal(way_for(s, 128, 0), W64X64_K4);
    assert_int_equal(way_for(s, 299, 0), W64X64_K4);
    assert_int_equal(way_for(s, 300, 0), WAY_ONCE + 1);
    assert_int_equal(way_for(s, 3199, 0), WAY_ONCE + 1);
    assert_int_equal(way_for(s, 3201, 0), WAY_CUBLAS);
    assert_int_equal(way_for(s, 3201, 0, ORTHO_BF16), WAY_MMA16);
    assert_int_equal(way_for(s, 3201, 0, ORTHO_F16, 0.3f), WAY_MMA16);
    assert_int_equal(way_for(s, 299, WAY_ONCE), WAY_NONE);
    assert_int_equal(way_for(s, 300, WAY_ONCE), WAY_ONCE);
    s.blas = nullptr;
    assert_int_equal(way_for(s, 8192, 0), WAY_ONCE + 2);
    s.hopper = false;
    assert_int_equal(way_for(s, 300, 0), WAY_ONCE + 1);
}

void few_tokens_of_few_rows_are_split_along_k(void **)
{
    state s = state_of(4224, true), old = state_of(4224, false);
    s.w.s.images = 32;
    assert_int_equal(way_for(s, 8, 0), WAY_GEMV);
    assert_int_equal(way_for(s, 9, 0), M16_K2);
    assert_int_equal(way_for(s, 16, 0, ORTHO_BF16), M16_K2);
    assert_int_equal(way_for(s, 17, 0), W64X64);
    assert_int_equal(way_for(old, 16, 0), WAY_MMA16);
    s.w.s.images = 33;
    assert_int_equal(usual_way(s, 16), M16_K4);
    s.w.s.units++;
    assert_int_equal(way_for(s, 16, 0), WAY_MMA16);
}

void the_sooner_done_is_taken(void **)
{
    ortho_cublas *const there = reinterpret_cast<ortho_cublas *>(&way_for); /* any */
    state s = state_of(5000, true), old = state_of(5000, false);
    assert_int_equal(way_for(s, 1001, 0), W64X64_K4); /* there is no cuBLAS */
    s.blas = old.blas = there;
    assert_int_equal(way_for(s, 999, 0), W64X64_K4);
    assert_int_equal(way_for(s, 1001, 0), WAY_CUBLAS);
    assert_int_equal(way_for(old, 999, 0), WAY_CUBLAS); /* there is no other */
    assert_int_equal(way_for(old, 32, 0), WAY_MMA16);
    assert_int_equal(way_for(s, 33, WAY_CUBLAS), WAY_CUBLAS);
    assert_int_equal(way_for(s, 32, WAY_CUBLAS), WAY_NONE);
    assert_int_equal(usual_way(s, 4096), WAY_CUBLAS);
}

void a_table_decides_where_its_way_can_go(void **)
{
    const state s = state_of(1024, true), old = state_of(1024, false);
    assert_int_equal(way_for(s, 1, 0), WAY_GEMV); /* it says mma16, which takes no 1 */
    assert_int_equal(way_for(s, 16, 0), WAY_GEMV);
    assert_int_equal(way_for(s, 20, 0), WAY_GEMV);
    assert_int_equal(way_for(s, 64, 0), W64X64_K2);
    assert_int_equal(way_for(s, 200, 0), WAY_MMA16);
    assert_int_equal(way_for(s, 600, 0), W64X64_K4);  /* nothing near */
    assert_int_equal(way_for(s, 2048, 0), W64X64_K4); /* a way that there isn't */
    assert_int_equal(way_for(s, 8192, 0), W64X64_K4); /* gemv isn't for so many */
    assert_int_equal(way_for(s, 64, 0, ORTHO_F16, 0.3f), WAY_MMA16);
    assert_int_equal(way_for(s, 64, 0, ORTHO_BF16), WAY_MMA16);
    assert_int_equal(way_for(old, 64, 0), WAY_MMA16);
    assert_int_equal(usual_way(s, 64), W64X64_K2);
}

void a_way_that_is_asked_for_is_taken_or_refused(void **)
{
    const state s = state_of(1024, true), old = state_of(1024, false);
    for (int way = W64X64; way <= LAST; way++) {
        assert_int_equal(way_for(s, 17, way), way);
        assert_int_equal(way_for(s, 16, way), WAY_NONE);
        assert_int_equal(way_for(s, 17, way, ORTHO_BF16), WAY_NONE);
        assert_int_equal(way_for(old, 17, way), WAY_NONE);
    }
    for (int way = M16_K2; way <= M16_K4; way++) {
        assert_int_equal(way_for(s, 1024, way, ORTHO_BF16), way);
        assert_int_equal(way_for(s, 1025, way), WAY_NONE);
        assert_int_equal(way_for(s, 8, way), WAY_NONE);
        assert_int_equal(way_for(old, 17, way), WAY_NONE);
    }
    assert_int_equal(way_for(s, 64, WAY_MMA16), WAY_MMA16);
    assert_int_equal(way_for(s, 8, WAY_MMA16), WAY_NONE);
    assert_int_equal(way_for(s, 32, WAY_GEMV), WAY_GEMV);
    assert_int_equal(way_for(s, 33, WAY_GEMV), WAY_NONE);
    assert_int_equal(way_for(s, 33, WAY_GEMV, ORTHO_F32), WAY_GEMV);
    assert_int_equal(way_for(s, 1, WAY_DIRECT), WAY_DIRECT);
    assert_int_equal(way_for(s, 64, WAY_DIRECT, ORTHO_F32), WAY_DIRECT);
    assert_int_equal(way_for(s, 65, WAY_DIRECT), WAY_NONE);
    assert_int_equal(way_for(s, 64, LAST + 1), WAY_NONE);
    assert_int_equal(way_for(s, 64, -1), WAY_NONE);
    ortho_gemm_call call = {};
    call.m = 8;
    call.way = WAY_MMA16;
    assert_int_equal(refuse_way(call), ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), "way 2 (mma16) can't take 8 tokens"));
}

/* Kernels say that they could: cuBLAS is there, and a table names ways. */
void without_bulk_copies_direct_takes_all(void **)
{
    once_sets sets = {};
    state s = state_of(1024, false);
    s.sets = &sets;
    s.blas = reinterpret_cast<ortho_cublas *>(&way_for); /* any */
    s.bulk = false;
    for (const int64_t m : {1, 2, 8, 9, 16, 17, 64, 65, 300, 5000})
        for (const ortho_dtype dtype : {ORTHO_F16, ORTHO_BF16, ORTHO_F32})
            for (const float alpha : {0.0f, 0.3f, 1.0f}) {
                assert_int_equal(way_for(s, m, 0, dtype, alpha), WAY_DIRECT);
                for (int way = 1; way <= LAST; way++)
                    assert_int_equal(way_for(s, m, way, dtype, alpha),
                                     way == WAY_DIRECT ? WAY_DIRECT : WAY_NONE);
            }
    assert_int_equal(usual_way(s, 64), WAY_DIRECT);
    assert_int_equal(strcmp(way_names[WAY_DIRECT - 1], "mma16-direct"), 0);
}

void with_bulk_copies_direct_is_for_whoever_asks(void **)
{
    const state with[] = {state_of(1024, true), state_of(1024, false), state_of(5000, true),
                          state_of(5000, false)};
    for (const state &s : with)
        for (int64_t m = 1; m <= 128; m++)
            for (const ortho_dtype dtype : {ORTHO_F16, ORTHO_BF16, ORTHO_F32})
                assert_int_not_equal(way_for(s, m, 0, dtype), WAY_DIRECT);
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_table_it_is_as_the_kernels_say),
        cmocka_unit_test(the_soonest_is_taken_without_a_table),
        cmocka_unit_test(few_tokens_of_few_rows_are_split_along_k),
        cmocka_unit_test(the_sooner_done_is_taken),
        cmocka_unit_test(a_table_decides_where_its_way_can_go),
        cmocka_unit_test(a_way_that_is_asked_for_is_taken_or_refused),
        cmocka_unit_test(without_bulk_copies_direct_takes_all),
        cmocka_unit_test(with_bulk_copies_direct_is_for_whoever_asks),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
