/*
 * Every CPU variant with an allocator whose n-th allocation fails, for each n: the hook says that
 * there was no memory, nothing stays allocated, and what already was prepared still works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/account.h"
#include "common/error.h"
#include "kernels/sieve.h"
#include "kernels/split.h"
#include "variants/table.h"

enum { N = 70, K = 200, NNZ = 280, TOKENS = 3, GROUP = 64 };

/* Services over an account, the n-th allocation of which fails. */
typedef struct allocator {
    ortho_account account;
    ortho_services honest;
    atomic_long calls;
    long fails_at; /* 0: never */
} allocator;

static void *failing_alloc(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    allocator *a = ctx;
    if (atomic_fetch_add(&a->calls, 1) + 1 == a->fails_at) {
        ortho_fail(ORTHO_E_MEMORY, "no memory for %zu bytes, says the test", bytes);
        return NULL;
    }
    return a->honest.alloc(a->honest.ctx, bytes, space, purpose);
}

static void failing_free(void *ctx, void *memory)
{
    allocator *a = ctx;
    a->honest.free(a->honest.ctx, memory);
}

static ortho_services failing(allocator *a)
{
    *a = (allocator){0};
    a->honest = ortho_account_services(&a->account, 2);
    ortho_services services = a->honest;
    services.ctx = a;
    services.alloc = failing_alloc;
    services.free = failing_free;
    return services;
}

static size_t held(const allocator *a)
{
    size_t bytes = 0;
    for (int i = 0; i < ORTHO_PURPOSES; i++)
        bytes += ortho_account_current(&a->account, (ortho_purpose)i);
    return bytes;
}

static void ok(ortho_status status)
{
    if (status != ORTHO_OK)
        fail_msg("%s: %s", ortho_status_name(status), ortho_last_message());
}

/* What each variant is given. */
typedef struct fixture {
    float w[N * K], x[TOKENS * K], y[TOKENS * N];
    ortho_matrix matrix;
    ortho_services host;
    ortho_split split, out;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    uint32_t x = 7;
    for (int i = 0; i < N * K; i++) {
        x = x * 1664525u + 1013904223u;
        f->w[i] = (float)(int32_t)x * 0x1p-36f;
        f->x[i % (TOKENS * K)] = (float)(x >> 8) * 0x1p-24f;
    }
    f->matrix = (ortho_matrix){.rows = N, .cols = K, .stride = K, .dtype = ORTHO_F32, .data = f->w};
    f->host = ortho_services_default();
    ok(ortho_split_alloc(N, K, GROUP, NNZ, &f->host, ORTHO_OUTPUT, &f->split));
    ok(ortho_split_alloc(N, K, GROUP, NNZ, &f->host, ORTHO_OUTPUT, &f->out));
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    ortho_split_free(&f->split, &f->host);
    ortho_split_free(&f->out, &f->host);
    free(f);
    return 0;
}

static void *new_state(size_t bytes)
{
    size_t padded = (bytes + 64) / 64 * 64;
    void *state = aligned_alloc(64, padded);
    assert_non_null(state);
    memset(state, 0, padded);
    return state;
}

/* The hook whose allocation failed says so. */
static void no_memory(const char *variant, const char *hook, ortho_status status)
{
    if (status != ORTHO_E_MEMORY)
        fail_msg("%s: %s: '%s' for a lack of memory", variant, hook, ortho_status_name(status));
    if (strstr(ortho_last_message(), "no memory") == NULL)
        fail_msg("%s: %s: '%s' doesn't tell of memory", variant, hook, ortho_last_message());
}

/* ---- sieves ---------------------------------------------------------------------------------- */

/* Calls `run` with each of its allocations failing, then with none. */
static void run_sieve(const ortho_variant *v, allocator *a, void *state,
                      const ortho_sieve_problem *p, const ortho_services *s)
{
    ortho_status status = ORTHO_OK;
    size_t before = held(a);
    for (long n = 1; n == 1 || status != ORTHO_OK; n++) {
        a->calls = 0;
        a->fails_at = n;
        status = v->sieve->run(state, p, s);
        if (a->calls >= n)
            no_memory(v->name, "sieve.run", status);
        else
            ok(status);
        assert_int_equal(held(a), before); /* temporaries are freed before it returns */
    }
}

static bool sieve_with(fixture *f, const ortho_variant *v, ortho_rule rule, long n)
{
    allocator a;
    const ortho_services s = failing(&a);
    ortho_sieve_problem p = {
        .w = &f->matrix, .density = 0.02, .nnz = NNZ, .rule = rule, .group = GROUP};
    ortho_split *out = rule == ORTHO_RULE_LEGACY ? NULL : &f->out; /* whose group is the row */
    void *state = new_state(v->sieve->state_size);
    a.fails_at = n;
    ortho_status status = v->sieve->prepare(state, &p, &s);
    bool failed = a.calls >= n;
    if (failed) {
        no_memory(v->name, "sieve.prepare", status);
    } else {
        ok(status);
        run_sieve(v, &a, state, &p, &s);
        a.fails_at = 0;
        if (out != NULL && v->role == ORTHO_COMPETITOR) { /* others have no split */
            ok(v->sieve->export_split(state, out, &s));
            ok(ortho_split_check(out));
        }
        v->sieve->release(state, &s);
    }
    if (held(&a) != 0)
        fail_msg("%s: %zu bytes stay allocated", v->name, held(&a));
    free(state);
    return failed;
}

static void sieves(void **state)
{
    int tried = 0;
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->backend != ORTHO_CPU || (*v)->sieve == NULL)
            continue;
        for (int rule = 0; rule <= ORTHO_RULE_LEGACY; rule++)
            for (long n = 1; sieve_with(*state, *v, (ortho_rule)rule, n); n++)
                tried++;
    }
    assert_true(tried > 20);
}

/* ---- GEMMs ----------------------------------------------------------------------------------- */

static void run_gemm(fixture *f, const ortho_variant *v, const void *state, float *y)
{
    size_t bytes = v->gemm->workspace != NULL ? v->gemm->workspace(state, TOKENS, ORTHO_F32) : 0;
    void *workspace = new_state(bytes);
    ortho_gemm_call call = {
        .x = f->x, .y = y, .m = TOKENS, .alpha = 1, .workspace = workspace, .threads = 2};
    ok(v->gemm->run(state, &call));
    free(workspace);
}

static bool gemm_with(fixture *f, const ortho_variant *v, long n)
{
    allocator a;
    const ortho_services s = failing(&a);
    ortho_gemm_problem p = {.n = N, .k = K, .m = TOKENS, .nnz = NNZ, .group = GROUP};
    p.dtype = ORTHO_F32;
    p.w = &f->matrix;
    if (v->gemm->supports != NULL && v->gemm->supports(&p, &s) != ORTHO_OK)
        return false;
    p.split = &f->split;
    void *state = new_state(v->gemm->state_size);
    a.calls = 0;
    a.fails_at = n;
    ortho_status status = v->gemm->prepare(state, &p, &s);
    bool failed = a.calls >= n;
    if (failed) {
        no_memory(v->name, "gemm.prepare", status);
    } else {
        ok(status);
        a.fails_at = 0;
        run_gemm(f, v, state, f->y);
        v->gemm->release(state, &s);
    }
    if (held(&a) != 0)
        fail_msg("%s: %zu bytes stay allocated", v->name, held(&a));
    free(state);
    return failed;
}

static void gemms(void **state)
{
    fixture *f = *state;
    ortho_sieve_problem p = {.w = &f->matrix, .density = 0.02, .nnz = NNZ, .group = GROUP};
    const ortho_variant *csr = ortho_variant_find("csr", ORTHO_CPU);
    void *sieve = new_state(csr->sieve->state_size);
    ok(csr->sieve->prepare(sieve, &p, &f->host));
    ok(csr->sieve->run(sieve, &p, &f->host));
    ok(csr->sieve->export_split(sieve, &f->split, &f->host));
    csr->sieve->release(sieve, &f->host);
    free(sieve);
    int tried = 0;
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->backend != ORTHO_CPU || (*v)->gemm == NULL)
            continue;
        for (long n = 1; gemm_with(f, *v, n); n++)
            tried++;
    }
    assert_true(tried > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sieves), cmocka_unit_test(gemms)};
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
