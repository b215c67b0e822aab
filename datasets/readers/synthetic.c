/*
 * synthetic: weights made at a known model's shapes, with outliers like those that the literature
 * reports. w = 0.02 * exp(s_row * N_row) * exp(s_head * N_head) * exp(s_col * N_col) * t_nu, stored
 * as BF16; H = exp(s_h * N) with 3 columns x100. q and k have heavier tails and a factor that the
 * rows of a head share; down of layer 1 has one column x1000, a "super weight". The numbers are
 * choices, not measurements: whatever is made here is never pooled with trained weights.
 *
 * Nothing is stored: a row is a function of (seed, layer, projection, row).
 */
#include "common/error.h"
#include "common/half.h"
#include "datasets/datasets.h"
#include "datasets/generator.h"
#include "datasets/registry.h"
#include "datasets/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX       "synthetic:"
#define SCALE        0.02
#define S_HESSIAN    0.8
#define HOT_COLUMNS  3
#define HOT_HESSIAN  100.0f
#define SUPER_LAYER  1
#define SUPER_COLUMN 1000.0f
#define DEFAULT_SEED 1
#define MAX_MADE     20000 /* tensors: far above any known model's */

/* Streams below a tensor's key. */
enum { STREAM_ROW = 1, STREAM_COLUMN, STREAM_HEAD, STREAM_HESSIAN, STREAM_SPECIAL, STREAM_WEIGHT };

typedef struct profile {
    int nu; /* degrees of freedom: 5 or 8 */
    double row, column, head;
    bool super; /* has a x1000 column in SUPER_LAYER */
} profile;

/* In the order of ortho_proj_names. */
static const profile profiles[ORTHO_PROJ_COUNT] = {
    {.nu = 5, .row = .35, .column = .15, .head = .2}, /* q */
    {.nu = 5, .row = .35, .column = .15, .head = .2}, /* k */
    {.nu = 8, .row = .15, .column = .1},              /* v */
    {.nu = 8, .row = .15, .column = .1},              /* o */
    {.nu = 8, .row = .15, .column = .1},              /* gate */
    {.nu = 8, .row = .15, .column = .1},              /* up */
    {.nu = 8, .row = .15, .column = .1, .super = true},
};

typedef struct made {
    ortho_tensor tensor;
    const profile *profile;
    uint64_t key;
    bool super;
} made;

struct ortho_source {
    ortho_source_facts facts;
    made *made;
    int64_t count, head_dim;
    ortho_quantiles normal, t5, t8;
    float *columns; /* factors of the tensor read last, [its k] */
    int64_t columns_of;
};

static bool claims(const char *spec)
{
    return strncmp(spec, PREFIX, strlen(PREFIX)) == 0;
}

static void close_model(ortho_source *source)
{
    if (!source)
        return;
    free(source->made);
    free(source->columns);
    free(source);
}

/* Splits "synthetic:NAME[:SEED]". */
static ortho_status parse_spec(const char *spec, char name[64], uint64_t *seed)
{
    const char *rest = spec + strlen(PREFIX), *colon = strchr(rest, ':');
    size_t length = colon ? (size_t)(colon - rest) : strlen(rest);
    *seed = DEFAULT_SEED;
    if (length == 0 || length >= 64)
        return ortho_fail(ORTHO_E_ARGUMENT, "\"%s\": want synthetic:MODEL[:SEED]", spec);
    memcpy(name, rest, length);
    name[length] = '\0';
    if (!colon)
        return ORTHO_OK;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 19 || colon[1 + digits] != '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "\"%s\": the seed must be a number, at most 19 digits",
                          spec);
    *seed = strtoull(colon + 1, NULL, 10);
    return ORTHO_OK;
}

static ortho_status list_tensors(ortho_source *source, const json_t *registry, const json_t *model)
{
    int64_t layers = ortho_registry_config(model, "layers");
    if (layers < 1 || layers * ORTHO_PROJ_COUNT > MAX_MADE)
        return ortho_fail(ORTHO_E_INTERNAL, "datasets/models.json: %s has no usable config",
                          ortho_registry_text(model, "name"));
    source->made = calloc((size_t)(layers * ORTHO_PROJ_COUNT), sizeof *source->made);
    if (!source->made)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %s", source->facts.name);
    source->head_dim = ortho_registry_config(model, "head_dim");
    for (int layer = 0; layer < layers; layer++)
        for (int proj = 0; proj < ORTHO_PROJ_COUNT; proj++) {
            made *m = &source->made[source->count];
            if (!ortho_registry_linear(registry, model, proj, layer, m->tensor.name,
                                       m->tensor.shape))
                continue;
            m->tensor.dtype = ORTHO_BF16;
            m->tensor.rank = 2;
            m->profile = &profiles[proj];
            m->super = profiles[proj].super && layer == SUPER_LAYER;
            m->key =
                ortho_stream(ortho_stream(source->facts.seed, (uint64_t)layer), (uint64_t)proj);
            source->count++;
        }
    return ORTHO_OK;
}

static void describe(ortho_source *source, const char *name)
{
    ortho_source_facts *facts = &source->facts;
    facts->synthetic = true;
    snprintf(facts->name, sizeof facts->name, PREFIX "%s:%" PRIu64, name, facts->seed);
    snprintf(facts->identity, sizeof facts->identity, "generator %d, %s", ORTHO_GENERATOR_VERSION,
             facts->name);
}

static ortho_status open_model(const char *spec, ortho_source **out)
{
    char name[64];
    json_t *registry = NULL;
    ortho_source *source = calloc(1, sizeof *source);
    if (!source)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %s", spec);
    ortho_status status = parse_spec(spec, name, &source->facts.seed);
    if (status != ORTHO_OK)
        goto fail;
    status = ortho_registry_load(&registry);
    if (status != ORTHO_OK)
        goto fail;
    const json_t *model = ortho_registry_by_name(registry, name);
    if (!model) {
        status = ortho_fail(ORTHO_E_NOT_FOUND,
                            "%s: no known model is called \"%s\" (ortho-bench list --models)", spec,
                            name);
        goto fail;
    }
    describe(source, name);
    status = list_tensors(source, registry, model);
    if (status != ORTHO_OK)
        goto fail;
    ortho_quantiles_normal(&source->normal);
    ortho_quantiles_student(5, &source->t5);
    ortho_quantiles_student(8, &source->t8);
    source->columns_of = -1;
    json_decref(registry);
    *out = source;
    return ORTHO_OK;
fail:
    json_decref(registry);
    close_model(source);
    return status;
}

static int64_t count(const ortho_source *source)
{
    return source->count;
}

static const ortho_tensor *tensor(const ortho_source *source, int64_t index)
{
    return index >= 0 && index < source->count ? &source->made[index].tensor : NULL;
}

/* exp(sigma * N) for number i of a stream. */
static double factor(const ortho_source *s, uint64_t key, uint64_t i, double sigma)
{
    return exp(sigma * (double)ortho_draw(&s->normal, (uint32_t)(ortho_random(key, i) >> 32)));
}

static ortho_status prepare_columns(ortho_source *source, int64_t index)
{
    const made *m = &source->made[index];
    if (source->columns_of == index)
        return ORTHO_OK;
    int64_t k = m->tensor.shape[1];
    float *columns = realloc(source->columns, (size_t)k * sizeof *columns);
    if (!columns)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld columns", (long long)k);
    source->columns = columns;
    uint64_t key = ortho_stream(m->key, STREAM_COLUMN);
    for (int64_t c = 0; c < k; c++)
        columns[c] = (float)factor(source, key, (uint64_t)c, m->profile->column);
    if (m->super)
        columns[ortho_random_below(ortho_random(ortho_stream(m->key, STREAM_SPECIAL), 0),
                                   (uint64_t)k)] *= SUPER_COLUMN;
    source->columns_of = index;
    return ORTHO_OK;
}

static void make_row(const ortho_source *source, const made *m, int64_t row, uint16_t *dst)
{
    const ortho_quantiles *q = m->profile->nu == 5 ? &source->t5 : &source->t8;
    uint64_t head = (uint64_t)(row / source->head_dim);
    double scale =
        SCALE * factor(source, ortho_stream(m->key, STREAM_ROW), (uint64_t)row, m->profile->row);
    scale *= factor(source, ortho_stream(m->key, STREAM_HEAD), head, m->profile->head);
    float s = (float)scale;
    uint64_t key = ortho_stream(ortho_stream(m->key, STREAM_WEIGHT), (uint64_t)row);
    int64_t k = m->tensor.shape[1];
    for (int64_t c = 0; c < k; c += 2) {
        uint64_t bits = ortho_random(key, (uint64_t)c / 2);
        dst[c] = ortho_float_to_bf16(s * source->columns[c] * ortho_draw(q, (uint32_t)bits));
        if (c + 1 < k)
            dst[c + 1] = ortho_float_to_bf16(s * source->columns[c + 1] *
                                             ortho_draw(q, (uint32_t)(bits >> 32)));
    }
}

static ortho_status read_raw(ortho_source *source, int64_t index, int64_t row, int64_t rows,
                             void *dst)
{
    ortho_status status = ortho_tensor_check_rows(tensor(source, index), row, rows);
    if (status == ORTHO_OK)
        status = prepare_columns(source, index);
    if (status != ORTHO_OK)
        return status;
    const made *m = &source->made[index];
    int64_t k = m->tensor.shape[1];
    uint16_t *out = dst;
#pragma omp parallel for schedule(static) if (rows * k > 100000)
    for (int64_t r = 0; r < rows; r++)
        make_row(source, m, row + r, out + r * k);
    return ORTHO_OK;
}

/* Through the stored form, so that both ways of reading give the same weights. */
static ortho_status read_f32(ortho_source *source, int64_t index, int64_t row, int64_t rows,
                             float *dst)
{
    uint16_t *stored = (uint16_t *)dst; /* the first half of dst */
    ortho_status status = read_raw(source, index, row, rows, stored);
    if (status != ORTHO_OK)
        return status;
    for (int64_t i = rows * source->made[index].tensor.shape[1] - 1; i >= 0; i--) {
        uint16_t h;
        memcpy(&h, (const char *)dst + i * 2, sizeof h);
        float f = ortho_bf16_to_float(h);
        memcpy((char *)dst + i * 4, &f, sizeof f);
    }
    return ORTHO_OK;
}

static ortho_status hessian(ortho_source *source, int64_t index, float *dst)
{
    const ortho_tensor *t = tensor(source, index);
    if (!t)
        return ortho_fail(ORTHO_E_ARGUMENT, "no tensor has this index");
    uint64_t key = ortho_stream(source->made[index].key, STREAM_HESSIAN);
    uint64_t hot = ortho_stream(key, STREAM_SPECIAL), k = (uint64_t)t->shape[1];
    for (uint64_t c = 0; c < k; c++)
        dst[c] = (float)factor(source, key, c, S_HESSIAN);
    uint64_t chosen[HOT_COLUMNS], draws = 0;
    for (uint64_t found = 0; found < HOT_COLUMNS && found < k;) {
        uint64_t c = ortho_random_below(ortho_random(hot, draws++), k), i = 0;
        while (i < found && chosen[i] != c)
            i++;
        if (i < found)
            continue; /* met before: three different columns are wanted */
        chosen[found++] = c;
        dst[c] *= HOT_HESSIAN;
    }
    return ORTHO_OK;
}

static const ortho_source_facts *facts(const ortho_source *source)
{
    return &source->facts;
}

extern const ortho_reader ortho_reader_synthetic;
const ortho_reader ortho_reader_synthetic = {
    .abi = ORTHO_READER_ABI,
    .name = "synthetic",
    .summary = "synthetic:MODEL[:SEED]: made weights at a known model's exact shapes, BF16",
    .synthetic = true,
    .claims = claims,
    .open = open_model,
    .close = close_model,
    .count = count,
    .tensor = tensor,
    .read_f32 = read_f32,
    .read_raw = read_raw,
    .hessian = hessian,
    .facts = facts,
};
