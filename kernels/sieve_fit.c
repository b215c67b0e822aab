/* The fit of one row: for every group absmax, candidate scales, the search among them, q. A group
 * of up to 128 weights stays in one buffer in L1; a longer one is read again from the cache. */
#include "kernels/sieve_internal.h"

#include "common/half.h"

typedef struct fit {
    ortho_sieve_run *run;
    int64_t row, begin, end; /* the group's columns */
    bool whole;              /* the buffers hold all of the group */
    int count;               /* weights in the buffers */
    _Alignas(64) float w[ORTHO_CHUNK], kept[ORTHO_CHUNK];
} fit;

static void load(fit *f, int64_t col)
{
    ortho_sieve_run *r = f->run;
    f->count = f->end - col < ORTHO_CHUNK ? (int)(f->end - col) : ORTHO_CHUNK;
    ortho_sieve_load(r, f->row, col, f->count, f->w);
    if (r->inverse_rms == NULL)
        return;
    ortho_outliers out = ortho_sieve_outliers(r, f->row, col);
    if (out.split < ORTHO_CHUNK)
        ortho_quant_portable.keep(f->w, f->count, &out, f->kept);
    else
        r->ops->keep(f->w, f->count, &out, f->kept);
}

static const float *kept_of(const fit *f)
{
    return f->run->inverse_rms != NULL ? f->kept : f->w;
}

static float group_absmax(fit *f)
{
    uint32_t most = 0;
    for (int64_t col = f->begin; col < f->end; col += ORTHO_CHUNK) {
        load(f, col);
        uint32_t bits = f->run->ops->absmax(kept_of(f), f->count);
        most = bits > most ? bits : most;
    }
    return ortho_float_from_bits(most);
}

static int best_candidate(fit *f, const ortho_candidates *try)
{
    double sums[ORTHO_CANDIDATES] = {0};
    for (int64_t col = f->begin; col < f->end; col += ORTHO_CHUNK) {
        if (!f->whole)
            load(f, col);
        f->run->ops->search(kept_of(f), f->run->weight + col, f->count, try, sums);
    }
    int best = 0;
    for (int c = 1; c < ORTHO_CANDIDATES; c++)
        if (sums[c] < sums[best])
            best = c;
    return best;
}

static void fit_group(fit *f, uint16_t *scale)
{
    ortho_sieve_run *r = f->run;
    bool searches = r->problem->rule == ORTHO_RULE_OUTLIER;
    f->whole = f->end - f->begin <= ORTHO_CHUNK;
    float most = group_absmax(f);
    ortho_candidates try;
    if (searches)
        r->ops->candidates(most, &try);
    else
        ortho_quant_candidates(most, 1, &try);
    if ((try.half[0] & 0x7c00u) == 0x7c00u) { /* NaN, Inf or beyond fp16 */
        ortho_sieve_reject(r, f->row);
        try.half[0] = 0;
        try.scale[0] = 0.0f;
        most = 0.0f;
    }
    int best = searches && most > 0.0f ? best_candidate(f, &try) : 0;
    *scale = try.half[best];
    uint8_t *q = r->q + f->row * ((r->k + 1) / 2);
    for (int64_t col = f->begin; col < f->end; col += ORTHO_CHUNK) {
        if (!f->whole)
            load(f, col);
        r->ops->quantise(f->w, f->count, try.scale[best], q + col / 2);
    }
}

void ortho_sieve_fit_row(void *run, int64_t row)
{
    ortho_sieve_run *r = run;
    fit f = {.run = r, .row = row};
    for (int64_t g = 0; g < r->groups; g++) {
        f.begin = g * r->group;
        f.end = f.begin + r->group < r->k ? f.begin + r->group : r->k;
        fit_group(&f, r->scale + row * r->groups + g);
    }
}
