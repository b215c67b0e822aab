/*
 * Every GEMM variant against the oracle, over shapes, groups, dtypes, densities, alphas and SIMD
 * levels; the kill switch bit for bit; guard bytes round the workspace and y.
 *
 * The bound. With u = 2^-24, a float sum of products whose longest chain has d operations is off by
 * at most d * u * sum |x||w| (first order). Base's chains: k / 8 products a lane at the narrowest
 * level, and fewer than 16 operations to fold lanes, panels and scales. Ortho's: one chain over the
 * row's entries. So d = k / 8 + entries + 16. The stores round once more, by half a unit of the
 * dtype: 2^-24, 2^-11 or 2^-8 of |y|, or half the smallest subnormal. dense has no lanes that we
 * know of: d = k + 16.
 */
#include "common/account.h"
#include "common/dtype.h"
#include "common/half.h"
#include "variants/reference/oracle.h"
#include "variants/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GUARD 64

typedef struct fixture {
    ortho_split split;
    ortho_matrix w;
    uint8_t *x; /* [m, k] of dtype */
    int64_t m;
    ortho_dtype dtype;
    double *y, *magnitude; /* the oracle's */
} fixture;

typedef struct shape {
    int64_t n, k, m, group;
    double density;
    ortho_dtype dtype;
    float alpha;
} shape;

static uint64_t random_next(uint64_t *s)
{
    *s += 0x9e3779b97f4a7c15u;
    uint64_t z = (*s ^ *s >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static float random_unit(uint64_t *s) /* -1 .. 1 */
{
    return (float)((double)(random_next(s) >> 11) * 0x1p-52 - 1);
}

static void *make(size_t bytes)
{
    void *p = calloc(bytes + 1, 1);
    assert_non_null(p);
    return p;
}

/* Entry at (r, c)? Row 1 is full and row 2 empty where the density lets a row be either. */
static bool chosen(const shape *sh, int64_t r, uint64_t *seed)
{
    bool drawn = (double)(random_next(seed) >> 11) * 0x1p-53 < sh->density;
    if (sh->density > 0 && sh->density < 1 && r % 8 == 1)
        return true;
    if (sh->density > 0 && sh->density < 1 && r % 8 == 2)
        return false;
    return drawn;
}

static void fill_base(ortho_split *s, uint64_t *seed)
{
    int64_t groups = (s->k + s->group - 1) / s->group;
    for (int64_t r = 0; r < s->n; r++)
        for (int64_t c = 0; c < s->k; c++)
            s->q[r * ((s->k + 1) / 2) + c / 2] |=
                (uint8_t)((random_next(seed) & 15) << (4 * (c % 2)));
    for (int64_t i = 0; i < s->n * groups; i++)
        s->scale[i] = ortho_float_to_fp16(0.01f * (1.5f + random_unit(seed)));
}

static void fill_ortho(ortho_split *s, const shape *sh, uint64_t *seed)
{
    for (int64_t r = 0; r < s->n; r++) {
        for (int64_t c = 0; c < s->k; c++) {
            if (!chosen(sh, r, seed))
                continue;
            if (s->k > 65536)
                ((uint32_t *)s->col)[s->nnz] = (uint32_t)c;
            else
                ((uint16_t *)s->col)[s->nnz] = (uint16_t)c;
            s->val[s->nnz++] = ortho_float_to_fp16(0.3f * random_unit(seed));
        }
        s->row_ptr[r + 1] = (int32_t)s->nnz;
    }
}

static fixture fixture_make(const shape *sh)
{
    uint64_t seed = (uint64_t)(sh->n * 1000003 + sh->k * 101 + sh->group * 7 + sh->m);
    int64_t groups = (sh->k + sh->group - 1) / sh->group;
    size_t cells = (size_t)(sh->n * sh->k), outputs = (size_t)(sh->m * sh->n);
    fixture f = {.m = sh->m, .dtype = sh->dtype};
    f.split = (ortho_split){
        .n = sh->n,
        .k = sh->k,
        .group = sh->group,
        .q = make((size_t)(sh->n * ((sh->k + 1) / 2))),
        .scale = make((size_t)(sh->n * groups) * 2),
        .row_ptr = make((size_t)(sh->n + 1) * 4),
        .col = make(sh->density > 0 ? cells * ortho_split_col_bytes(sh->k) : 0),
        .val = make(sh->density > 0 ? cells * 2 : 0),
    };
    fill_base(&f.split, &seed);
    fill_ortho(&f.split, sh, &seed);
    float *w = make((size_t)(sh->n * (sh->k + 3)) * sizeof(float));
    for (int64_t i = 0; i < sh->n * (sh->k + 3); i++)
        w[i] = random_unit(&seed);
    f.w = (ortho_matrix){sh->n, sh->k, sh->k + 3, ORTHO_F32, w};
    f.x = make((size_t)(sh->m * sh->k) * ortho_dtype_bytes(sh->dtype));
    for (int64_t i = 0; i < sh->m * sh->k; i++)
        ortho_dtype_store(sh->dtype, f.x, i, random_unit(&seed));
    f.y = make(outputs * sizeof(double));
    f.magnitude = make(outputs * sizeof(double));
    return f;
}

static void fixture_free(fixture *f)
{
    free(f->split.q);
    free(f->split.scale);
    free(f->split.row_ptr);
    free(f->split.col);
    free(f->split.val);
    free((void *)(uintptr_t)f->w.data);
    free(f->x);
    free(f->y);
    free(f->magnitude);
}

/* W as a user stores it beside activations of the dtype; the caller frees its data. */
static ortho_matrix rounded_w(const fixture *f)
{
    int64_t count = f->w.rows * f->w.stride;
    float *data = make((size_t)count * sizeof *data);
    for (int64_t i = 0; i < count; i++) {
        uint32_t stored;
        ortho_dtype_store(f->dtype, &stored, 0, ((const float *)f->w.data)[i]);
        data[i] = ortho_dtype_load(f->dtype, &stored, 0);
    }
    ortho_matrix w = f->w;
    w.data = data;
    return w;
}

static void fixture_oracle(fixture *f, ortho_computes computes, float alpha)
{
    ortho_matrix w = rounded_w(f);
    ortho_oracle_job job = {
        .split = &f->split,
        .w = computes == ORTHO_COMPUTES_UNSPLIT ? &w : NULL,
        .x = f->x,
        .dtype = f->dtype,
        .m = f->m,
        .alpha = alpha,
        .threads = 1,
        .y = f->y,
        .magnitude = f->magnitude,
    };
    assert_int_equal(ortho_oracle_gemm(&job), ORTHO_OK);
    free((void *)(uintptr_t)w.data);
}

/* `bytes` of 64-byte aligned memory, filled with `fill`, between two guards. */
static uint8_t *guarded_make(size_t bytes, int fill)
{
    size_t padded = (bytes + 63) / 64 * 64;
    uint8_t *p = aligned_alloc(64, padded + 2 * GUARD);
    assert_non_null(p);
    memset(p, 0xa5, padded + 2 * GUARD);
    memset(p + GUARD, fill, bytes);
    return p + GUARD;
}

static void guarded_free(uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(p[-1 - (ptrdiff_t)i], 0xa5);
        assert_int_equal(p[bytes + i], 0xa5);
    }
    free(p - GUARD);
}

/* Prepares, runs and releases: y (0xff poison: NaN in every dtype) is the caller's to free. */
/* What a variant packed comes back bit for bit, into arrays of that size and no more. */
static void check_export(const ortho_variant *v, const void *state, const fixture *f,
                         const ortho_services *services)
{
    const ortho_split *s = &f->split;
    const size_t bytes[] = {
        (size_t)(s->n * ((s->k + 1) / 2)), (size_t)(s->n * ((s->k + s->group - 1) / s->group)) * 2,
        (size_t)(s->n + 1) * 4, (size_t)s->nnz * ortho_split_col_bytes(s->k), (size_t)s->nnz * 2};
    const void *wanted[] = {s->q, s->scale, s->row_ptr, s->col, s->val};
    uint8_t *got[5];
    for (int i = 0; i < 5; i++)
        got[i] = guarded_make(bytes[i], 0xa5);
    ortho_split out = *s;
    out.q = got[0];
    out.scale = (uint16_t *)(void *)got[1];
    out.row_ptr = (int32_t *)(void *)got[2];
    out.col = got[3];
    out.val = (uint16_t *)(void *)got[4];
    assert_int_equal(v->gemm->export_split(state, &out, services), ORTHO_OK);
    for (int i = 0; i < 5; i++) {
        if (memcmp(got[i], wanted[i], bytes[i]) != 0)
            fail_msg("%s n %d k %d group %d: array %d came back changed", v->name, (int)s->n,
                     (int)s->k, (int)s->group, i);
        guarded_free(got[i], bytes[i]);
    }
}

/* A competitor is prepared for one dtype and called with another. */
static ortho_dtype prepared_for(const ortho_variant *v, ortho_dtype dtype)
{
    return v->role == ORTHO_COMPETITOR ? (ortho_dtype)((dtype + 1) % 3) : dtype;
}

static uint8_t *run_variant(const ortho_variant *v, const fixture *f, float alpha, int threads)
{
    ortho_account account = {0};
    ortho_services services = ortho_account_services(&account, threads);
    const ortho_gemm_hooks *hooks = v->gemm;
    const ortho_gemm_problem problem = {
        .n = f->split.n,
        .k = f->split.k,
        .m = f->m,
        .nnz = f->split.nnz,
        .group = f->split.group,
        .dtype = prepared_for(v, f->dtype),
        .split = &f->split,
        .w = &f->w,
    };
    size_t y_bytes = (size_t)(f->m * f->split.n) * ortho_dtype_bytes(f->dtype);
    uint8_t *y = guarded_make(y_bytes, 0xff);
    void *state = aligned_alloc(64, (hooks->state_size + 127) / 64 * 64);
    assert_non_null(state);
    memset(state, 0, hooks->state_size);
    assert_int_equal(hooks->prepare(state, &problem, &services), ORTHO_OK);
    size_t bytes = hooks->workspace != NULL ? hooks->workspace(state, f->m, f->dtype) : 0;
    uint8_t *workspace = guarded_make(bytes, 0xff);
    const ortho_gemm_call call = {.x = f->x,
                                  .y = y,
                                  .dtype = f->dtype,
                                  .m = f->m,
                                  .alpha = alpha,
                                  .workspace = workspace,
                                  .threads = threads};
    assert_int_equal(hooks->run(state, &call), ORTHO_OK);
    if (hooks->cost != NULL) {
        ortho_cost cost = {0};
        hooks->cost(state, f->m, &cost);
        assert_true(cost.bytes > 0 && cost.flops >= 0);
    }
    if (hooks->export_split != NULL)
        check_export(v, state, f, &services);
    hooks->release(state, &services);
    for (int p = 0; p < ORTHO_PURPOSES; p++)
        assert_int_equal(ortho_account_current(&account, (ortho_purpose)p), 0);
    guarded_free(workspace, bytes);
    free(state);
    return y;
}

static void free_y(const fixture *f, uint8_t *y)
{
    guarded_free(y, (size_t)(f->m * f->split.n) * ortho_dtype_bytes(f->dtype));
}

static double store_unit(ortho_dtype dtype, double y)
{
    const double relative[] = {0x1p-24, 0x1p-11, 0x1p-8};
    const double least[] = {0x1p-150, 0x1p-25, 0x1p-134};
    return fmax(relative[dtype] * fabs(y), least[dtype]);
}

static double depth(const fixture *f, ortho_computes computes, int64_t row)
{
    const ortho_split *s = &f->split;
    if (computes == ORTHO_COMPUTES_UNSPLIT)
        return (double)s->k + 16;
    return (double)((s->k + 7) / 8 + s->row_ptr[row + 1] - s->row_ptr[row] + 16);
}

static void check_y(const fixture *f, const ortho_variant *v, const uint8_t *y, const shape *sh)
{
    for (int64_t i = 0; i < f->m * f->split.n; i++) {
        double got = (double)ortho_dtype_load(f->dtype, y, i), want = f->y[i];
        double sum = depth(f, v->gemm->computes, i % f->split.n) * 0x1p-24 * f->magnitude[i];
        double bound = sum + store_unit(f->dtype, fabs(want) + sum);
        if (!(fabs(got - want) <= bound))
            fail_msg("%s n %d k %d m %d group %d density %g alpha %g %s: y[%d] = %.9g, not %.9g, "
                     "bound %.3g",
                     v->name, (int)sh->n, (int)sh->k, (int)sh->m, (int)sh->group, sh->density,
                     (double)sh->alpha, ortho_dtype_name(sh->dtype), (int)i, got, want, bound);
    }
}

/* Runs every variant that computes something, with one thread or two, and holds it against the
 * oracle. */
static void check_shape(const shape *sh)
{
    fixture f = fixture_make(sh);
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->gemm == NULL || (*v)->backend != ORTHO_CPU ||
            (*v)->gemm->computes == ORTHO_COMPUTES_NOTHING)
            continue;
        fixture_oracle(&f, (*v)->gemm->computes, sh->alpha);
        uint8_t *y = run_variant(*v, &f, sh->alpha, sh->n > 64 && sh->m > 16 ? 2 : 1);
        check_y(&f, *v, y, sh);
        free_y(&f, y);
    }
    fixture_free(&f);
}

static void check_levels(const shape *sh)
{
    const char *const levels[] = {"portable", "avx2", "avx512"};
    for (int i = 0; i < 3; i++) {
        setenv("ORTHO_CPU", levels[i], 1);
        check_shape(sh);
    }
    unsetenv("ORTHO_CPU");
}

static void shapes(void **unused)
{
    (void)unused;
    const int64_t sizes[][3] = {/* n, k, group */
                                {1, 1, 1},     {1, 1, 128},   {1, 7, 128},     {3, 31, 32},
                                {65, 33, 32},  {64, 128, 32}, {70, 129, 64},   {5, 200, 128},
                                {130, 300, 5}, {9, 257, 257}, {67, 1025, 128}, {8, 576, 96},
                                {6, 640, 256}, {4, 97, 48},   {2, 2500, 2500}, {11, 4224, 32}};
    const int64_t tokens[] = {1, 2, 5, 16, 17};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t t = 0; t < sizeof tokens / sizeof tokens[0]; t++)
            check_levels(&(shape){.n = sizes[i][0],
                                  .k = sizes[i][1],
                                  .group = sizes[i][2],
                                  .m = tokens[t],
                                  .density = 0.05,
                                  .dtype = ORTHO_F32,
                                  .alpha = 1});
}

static void densities_alphas_dtypes(void **unused)
{
    (void)unused;
    const double densities[] = {0, 0.01, 1};
    const float alphas[] = {0, 1, -0.5f};
    const ortho_dtype dtypes[] = {ORTHO_F32, ORTHO_F16, ORTHO_BF16};
    const int64_t tokens[] = {1, 3, 70};
    for (int i = 0; i < 81; i++)
        check_levels(&(shape){.n = 130,
                              .k = 259,
                              .group = 64,
                              .m = tokens[i / 27],
                              .density = densities[i / 9 % 3],
                              .alpha = alphas[i / 3 % 3],
                              .dtype = dtypes[i % 3]});
}

static void wide_columns(void **unused)
{
    (void)unused;
    const int64_t ks[] = {65536, 65537, 70001};
    for (int i = 0; i < 6; i++)
        check_levels(&(shape){.n = 3,
                              .k = ks[i / 2],
                              .group = 128,
                              .m = i % 2 == 0 ? 1 : 2,
                              .density = 0.001,
                              .dtype = ORTHO_F32,
                              .alpha = 1});
}

static void many_tokens(void **unused)
{
    (void)unused;
    check_levels(&(shape){20, 150, 8192, 128, 0.05, ORTHO_BF16, 1});
    check_levels(&(shape){20, 150, 65, 128, 0.05, ORTHO_F16, 1});
}

/* A variant's y with alpha = 0 and Ortho full of NaN equals its y without any Ortho. */
static void kill_switch(void **unused)
{
    (void)unused;
    const int64_t tokens[] = {1, 2, 65};
    const char *const levels[] = {"portable", "avx2", "avx512"};
    for (int i = 0; i < 9; i++) {
        shape sh = {70, 300, tokens[i / 3], 128, 0.05, ORTHO_F32, 0};
        setenv("ORTHO_CPU", levels[i % 3], 1);
        fixture f = fixture_make(&sh);
        ortho_split with = f.split, none = f.split;
        int32_t *empty = make((size_t)(sh.n + 1) * 4);
        for (int64_t e = 0; e < with.nnz; e++)
            with.val[e] = 0x7e00;
        none.nnz = 0;
        none.row_ptr = empty;
        for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
            if ((*v)->gemm == NULL || (*v)->backend != ORTHO_CPU ||
                (*v)->gemm->computes != ORTHO_COMPUTES_SPLIT)
                continue;
            uint8_t *killed = run_variant(*v, &f, 0, 2);
            uint8_t *poisoned = run_variant(*v, &f, 1, 2); /* the NaN is really there */
            f.split = none;
            uint8_t *base = run_variant(*v, &f, 1, 1);
            f.split = with;
            assert_memory_equal(killed, base, (size_t)(sh.m * sh.n) * 4);
            assert_true(isnan(((const float *)poisoned)[1]));
            free_y(&f, killed);
            free_y(&f, poisoned);
            free_y(&f, base);
        }
        free(empty);
        fixture_free(&f);
    }
    unsetenv("ORTHO_CPU");
}

/* Variants that compute nothing leave the poison where it was. */
static void nothing_touches_nothing(void **unused)
{
    (void)unused;
    shape sh = {70, 300, 2, 128, 0.05, ORTHO_F16, 1};
    fixture f = fixture_make(&sh);
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->gemm == NULL || (*v)->backend != ORTHO_CPU ||
            (*v)->gemm->computes != ORTHO_COMPUTES_NOTHING)
            continue;
        uint8_t *y = run_variant(*v, &f, 1, 2);
        for (int64_t i = 0; i < sh.m * sh.n * 2; i++)
            assert_int_equal(y[i], 0xff);
        free_y(&f, y);
    }
    fixture_free(&f);
}

static void check_threads(const shape *sh, int threads)
{
    fixture f = fixture_make(sh);
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++) {
        if ((*v)->gemm == NULL || (*v)->backend != ORTHO_CPU ||
            (*v)->gemm->computes != ORTHO_COMPUTES_SPLIT)
            continue;
        fixture_oracle(&f, (*v)->gemm->computes, 1);
        uint8_t *y = run_variant(*v, &f, 1, threads);
        check_y(&f, *v, y, sh);
        free_y(&f, y);
    }
    fixture_free(&f);
}

/* More threads than rows, and more rows than blocks a thread. */
static void threads(void **unused)
{
    (void)unused;
    const shape few = {3, 64, 1, 32, 0.2, ORTHO_F32, 1}, many = {200, 64, 1, 32, 0.2, ORTHO_F32, 1};
    for (int t = 1; t < 8; t += 3) {
        check_threads(&few, t);
        check_threads(&many, t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),       cmocka_unit_test(densities_alphas_dtypes),
        cmocka_unit_test(wide_columns), cmocka_unit_test(many_tokens),
        cmocka_unit_test(kill_switch),  cmocka_unit_test(nothing_touches_nothing),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
