#include "harness/observe_facts.h"

#include "harness/divergence.h"
#include "harness/stats.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *absent(const char *reason)
{
    return json_pack("{s:s, s:s}", "status", "n/a", "reason", reason);
}

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
    return ob_median(scratch, n);
}

static json_t *kernel_facts(const ob_kernel_record *k, double ns)
{
    return json_pack("{s:s, s:f, s:[i,i,i], s:[i,i,i], s:i, s:i, s:i}", "name", k->name, "ns", ns,
                     "grid", k->grid[0], k->grid[1], k->grid[2], "block", k->block[0], k->block[1],
                     k->block[2], "registers", k->registers, "static_shared", k->static_shared,
                     "dynamic_shared", k->dynamic_shared);
}

/* What an operation's own copies and fills took, all launches together. */
static double transfer_total(const ob_activity_log *log, bool flushed)
{
    double total = 0;
    for (size_t i = 0; i < log->transfer_count; i++)
        if (!flushed || log->transfers[i].kind != OB_TRANSFER_FILL)
            total += (double)(log->transfers[i].end - log->transfers[i].start);
    return total;
}

/* Sums by launch: what the operation's kernels took, without the gaps between them. */
static double operation_median(const ob_activity_log *log, size_t per, double *scratch)
{
    size_t launches = log->kernel_count / per;
    for (size_t l = 0; l < launches; l++) {
        scratch[l] = 0;
        for (size_t i = 0; i < per; i++)
            scratch[l] += duration(&log->kernels[l * per + i]);
    }
    return ob_median(scratch, launches);
}

json_t *ob_activity_facts(const ob_activity_log *log, const ob_activity_view *view)
{
    if (log->dropped > 0)
        return absent("CUPTI dropped records");
    size_t per = view->launches > 0 ? log->kernel_count / (size_t)view->launches : 0;
    if (log->kernel_count > 0 && per * (size_t)view->launches != log->kernel_count)
        return absent("launches of one operation differ in their kernels");
    json_t *facts = json_pack("{s:s, s:i}", "status", "ok", "launches", view->launches);
    json_t *kernels = json_array();
    double *scratch = calloc(log->kernel_count + 1, sizeof *scratch);
    if (facts == NULL || kernels == NULL || scratch == NULL) {
        json_decref(facts);
        json_decref(kernels);
        free(scratch);
        return absent("no memory");
    }
    double ns = transfer_total(log, view->flushed) / view->launches;
    if (per > 0)
        ns += operation_median(log, per, scratch);
    for (size_t i = 0; i < per; i++)
        json_array_append_new(kernels, kernel_facts(&log->kernels[i],
                                                    kernel_median(log, per, i, scratch)));
    if (ns > 0)
        json_object_set_new(facts, "ns", json_real(ns));
    json_object_set_new(facts, "kernels", kernels);
    free(scratch);
    return facts;
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* Compilers tell a file by another path than ours now and then: the last parts decide. */
static bool same_file(const char *a, const char *b)
{
    size_t x = strlen(a), y = strlen(b), n = x < y ? x : y;
    if (n == 0)
        return false;
    bool ends = strcmp(a + x - n, b + y - n) == 0;
    return ends && (x == y || (x > y ? a[x - n - 1] : b[y - n - 1]) == '/');
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
           r->instructions[after].function == i->function &&
           on_line(&r->instructions[after], loop);
}

static bool in_loops(const ob_instruction_report *r, size_t at, const ortho_loop *loops)
{
    for (const ortho_loop *l = loops; l->kernel != NULL; l++)
        if (in_loop(r, at, l))
            return true;
    return false;
}

json_t *ob_loop_facts(const ob_instruction_report *report, const ortho_loop *loops)
{
    ob_divergence d = {{0}};
    double warps = 0, threads = 0;
    int instructions = 0;
    if (loops == NULL)
        return absent("the variant doesn't tell where its Ortho loop is");
    for (size_t i = 0; i < report->count; i++) {
        const ob_instruction *one = &report->instructions[i];
        if (one->warps == 0 || !in_loops(report, i, loops))
            continue;
        double lanes = (double)one->threads / (double)one->warps;
        d.histogram[(int)fmin(fmax(lround(lanes), 0), 32)] += (double)one->warps;
        warps += (double)one->warps;
        threads += (double)one->threads;
        instructions++;
    }
    if (instructions == 0)
        return absent("no instruction of the Ortho loop's lines was executed");
    double ratio = threads / (32 * warps);
    json_t *histogram = json_array();
    for (int i = 0; i <= 32; i++)
        json_array_append_new(histogram, json_real(d.histogram[i]));
    return json_pack("{s:s, s:f, s:o, s:i, s:f}", "status", "ok", "value", ratio, "histogram",
                     histogram, "instructions", instructions, "warp_instructions", warps);
}

json_t *ob_kernel_facts(const ob_instruction_report *report)
{
    double warps = 0, threads = 0, enabled = 0, divergent = 0, uniform = 0;
    for (size_t i = 0; i < report->count; i++) {
        const ob_instruction *one = &report->instructions[i];
        warps += (double)one->warps;
        threads += (double)one->threads;
        enabled += (double)one->enabled;
        divergent += (double)one->divergent;
        uniform += (double)one->uniform;
    }
    if (!(warps > 0))
        return absent("no instruction was counted");
    json_t *facts = json_pack("{s:s, s:f, s:f, s:f, s:f}", "status", "ok", "value",
                              threads / (32 * warps), "enabled", enabled / (32 * warps),
                              "warp_instructions", warps, "thread_instructions", threads);
    json_object_set_new(facts, "divergent_branches", json_integer((json_int_t)divergent));
    if (divergent + uniform > 0)
        json_object_set_new(facts, "branch_efficiency", json_real(uniform / (divergent + uniform)));
    return facts;
}
