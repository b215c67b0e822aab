/*
 * Into what pieces a layer cuts a call: on a GPU, and on the CPU. The GPU is this test's own, its
 * memory the host's (the linker takes it and leaves the library's). So are the variants: they note
 * what they are asked, and compute nothing.
 */
#include "lib/forward.h"
#include "testing.h"
#include "variants/table.h"

enum { K = 8, N = 4, MOST_M = 2 * 8192 + 5, CALLS = 64 };

static struct notes {
    size_t a_token[3]; /* of each dtype: bytes that an output wants */
    int64_t prepared;  /* tokens */
    size_t leased;     /* bytes, the last */
    int calls, group_calls;
    ortho_gemm_call call[CALLS];
} notes;

/* ---- the GPU --------------------------------------------------------------------------------- */

struct ortho_gpu {
    ortho_account *account;
};

bool ortho_gpu_available(char why[256])
{
    *why = '\0';
    return true;
}

ortho_memory ortho_gpu_memory(const void *pointer, int *ordinal)
{
    (void)pointer, (void)ordinal;
    return ORTHO_MEMORY_HOST;
}

ortho_status ortho_gpu_open(ortho_account *account, ortho_gpu **out)
{
    *out = calloc(1, sizeof **out);
    assert_non_null(*out);
    (*out)->account = account;
    return ORTHO_OK;
}

void ortho_gpu_close(ortho_gpu *gpu)
{
    free(gpu);
}

void ortho_gpu_settle(ortho_gpu *gpu)
{
    (void)gpu;
}

int ortho_gpu_ordinal(const ortho_gpu *gpu)
{
    (void)gpu;
    return 0;
}

ortho_status ortho_gpu_enter(const ortho_gpu *gpu, ortho_gpu_scope *scope)
{
    (void)gpu, (void)scope;
    return ORTHO_OK;
}

void ortho_gpu_leave(const ortho_gpu_scope *scope)
{
    (void)scope;
}

ortho_services ortho_gpu_services(ortho_gpu *gpu, int threads)
{
    return ortho_account_services(gpu->account, threads);
}

bool ortho_gpu_reaches(const ortho_gpu *gpu, const void *pointer)
{
    (void)gpu, (void)pointer;
    return true;
}

ortho_status ortho_gpu_gather(const ortho_matrix *from, void *to)
{
    (void)from, (void)to;
    return ORTHO_E_UNSUPPORTED;
}

ortho_status ortho_gpu_wait(void)
{
    return ORTHO_OK;
}

/* Nobody writes there, so it may be of any size. */
ortho_status ortho_gpu_take(ortho_gpu *gpu, size_t bytes, void *stream, ortho_gpu_lease *out)
{
    (void)stream;
    notes.leased = bytes;
    *out = (ortho_gpu_lease){.memory = gpu};
    return ORTHO_OK;
}

ortho_status ortho_gpu_give(ortho_gpu *gpu, ortho_gpu_lease *lease)
{
    assert_ptr_equal(lease->memory, gpu);
    return ORTHO_OK;
}

/* ---- the variants ---------------------------------------------------------------------------- */

static ortho_status prepare(void *state, const ortho_gemm_problem *p, const ortho_services *sv)
{
    (void)sv;
    *(int64_t *)state = p->n;
    notes.prepared = p->m;
    return ORTHO_OK;
}

static size_t workspace(const void *state, int64_t m, ortho_dtype dtype)
{
    assert_true(m <= notes.prepared);
    return (size_t)(m * *(const int64_t *)state) * notes.a_token[dtype];
}

static ortho_status run(const void *state, const ortho_gemm_call *call)
{
    (void)state;
    assert_true(notes.calls < CALLS);
    notes.call[notes.calls++] = *call;
    return ORTHO_OK;
}

static ortho_status run_group(const void *const *states, const ortho_gemm_call *calls, int count)
{
    notes.group_calls++;
    for (int i = 0; i < count; i++)
        (void)run(states[i], &calls[i]);
    return ORTHO_OK;
}

static void release(void *state, const ortho_services *sv)
{
    (void)state, (void)sv;
}

static ortho_status export_split(const void *state, ortho_split *out, const ortho_services *sv)
{
    (void)state, (void)out, (void)sv;
    return ORTHO_E_UNSUPPORTED;
}

#define HOOKS                                                                                      \
    .state_size = sizeof(int64_t), .prepare = prepare, .run = run, .release = release,             \
    .export_split = export_split

static const ortho_gemm_hooks frugal_hooks = {HOOKS};
static const ortho_gemm_hooks hungry_hooks = {HOOKS, .workspace = workspace};
static const ortho_gemm_hooks together_hooks = {HOOKS, .workspace = workspace,
                                                .run_group = run_group};

static const ortho_variant frugal = {
    .name = "frugal", .backend = ORTHO_CUDA, .gemm = &frugal_hooks};
static const ortho_variant hungry = {
    .name = "hungry", .backend = ORTHO_CUDA, .gemm = &hungry_hooks};
static const ortho_variant together = {
    .name = "together", .backend = ORTHO_CUDA, .gemm = &together_hooks};
static const ortho_variant on_host = {
    .name = "hungry", .backend = ORTHO_CPU, .gemm = &hungry_hooks};

const ortho_variant *const ortho_variant_table[] = {&frugal, &hungry, &together, &on_host, NULL};

/* ---- layers ---------------------------------------------------------------------------------- */

static ortho_layer *layer_by(const char *variant, int device, int64_t n)
{
    const ortho_layer_options options = {
        .size = sizeof options, .device = device, .variant = variant};
    ortho_split split = split_new(n, K, K, 0);
    ortho_layer *layer = NULL;
    must(ortho_layer_from_split(&split, &options, &layer));
    split_free(&split);
    return layer;
}

static void forget(void)
{
    notes.calls = notes.group_calls = 0;
    notes.leased = 0;
}

/* A forward of m tokens: pieces of `piece`, one behind the other, and the rest. */
static void must_be_cut(const ortho_layer *layer, int64_t m, ortho_dtype dtype, int64_t piece)
{
    const size_t element = dtype == ORTHO_F32 ? 4 : 2;
    char *x = calloc((size_t)(m * K), element), *y = calloc((size_t)(m * N), element);
    assert_true(x != NULL && y != NULL);
    forget();
    must(ortho_layer_forward(layer, x, m, dtype, y, NULL));
    assert_int_equal(notes.calls, (m + piece - 1) / piece);
    for (int i = 0; i < notes.calls; i++) {
        const int64_t t = i * piece;
        assert_int_equal(notes.call[i].m, m - t < piece ? m - t : piece);
        assert_ptr_equal(notes.call[i].x, x + (size_t)(t * K) * element);
        assert_ptr_equal(notes.call[i].y, y + (size_t)(t * N) * element);
    }
    free(y);
    free(x);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_without_a_workspace(void **state)
{
    (void)state;
    ortho_layer *layer = layer_by("frugal", ORTHO_DEVICE_CUDA, N);
    assert_int_equal(notes.prepared, 8192);
    must_be_cut(layer, 1, ORTHO_F16, 8192);
    must_be_cut(layer, 8192, ORTHO_BF16, 8192);
    must_be_cut(layer, MOST_M, ORTHO_F32, 8192);
    assert_int_equal(notes.leased, 0);
    ortho_layer_free(layer);
}

/* 256 MiB are had, a byte more isn't; each dtype by itself; 512 tokens whatever they want. */
static void test_halved_for_a_workspace(void **state)
{
    (void)state;
    const size_t most = (size_t)256 << 20, fits = most / N / 8192;
    const size_t a_token[] = {[ORTHO_F32] = fits, [ORTHO_F16] = fits + 1, [ORTHO_BF16] = most};
    memcpy(notes.a_token, a_token, sizeof a_token);
    ortho_layer *layer = layer_by("hungry", ORTHO_DEVICE_CUDA, N);
    must_be_cut(layer, MOST_M, ORTHO_F32, 8192);
    assert_int_equal(notes.leased, most);
    must_be_cut(layer, MOST_M, ORTHO_F16, 4096);
    assert_int_equal(notes.leased, 4096 * N * (fits + 1));
    must_be_cut(layer, 3000, ORTHO_F16, 4096);
    assert_int_equal(notes.leased, 3000 * N * (fits + 1));
    must_be_cut(layer, MOST_M, ORTHO_BF16, 512);
    assert_int_equal(notes.leased, 512 * N * most);
    ortho_layer_free(layer);
}

/* Pieces of 512 tokens, whatever they want. */
static void test_the_cpu(void **state)
{
    (void)state;
    memset(notes.a_token, 0, sizeof notes.a_token);
    ortho_layer *layer = layer_by("hungry", ORTHO_DEVICE_CPU, N);
    assert_int_equal(notes.prepared, 512);
    must_be_cut(layer, MOST_M, ORTHO_F32, 512);
    ortho_layer_free(layer);
}

/* Two layers that would be cut into 8192 and 4096: alike, in one launch or in turn. */
static void check_group(const char *variant, int launches)
{
    enum { M = 8192 + 7 };
    const int64_t fits = ((int64_t)256 << 20) / N / 8192, wanted[] = {4096, 4096, 7};
    static char x[M * K * 4], a[M * N * 4], b[M * 2 * N * 4];
    ortho_layer *layers[] = {layer_by(variant, ORTHO_DEVICE_CUDA, N),
                             layer_by(variant, ORTHO_DEVICE_CUDA, 2L * N)};
    void *const y[] = {a, b};
    notes.a_token[ORTHO_F32] = (size_t)fits;
    must_be_cut(layers[0], M, ORTHO_F32, 8192);
    forget();
    must(ortho_group_forward((const ortho_layer *const *)layers, 2, x, M, ORTHO_F32, y, NULL));
    assert_int_equal(notes.group_calls, launches);
    assert_int_equal(notes.calls, 6);
    for (int i = 0; i < 6; i++) {
        const int which = launches > 0 ? i % 2 : i / 3, piece = launches > 0 ? i / 2 : i % 3;
        const int64_t t = piece * 4096L, n = which == 0 ? N : 2L * N;
        assert_int_equal(notes.call[i].m, wanted[piece]);
        assert_ptr_equal(notes.call[i].x, x + t * K * 4);
        assert_ptr_equal(notes.call[i].y, (char *)y[which] + t * n * 4);
    }
    ortho_layer_free(layers[1]);
    ortho_layer_free(layers[0]);
}

static void test_a_group_is_cut_alike(void **state)
{
    (void)state;
    check_group("together", 3);
    check_group("hungry", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_workspace),
        cmocka_unit_test(test_halved_for_a_workspace),
        cmocka_unit_test(test_the_cpu),
        cmocka_unit_test(test_a_group_is_cut_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
