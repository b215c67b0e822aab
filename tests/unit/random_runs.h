/*
 * random_runs.h: random linears through a variant's hooks, on whichever side it computes: y against
 * the fp64 reference within a bound that follows from the arithmetic, and nothing written beside y.
 *
 * The bound, for y of a row and a token: `roundings` times 2^-24 of the sum of |w x|, and `lost`
 * times 2^-24 of the sum of scale * |x|; then y's own rounding. Where a linear takes x as int8 the
 * reference does, too, so that the bound stays as tight.
 */
#ifndef ORTHO_TESTS_UNIT_RANDOM_RUNS_H
#define ORTHO_TESTS_UNIT_RANDOM_RUNS_H

#include "int8_model.h"
#include "random_linears.h"

#include "common/error.h"
#include "variants/reference/oracle.h"

/* Bytes on either side of y. */
#define RANDOM_GUARD 64

/* Where a variant computes, and how exactly. */
typedef struct random_side {
    const ortho_gemm_hooks *gemm;
    ortho_services services;
    void *(*take)(size_t bytes); /* memory that it computes on, aligned to 256 */
    void (*drop)(void *memory);
    /* Between that memory and the host's, either way, after all that was enqueued. */
    void (*copy)(void *to, const void *from, size_t bytes);
    double (*roundings)(int64_t k);
    double lost[3]; /* by dtype */
    int64_t most;   /* weights of a case */
    bool int8;      /* three linears of four take x as int8 */
    bool many;      /* tokens, see random_many() */
    bool no_chains; /* may be refused: this machine has none */
} random_side;

/* A case at work: x of the host, and of the side. */
typedef struct random_run {
    const random_side *side;
    random_case *c;
    char *x, *side_x;
    void *state[RANDOM_MOST];
} random_run;

static inline void random_must(ortho_status status, const random_case *c)
{
    char name[800];
    random_case_name(c, name);
    if (status != ORTHO_OK)
        fail_msg("%s: %s", name, ortho_last_message());
}

static inline void *random_state(size_t bytes)
{
    void *state = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(state);
    return memset(state, 0, (bytes + 127) / 64 * 64);
}

static inline size_t random_element(const random_case *c)
{
    return ortho_dtype_bytes(c->dtype);
}

/* ---- y --------------------------------------------------------------------------------------- */

/* y of `count` elements with a guard before and behind, all of it 0xff. */
static inline char *random_y_open(const random_run *run, int64_t count)
{
    const size_t bytes = (size_t)(count + run->c->y_off) * random_element(run->c);
    char *y = run->side->take(bytes + 2 * RANDOM_GUARD);
    char *fill = malloc(bytes + 2 * RANDOM_GUARD);
    assert_true(y != NULL && fill != NULL);
    memset(fill, 0xff, bytes + 2 * RANDOM_GUARD);
    run->side->copy(y, fill, bytes + 2 * RANDOM_GUARD);
    free(fill);
    return y;
}

static inline char *random_y_at(const random_run *run, char *y)
{
    return y + RANDOM_GUARD + (size_t)run->c->y_off * random_element(run->c);
}

/* y on the host, for the caller to free; the guards must be whole. */
static inline char *random_y_close(const random_run *run, char *y, int64_t count)
{
    const size_t bytes = (size_t)count * random_element(run->c),
                 before = (size_t)(random_y_at(run, y) - y), all = before + bytes + RANDOM_GUARD;
    char *back = malloc(all), name[800];
    assert_non_null(back);
    run->side->copy(back, y, all);
    run->side->drop(y);
    random_case_name(run->c, name);
    for (size_t i = 0; i < all; i++)
        if ((i < before || i >= before + bytes) && (unsigned char)back[i] != 0xff)
            fail_msg("%s: byte %lld beside y was written", name, (long long)i - (long long)before);
    return memmove(back, back + before, bytes);
}

/* ---- what y must be -------------------------------------------------------------------------- */

/* Sums of |x| over each group of a linear: [m][groups]. */
static inline double *random_sizes(const random_case *c, const random_linear *l, const char *x)
{
    const int64_t groups = (l->k + l->group - 1) / l->group;
    double *sizes = calloc((size_t)(c->m * groups), sizeof *sizes);
    assert_non_null(sizes);
    for (int64_t t = 0; t < c->m; t++)
        for (int64_t i = 0; i < l->k; i++)
            sizes[t * groups + i / l->group] +=
                fabs((double)ortho_dtype_load(c->dtype, x, t * l->k + i));
    return sizes;
}

static inline double random_lost(const random_linear *l, const double *sizes, int64_t row)
{
    const int64_t groups = (l->k + l->group - 1) / l->group;
    double sum = 0;
    for (int64_t g = 0; g < groups; g++)
        sum += (double)ortho_fp16_to_float(l->split.scale[row * groups + g]) * sizes[g];
    return sum;
}

/* Off by at most this much, y being `exact` and its sums `sums` off. */
static inline double random_tolerance(ortho_dtype dtype, double exact, double sums)
{
    static const double unit[] = {0x1p-24, 0x1p-11, 0x1p-8}, least[] = {1e-44, 0x1p-25, 1e-38};
    return sums + unit[dtype] * (fabs(exact) + sums) + least[dtype];
}

/* From what x gives to what it gives as int8: Base alone meets it so. */
static inline void random_round_base(const random_case *c, ortho_oracle_job job)
{
    const int64_t n = job.split->n, k = job.split->k, outputs = job.m * n;
    double *y = job.y, *magnitude = job.magnitude;
    double *base = malloc((size_t)outputs * sizeof *base);
    double *base_magnitude = malloc((size_t)outputs * sizeof *base_magnitude);
    float *rounded = malloc((size_t)(job.m * k) * sizeof *rounded);
    assert_true(base != NULL && base_magnitude != NULL && rounded != NULL);
    int8_round(job.dtype, job.x, job.m, k, job.split->group, rounded);
    job.alpha = 0;
    job.y = base;
    job.magnitude = base_magnitude;
    for (int turn = 0; turn < 2; turn++) {
        random_must(ortho_oracle_gemm(&job), c);
        for (int64_t o = 0; o < outputs; o++) {
            y[o] += turn == 0 ? -base[o] : base[o];
            magnitude[o] += turn == 0 ? 0 : base_magnitude[o];
        }
        job.x = rounded;
        job.dtype = ORTHO_F32;
    }
    free(rounded);
    free(base_magnitude);
    free(base);
}

static inline void random_check(const random_run *run, int i, const char *x, const char *y)
{
    const random_case *c = run->c;
    const random_linear *l = &c->linear[i];
    const size_t count = (size_t)(c->m * l->n);
    const int64_t groups = (l->k + l->group - 1) / l->group;
    double *exact = malloc(count * sizeof *exact), *magnitude = malloc(count * sizeof *magnitude);
    double *sizes = random_sizes(c, l, x);
    const ortho_oracle_job job = {.split = &l->split,
                                  .x = x,
                                  .dtype = c->dtype,
                                  .m = c->m,
                                  .alpha = l->alpha,
                                  .threads = run->side->services.threads,
                                  .y = exact,
                                  .magnitude = magnitude};
    char name[800];
    assert_true(exact != NULL && magnitude != NULL);
    random_must(ortho_oracle_gemm(&job), c);
    if (l->activations == ORTHO_ACTIVATIONS_INT8)
        random_round_base(c, job);
    for (int64_t o = 0; o < c->m * l->n; o++) {
        const double wanted = (double)l->scale * exact[o],
                     lost = random_lost(l, sizes + o / l->n * groups, o % l->n);
        const double sums =
            fabs((double)l->scale) * 0x1p-24 *
            (run->side->roundings(l->k) * magnitude[o] + run->side->lost[c->dtype] * lost);
        const double tolerance = random_tolerance(c->dtype, wanted, sums);
        const double got = (double)ortho_dtype_load(c->dtype, y, o);
        if (!(fabs(got - wanted) <= tolerance)) {
            random_case_name(c, name);
            fail_msg("%s: linear %d, token %d, row %d: y is %.9g, not %.9g, %.3g off where %.3g "
                     "may be",
                     name, i, (int)(o / l->n), (int)(o % l->n), got, wanted, fabs(got - wanted),
                     tolerance);
        }
    }
    free(sizes);
    free(magnitude);
    free(exact);
}

/* ---- the forms ------------------------------------------------------------------------------- */

static inline void *random_workspace(const random_run *run, size_t bytes)
{
    return bytes > 0 ? run->side->take(bytes) : NULL;
}

/* Of a variant's ways one after the other is asked for, where it can take the call: else the usual
 * one. */
static inline int random_way(const random_run *run, ortho_gemm_call call)
{
    const ortho_gemm_hooks *gemm = run->side->gemm;
    int count = 0;
    while (gemm->ways != NULL && gemm->ways[count] != NULL)
        count++;
    call.way = run->c->number % (count + 1);
    return call.way > 0 && gemm->way(run->state[0], &call) == call.way ? call.way : 0;
}

/* One linear, or several that share x. */
static inline void random_run_group(const random_run *run)
{
    const ortho_gemm_hooks *gemm = run->side->gemm;
    const random_case *c = run->c;
    ortho_gemm_call calls[RANDOM_MOST];
    const void *states[RANDOM_MOST];
    char *y[RANDOM_MOST];
    for (int i = 0; i < c->count; i++) {
        states[i] = run->state[i];
        y[i] = random_y_open(run, c->m * c->linear[i].n);
        calls[i] = (ortho_gemm_call){
            .x = run->side_x,
            .y = random_y_at(run, y[i]),
            .dtype = c->dtype,
            .m = c->m,
            .alpha = c->linear[i].alpha,
            .workspace = random_workspace(
                run, gemm->workspace != NULL ? gemm->workspace(states[i], c->m, c->dtype) : 0),
            .threads = run->side->services.threads};
    }
    if (c->count == 1)
        calls[0].way = random_way(run, calls[0]);
    random_must(c->count == 1 ? gemm->run(states[0], &calls[0])
                              : gemm->run_group(states, calls, c->count),
                c);
    for (int i = 0; i < c->count; i++) {
        char *back = random_y_close(run, y[i], c->m * c->linear[i].n);
        random_check(run, i, run->x, back);
        free(back);
        run->side->drop(calls[i].workspace);
    }
}

static inline void random_run_steps(const random_run *run, const ortho_chain_step *steps,
                                    int64_t outputs)
{
    const ortho_chain_hooks *hooks = run->side->gemm->chain;
    const random_case *c = run->c;
    const ortho_chain_problem problem = {.steps = steps, .count = c->count, .dtype = c->dtype};
    float alpha[RANDOM_MOST];
    void *chain = random_state(hooks->state_size);
    char *y = random_y_open(run, outputs);
    for (int i = 0; i < c->count; i++)
        alpha[i] = c->linear[i].alpha;
    const ortho_status status = hooks->prepare(chain, &problem, &run->side->services);
    if (status == ORTHO_E_UNSUPPORTED && run->side->no_chains) {
        free(random_y_close(run, y, outputs));
        free(chain);
        return;
    }
    random_must(status, c);
    void *workspace = random_workspace(run, hooks->workspace != NULL ? hooks->workspace(chain) : 0);
    const ortho_chain_call call = {
        .x = run->side_x, .y = random_y_at(run, y), .alpha = alpha, .workspace = workspace};
    random_must(hooks->run(chain, &call), c);
    char *back = random_y_close(run, y, outputs);
    int64_t at = 0;
    for (int i = 0; i < c->count; i++) { /* each on the x that it saw, which is rounded */
        const int64_t x_at = steps[i].x_at;
        random_check(run, i, x_at < 0 ? run->x : back + (size_t)x_at * random_element(c),
                     back + (size_t)at * random_element(c));
        at += steps[i].n;
    }
    free(back);
    hooks->release(chain, &run->side->services);
    run->side->drop(workspace);
    free(chain);
}

static inline void random_run_chain(const random_run *run)
{
    ortho_chain_step steps[RANDOM_MOST];
    int64_t outputs = 0;
    for (int i = 0; i < run->c->count; i++) {
        const random_linear *l = &run->c->linear[i];
        steps[i] = (ortho_chain_step){
            .state = run->state[i], .n = l->n, .k = l->k, .x_at = l->x_at, .scale = l->scale};
        outputs += l->n;
    }
    random_run_steps(run, steps, outputs);
}

static inline void random_prepare(random_run *run)
{
    random_case *c = run->c;
    for (int i = 0; i < c->count; i++) {
        random_linear *l = &c->linear[i];
        random_split(&c->random, l);
        if (run->side->int8 && (c->number + i) % 4 != 3)
            l->activations = ORTHO_ACTIVATIONS_INT8;
        run->state[i] = random_state(run->side->gemm->state_size);
        const ortho_gemm_problem problem = {.n = l->n,
                                            .k = l->k,
                                            .m = c->m,
                                            .nnz = l->split.nnz,
                                            .group = l->group,
                                            .dtype = c->dtype,
                                            .split = &l->split,
                                            .activations = l->activations};
        random_must(run->side->gemm->prepare(run->state[i], &problem, &run->side->services), c);
    }
}

static inline void random_release(random_run *run)
{
    const ortho_services host = ortho_services_default();
    for (int i = 0; i < run->c->count; i++) {
        run->side->gemm->release(run->state[i], &run->side->services);
        free(run->state[i]);
        ortho_split_free(&run->c->linear[i].split, &host);
    }
}

/* One case, from its drawing to its verdict. Returns its form. */
static inline random_form random_case_run(const random_side *side, uint64_t seed, int number)
{
    random_case c = random_case_draw(seed, number, side->most, side->many);
    random_run run = {.side = side, .c = &c};
    const size_t off = (size_t)c.x_off * random_element(&c),
                 bytes = (size_t)(c.m * random_width(&c)) * random_element(&c);
    random_prepare(&run);
    run.x = malloc(bytes);
    char *there = side->take(off + bytes);
    assert_true(run.x != NULL && there != NULL);
    random_activations(&c, run.x);
    run.side_x = there + off;
    side->copy(run.side_x, run.x, bytes);
    if (c.form == RANDOM_CHAIN)
        random_run_chain(&run);
    else
        random_run_group(&run);
    side->drop(there);
    free(run.x);
    random_release(&run);
    return c.form;
}

static inline long long random_number(const char *name, long long otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

/* The first ORTHO_RANDOM_CASES (a sanitizer's share; else `usual`) cases of ORTHO_RANDOM_SEED, or
 * ORTHO_RANDOM_CASE of them alone. */
static inline void random_cases_run(const random_side *side, int usual)
{
    const int count = (int)random_number("ORTHO_RANDOM_CASES", usual);
    const uint64_t seed = (uint64_t)random_number("ORTHO_RANDOM_SEED", 1);
    const int alone = (int)random_number("ORTHO_RANDOM_CASE", -1);
    int forms[3] = {0};
    assert_true(count > 0); /* nothing run proves nothing */
    print_message("  ORTHO_RANDOM_SEED=%llu\n", (unsigned long long)seed);
    for (int i = alone < 0 ? 0 : alone; i < (alone < 0 ? count : alone + 1); i++)
        forms[random_case_run(side, seed, i)]++;
    print_message("  %d single, %d groups, %d chains\n", forms[0], forms[1], forms[2]);
}

#endif
