/* What variants promise besides their products (test_gemm.c): who can be saved, and who may refuse
 * a dtype. */
#include "common/account.h"
#include "common/error.h"
#include "variants/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The hook is optional, but the library serves only what can be saved: these can. (test_gemm.c and
 * cuda.layer hold what comes back against what went in, of every variant that has it.) */
static void competitors_export(void **unused)
{
    static const char *const names[] = {"csr", "warp-per-row", "block-csr", "coo"};
    int found = 0;
    (void)unused;
    for (int i = 0; i < 8; i++) {
        const ortho_variant *v = ortho_variant_find(names[i / 2], (ortho_backend)(i % 2));
        if (v != NULL && v->gemm->export_split == NULL)
            fail_msg("%s has no export_split", v->name);
        found += v != NULL;
    }
    assert_true(found >= 4);
}

/* A reference that keeps W rounded to one dtype refuses another, and leaves y as it was. */
static void dense_refuses_another_dtype(void **unused)
{
    (void)unused;
    float w[32] = {1}, x[8] = {1}, y[4] = {42};
    const ortho_matrix matrix = {4, 8, 8, ORTHO_F32, w};
    const ortho_variant *v = ortho_variant_find("dense", ORTHO_CPU);
    const ortho_gemm_problem problem = {
        .n = 4, .k = 8, .m = 1, .group = 8, .dtype = ORTHO_F16, .w = &matrix};
    const ortho_gemm_call call = {
        .x = x, .y = y, .dtype = ORTHO_F32, .m = 1, .alpha = 1, .threads = 1};
    ortho_services services = ortho_services_default();
    _Alignas(64) char state[1024] = {0};
    assert_true(v->gemm->state_size <= sizeof state);
    if (v->gemm->prepare(state, &problem, &services) != ORTHO_OK)
        skip(); /* no BLAS here */
    assert_int_equal(v->gemm->run(state, &call), ORTHO_E_UNSUPPORTED);
    assert_non_null(strstr(ortho_last_message(), "prepared for F16"));
    assert_true(y[0] == 42);
    v->gemm->release(state, &services);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(competitors_export),
        cmocka_unit_test(dense_refuses_another_dtype),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
