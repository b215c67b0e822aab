/*
 * Every built-in CUDA GEMM in what a session never asks of it: fewer tokens than it was prepared
 * for, with the workspace that it names for them; and two calls at once on two streams, over one
 * state with separate workspaces.
 */
#include "common/account.h"
#include "kernels/split.h"
#include "testing.h"
#include "variants/table.h"

enum { N = 300, K = 1000, TOKENS = 80 };

typedef struct fixture {
    ob_options options;
    ob_session session;
    ob_work work;
    ortho_services host;
    ortho_split split;
    float *w;
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    ob_options_default(&f->options);
    f->session = (ob_session){
        .options = &f->options, .backend = &ob_backend_cuda, .dtype = ORTHO_F16, .threads = 2};
    ok(ob_backend_cuda.open(&f->session.queue));
    f->w = malloc((size_t)N * K * sizeof *f->w);
    assert_non_null(f->w);
    ob_fill_gaussian(f->w, ORTHO_F32, (int64_t)N * K, 1);
    f->work.w = (ortho_matrix){.rows = N, .cols = K, .stride = K, .dtype = ORTHO_F32, .data = f->w};
    f->host = ortho_services_default();
    ob_case c = {.density = 0.02, .nnz = N * K / 50, .group = 128};
    ok(ob_work_split(&f->session, &f->work, &c, &f->host, &f->split));
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    ortho_split_free(&f->split, &f->host);
    free(f->w);
    ob_backend_cuda.close(f->session.queue);
    free(f);
    return 0;
}

/* One variant's state, prepared for TOKENS tokens. */
typedef struct subject {
    ob_copier copier;
    ob_memory bench, own;
    ob_operands operands;
    ob_copy copy;
} subject;

/* False where the variant doesn't do this problem. */
static bool open_subject(const fixture *f, const ortho_variant *v, subject *s)
{
    *s = (subject){0};
    ob_memory_init(&s->bench, &ob_backend_cuda, 1024);
    ob_memory_init(&s->own, &ob_backend_cuda, 64);
    s->copier = (ob_copier){.session = &f->session,
                            .hooks = v->gemm,
                            .bench = &s->bench,
                            .services = ob_session_services(&f->session, &s->own)};
    ok(ob_operands_open(&f->session, &f->work, &f->split, TOKENS, &s->operands));
    ortho_status status = ob_copy_make(&s->copier, &s->operands, &s->copy);
    if (status != ORTHO_E_UNSUPPORTED)
        ok(status);
    return status == ORTHO_OK;
}

static void close_subject(subject *s)
{
    ob_copy_release(&s->copier, &s->copy);
    ob_operands_close(&s->operands);
    assert_int_equal(ob_memory_close(&s->own), 0);
    ob_memory_close(&s->bench);
}

static void fences_hold(subject *s)
{
    ok(ob_memory_check(&s->bench));
    ok(ob_memory_check(&s->own));
}

/* x, y and workspace for `operands`, of the sizes that they need and no more, over s's state. */
static ob_copy borrow(subject *s, const ob_operands *operands)
{
    ob_copy c = {.state = s->copy.state};
    c.workspace_bytes =
        s->copier.hooks->workspace != NULL
            ? s->copier.hooks->workspace(c.state, operands->m, s->copier.session->dtype)
            : 0;
    c.x = ob_memory_alloc(&s->bench, operands->x_bytes, ORTHO_DEVICE, ORTHO_WORKING);
    c.y = ob_memory_alloc(&s->bench, operands->y_bytes, ORTHO_DEVICE, ORTHO_WORKING);
    c.workspace = ob_memory_alloc(&s->bench, c.workspace_bytes, ORTHO_DEVICE, ORTHO_WORKING);
    assert_true(c.x != NULL && c.y != NULL && c.workspace != NULL);
    ok(ob_backend_cuda.upload(c.x, operands->x, operands->x_bytes));
    ok(ob_backend_cuda.fill(c.y, 0xff, operands->y_bytes));
    return c;
}

static void give_back(subject *s, ob_copy *c)
{
    ob_memory_free(&s->bench, c->workspace);
    ob_memory_free(&s->bench, c->y);
    ob_memory_free(&s->bench, c->x);
}

static ortho_status run_on(const subject *s, const ob_copy *c, int64_t m, cudaStream_t stream)
{
    ortho_gemm_call call = {.x = c->x,
                            .y = c->y,
                            .dtype = s->copier.session->dtype,
                            .m = m,
                            .alpha = (float)s->copier.session->options->alpha,
                            .workspace = c->workspace,
                            .threads = 2,
                            .stream = stream};
    return s->copier.hooks->run(c->state, &call);
}

static void check_fewer(const fixture *f, subject *s, int64_t m)
{
    ob_operands few;
    ob_verdict verdict = {0};
    ok(ob_operands_open(&f->session, &f->work, &f->split, m, &few));
    ob_copy c = borrow(s, &few);
    ortho_status status = run_on(s, &c, m, ob_backend_cuda.stream(f->session.queue));
    if (status == ORTHO_E_UNSUPPORTED) {
        print_message("  skipped: %lld tokens: %s\n", (long long)m, ortho_last_message());
    } else {
        ok(status);
        cuda_ok(cudaDeviceSynchronize());
        ok(ob_copy_check(&s->copier, &few, &c, &verdict));
    }
    fences_hold(s);
    give_back(s, &c);
    ob_operands_close(&few);
}

typedef void check_fn(const fixture *f, subject *s);

static void for_each_variant(fixture *f, check_fn *check)
{
    static const ortho_dtype dtypes[] = {ORTHO_F16, ORTHO_BF16, ORTHO_F32};
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->backend != ORTHO_CUDA || (*v)->gemm == NULL)
            continue;
        for (size_t d = 0; d < COUNT(dtypes); d++) {
            subject s;
            f->session.dtype = dtypes[d];
            print_message("%s, %s\n", (*v)->name, ob_dtype_word(dtypes[d]));
            if (open_subject(f, *v, &s))
                check(f, &s);
            close_subject(&s);
        }
    }
}

static void each_fewer(const fixture *f, subject *s)
{
    static const int64_t counts[] = {1, 2, 7, 8, 9, 16, 17, 33, 64, 79, TOKENS};
    for (size_t i = 0; i < COUNT(counts); i++)
        check_fewer(f, s, counts[i]);
}

static void fewer_tokens_than_prepared_for(void **state)
{
    for_each_variant(*state, each_fewer);
}

enum { AT_ONCE = 2, ROUNDS = 50 };

static void two_streams(const fixture *f, subject *s)
{
    cudaStream_t streams[AT_ONCE];
    ob_operands operands[AT_ONCE];
    ob_copy copies[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) {
        ok(ob_operands_open(&f->session, &f->work, &f->split, 1 + 32 * i, &operands[i]));
        copies[i] = borrow(s, &operands[i]);
        cuda_ok(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
    }
    cuda_ok(cudaDeviceSynchronize());
    bool skipped = false;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < AT_ONCE && !skipped; i++) {
            ortho_status status = run_on(s, &copies[i], operands[i].m, streams[i]);
            skipped = status == ORTHO_E_UNSUPPORTED;
            if (!skipped)
                ok(status);
        }
    cuda_ok(cudaDeviceSynchronize());
    if (skipped)
        print_message("  skipped: %s\n", ortho_last_message());
    for (int i = 0; i < AT_ONCE; i++) {
        ob_verdict verdict = {0};
        if (!skipped)
            ok(ob_copy_check(&s->copier, &operands[i], &copies[i], &verdict));
        cuda_ok(cudaStreamDestroy(streams[i]));
        give_back(s, &copies[i]);
        ob_operands_close(&operands[i]);
    }
    fences_hold(s);
}

static void one_state_on_two_streams(void **state)
{
    for_each_variant(*state, two_streams);
}

int main(void)
{
    if (gpu_is_missing())
        return OB_EXIT_SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_tokens_than_prepared_for),
        cmocka_unit_test(one_state_on_two_streams),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
