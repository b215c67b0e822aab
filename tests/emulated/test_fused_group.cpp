/*
 * Linears that share x: which of them one launch of `fused` takes. Plain code of the host, over
 * kernels that note what they are given. Every linear is some launch's, in its own way or in
 * another form of that; none is taken twice, and no launch takes linears that can't go together.
 */
#include "common/error.h"
#include "variants/fused/group.cuh"
#include "variants/fused/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

extern "C" {
#include <cmocka.h>
}

/* ---- kernels that note what they are given --------------------------------------------------- */

namespace ortho_fused
{

static char launched[256];
static int group_form; /* what wide.cu says of several */
static const state *next_state;

static ortho_status note(const char *name, const void *const *states, int count, int form)
{
    char text[32];
    snprintf(text, sizeof text, "%s%d:%d ", name, form, count);
    strcat(launched, text);
    for (int i = 0; i < count; i++, next_state++)
        assert_ptr_equal(states[i], next_state);
    return ORTHO_OK;
}

/* A linear's way stands in its `group`. */
int way_of(const state &s, const ortho_gemm_call &call)
{
    return call.way != WAY_NONE ? call.way : static_cast<int>(s.group);
}

ortho_status refuse_way(const ortho_gemm_call &)
{
    return ORTHO_E_UNSUPPORTED;
}

int wide_group_form(const void *const *, const ortho_gemm_call *, int count)
{
    assert_in_range(count, 2, GROUP_LINEARS);
    return group_form;
}

ortho_status run_few(const void *const *states, const ortho_gemm_call *, int count)
{
    return note("few", states, count, 0);
}

ortho_status run_batch(const void *const *states, const ortho_gemm_call *, int count)
{
    return note("batch", states, count, 0);
}

ortho_status run_narrow(const void *const *states, const ortho_gemm_call *, int count, int form)
{
    assert_in_range(form, 0, NARROW_FORMS - 1);
    return note("narrow", states, count, form);
}

ortho_status run_wide(const void *const *states, const ortho_gemm_call *, int count, int form)
{
    assert_in_range(form, 0, WIDE_FORMS - 1);
    return note("wide", states, count, form);
}

ortho_status run_direct(const state &s, const ortho_gemm_call &)
{
    const void *const one = &s;
    return note("direct", &one, 1, 0);
}

ortho_status run_chunks(const state &s, const ortho_gemm_call &)
{
    const void *const one = &s;
    return note("chunks", &one, 1, 0);
}

ortho_status run_once(const state &s, const ortho_gemm_call &, int form)
{
    const void *const one = &s;
    return note("once", &one, 1, form);
}

} // namespace ortho_fused

namespace
{

using namespace ortho_fused;

struct linears {
    state s[ORTHO_GROUP_MAX];
    ortho_gemm_call calls[ORTHO_GROUP_MAX];
    int count;
};

/* Of these ways. */
template <int N> linears linears_of(const int (&ways)[N])
{
    linears l = {};
    l.count = N;
    for (int i = 0; i < N; i++) {
        l.s[i].group = ways[i];
        l.s[i].w.s.groups = 1;
        l.s[i].nnz = 1;
        l.calls[i].m = 16;
        l.calls[i].alpha = 1;
    }
    return l;
}

void must_launch(const linears &l, const char *wanted)
{
    const void *states[ORTHO_GROUP_MAX];
    for (int i = 0; i < l.count; i++)
        states[i] = &l.s[i];
    launched[0] = '\0';
    next_state = l.s;
    assert_int_equal(run_group(states, l.calls, l.count), ORTHO_OK);
    assert_string_equal(launched, wanted);
    assert_ptr_equal(next_state, l.s + l.count);
}

constexpr int K2 = WAY_NARROW, K4 = WAY_NARROW + 1, WIDE = WAY_WIDE;

void one_way_is_one_launch(void **)
{
    must_launch(linears_of({WAY_GEMV, WAY_GEMV, WAY_GEMV}), "few0:3 ");
    must_launch(linears_of({WAY_MMA16, WAY_MMA16}), "batch0:2 ");
    must_launch(linears_of({WAY_MMA16, WAY_GEMV, WAY_GEMV}), "batch0:1 few0:2 ");
    must_launch(linears_of({WAY_GEMV, WAY_GEMV, WAY_GEMV, WAY_GEMV, WAY_GEMV}), "few0:5 ");
    must_launch(linears_of({WAY_DIRECT, WAY_DIRECT}), "direct0:1 direct0:1 ");
    must_launch(linears_of({WAY_CUBLAS, WAY_CUBLAS}), "chunks0:1 chunks0:1 ");
    must_launch(linears_of({WAY_ONCE + 2, WAY_ONCE + 2}), "once2:1 once2:1 ");
}

void forms_of_one_kernel_go_together(void **)
{
    group_form = 7;
    must_launch(linears_of({K2, K4, K2}), "narrow0:3 ");
    must_launch(linears_of({K4, K2, WAY_MMA16}), "narrow1:2 batch0:1 ");
    must_launch(linears_of({WIDE + 1, WIDE, WIDE + 4}), "wide7:3 ");
    must_launch(linears_of({WIDE + 1, K2, K2}), "wide1:1 narrow0:2 ");
    must_launch(linears_of({K2, K2, K2, K2, K2, K2}), "narrow0:4 narrow0:2 ");
    must_launch(linears_of({WIDE, WIDE, WIDE, WIDE, WIDE}), "wide7:4 wide0:1 ");
}

void what_can_not_go_together_does_not(void **)
{
    linears l = linears_of({K2, K2, K2});
    l.s[1].nnz = 0; /* nothing to add: a launch of its own */
    must_launch(l, "narrow0:1 narrow0:1 narrow0:1 ");
    l.s[1].nnz = 1;
    l.calls[1].alpha = 0;
    must_launch(l, "narrow0:1 narrow0:1 narrow0:1 ");
    l = linears_of({WAY_GEMV, WAY_GEMV, WAY_GEMV});
    l.s[2].w.s.groups = 2;
    must_launch(l, "few0:2 few0:1 ");
    l = linears_of({WIDE, WIDE});
    l.s[1].w.s.groups = 4;
    must_launch(l, "wide0:1 wide0:1 ");
}

void alone_where_that_is_sooner(void **)
{
    group_form = -1;
    must_launch(linears_of({WIDE + 2, WIDE + 3, WIDE + 3}), "wide2:1 wide3:1 wide3:1 ");
}

void a_form_that_was_asked_for_is_taken(void **)
{
    group_form = 7;
    linears l = linears_of({WIDE, WIDE});
    l.calls[0].way = l.calls[1].way = WIDE + 5;
    must_launch(l, "wide5:2 ");
}

void a_way_that_can_not_go_is_refused(void **)
{
    const linears l = linears_of({WAY_NONE});
    const void *const one = &l.s[0];
    assert_int_equal(run_group(&one, l.calls, 1), ORTHO_E_UNSUPPORTED);
}

/* Whatever they have to do, all parts together are all there is. */
void parts_are_all_there_is(void **)
{
    for (const int all : {1, 30, 66, 132})
        for (const int64_t first : {1, 128, 384, 1024}) {
            const int64_t work[] = {first, 128, 129, 1};
            int64_t total = 0, before = 0;
            int parts = 0;
            for (const int64_t w : work)
                total += w;
            for (const int64_t w : work) {
                const int part = part_of_group(all, before, w, total);
                assert_in_range(part, 1, all * w / total + 1);
                parts += part;
                before += w;
            }
            assert_in_range(parts, all, all + 3);
        }
}

} // namespace

int main(void)
{
    const CMUnitTest tests[] = {cmocka_unit_test(one_way_is_one_launch),
                                cmocka_unit_test(forms_of_one_kernel_go_together),
                                cmocka_unit_test(what_can_not_go_together_does_not),
                                cmocka_unit_test(alone_where_that_is_sooner),
                                cmocka_unit_test(a_form_that_was_asked_for_is_taken),
                                cmocka_unit_test(a_way_that_can_not_go_is_refused),
                                cmocka_unit_test(parts_are_all_there_is)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
