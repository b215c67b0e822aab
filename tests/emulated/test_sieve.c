/*
 * The CUDA sieves, each of their kernels as it is compiled for a GPU, on the CPU: what they make is
 * verified in fp64, is the same for all variants, and is the same again from the same state. Shapes
 * are chosen for the ways through the kernels: element-wise reading, digits, a sample and its
 * bracket, a bracket that misses, rows that aren't staged, maps of more than one chunk.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "harness/verify.h"
#include "kernels/cuda/sieve.h"
#include "kernels/sieve.h"
#include "kernels/split.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

extern const ortho_sieve_hooks ortho_csr_sieve_cuda, ortho_warp_per_row_sieve_cuda,
    ortho_block_csr_sieve_cuda;

static const struct {
    const char *name;
    const ortho_sieve_hooks *hooks;
} variants[] = {{"warp-per-row", &ortho_warp_per_row_sieve_cuda},
                {"csr", &ortho_csr_sieve_cuda},
                {"block-csr", &ortho_block_csr_sieve_cuda}};

typedef enum weights {
    GAUSSIAN,
    TIES,  /* five values */
    SKEWED /* one row in 8 is eight times larger */
} weights;

/* How the scores' cut must have been found, or any; and whether a row was too full to be staged. */
typedef enum cut_way { ANY, SAMPLED, SAMPLED_AND_WALKED, DIGITS } cut_way;

typedef struct problem {
    int64_t n, k, stride;
    ortho_dtype dtype;
    ortho_rule rule;
    int64_t group;
    double density;
    weights kind;
    bool given; /* a Hessian */
    cut_way way;
} problem;

/* ---- memory ---------------------------------------------------------------------------------- */

static void *alloc(void *ctx, size_t bytes, ortho_space space, ortho_purpose purpose)
{
    (void)ctx, (void)space, (void)purpose;
    void *p = NULL;
    if (posix_memalign(&p, 256, bytes > 0 ? bytes : 1) != 0)
        return NULL;
    return memset(p, 0xa5, bytes); /* nothing may count on zeros */
}

static void release(void *ctx, void *p)
{
    (void)ctx;
    free(p);
}

static ortho_services services(void)
{
    ortho_services s = {.alloc = alloc, .free = release, .fail = ortho_fail, .threads = 1};
    return s;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* A sum of uniform numbers: near enough to a normal one, and the same everywhere. */
static float gaussian(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 6; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        sum += (float)(*state >> 40) * 0x1p-24f - 0.5f;
    }
    return sum;
}

static void *make_weights(const problem *p)
{
    uint64_t state = 7;
    void *w = NULL;
    assert_int_equal(
        posix_memalign(&w, 16, (size_t)(p->n * p->stride) * ortho_dtype_bytes(p->dtype)), 0);
    for (int64_t i = 0; i < p->n * p->stride; i++) {
        float v = 0.02f * gaussian(&state);
        if (p->kind == TIES)
            v = 0.125f * (float)(int)(100 * v);
        else if (p->kind == SKEWED && i / p->stride % 8 == 3)
            v *= 8;
        ortho_dtype_store(p->dtype, w, i, v);
    }
    return w;
}

/* ---- one case -------------------------------------------------------------------------------- */

typedef struct made {
    ortho_sieve_problem problem;
    ortho_matrix w;
    float *hessian;
    ortho_services services;
    int64_t group;
} made;

static void make(const problem *p, made *m)
{
    *m = (made){.services = services()};
    m->w = (ortho_matrix){p->n, p->k, p->stride, p->dtype, make_weights(p)};
    m->hessian = calloc((size_t)p->k, sizeof *m->hessian);
    assert_non_null(m->hessian);
    for (int64_t i = 0; i < p->k; i++)
        m->hessian[i] = 0.1f + (float)(i % 13);
    m->problem = (ortho_sieve_problem){.w = &m->w,
                                       .hessian = p->given ? m->hessian : NULL,
                                       .density = p->density,
                                       .rule = p->rule,
                                       .group = p->group,
                                       .nnz = ortho_sieve_budget(p->density, p->n, p->k)};
    m->group = ortho_sieve_group(&m->problem);
}

static void allocate(made *m, ortho_split *out)
{
    assert_int_equal(ortho_split_alloc(m->w.rows, m->w.cols, m->group, m->problem.nnz, &m->services,
                                       ORTHO_OUTPUT, out),
                     ORTHO_OK);
}

static void sieve(made *m, const ortho_sieve_hooks *hooks, void *state, ortho_split *out)
{
    if (hooks->run(state, &m->problem, &m->services) != ORTHO_OK ||
        hooks->export_split(state, out, &m->services) != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
}

static void assert_same(const ortho_split *a, const ortho_split *b)
{
    const size_t groups = (size_t)((a->k + a->group - 1) / a->group), n = (size_t)a->n,
                 nnz = (size_t)a->nnz;
    assert_memory_equal(a->row_ptr, b->row_ptr, (n + 1) * sizeof *a->row_ptr);
    assert_memory_equal(a->scale, b->scale, n * groups * sizeof *a->scale);
    assert_memory_equal(a->q, b->q, n * (size_t)((a->k + 1) / 2));
    assert_memory_equal(a->col, b->col, nnz * ortho_split_col_bytes(a->k));
    assert_memory_equal(a->val, b->val, nnz * sizeof *a->val);
}

static void verify(const made *m, const ortho_split *split)
{
    double *h = calloc((size_t)m->w.cols, sizeof *h);
    assert_non_null(h);
    ob_hessian_exact(&m->w, m->problem.hessian, h);
    const ob_sieve_truth truth = {&m->w, h, m->problem.nnz, m->group, m->problem.rule, 1};
    ob_verdict verdict = {0};
    if (ob_sieve_verify(&truth, split, &verdict) != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
    free(h);
}

/* ---- the way it took ------------------------------------------------------------------------- */

/* The key of a score under RESIDUAL: kernels/quant.h. */
static uint32_t key_of(const made *m, const ortho_cuda_sieve_view *v, int64_t row, int64_t col)
{
    const float w = ortho_dtype_load(m->w.dtype, m->w.data, row * m->w.stride + col);
    const float scale = ortho_dtype_load(ORTHO_F16, v->scale, row * v->groups + col / v->group);
    const float q = scale > 0 ? fminf(fmaxf(rintf(w * (1 / scale)), -8), 7) : 0;
    const float e = fmaf(-scale, q, w), score = e * e * v->weight[col];
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits + 1;
}

/* A bracket holds all keys from its lower end on, counted above it or listed in it: what a test
 * that lets too few pass loses, even where the cut doesn't need it. */
static void assert_complete(const made *m, const ortho_cuda_sieve_view *v)
{
    const ortho_cuda_selection *s = &v->selection[1];
    uint64_t above = 0, listed = 0;
    for (int64_t row = 0; row < v->n; row++)
        for (int64_t col = 0; col < v->k; col++) {
            const uint32_t key = key_of(m, v, row, col);
            above += key >= s->hi;
            listed += key >= s->lo && key < s->hi;
        }
    assert_int_equal(s->above, above);
    assert_int_equal(s->listed, listed);
}

static int64_t walked_rows(const ortho_cuda_sieve_view *v)
{
    int64_t count = 0;
    assert_int_not_equal(v->stage_size, 0);
    for (int64_t row = 0; row < v->n; row++)
        count += v->staged[row].count == UINT32_MAX;
    return count;
}

/* What a GPU keeps is host memory here. */
static void assert_way(const made *m, const ortho_cuda_sieve_view *v, cut_way way)
{
    if (way == ANY)
        return;
    assert_int_equal(v->selection[1].exact, way == DIGITS);
    if (way == DIGITS)
        return;
    assert_int_equal(v->selection[1].missed, 0);
    if (v->rule == ORTHO_RULE_RESIDUAL)
        assert_complete(m, v);
    if (way == SAMPLED_AND_WALKED)
        assert_in_range(walked_rows(v), 1, v->n - 1);
    else
        assert_int_equal(walked_rows(v), 0);
}

static void try_variant(made *m, const ortho_sieve_hooks *hooks, bool twice, cut_way way,
                        ortho_split *out)
{
    ortho_split again;
    void *state = calloc(1, hooks->state_size);
    assert_non_null(state);
    if (hooks->prepare(state, &m->problem, &m->services) != ORTHO_OK)
        fail_msg("%s", ortho_last_message());
    sieve(m, hooks, state, out);
    assert_way(m, &((const ortho_cuda_sieve *)state)->view, way); /* each state begins with one */
    if (twice) {
        allocate(m, &again);
        sieve(m, hooks, state, &again);
        assert_same(out, &again);
        ortho_split_free(&again, &m->services);
    }
    hooks->release(state, &m->services);
    free(state);
}

static void try_problem(const problem *p)
{
    made m;
    ortho_split first, other;
    make(p, &m);
    for (size_t i = 0; i < COUNT(variants); i++) {
        ortho_split *out = i == 0 ? &first : &other;
        print_message("%lld x %lld, rule %d, group %lld, density %g: %s\n", (long long)p->n,
                      (long long)p->k, (int)p->rule, (long long)p->group, p->density,
                      variants[i].name);
        assert_int_equal(
            ortho_split_alloc(p->n, p->k, m.group, m.problem.nnz, &m.services, ORTHO_OUTPUT, out),
            ORTHO_OK);
        try_variant(&m, variants[i].hooks, i == 0, p->way, out);
        if (i == 0) {
            verify(&m, out);
        } else {
            assert_same(&first, &other);
            ortho_split_free(&other, &m.services);
        }
    }
    ortho_split_free(&first, &m.services);
    free(m.hessian);
    free((void *)m.w.data);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void small_ones(void **unused)
{
    static const int64_t shapes[][2] = {{1, 1}, {33, 127}, {20, 264}};
    static const ortho_dtype dtypes[] = {ORTHO_BF16, ORTHO_F16, ORTHO_F32};
    static const int64_t groups[] = {32, 64, 128, 0};
    static const double densities[] = {0, 0.01, 0.3, 1};
    int turn = 0;
    (void)unused;
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (int rule = 0; rule <= ORTHO_RULE_LEGACY; rule++)
            for (size_t g = 0; g < COUNT(groups); g++, turn++)
                try_problem(&(problem){.n = shapes[s][0],
                                       .k = shapes[s][1],
                                       .stride = shapes[s][1] + (turn % 2 != 0 ? 3 : 0),
                                       .dtype = dtypes[turn % 3],
                                       .rule = (ortho_rule)rule,
                                       .group = groups[g],
                                       .density = densities[turn % 4],
                                       .kind = turn % 5 == 0 ? TIES : GAUSSIAN,
                                       .given = turn % 4 == 3});
}

static void try_all_rules(problem p)
{
    for (int rule = 0; rule <= ORTHO_RULE_LEGACY; rule++) {
        p.rule = (ortho_rule)rule;
        try_problem(&p);
    }
}

static void from_a_sample(void **unused)
{
    (void)unused;
    try_all_rules((problem){256, 512, 512, ORTHO_BF16, 0, 128, 0.249, GAUSSIAN, false, SAMPLED});
}

static void from_a_sample_element_by_element(void **unused)
{
    (void)unused;
    try_problem(&(problem){256, 509, 509, ORTHO_F16, ORTHO_RULE_OUTLIER, 32, 0.249, GAUSSIAN, true,
                           SAMPLED});
}

static void from_a_sample_that_ties(void **unused)
{
    (void)unused;
    try_problem(
        &(problem){256, 512, 512, ORTHO_F32, ORTHO_RULE_RESIDUAL, 64, 0.249, TIES, true, DIGITS});
}

static void rows_that_are_not_staged(void **unused)
{
    (void)unused;
    try_problem(&(problem){96, 8448, 8448, ORTHO_BF16, ORTHO_RULE_RESIDUAL, 128, 0.02, SKEWED, true,
                           SAMPLED_AND_WALKED});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ones),
        cmocka_unit_test(from_a_sample),
        cmocka_unit_test(from_a_sample_element_by_element),
        cmocka_unit_test(from_a_sample_that_ties),
        cmocka_unit_test(rows_that_are_not_staged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
