/*
 * rows.c: imposes a row distribution on a split's Ortho, where a kernel's behaviour under skew is
 * the question. Two steps: how many entries each row gets (shares by weight, capped at k, exact
 * total), and which columns (drawn without repetition, ascending, by selection sampling). The
 * values stay what they were, in order: the residuals of the sieve, at other places.
 */
#include "common/error.h"
#include "datasets/datasets.h"
#include "datasets/generator.h"

#include <ortho/variant.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIGMA 4.0

typedef struct shape {
    const char *name;
    bool takes_number;
    /* Fills weight[n] >= 0, not all 0. */
    void (*weigh)(double *weight, const ortho_split *split, double number, uint64_t seed);
} shape;

static void weigh_uniform(double *weight, const ortho_split *split, double number, uint64_t seed)
{
    (void)number, (void)seed;
    for (int64_t i = 0; i < split->n; i++)
        weight[i] = 1;
}

static void weigh_lognormal(double *weight, const ortho_split *split, double sigma, uint64_t seed)
{
    uint64_t key = ortho_stream(seed, 1);
    for (int64_t i = 0; i < split->n; i++) { /* Box-Muller */
        double u = ((double)(ortho_random(key, 2 * (uint64_t)i) >> 11) + .5) * 0x1p-53;
        double v = (double)(ortho_random(key, 2 * (uint64_t)i + 1) >> 11) * 0x1p-53;
        weight[i] = exp(sigma * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
    }
}

/* One row takes 15/16 of its columns, or as many entries as there are; the others share the rest
 * evenly. */
static void weigh_one_full(double *weight, const ortho_split *split, double number, uint64_t seed)
{
    (void)number;
    int64_t full =
        (int64_t)ortho_random_below(ortho_random(ortho_stream(seed, 1), 0), (uint64_t)split->n);
    int64_t heavy = split->k - split->k / 16;
    heavy = heavy < split->nnz ? heavy : split->nnz;
    double rest = split->n > 1 ? (double)(split->nnz - heavy) / (double)(split->n - 1) : 0;
    for (int64_t i = 0; i < split->n; i++)
        weight[i] = i == full ? (double)heavy : rest;
}

static const shape shapes[] = {
    {"uniform", false, weigh_uniform},
    {"lognormal", true, weigh_lognormal},
    {"one-full", false, weigh_one_full},
};

/* Finds the shape that `spec` names; *out is NULL for "sieve", which leaves a split alone. */
static ortho_status parse_spec(const char *spec, const shape **out, double *number)
{
    *out = NULL;
    *number = 0;
    if (strcmp(spec, "sieve") == 0)
        return ORTHO_OK;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t length = strlen(shapes[i].name);
        if (strncmp(spec, shapes[i].name, length) != 0)
            continue;
        const char *rest = spec + length;
        char *end = NULL;
        if (shapes[i].takes_number && *rest == ':' && rest[1] >= '0' && rest[1] <= '9')
            *number = strtod(rest + 1, &end);
        if (shapes[i].takes_number ? end && *end == '\0' && *number <= MAX_SIGMA : *rest == '\0') {
            *out = &shapes[i];
            return ORTHO_OK;
        }
    }
    return ortho_fail(ORTHO_E_ARGUMENT,
                      "\"%s\": want sieve, uniform, lognormal:SIGMA (0 to 4) or one-full", spec);
}

/* Cumulative rounding of shares gives each row its part and the exact total; what exceeds k moves
 * on to the rows that have room. Row i's count lands in row_ptr[i + 1]. */
static void share_out(const double *weight, ortho_split *split)
{
    double total = 0, sum = 0;
    int64_t given = 0, left = 0;
    for (int64_t i = 0; i < split->n; i++)
        total += weight[i];
    for (int64_t i = 0; i < split->n; i++) {
        sum += weight[i];
        int64_t until =
            i + 1 == split->n ? split->nnz : (int64_t)(sum / total * (double)split->nnz + .5);
        int64_t count = until > given ? until - given : 0;
        given += count;
        if (count > split->k) {
            left += count - split->k;
            count = split->k;
        }
        split->row_ptr[i + 1] = (int32_t)count;
    }
    while (left > 0) /* a round gives every row with room one more: rounds <= k */
        for (int64_t i = 0; i < split->n && left > 0; i++)
            if (split->row_ptr[i + 1] < split->k) {
                split->row_ptr[i + 1]++;
                left--;
            }
    split->row_ptr[0] = 0;
    for (int64_t i = 0; i < split->n; i++)
        split->row_ptr[i + 1] += split->row_ptr[i];
}

/* Draws a row's columns: column c is taken with probability wanted / (columns left). */
static void draw_columns(ortho_split *split, int64_t row, uint64_t key)
{
    int64_t at = split->row_ptr[row], end = split->row_ptr[row + 1];
    for (int64_t c = 0; c < split->k && at < end; c++) {
        uint64_t bits = ortho_random(key, (uint64_t)c), left = (uint64_t)(split->k - c);
        if (ortho_random_below(bits, left) >= (uint64_t)(end - at))
            continue;
        if (split->k > 65536)
            ((uint32_t *)split->col)[at++] = (uint32_t)c;
        else
            ((uint16_t *)split->col)[at++] = (uint16_t)c;
    }
}

ortho_status ortho_rows_impose(struct ortho_split *split, const char *spec, uint64_t seed)
{
    const shape *imposed;
    double number;
    ortho_status status = parse_spec(spec, &imposed, &number);
    if (status != ORTHO_OK || !imposed)
        return status;
    if (split->n < 1 || split->k < 1 || split->nnz < 0 || split->nnz > INT32_MAX ||
        (split->nnz + split->n - 1) / split->n > split->k)
        return ortho_fail(ORTHO_E_ARGUMENT, "%lld entries don't fit [%lld, %lld]",
                          (long long)split->nnz, (long long)split->n, (long long)split->k);
    double *weight = malloc((size_t)split->n * sizeof *weight);
    if (!weight)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld rows", (long long)split->n);
    imposed->weigh(weight, split, number, seed);
    if (split->nnz > 0) {
        share_out(weight, split);
        uint64_t key = ortho_stream(seed, 2);
        for (int64_t i = 0; i < split->n; i++)
            draw_columns(split, i, ortho_stream(key, (uint64_t)i));
    }
    free(weight);
    return ORTHO_OK;
}
