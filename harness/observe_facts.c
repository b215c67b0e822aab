#include "harness/observe_facts.h"

#include "common/stats.h"
#include "harness/annotate_source.h"
#include "harness/results.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- activity -------------------------------------------------------------------------------- */

static double duration(const ob_kernel_record *k)
{
    return (double)(k->end - k->start);
}

/* Median over the launches of kernel number i of `per`. */
static double kernel_median(const ob_activity_log *log, size_t per, size_t i, double *scratch)
{
    size_t n = 0;
    for (size_t k = i; k < log->kernel_count; k += per)
        scratch[n++] = duration(&log->kernels[k]);
    return ortho_median(scratch, n);
}

/* An interval of the GPU's work on one launch. */
typedef struct interval {
    uint64_t start, end;
} interval;

static int by_start(const void *a, const void *b)
{
    const interval *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

/* How long at least one of them lasted: a dependent kernel that was let in early waits for the one
 * before it, and that wait isn't its work. */
static double covered(interval *at, size_t count)
{
    double total = 0;
    uint64_t until = 0;
    qsort(at, count, sizeof *at, by_start);
    for (size_t i = 0; i < count; i++) {
        uint64_t from = at[i].start > until ? at[i].start : until;
        if (at[i].end > from) {
            total += (double)(at[i].end - from);
            until = at[i].end;
        }
    }
    return total;
}

/* The operation's own work, kernels and transfers, all launches together, over their number. */
static double mean_covered(const ob_activity_log *log, const ob_activity_view *view)
{
    interval *at = calloc(log->kernel_count + log->transfer_count + 1, sizeof *at);
    size_t n = 0;
    if (at == NULL)
        return 0;
    for (size_t i = 0; i < log->kernel_count; i++)
        at[n++] = (interval){log->kernels[i].start, log->kernels[i].end};
    for (size_t i = 0; i < log->transfer_count; i++)
        if (!view->flushed || log->transfers[i].kind != OB_TRANSFER_FILL)
            at[n++] = (interval){log->transfers[i].start, log->transfers[i].end};
    double total = n > 0 ? covered(at, n) : 0;
    free(at);
    return total / view->launches;
}

/* Median over the launches, where each has the same kernels and nothing else. */
static double median_covered(const ob_activity_log *log, size_t per, double *scratch)
{
    size_t launches = log->kernel_count / per;
    interval *at = calloc(per, sizeof *at);
    for (size_t l = 0; at != NULL && l < launches; l++) {
        for (size_t i = 0; i < per; i++)
            at[i] = (interval){log->kernels[l * per + i].start, log->kernels[l * per + i].end};
        scratch[l] = covered(at, per);
    }
    free(at);
    return at != NULL ? ortho_median(scratch, launches) : 0;
}

static bool has_transfers(const ob_activity_log *log, bool flushed)
{
    for (size_t i = 0; i < log->transfer_count; i++)
        if (!flushed || log->transfers[i].kind != OB_TRANSFER_FILL)
            return true;
    return false;
}

/* One entry a kernel of a launch. */
static void describe_kernels(const ob_activity_log *log, size_t per, double *scratch,
                             ob_activity_kernel *out)
{
    for (size_t i = 0; i < per; i++) {
        const ob_kernel_record *k = &log->kernels[i];
        out[i] = (ob_activity_kernel){.name = k->name,
                                      .ns = kernel_median(log, per, i, scratch),
                                      .grid = {k->grid[0], k->grid[1], k->grid[2]},
                                      .block = {k->block[0], k->block[1], k->block[2]},
                                      .registers = k->registers,
                                      .static_shared = k->static_shared,
                                      .dynamic_shared = k->dynamic_shared};
    }
}

static void set_unavailable(json_t *row, const char *reason)
{
    ob_activity_facts facts = {.is = {.status = "n/a", .reason = reason}};
    ob_row_activity_set(row, &facts);
}

void ob_row_activity_from(json_t *row, const ob_activity_log *log, const ob_activity_view *view)
{
    size_t per = view->launches > 0 ? log->kernel_count / (size_t)view->launches : 0;
    if (per * (size_t)view->launches != log->kernel_count)
        per = 0; /* copies that chose different kernels: only their sum can be told */
    double *scratch = calloc(log->kernel_count + 1, sizeof *scratch);
    ob_activity_kernel *kernels = calloc(per + 1, sizeof *kernels);
    if (scratch == NULL || kernels == NULL || log->dropped > 0) {
        set_unavailable(row, log->dropped > 0 ? "CUPTI dropped records" : "no memory");
    } else {
        double ns = per == 0 || has_transfers(log, view->flushed)
                        ? mean_covered(log, view)
                        : median_covered(log, per, scratch);
        describe_kernels(log, per, scratch, kernels);
        ob_activity_facts facts = {.is = {.status = "ok"},
                                   .ns = ns > 0 ? ns : NAN,
                                   .timer_ns = view->timer_ns,
                                   .launches = (size_t)view->launches,
                                   .kernels = kernels,
                                   .kernel_count = per,
                                   .peak_device_bytes = (double)view->device,
                                   .allocator_bytes = (double)view->booked};
        ob_row_activity_set(row, &facts);
    }
    free(kernels);
    free(scratch);
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* By the last three parts of a path, which name a file of ours wherever it was compiled: a build
 * that was moved, or came from a compiler cache, has another root in its line table. */
static bool same_file(const char *a, const char *b)
{
    return a[0] != '\0' && strcmp(ob_path_tail(a, 3), ob_path_tail(b, 3)) == 0;
}

static bool on_line(const ob_instruction *i, const ortho_loop *loop)
{
    return same_file(i->file, loop->file) && i->line >= loop->first && i->line <= loop->last;
}

/* What was inlined from another file has that file's lines: it belongs to the loop where it stands
 * between instructions that do. */
static bool in_loop(const ob_instruction_report *r, size_t at, const ortho_loop *loop)
{
    const ob_instruction *i = &r->instructions[at];
    if (strstr(i->function, loop->kernel) == NULL)
        return false;
    if (same_file(i->file, loop->file))
        return on_line(i, loop);
    size_t before = at, after = at + 1;
    while (before > 0 && r->instructions[before - 1].function == i->function &&
           !same_file(r->instructions[before - 1].file, loop->file))
        before--;
    while (after < r->count && r->instructions[after].function == i->function &&
           !same_file(r->instructions[after].file, loop->file))
        after++;
    return before > 0 && r->instructions[before - 1].function == i->function &&
           on_line(&r->instructions[before - 1], loop) && after < r->count &&
           r->instructions[after].function == i->function && on_line(&r->instructions[after], loop);
}

void ob_row_loop_from(json_t *row, const ob_instruction_report *report, const ortho_loop *loop)
{
    double histogram[33] = {0}, warps = 0, threads = 0;
    int instructions = 0;
    for (size_t i = 0; i < report->count; i++) {
        const ob_instruction *one = &report->instructions[i];
        if (one->warps == 0 || !in_loop(report, i, loop))
            continue;
        double lanes = (double)one->threads / (double)one->warps;
        histogram[(int)fmin(fmax((double)lround(lanes), 0), 32)] += (double)one->warps;
        warps += (double)one->warps;
        threads += (double)one->threads;
        instructions++;
    }
    ob_measured m = {.loop = {.is = {.status = "ok"},
                              .value = threads / (32 * warps),
                              .histogram = histogram,
                              .instructions = instructions,
                              .warp_instructions = warps}};
    if (instructions == 0)
        m.loop.is = (ob_availability){
            .status = "n/a", .reason = "no instruction of the Ortho loop's lines was executed"};
    ob_row_measured_set(row, &m);
}

json_t *ob_instruction_list(const ob_instruction_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const ob_instruction *one = &report->instructions[i];
        if (one->warps > 0 || one->stalls > 0)
            json_array_append_new(
                list, json_pack("{s:s, s:I, s:s, s:i, s:I, s:I, s:I, s:I, s:I}", "function",
                                one->function, "pc", (json_int_t)one->pc, "file", one->file, "line",
                                one->line, "warps", (json_int_t)one->warps, "threads",
                                (json_int_t)one->threads, "enabled", (json_int_t)one->enabled,
                                "divergent", (json_int_t)one->divergent, "stalls",
                                (json_int_t)one->stalls));
    }
    return list;
}

/* ---- counters -------------------------------------------------------------------------------- */

/* NAN where it isn't there or isn't ok. */
static double counter(const json_t *counters, const char *name)
{
    const json_t *value = json_object_get(json_object_get(counters, name), "value");
    return json_is_number(value) ? json_number_value(value) : NAN;
}

void ob_row_kernel_from(json_t *row)
{
    const json_t *counters = json_object_get(row, "counters");
    double warps = counter(counters, "smsp__inst_executed.sum");
    double threads = counter(counters, "smsp__thread_inst_executed.sum");
    double enabled = counter(counters, "smsp__thread_inst_executed_pred_on.sum");
    double divergent = counter(counters, "smsp__sass_branch_targets_threads_divergent.sum");
    double uniform = counter(counters, "smsp__sass_branch_targets_threads_uniform.sum");
    ob_measured m = {.kernel = {.is = {.status = "ok"},
                                .value = threads / (32 * warps),
                                .enabled = enabled / (32 * warps),
                                .divergent_branches = divergent,
                                .branch_efficiency = uniform / (uniform + divergent)}};
    if (!(warps > 0) || !(threads > 0))
        m.kernel.is = (ob_availability){.status = "n/a",
                                        .reason = "it takes the counters of the group divergence"};
    ob_row_measured_set(row, &m);
}
