/*
 * What polls, prefetches and splits, many times: the first launch of each form must be right, by
 * the CPU's layers, and each one after it must give its very bits. ORTHO_STRESS: launches of a
 * form; by default few. Launches are recorded as graphs, so that each follows the one before within
 * a microsecond, and their outputs are kept apart, so that every one of them is looked at
 * (alike.cu).
 */
#include "alike.h"
#include "served.h"

#define BATCH    500         /* launches of a graph, at most */
#define OUTPUTS  (256 << 20) /* bytes of all its launches, at most */
#define GROUP    3
#define PASS     6
#define TOKENS   1408 /* of the largest batch */
#define LAUNCHES 2000

typedef struct form {
    const char *name;
    size_t bytes;     /* of a launch's outputs */
    const linear *of; /* a batch's */
    int tokens, way;  /* 0: the variant's choice */
    void *workspace;  /* of a way */
    launch_fn *launch;
    void (*check)(const struct form *f, const char *y); /* outputs on the host against the CPU's */
    cudaStream_t stream;
    char *y; /* of all launches */
} form;

static linear square, small[GROUP - 1], wide, down; /* 3072 and 8192 columns: both sizes of panel */
static ortho_pass *pass;
static ortho_pass_step steps[PASS];
static void *x, *host_x;

/* ---- the forms ------------------------------------------------------------------------------- */

static char *y_of(const form *f, int i)
{
    return f->y + (size_t)i * f->bytes;
}

static ortho_status launch_single(const void *what, int i)
{
    const form *f = what;
    return ortho_layer_forward(square.gpu, x, 1, ORTHO_F16, y_of(f, i), f->stream);
}

static void check_single(const form *f, const char *y)
{
    (void)f;
    must_be_near(&square, host_x, 1, ORTHO_F16, 1.0f, y);
}

static ortho_status launch_batch(const void *what, int i)
{
    const form *f = what;
    if (f->way > 0)
        return forward_in_way(f->of->gpu, x, f->tokens, f->way, y_of(f, i), f->workspace,
                              f->stream);
    return ortho_layer_forward(f->of->gpu, x, f->tokens, ORTHO_F16, y_of(f, i), f->stream);
}

static void check_batch(const form *f, const char *y)
{
    /* The first and the last of them: the CPU takes its time. */
    const int some = f->tokens < 16 ? f->tokens : 16, rest = f->tokens - some;
    const size_t n = (size_t)f->of->split.n, k = (size_t)f->of->split.k;
    must_be_near(f->of, host_x, some, ORTHO_F16, 1.0f, y);
    must_be_near(f->of, (const char *)host_x + 2 * k * (size_t)rest, some, ORTHO_F16, 1.0f,
                 y + 2 * n * (size_t)rest);
}

/* Linears' outputs, one behind the other, each [tokens][n]. */
static ortho_status launch_group(const void *what, int i)
{
    const form *f = what;
    const size_t row = 2 * (size_t)f->tokens;
    char *y = y_of(f, i);
    const ortho_layer *layers[GROUP] = {square.gpu, small[0].gpu, small[1].gpu};
    void *const to[GROUP] = {y, y + row * 3072, y + row * 4096};
    return ortho_group_forward(layers, GROUP, x, f->tokens, ORTHO_F16, to, f->stream);
}

static void check_group(const form *f, const char *y)
{
    const size_t row = 2 * (size_t)f->tokens;
    must_be_near(&square, host_x, f->tokens, ORTHO_F16, 1.0f, y);
    must_be_near(&small[0], host_x, f->tokens, ORTHO_F16, 1.0f, y + row * 3072);
    must_be_near(&small[1], host_x, f->tokens, ORTHO_F16, 1.0f, y + row * 4096);
}

static ortho_status launch_pass(const void *what, int i)
{
    const form *f = what;
    return ortho_pass_forward(pass, x, y_of(f, i), f->stream);
}

/* Each step on the x it saw, which is rounded. */
static void check_pass(const form *f, const char *y)
{
    (void)f;
    const linear *of[PASS] = {&square, &small[0], &square, &wide, &down, &square};
    const char *at = y;
    for (int i = 0; i < PASS; at += 2 * of[i++]->split.n)
        must_be_near(of[i], steps[i].x_at < 0 ? host_x : y + 2 * steps[i].x_at, 1, ORTHO_F16,
                     steps[i].scale, at);
}

/* ---- many of them ---------------------------------------------------------------------------- */

static long launches_wanted(void)
{
    const char *text = getenv("ORTHO_STRESS");
    const long asked = text != NULL ? strtol(text, NULL, 10) : LAUNCHES;
    return asked > BATCH ? asked : BATCH;
}

static void must_repeat(form *f)
{
    const size_t most = OUTPUTS / f->bytes;
    const int batch = most < BATCH ? (int)most : BATCH;
    const size_t all = f->bytes * (size_t)batch;
    f->y = device_copy(NULL, all);
    cuda_ok(cudaStreamCreateWithFlags(&f->stream, cudaStreamNonBlocking));
    ok(f->launch(f, 0));
    cuda_ok(cudaStreamSynchronize(f->stream));
    char *first = fetched(f->y, f->bytes);
    f->check(f, first);
    void *wanted_y = device_copy(first, f->bytes);
    cudaGraphExec_t exec = recorded(f->stream, f->launch, f, batch);
    long done = 0;
    for (const long wanted = launches_wanted(); done < wanted; done += batch) {
        cuda_ok(cudaMemsetAsync(f->y, 0xff, all, f->stream));
        cuda_ok(cudaGraphLaunch(exec, f->stream));
        int unlike = -1;
        cuda_ok(find_unlike(wanted_y, f->y, f->bytes, batch, f->stream, &unlike));
        if (unlike >= 0)
            fail_msg("%s: launch %ld differs from the first", f->name, done + unlike);
    }
    print_message("  %s: %ld launches, all alike\n", f->name, done);
    cuda_ok(cudaGraphExecDestroy(exec));
    cuda_ok(cudaStreamDestroy(f->stream));
    free(first);
    cuda_ok(cudaFree(wanted_y));
    cuda_ok(cudaFree(f->y));
}

/* Or all would seem alike. */
static void a_difference_is_found(void **state)
{
    const uint32_t outputs[3][2] = {{1, 2}, {1, 2}, {1, 3}};
    void *wanted = device_copy(outputs[0], sizeof outputs[0]);
    void *all = device_copy(outputs, sizeof outputs);
    int unlike = 0;
    (void)state;
    cuda_ok(find_unlike(wanted, all, sizeof outputs[0], 2, NULL, &unlike));
    assert_int_equal(unlike, -1);
    cuda_ok(find_unlike(wanted, all, sizeof outputs[0], 3, NULL, &unlike));
    assert_int_equal(unlike, 2);
    cuda_ok(cudaFree(all));
    cuda_ok(cudaFree(wanted));
}

/* Every way that can take so many, or so few, tokens: some of a tile are missing. */
static void ways_repeat(void)
{
    const int many = 300, few = 20;
    for (int i = 1; i <= way_count(square.gpu); i++) {
        const bool takes_many = way_of_layer(square.gpu, x, many, i) != NULL;
        const int tokens = takes_many ? many : few;
        const char *way = way_of_layer(square.gpu, x, tokens, i);
        if (way == NULL) /* on this GPU */
            continue;
        char name[64];
        snprintf(name, sizeof name, "%s, %d tokens", way, tokens);
        form f = {.name = name,
                  .bytes = 2 * 3072 * (size_t)tokens,
                  .of = &square,
                  .tokens = tokens,
                  .way = i,
                  .workspace = way_workspace(square.gpu, tokens),
                  .launch = launch_batch,
                  .check = check_batch};
        must_repeat(&f);
        cuda_ok(cudaFree(f.workspace));
    }
}

static void launches_repeat(void **state)
{
    form forms[] = {
        {.name = "single", .bytes = 2 * 3072, .launch = launch_single, .check = check_single},
    };
    const int grouped[] = {1, 16, 50};
    /* What is chosen for them; then all ways in turn. */
    const struct {
        const linear *of;
        int tokens;
    } batches[] = {{&square, 16}, {&wide, 64}, {&small[0], 64}, {&wide, TOKENS}};
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        must_repeat(&forms[i]);
    for (size_t i = 0; i < sizeof grouped / sizeof *grouped; i++) {
        char name[48];
        snprintf(name, sizeof name, "group, %d tokens", grouped[i]);
        form f = {.name = name,
                  .bytes = 2 * (3072 + 2 * 1024) * (size_t)grouped[i],
                  .tokens = grouped[i],
                  .launch = launch_group,
                  .check = check_group};
        must_repeat(&f);
    }
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        char name[48];
        const linear *of = batches[i].of;
        snprintf(name, sizeof name, "%d tokens of %d rows", batches[i].tokens, (int)of->split.n);
        form f = {.name = name,
                  .bytes = 2 * (size_t)of->split.n * (size_t)batches[i].tokens,
                  .of = of,
                  .tokens = batches[i].tokens,
                  .launch = launch_batch,
                  .check = check_batch};
        must_repeat(&f);
    }
    ways_repeat();
}

static void passes_repeat(void **state)
{
    const ortho_pass_step all[PASS] = {
        {square.gpu, -1, 1.0f},
        {small[0].gpu, -1, 1.0f},
        {square.gpu, 1024, 1.0f},
        {wide.gpu, 3072 + 1024, 0.5f},
        {down.gpu, 2 * 3072 + 1024, 0.25f},
        {square.gpu, 2 * 3072 + 1024 + 8192, 1.0f},
    };
    form f = {.name = "pass",
              .bytes = 2 * (3 * 3072 + 1024 + 8192 + 3072),
              .launch = launch_pass,
              .check = check_pass};
    (void)state;
    memcpy(steps, all, sizeof all);
    if (ortho_pass_create(steps, PASS, ORTHO_F16, &pass) != ORTHO_OK) {
        print_message("skipped: %s\n", ortho_last_message());
        skip();
    }
    must_repeat(&f);
    ortho_pass_free(pass);
}

static int setup(void **state)
{
    (void)state;
    square = linear_open(3072, 3072, 0.01);
    for (int i = 0; i < GROUP - 1; i++)
        small[i] = linear_open(1024, 3072, 0.02);
    wide = linear_open(8192, 3072, 0.01);
    down = linear_open(3072, 8192, 0.05);
    host_x = activations(ORTHO_F16, TOKENS * 3072, 11, NULL);
    x = device_copy(host_x, 2 * TOKENS * 3072);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cuda_ok(cudaFree(x));
    free(host_x);
    linear_close(&down);
    linear_close(&wide);
    for (int i = 0; i < GROUP - 1; i++)
        linear_close(&small[i]);
    linear_close(&square);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_difference_is_found),
                                       cmocka_unit_test(launches_repeat),
                                       cmocka_unit_test(passes_repeat)};
    return gpu_is_missing() ? OB_EXIT_SKIPPED : cmocka_run_group_tests(tests, setup, teardown);
}
