/*
 * A NaN or an Inf in W is found by every CUDA sieve, told with its row and column, and forgotten:
 * the same state then sieves clean weights. No session gets that far, since readers refuse such
 * files. A sieve that takes a NaN for 0 (tests/bad) shows that this test sees one.
 */
#include "common/account.h"
#include "common/dtype.h"
#include "harness/plugin.h"
#include "kernels/sieve.h"
#include "kernels/split.h"
#include "testing.h"
#include "variants/table.h"

#include <math.h>

enum { N = 70, K = 300 };

typedef struct fixture {
    ob_queue *queue;
    ortho_services host;
} fixture;

typedef struct subject {
    const ortho_sieve_hooks *hooks;
    ob_memory memory;
    ortho_services services;
    ortho_sieve_problem problem;
    ortho_matrix w; /* on the device */
    void *state;
    ortho_split split;
} subject;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    f->host = ortho_services_default();
    ok(ob_backend_cuda.open(&f->queue));
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    ob_backend_cuda.close(f->queue);
    free(f);
    return 0;
}

/* Weights of dtype with `value` at element `at`; at < 0: nothing but good ones. */
static void upload_w(subject *s, int64_t at, float value)
{
    size_t bytes = (size_t)N * K * ortho_dtype_bytes(s->w.dtype);
    void *host = malloc(bytes);
    assert_non_null(host);
    ob_fill_gaussian(host, s->w.dtype, (int64_t)N * K, 3);
    if (at >= 0)
        ortho_dtype_store(s->w.dtype, host, at, value);
    ok(ob_backend_cuda.upload((void *)s->w.data, host, bytes));
    free(host);
}

static ortho_status open_subject(fixture *f, const ortho_variant *v, ortho_dtype dtype,
                                 ortho_rule rule, subject *s)
{
    *s = (subject){.hooks = v->sieve};
    ob_memory_init(&s->memory, &ob_backend_cuda, 64);
    s->services = ob_memory_services(&s->memory, 2);
    s->services.stream = ob_backend_cuda.stream(f->queue);
    s->w = (ortho_matrix){.rows = N, .cols = K, .stride = K, .dtype = dtype};
    s->w.data = ob_memory_alloc(&s->memory, (size_t)N * K * ortho_dtype_bytes(dtype), ORTHO_DEVICE,
                                ORTHO_WORKING);
    assert_non_null(s->w.data);
    s->problem = (ortho_sieve_problem){
        .w = &s->w, .density = 0.05, .nnz = N * K / 20, .rule = rule, .group = 128};
    ok(ortho_split_alloc(N, K, ortho_sieve_group(&s->problem), s->problem.nnz, &f->host,
                         ORTHO_OUTPUT, &s->split));
    size_t bytes = (s->hooks->state_size + 63) / 64 * 64;
    s->state = aligned_alloc(64, bytes > 0 ? bytes : 64);
    assert_non_null(s->state);
    memset(s->state, 0, bytes);
    ortho_status status =
        s->hooks->supports != NULL ? s->hooks->supports(&s->problem, &s->services) : ORTHO_OK;
    return status == ORTHO_OK ? s->hooks->prepare(s->state, &s->problem, &s->services) : status;
}

static void close_subject(fixture *f, subject *s, bool prepared)
{
    if (prepared)
        s->hooks->release(s->state, &s->services);
    free(s->state);
    ortho_split_free(&s->split, &f->host);
    ob_memory_free(&s->memory, (void *)s->w.data);
    assert_int_equal(ob_memory_close(&s->memory), 0);
}

static ortho_status sieve(subject *s)
{
    ortho_status status = s->hooks->run(s->state, &s->problem, &s->services);
    return status == ORTHO_OK ? s->hooks->export_split(s->state, &s->split, &s->services) : status;
}

/* "" when a bad weight at (row, column) is found and told; else what is wrong. */
static const char *fault_at(subject *s, int64_t row, int64_t column, float value)
{
    char where[64];
    upload_w(s, row * K + column, value);
    ob_expect_message();
    ortho_status status = sieve(s);
    snprintf(where, sizeof where, "row %lld, column %lld", (long long)row, (long long)column);
    if (status == ORTHO_OK)
        return "it was accepted";
    if (status != ORTHO_E_NONFINITE)
        return "another error was returned";
    if (strstr(ortho_last_message(), where) == NULL)
        return "its place isn't told";
    upload_w(s, -1, 0);
    return sieve(s) == ORTHO_OK && ortho_split_check(&s->split) == ORTHO_OK
               ? ""
               : "clean weights are refused afterwards";
}

static const char *fault_of(subject *s)
{
    static const struct {
        int64_t row, column;
        float value;
    } at[] = {{37, 211, NAN}, {0, 0, NAN}, {N - 1, K - 1, INFINITY}, {12, 128, -INFINITY}};
    const char *fault = "";
    for (size_t i = 0; fault[0] == '\0' && i < COUNT(at); i++)
        fault = fault_at(s, at[i].row, at[i].column, at[i].value);
    return fault;
}

/* 1 when something is wrong, which is told. */
static int check(fixture *f, const ortho_variant *v, ortho_dtype dtype, ortho_rule rule)
{
    int wrong = 0;
    subject s;
    ortho_status status = open_subject(f, v, dtype, rule, &s);
    if (status != ORTHO_E_UNSUPPORTED) {
        ok(status);
        const char *fault = fault_of(&s);
        wrong += fault[0] != '\0';
        if (fault[0] != '\0')
            print_error("%s, %s, rule %d: %s (%s)\n", v->name, ob_dtype_word(dtype), (int)rule,
                        fault, ortho_last_message());
        ok(ob_memory_check(&s.memory));
    }
    close_subject(f, &s, status == ORTHO_OK);
    return wrong;
}

static void each_sieve_finds_it(void **state)
{
    static const ortho_dtype dtypes[] = {ORTHO_F32, ORTHO_F16, ORTHO_BF16};
    int wrong = 0;
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->backend != ORTHO_CUDA || (*v)->sieve == NULL || (*v)->role != ORTHO_COMPETITOR)
            continue;
        print_message("%s\n", (*v)->name);
        for (size_t d = 0; d < COUNT(dtypes); d++)
            for (int rule = 0; rule <= ORTHO_RULE_LEGACY; rule++)
                wrong += check(*state, *v, dtypes[d], (ortho_rule)rule);
    }
    assert_int_equal(wrong, 0);
}

static const char *fault_of_plugin(fixture *f, const char *name)
{
    char path[512];
    const char *elsewhere = getenv("ORTHO_BAD");
    ob_plugin plugin;
    subject s;
    snprintf(path, sizeof path, "%s/%s.so", elsewhere != NULL ? elsewhere : BAD_DIR, name);
    ok(ob_plugin_load(path, &plugin));
    ok(open_subject(f, plugin.variant, ORTHO_F32, ORTHO_RULE_OUTLIER, &s));
    const char *fault = fault_of(&s);
    close_subject(f, &s, true);
    ob_plugin_unload(&plugin);
    return fault;
}

static void one_that_accepts_it_is_caught(void **state)
{
    assert_string_equal(fault_of_plugin(*state, "bad_cuda_sieve_not"), "");
    assert_string_equal(fault_of_plugin(*state, "bad_cuda_sieve_nan"), "it was accepted");
}

int main(void)
{
    if (gpu_is_missing())
        return OB_EXIT_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sieve_finds_it),
        cmocka_unit_test(one_that_accepts_it_is_caught),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
