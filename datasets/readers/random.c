/* random: one matrix of any size, 0.02 * N(0, 1), F32: for odd shapes that no model has. Nothing is
 * stored: a weight is a function of (seed, row, column). */
#include "common/error.h"
#include "datasets/datasets.h"
#include "datasets/generator.h"
#include "datasets/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "random:"
#define SCALE  0.02f

struct ortho_source {
    ortho_source_facts facts;
    ortho_tensor tensor;
    ortho_quantiles normal;
};

static bool claims(const char *spec)
{
    return strncmp(spec, PREFIX, strlen(PREFIX)) == 0;
}

/* A number of at most `limit` at *text, which moves behind it. */
static bool parse_number(const char **text, uint64_t limit, uint64_t *out)
{
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 19)
        return false;
    *out = strtoull(*text, NULL, 10);
    *text += digits;
    return *out <= limit;
}

static ortho_status parse_spec(const char *spec, ortho_source *source)
{
    const char *at = spec + strlen(PREFIX);
    uint64_t n = 0, k = 0, seed = 1;
    bool good = parse_number(&at, INT32_MAX, &n) && *at++ == 'x' &&
                parse_number(&at, INT32_MAX, &k) && n > 0 && k > 0;
    if (good && *at == ':') {
        at++;
        good = parse_number(&at, UINT64_MAX, &seed);
    }
    if (!good || *at != '\0')
        return ortho_fail(ORTHO_E_ARGUMENT, "\"%s\": want random:NxK[:SEED], N and K at least 1",
                          spec);
    source->tensor = (ortho_tensor){
        .name = "w", .dtype = ORTHO_F32, .rank = 2, .shape = {(int64_t)n, (int64_t)k}};
    source->facts.seed = seed;
    snprintf(source->facts.name, sizeof source->facts.name,
             PREFIX "%" PRIu64 "x%" PRIu64 ":%" PRIu64, n, k, seed);
    return ORTHO_OK;
}

static ortho_status open_matrix(const char *spec, ortho_source **out)
{
    ortho_source *source = calloc(1, sizeof *source);
    if (!source)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %s", spec);
    ortho_status status = parse_spec(spec, source);
    if (status != ORTHO_OK) {
        free(source);
        return status;
    }
    source->facts.synthetic = true;
    snprintf(source->facts.identity, sizeof source->facts.identity, "generator %d, %s",
             ORTHO_GENERATOR_VERSION, source->facts.name);
    ortho_quantiles_normal(&source->normal);
    *out = source;
    return ORTHO_OK;
}

static void close_matrix(ortho_source *source)
{
    free(source);
}

static int64_t count(const ortho_source *source)
{
    (void)source;
    return 1;
}

static const ortho_tensor *tensor(const ortho_source *source, int64_t index)
{
    return index == 0 ? &source->tensor : NULL;
}

static ortho_status read_f32(ortho_source *source, int64_t index, int64_t row, int64_t rows,
                             float *dst)
{
    ortho_status status = ortho_tensor_check_rows(tensor(source, index), row, rows);
    if (status != ORTHO_OK)
        return status;
    int64_t k = source->tensor.shape[1];
#pragma omp parallel for schedule(static) if (rows * k > 100000)
    for (int64_t r = 0; r < rows; r++) {
        uint64_t key = ortho_stream(source->facts.seed, (uint64_t)(row + r));
        for (int64_t c = 0; c < k; c++)
            dst[r * k + c] = SCALE * ortho_draw(&source->normal,
                                                (uint32_t)(ortho_random(key, (uint64_t)c) >> 32));
    }
    return ORTHO_OK;
}

static ortho_status read_raw(ortho_source *source, int64_t index, int64_t row, int64_t rows,
                             void *dst)
{
    return read_f32(source, index, row, rows, dst);
}

static const ortho_source_facts *facts(const ortho_source *source)
{
    return &source->facts;
}

extern const ortho_reader ortho_reader_random;
const ortho_reader ortho_reader_random = {
    .abi = ORTHO_READER_ABI,
    .name = "random",
    .summary = "random:NxK[:SEED]: one matrix of Gaussian weights, F32",
    .synthetic = true,
    .claims = claims,
    .open = open_matrix,
    .close = close_matrix,
    .count = count,
    .tensor = tensor,
    .read_f32 = read_f32,
    .read_raw = read_raw,
    .facts = facts,
};
