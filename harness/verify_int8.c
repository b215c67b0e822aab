/*
 * What int8 activations may cost an output at most.
 *
 * Over a stretch of columns (ORTHO_ACTIVATIONS_INT8 in ortho.h) let step = max |x| / 127, and an
 * implementation compute in fp32, u = 2^-24, d = rint(x * inv) with inv = 127 / max (1 + e1), and
 * d * unit with unit = step (1 + e2), |e| <= u. With v = x * inv (1 + e3) the integer is within 1/2
 * of v, so that
 *     |d unit - x| <= unit / 2 + |v unit - x| <= step / 2 (1 + u) + |x| ((1 + u)^3 - 1)
 *                  <= step / 2 (1 + u + 2 * 127 * 3.01 u) < step / 2 (1 + 2^-14),
 * |x| being 127 steps at most. Summed over the columns of a row, with the weights of Base that they
 * meet, an output is off by no more than
 *     sum over stretches of step / 2 * (1 + 2^-14) * sum |w|,
 * beside what sums of that size lose in fp32 anyway (sum_tolerance, of sum |w| (|x| + step / 2)).
 * No probability is in it: an implementation that keeps to the definition is never refused. The
 * price is what it can't see. Errors of single columns cancel, so that what is really lost is near
 * the bound's 1 / sqrt(k): in a row of thousands of columns a step that is wrong by 3 %, or numbers
 * cut off instead of rounded, pass unless the inputs are made for it; such a thing is seen in short
 * rows, or where signs agree. tests/unit hold the kernels against the rounded x itself instead.
 */
#include "common/dtype.h"
#include "common/error.h"
#include "common/half.h"
#include "harness/verify.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

/* Columns [first, first + count) that share a step, all of one group. */
typedef struct stretch {
    int64_t first, count, group;
} stretch;

typedef struct layout {
    const ortho_split *split;
    int64_t groups, count;
    stretch *of; /* [count] */
} layout;

static ortho_status cut(const ortho_split *s, layout *out)
{
    layout l = {.split = s, .groups = (s->k + s->group - 1) / s->group};
    int64_t each = (s->group + ORTHO_INT8_COLUMNS - 1) / ORTHO_INT8_COLUMNS;
    l.of = malloc((size_t)(l.groups * each) * sizeof *l.of);
    if (l.of == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a tolerance");
    for (int64_t g = 0; g < l.groups; g++) {
        int64_t end = (g + 1) * s->group < s->k ? (g + 1) * s->group : s->k;
        for (int64_t first = g * s->group; first < end; first += ORTHO_INT8_COLUMNS) {
            int64_t left = end - first;
            l.of[l.count++] =
                (stretch){first, left < ORTHO_INT8_COLUMNS ? left : ORTHO_INT8_COLUMNS, g};
        }
    }
    *out = l;
    return ORTHO_OK;
}

/* Half of a token's steps, with what fp32 adds to them: [count]. */
static void half_steps(const layout *l, const ob_gemm_inputs *in, int64_t token, double *out)
{
    for (int64_t s = 0; s < l->count; s++) {
        double most = 0;
        for (int64_t c = 0; c < l->of[s].count; c++)
            most = fmax(most, fabs((double)ortho_dtype_load(
                                  in->dtype, in->x, token * l->split->k + l->of[s].first + c)));
        out[s] = most / 127 / 2 * (1 + 0x1p-14);
    }
}

/* Sum |w| of Base in one row: [count]. */
static void row_sizes(const layout *l, int64_t row, double *out)
{
    const ortho_split *s = l->split;
    const uint8_t *q = s->q + row * ((s->k + 1) / 2);
    for (int64_t i = 0; i < l->count; i++) {
        const stretch *t = &l->of[i];
        int64_t sum = 0;
        for (int64_t c = t->first; c < t->first + t->count; c++) {
            int nibble = q[c / 2] >> (4 * (c % 2)) & 15;
            sum += nibble >= 8 ? 16 - nibble : nibble;
        }
        out[i] = (double)sum * (double)ortho_fp16_to_float(s->scale[row * l->groups + t->group]);
    }
}

/* steps [lines][count], sizes of a thread [count]. */
static void add_rows(const layout *l, ob_gemm_truth *t, const double *steps, int64_t lines,
                     double *sizes)
{
#pragma omp for schedule(static)
    for (int64_t row = 0; row < t->n; row++) {
        row_sizes(l, row, sizes);
        for (int64_t i = 0; i < lines; i++) {
            double sum = 0;
            for (int64_t s = 0; s < l->count; s++)
                sum += steps[i * l->count + s] * sizes[s];
            t->rounding[i * t->n + row] = sum;
        }
    }
}

/* Of the tokens that are checked exactly; of a signed sum of all tokens no more than all of theirs
 * together. */
static void fill_steps(const layout *l, const ob_gemm_inputs *in, const ob_gemm_truth *t,
                       double *steps)
{
    for (int i = 0; i < t->tokens; i++)
        half_steps(l, in, t->token[i], steps + i * l->count);
    if (t->projections == 0)
        return;
    double *all = steps + t->tokens * l->count, *one = all + l->count;
    for (int64_t s = 0; s < l->count; s++)
        all[s] = 0;
    for (int64_t token = 0; token < in->m; token++) {
        half_steps(l, in, token, one);
        for (int64_t s = 0; s < l->count; s++)
            all[s] += one[s];
    }
}

ortho_status ob_gemm_rounding_make(const ob_gemm_inputs *in, ob_gemm_truth *t)
{
    layout l;
    const int64_t lines = t->tokens + (t->projections > 0);
    ortho_status status = cut(in->split, &l);
    if (status != ORTHO_OK)
        return status;
    double *steps = malloc((size_t)((lines + 1) * l.count) * sizeof *steps);
    double *sizes = malloc((size_t)(t->threads * l.count) * sizeof *sizes);
    t->rounding = malloc((size_t)(lines * t->n) * sizeof *t->rounding);
    if (steps == NULL || sizes == NULL || t->rounding == NULL) {
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a tolerance");
    } else {
        fill_steps(&l, in, t, steps);
#pragma omp parallel num_threads(t->threads)
        add_rows(&l, t, steps, lines, sizes + omp_get_thread_num() * l.count);
    }
    free(sizes);
    free(steps);
    free(l.of);
    return status;
}
