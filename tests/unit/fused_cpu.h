/* fused_cpu.h: random splits, and runs of `fused` on the CPU over them. */
#ifndef ORTHO_TESTS_FUSED_CPU_H
#define ORTHO_TESTS_FUSED_CPU_H

#include "common/account.h"
#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "variants/table.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const levels[] = {"portable", "avx2", "avx512"};

static inline uint64_t random_next(uint64_t *s)
{
    *s += 0x9e3779b97f4a7c15u;
    uint64_t z = (*s ^ *s >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline float random_unit(uint64_t *s) /* -1 .. 1 */
{
    return (float)((double)(random_next(s) >> 11) * 0x1p-52 - 1);
}

static inline void *make(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, (bytes + 127) / 64 * 64);
    return p;
}

/* ---- splits and states ---------------------------------------------------------------------- */

/* Row 3 is full, row 4 empty; the others have `per_row` entries on average. */
static inline ortho_split split_make(int64_t n, int64_t k, int64_t group, double per_row,
                                     uint64_t seed)
{
    int64_t groups = (k + group - 1) / group;
    ortho_split s = {.n = n,
                     .k = k,
                     .group = group,
                     .q = make((size_t)(n * ((k + 1) / 2))),
                     .scale = make((size_t)(n * groups) * 2),
                     .row_ptr = make((size_t)(n + 1) * 4),
                     .col = make((size_t)(n * k) * ortho_split_col_bytes(k)),
                     .val = make((size_t)(n * k) * 2)};
    for (int64_t r = 0; r < n; r++) {
        for (int64_t c = 0; c < k; c++) {
            s.q[r * ((k + 1) / 2) + c / 2] |= (uint8_t)((random_next(&seed) & 15) << (4 * (c % 2)));
            bool drawn = fabsf(random_unit(&seed)) * (float)k < (float)per_row;
            if (per_row == 0 || r % 32 == 4 || !(drawn || r % 32 == 3))
                continue;
            if (k > 65536)
                ((uint32_t *)s.col)[s.nnz] = (uint32_t)c;
            else
                ((uint16_t *)s.col)[s.nnz] = (uint16_t)c;
            s.val[s.nnz++] = ortho_float_to_fp16(0.3f * random_unit(&seed));
        }
        s.row_ptr[r + 1] = (int32_t)s.nnz;
    }
    for (int64_t i = 0; i < n * groups; i++)
        s.scale[i] = ortho_float_to_fp16(0.01f * (1.5f + random_unit(&seed)));
    return s;
}

static inline void split_free(ortho_split *s)
{
    free(s->q);
    free(s->scale);
    free(s->row_ptr);
    free(s->col);
    free(s->val);
}

static inline const ortho_gemm_hooks *hooks(void)
{
    const ortho_variant *v = ortho_variant_find("fused", ORTHO_CPU);
    assert_non_null(v);
    return v->gemm;
}

static inline void *state_make_for(const ortho_split *s, int64_t m, int threads,
                                   ortho_activation_mode activations)
{
    ortho_services services = ortho_services_default();
    services.threads = threads;
    void *state = make(hooks()->state_size);
    const ortho_gemm_problem problem = {.n = s->n,
                                        .k = s->k,
                                        .m = m,
                                        .nnz = s->nnz,
                                        .group = s->group,
                                        .dtype = ORTHO_BF16,
                                        .split = s,
                                        .activations = activations};
    assert_int_equal(hooks()->prepare(state, &problem, &services), ORTHO_OK);
    return state;
}

static inline void *state_make(const ortho_split *s, int64_t m, int threads)
{
    return state_make_for(s, m, threads, ORTHO_ACTIVATIONS_EXACT);
}

static inline void state_free(void *state)
{
    ortho_services services = ortho_services_default();
    hooks()->release(state, &services);
    free(state);
}

typedef struct input {
    void *x; /* [m, k] */
    ortho_dtype dtype;
    int64_t m;
    float alpha;
    int threads;
    ortho_activation_mode activations; /* of run_once */
} input;

static inline ortho_gemm_call call_of(const input *in, void *workspace, void *y)
{
    return (ortho_gemm_call){.x = in->x,
                             .y = y,
                             .dtype = in->dtype,
                             .m = in->m,
                             .alpha = in->alpha,
                             .workspace = workspace,
                             .threads = in->threads};
}

static inline void run_into(const void *state, const input *in, void *y)
{
    size_t bytes = hooks()->workspace(state, in->m, in->dtype);
    void *workspace = make(bytes);
    memset(workspace, 0xff, bytes);
    const ortho_gemm_call call = call_of(in, workspace, y);
    assert_int_equal(hooks()->run(state, &call), ORTHO_OK);
    free(workspace);
}

/* y of one prepare and run; the caller frees it. */
static inline void *run_once(const ortho_split *s, const input *in)
{
    void *state = state_make_for(s, in->m, in->threads, in->activations);
    void *y = make((size_t)(in->m * s->n) * ortho_dtype_bytes(in->dtype));
    run_into(state, in, y);
    state_free(state);
    return y;
}

static inline input input_make(int64_t m, int64_t k, ortho_dtype dtype, uint64_t seed)
{
    input in = {.x = make((size_t)(m * k) * 4), .dtype = dtype, .m = m, .alpha = 1, .threads = 1};
    for (int64_t i = 0; i < m * k; i++)
        ortho_dtype_store(dtype, in.x, i, random_unit(&seed));
    return in;
}

#endif
