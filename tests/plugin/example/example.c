/*
 * A variant built outside the tree: a dense fp32 matrix decoded once in prepare, a plain dot
 * product a row in run. It shows every hook of a GEMM; it isn't meant to be fast.
 */
#include <ortho/variant.h>
#include <string.h>

typedef struct state {
    int64_t n, k;
    float *base, *ortho; /* [n, k] each */
} state;

static float half_to_float(uint16_t h)
{
    int exponent = h >> 10 & 31;
    float fraction = (float)(h & 1023) / 1024.0f;
    float value = exponent == 0 ? fraction * 0x1p-14f : 1.0f + fraction;
    for (int i = 15; i < exponent; i++)
        value *= 2.0f;
    for (int i = exponent; i > 0 && i < 15; i++)
        value *= 0.5f;
    return h & 0x8000 ? -value : value;
}

static void decode(const ortho_split *s, state *st)
{
    int64_t groups = (s->k + s->group - 1) / s->group;
    memset(st->ortho, 0, (size_t)(s->n * s->k) * sizeof *st->ortho);
    for (int64_t r = 0; r < s->n; r++) {
        for (int64_t c = 0; c < s->k; c++) {
            int q = s->q[r * ((s->k + 1) / 2) + c / 2] >> (4 * (c & 1)) & 15;
            float scale = half_to_float(s->scale[r * groups + c / s->group]);
            st->base[r * s->k + c] = scale * (float)(q >= 8 ? q - 16 : q);
        }
        for (int64_t i = s->row_ptr[r]; i < s->row_ptr[r + 1]; i++)
            st->ortho[r * s->k + ortho_split_col(s, i)] = half_to_float(s->val[i]);
    }
}

static ortho_status supports(const ortho_gemm_problem *p, const ortho_services *services)
{
    if (p->dtype != ORTHO_F32)
        return services->fail(ORTHO_E_UNSUPPORTED, "the example knows fp32 only");
    return ORTHO_OK;
}

static ortho_status prepare(void *state_, const ortho_gemm_problem *p, const ortho_services *sv)
{
    state *st = state_;
    size_t bytes = (size_t)(p->n * p->k) * sizeof(float);
    st->n = p->n;
    st->k = p->k;
    st->base = sv->alloc(sv->ctx, bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    st->ortho = sv->alloc(sv->ctx, bytes, ORTHO_HOST, ORTHO_WEIGHTS);
    if (st->base == NULL || st->ortho == NULL) {
        sv->free(sv->ctx, st->base);
        sv->free(sv->ctx, st->ortho);
        return ORTHO_E_MEMORY;
    }
    decode(p->split, st);
    return ORTHO_OK;
}

static ortho_status run(const void *state_, const ortho_gemm_call *call)
{
    const state *st = state_;
    const float *x = call->x;
    float *y = call->y;
    for (int64_t t = 0; t < call->m; t++)
        for (int64_t r = 0; r < st->n; r++) {
            float base = 0, ortho = 0;
            for (int64_t c = 0; c < st->k; c++) {
                base += st->base[r * st->k + c] * x[t * st->k + c];
                if (call->alpha != 0)
                    ortho += st->ortho[r * st->k + c] * x[t * st->k + c];
            }
            y[t * st->n + r] = base + call->alpha * ortho;
        }
    return ORTHO_OK;
}

static void release(void *state_, const ortho_services *sv)
{
    state *st = state_;
    sv->free(sv->ctx, st->ortho);
    sv->free(sv->ctx, st->base);
}

static const ortho_gemm_hooks gemm = {
    .state_size = sizeof(state),
    .computes = ORTHO_COMPUTES_SPLIT,
    .supports = supports,
    .prepare = prepare,
    .run = run,
    .release = release,
};

static const ortho_variant variant = {
    .abi = ORTHO_VARIANT_ABI,
    .size = sizeof(ortho_variant),
    .name = "example",
    .summary = "out of the tree: dense fp32, decoded once",
    .backend = ORTHO_CPU,
    .role = ORTHO_COMPETITOR,
    .gemm = &gemm,
};

__attribute__((visibility("default"))) const ortho_variant *ortho_plugin(void);

const ortho_variant *ortho_plugin(void)
{
    return &variant;
}
