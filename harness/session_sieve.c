/*
 * A group of sieve cases: every variant over one slice and density. Copies are of W, shared by all
 * lanes (they only read it); each lane has one state, whose outputs are poisoned before every
 * verified run and before timing. A split that is byte for byte one that this group has verified in
 * full already is right as well, so that the fp64 check runs once for all variants that agree.
 */
#include "harness/session_observe.h"

#include "common/dtype.h"
#include "common/error.h"
#include "kernels/sieve.h"
#include "kernels/split.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FENCE = 1024, VARIANT_FENCE = 64 };

typedef struct group group;

typedef struct sieve {
    group *g;
    ob_lane *lane;
    const ortho_sieve_hooks *hooks;
    void *state;
    bool prepared;
    ortho_services services;
    size_t output, working;
    bool exports;
    ob_quality quality;
} sieve;

struct group {
    ob_session *s;
    const ob_work *work;
    ortho_sieve_problem problem;
    ob_memory bench; /* states, copies of W, the exported split */
    ortho_services services;
    ortho_matrix *w; /* copies */
    int64_t made;
    size_t w_bytes;
    void *back;        /* for a W that comes back from the device; NULL where it is at hand */
    ortho_split split; /* what was exported last */
    /* The last split that passed in full, and what is known of it. */
    bool known;
    uint64_t digest;
    ob_verdict verdict;
    ob_quality quality;
    int count;
    ob_lane *lanes;
    sieve *sieves;
};

/* ---- copies of W
 * --------------------------------------------------------------------------------- */

static ortho_status need_copies(group *g, int64_t count)
{
    if (count <= g->made)
        return ORTHO_OK;
    ortho_matrix *grown = realloc(g->w, (size_t)count * sizeof *grown);
    if (grown == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for %lld copies", (long long)count);
    g->w = grown;
    for (; g->made < count; g->made++) {
        void *data = ob_memory_alloc(&g->bench, g->w_bytes, g->s->backend->space, ORTHO_WORKING);
        if (data == NULL)
            return ORTHO_E_MEMORY;
        ortho_status status = g->s->backend->upload(data, g->work->w.data, g->w_bytes);
        if (status != ORTHO_OK) {
            ob_memory_free(&g->bench, data);
            return status;
        }
        g->w[g->made] = g->work->w;
        g->w[g->made].data = data;
    }
    return ORTHO_OK;
}

static ortho_status launch(void *ctx, int64_t i)
{
    sieve *e = ctx;
    ortho_sieve_problem p = e->g->problem;
    p.w = &e->g->w[i % e->lane->copies];
    return e->hooks->run(e->state, &p, &e->services);
}

/* ---- verification
 * -------------------------------------------------------------------------------- */

static uint64_t add_bytes(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9fb21c651e98df25u;
        h ^= h >> 32;
    }
    for (; bytes > 0; bytes--)
        h = (h ^ *p++) * 0x100000001b3u;
    return h;
}

static uint64_t digest_of(const ortho_split *s)
{
    int64_t groups = (s->k + s->group - 1) / s->group;
    uint64_t h = add_bytes((uint64_t)s->nnz, s->q, (size_t)(s->n * ((s->k + 1) / 2)));
    h = add_bytes(h, s->scale, (size_t)(s->n * groups) * sizeof *s->scale);
    h = add_bytes(h, s->row_ptr, (size_t)(s->n + 1) * sizeof *s->row_ptr);
    h = add_bytes(h, s->col, (size_t)s->nnz * ortho_split_col_bytes(s->k));
    return add_bytes(h, s->val, (size_t)s->nnz * sizeof *s->val);
}

static void poison_split(ortho_split *s)
{
    int64_t groups = (s->k + s->group - 1) / s->group;
    memset(s->q, 0xff, (size_t)(s->n * ((s->k + 1) / 2)));
    memset(s->scale, 0xff, (size_t)(s->n * groups) * sizeof *s->scale);
    memset(s->row_ptr, 0xff, (size_t)(s->n + 1) * sizeof *s->row_ptr);
    memset(s->col, 0xff, (size_t)s->nnz * ortho_split_col_bytes(s->k));
    memset(s->val, 0xff, (size_t)s->nnz * sizeof *s->val);
}

/* A split not seen before: the full check, and what quality it has. */
static ortho_status check_new(group *g, uint64_t digest)
{
    ob_sieve_truth truth = {.w = &g->work->w,
                            .hessian = g->work->exact_hessian,
                            .nnz = g->problem.nnz,
                            .group = ortho_sieve_group(&g->problem),
                            .rule = g->problem.rule,
                            .threads = g->s->threads};
    ob_verdict verdict = {0};
    ob_quality quality;
    ortho_status status = ob_sieve_verify(&truth, &g->split, &verdict);
    if (status == ORTHO_OK)
        status = ob_work_judge(g->s, g->work, &g->split, &quality);
    if (status != ORTHO_OK)
        return status;
    g->known = true;
    g->digest = digest;
    g->verdict = verdict;
    g->quality = quality;
    return ORTHO_OK;
}

/* Exports what the state holds and checks it. What moves bytes only has nothing to export. */
static ortho_status check_export(sieve *e)
{
    group *g = e->g;
    ortho_split before = g->split;
    poison_split(&g->split);
    ortho_status status = e->hooks->export_split(e->state, &g->split, &e->services);
    ortho_role role = e->lane->c->variant->role;
    if (status == ORTHO_E_UNSUPPORTED && (role == ORTHO_CEILING || role == ORTHO_HARNESS)) {
        g->split = before;
        return ORTHO_OK;
    }
    bool moved = g->split.q != before.q || g->split.scale != before.scale ||
                 g->split.row_ptr != before.row_ptr || g->split.col != before.col ||
                 g->split.val != before.val || g->split.nnz != before.nnz;
    g->split = before;
    if (status == ORTHO_OK && moved)
        status = ortho_fail(ORTHO_E_WRONG, "its export replaced the caller's buffers");
    if (status != ORTHO_OK)
        return status;
    e->exports = true;
    uint64_t digest = digest_of(&g->split);
    if (!g->known || digest != g->digest)
        status = check_new(g, digest);
    if (status == ORTHO_OK) {
        e->lane->verdict = g->verdict;
        e->quality = g->quality;
    }
    return status;
}

static ortho_status check_fences(sieve *e)
{
    ortho_status status = ob_memory_check(&e->g->bench);
    return status == ORTHO_OK ? ob_memory_check(&e->lane->memory) : status;
}

/* W is shared, so a copy that was changed is mended for the others. */
static ortho_status check_w(group *g, int64_t index)
{
    void *data = (void *)g->w[index].data;
    const void *now = data;
    ortho_status status = ORTHO_OK;
    if (g->back != NULL) {
        status = g->s->backend->download(g->back, data, g->w_bytes);
        now = g->back;
    }
    if (status != ORTHO_OK)
        return status;
    if (memcmp(now, g->work->w.data, g->w_bytes) == 0)
        return ORTHO_OK;
    status = g->s->backend->upload(data, g->work->w.data, g->w_bytes);
    return status == ORTHO_OK ? ortho_fail(ORTHO_E_WRONG, "it changed its input W") : status;
}

static ortho_status verified_run(sieve *e, int64_t index)
{
    group *g = e->g;
    double ns = 0;
    ob_expect_message();
    ortho_status status = ob_memory_poison(&e->lane->memory, ORTHO_OUTPUT);
    if (status == ORTHO_OK)
        status = ob_lane_launch(e->lane, index, &ns);
    if (status == ORTHO_OK && index == 0 && g->s->backend->replays)
        status = ob_lane_launch(e->lane, index, &ns); /* the first one loaded modules */
    double least = ns, total = ns; /* the first run meets pages that aren't there yet */
    for (int i = 0; status == ORTHO_OK && index == 0 && i < OB_AGAIN && total < OB_AGAIN_NS; i++) {
        status = ob_lane_launch(e->lane, index, &ns);
        least = ns < least ? ns : least;
        total += ns;
    }
    if (index == 0) {
        e->lane->first_ns = least;
        e->working = e->lane->memory.peak[ORTHO_WORKING]; /* before an export takes its own */
    }
    if (status == ORTHO_OK)
        status = check_w(g, index);
    if (status == ORTHO_OK)
        status = check_export(e);
    return status == ORTHO_OK ? check_fences(e) : status;
}

/* ---- phases
 * -------------------------------------------------------------------------------------- */

static bool open_state(sieve *e)
{
    ob_lane *lane = e->lane;
    ortho_sieve_problem p = e->g->problem;
    p.w = &e->g->w[0];
    ortho_status status =
        e->hooks->supports != NULL ? e->hooks->supports(&p, &e->services) : ORTHO_OK;
    if (status == ORTHO_OK) {
        e->state = ob_memory_alloc(&e->g->bench, e->hooks->state_size, ORTHO_HOST, ORTHO_WORKING);
        status = e->state != NULL ? ORTHO_OK : ORTHO_E_MEMORY;
    }
    if (status == ORTHO_OK) {
        memset(e->state, 0, e->hooks->state_size);
        status = e->hooks->prepare(e->state, &p, &e->services);
    }
    e->prepared = status == ORTHO_OK;
    if (status == ORTHO_E_UNSUPPORTED)
        ob_lane_skip(lane, ortho_last_message());
    else if (status != ORTHO_OK)
        ob_lane_fail(lane, ortho_last_message());
    return e->prepared;
}

static const char *pass_word(const sieve *e)
{
    return e->exports ? "pass" : "n/a";
}

static ortho_status other_copies(sieve *e)
{
    ortho_status status = need_copies(e->g, e->lane->copies);
    double start = ob_timer_now();
    for (int64_t i = 1;
         status == ORTHO_OK && i < e->lane->copies && !ob_lane_late(e->lane, start, i); i++)
        status = ob_session_interrupted() ? ORTHO_E_CANCELLED : verified_run(e, i);
    return status;
}

static void prepare_lane(sieve *e)
{
    group *g = e->g;
    ob_lane *lane = e->lane;
    size_t before = ob_device_mark(g->s);
    if (!open_state(e))
        return;
    ob_memory_restart(&lane->memory);
    ortho_status status = verified_run(e, 0);
    ob_device_since(lane, before);
    e->output = lane->memory.current[ORTHO_OUTPUT];
    if (status == ORTHO_OK && lane->first_ns > g->s->options->case_timeout * 1e9) {
        char reason[160];
        snprintf(reason, sizeof reason, "one launch takes %.3g s, more than the case timeout",
                 lane->first_ns * 1e-9);
        ob_lane_skip(lane, reason);
        return;
    }
    if (status == ORTHO_OK) {
        if (ob_session_rotates(g->s))
            ob_lane_rotate(lane, (double)g->w_bytes, g->s->memory_budget / 2);
        status = other_copies(e);
    }
    if (status == ORTHO_E_CANCELLED) {
        ob_lane_skip(lane, "interrupted");
    } else if (status != ORTHO_OK) {
        lane->before = "fail";
        ob_lane_fail(lane, ortho_last_message());
    } else {
        lane->before = pass_word(e);
        lane->loop.copies = lane->copies;
        ob_memory_poison(&lane->memory, ORTHO_OUTPUT);
    }
}

/* The split of the last timed run. */
static ortho_status check_after(sieve *e)
{
    if (e->lane->cursor == 0)
        return verified_run(e, 0);
    ortho_status status = check_export(e);
    return status == ORTHO_OK ? check_fences(e) : status;
}

static void verify_after(sieve *e)
{
    ob_lane *lane = e->lane;
    if (lane->sampler.status != ORTHO_OK) {
        ob_lane_fail(lane, lane->sampler.message);
        return;
    }
    ortho_status status = check_after(e);
    lane->after = status == ORTHO_OK ? pass_word(e) : "fail";
    if (status != ORTHO_OK)
        ob_lane_fail(lane, ortho_last_message());
}

/* In the interleaved timing nobody can tell who it was. */
static void check_w_after(group *g)
{
    bool whole = true;
    for (int64_t i = 0; i < g->made; i++)
        whole = check_w(g, i) == ORTHO_OK && whole;
    for (int i = 0; !whole && i < g->count; i++)
        if (!g->lanes[i].out) {
            g->lanes[i].after = "fail";
            ob_lane_fail(&g->lanes[i], "a variant of this group changed W while it was timed");
        }
}

/* ---- rows
 * ---------------------------------------------------------------------------------------- */

/* What no sieve can do without: W read once, the split (of a copy: W) written once. An algorithm
 * that reads W again may find it in a cache, so its further reads are told apart (w_reads) and make
 * no floor. */
static ortho_cost cost_of(const sieve *e)
{
    const group *g = e->g;
    size_t out = e->exports ? ortho_split_base_bytes(&g->split) + ortho_split_ortho_bytes(&g->split)
                            : g->w_bytes;
    return (ortho_cost){.bytes = (double)(g->w_bytes + out),
                        .flops = (double)g->split.n * (double)g->split.k};
}

static void describe(sieve *e, int blob)
{
    group *g = e->g;
    const ob_case *c = e->lane->c;
    size_t peaks[3] = {[ORTHO_OUTPUT] = e->output, [ORTHO_WORKING] = e->working}, host = 0;
    ob_memory_job job = {.sieve = true,
                         .plugin = c->plugin,
                         .variant = c->variant->name,
                         .backend = c->variant->backend,
                         .n = g->split.n,
                         .k = g->split.k,
                         .nnz = c->nnz,
                         .group = g->split.group,
                         .problem_group = c->group,
                         .w_dtype = g->work->w.dtype,
                         .rule = g->problem.rule,
                         .density = c->density,
                         .threads = g->s->threads,
                         .blob = blob,
                         .hessian = g->work->hessian != NULL};
    if (blob >= 0 && ob_memory_measure(&job, &host) != ORTHO_OK)
        ob_say_note(g->s, "%s: no peak of resident memory: %s", c->key, ortho_last_message());
    ob_row_peaks_set(e->lane->row, peaks, host, e->lane->device_peak);
    if (e->hooks->kernels != NULL) {
        ortho_kernel_sink kernels = ob_row_kernels(e->lane->row);
        e->hooks->kernels(e->state, &kernels);
    }
    if (!e->exports)
        return;
    ob_row_quality_set(e->lane->row, &e->quality, g->s->facts->four_bit);
    int reads = e->hooks->w_reads[g->problem.rule];
    json_object_set_new(e->lane->row, "w_reads", json_integer(reads > 0 ? reads : 1));
    if (e->hooks->lanes != NULL && check_export(e) == ORTHO_OK) {
        ob_divergence d = {{0}};
        ortho_lane_sink sink = ob_divergence_sink(&d);
        e->hooks->lanes(&g->split, &sink);
        ob_row_divergence_set(e->lane->row, &d);
    }
}

static void report(group *g, int blob)
{
    for (int i = 0; i < g->count; i++)
        if (!g->lanes[i].out)
            g->lanes[i].cost = cost_of(&g->sieves[i]);
    ob_group_ceiling(g->lanes, g->count, &g->s->copy);
    for (int i = 0; i < g->count; i++)
        if (!g->lanes[i].out)
            ob_lane_floor(&g->lanes[i], g->s->read);
    ob_group_report(g->s, g->lanes, g->count);
    for (int i = 0; i < g->count; i++)
        if (!g->lanes[i].out)
            describe(&g->sieves[i], blob);
}

static ortho_status open_group(group *g, const ob_case *cases)
{
    ob_memory_init(&g->bench, g->s->backend, ob_session_fence(g->s, FENCE));
    g->bench.account = &g->s->account;
    g->services = ob_session_services(g->s, &g->bench);
    g->lanes = calloc((size_t)g->count, sizeof *g->lanes);
    g->sieves = calloc((size_t)g->count, sizeof *g->sieves);
    if (g->lanes == NULL || g->sieves == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a group of cases");
    for (int i = 0; i < g->count; i++) {
        sieve *e = &g->sieves[i];
        ob_lane_open(g->s, &cases[i], VARIANT_FENCE, &g->lanes[i]);
        e->g = g;
        e->lane = &g->lanes[i];
        e->hooks = cases[i].variant->sieve;
        e->lane->loop = (ob_launches){.ctx = e, .launch = launch, .copies = 1};
        e->services = ob_session_services(g->s, &e->lane->memory);
    }
    if (g->s->backend->space == ORTHO_DEVICE && (g->back = malloc(g->w_bytes)) == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a W that comes back");
    ortho_status status =
        ortho_split_alloc(g->work->w.rows, g->work->w.cols, ortho_sieve_group(&g->problem),
                          g->problem.nnz, &g->services, ORTHO_OUTPUT, &g->split);
    return status == ORTHO_OK ? need_copies(g, 1) : status;
}

static void close_group(group *g)
{
    for (int i = 0; g->sieves != NULL && i < g->count; i++) {
        sieve *e = &g->sieves[i];
        if (e->prepared)
            e->hooks->release(e->state, &e->services);
    }
    if (g->lanes != NULL)
        ob_group_finish(g->s, g->lanes, g->count);
    ob_memory_close(&g->bench);
    free(g->back);
    free(g->w);
    free(g->sieves);
    free(g->lanes);
}

ortho_status ob_sieve_group(ob_session *s, const ob_work *work, int blob, const ob_case *cases,
                            int count)
{
    group g = {.s = s,
               .work = work,
               .problem = {.w = &work->w,
                           .hessian = work->hessian,
                           .density = cases[0].density,
                           .nnz = cases[0].nnz,
                           .rule = s->options->rule,
                           .group = cases[0].group},
               .w_bytes =
                   (size_t)work->w.rows * (size_t)work->w.cols * ortho_dtype_bytes(work->w.dtype),
               .count = count};
    ortho_status status = open_group(&g, cases);
    for (int i = 0; status == ORTHO_OK && i < count; i++) {
        ob_phase_begin(s, i, &g.lanes[i], "verify");
        if (ob_session_interrupted())
            ob_lane_skip(&g.lanes[i], "interrupted");
        else
            prepare_lane(&g.sieves[i]);
        ob_phase_end();
    }
    if (status == ORTHO_OK)
        ob_group_work(s, g.lanes, count);
    for (int i = 0; status == ORTHO_OK && i < count; i++)
        if (!g.lanes[i].out) {
            ob_phase_begin(s, i, &g.lanes[i], "verify again");
            verify_after(&g.sieves[i]);
            ob_phase_end();
        }
    if (status == ORTHO_OK) {
        check_w_after(&g);
        report(&g, blob);
    }
    close_group(&g);
    return status;
}
