/* tune: a session over every way of a variant; what it found, as words and as the build's table. */
#include "harness/tune.h"
#include "common/error.h"
#include "harness/commands/command.h"
#include "harness/commands/outcome.h"
#include "harness/commands/run.h"
#include "harness/grid.h"
#include "harness/options_table.h"
#include "kernels/cpu.h"
#include "reports/text.h"
#include "variants/table.h"
#include "variants/tuned.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- what is asked --------------------------------------------------------------------------- */

/* The names of the built-in variants that have ways, joined by commas; returns how many. */
static int tunable(char names[256])
{
    int count = 0;
    const char *last = "";
    size_t used = 0;
    names[0] = '\0';
    for (const ortho_variant *const *v = ortho_variant_table; *v != NULL && used < 256; v++) {
        if ((*v)->gemm == NULL || (*v)->gemm->ways == NULL || strcmp(last, (*v)->name) == 0)
            continue;
        last = (*v)->name; /* the CUDA one is its neighbour */
        used += (size_t)snprintf(names + used, 256 - used, "%s%s", count > 0 ? ", " : "", last);
        count++;
    }
    return count;
}

/* A table is of one variant. */
static ortho_status check_variant(const ob_options *o)
{
    char names[256];
    int count = tunable(names);
    if (o->variants.count == 1 || (o->variants.count == 0 && count + o->plugins.count == 1))
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_ARGUMENT, "`tune` is of one variant: name it with --variant; here %s",
                      names);
}

static ob_options session_options(const ob_options *options)
{
    ob_options o = *options;
    o.ways = true;
    o.do_sieve = false;
    o.do_gemm = true;
    o.batches = options->tune_batches;
    o.pass = OB_PASS_NONE;
    o.forms = OB_FORM_SINGLE;
    o.activations = 1 << ORTHO_ACTIVATIONS_EXACT;
    o.alpha = 1;
    o.engine = OB_ENGINE_OWN;
    o.case_key = NULL;
    o.processes = 1;
    return o;
}

/* ---- what was found -------------------------------------------------------------------------- */

static ob_tune_origin origin_of(const json_t *results, const ob_tune *t, int threads,
                                char device[ORTHO_TUNED_DEVICE])
{
    const char *gpu = ortho_model_string(results, "context.gpu.name");
    double all = ortho_model_number(results, "context.cpu.threads");
    if (t->backend != NULL && strcmp(t->backend, ob_backend_name(ORTHO_CUDA)) == 0) {
        snprintf(device, ORTHO_TUNED_DEVICE, "%s", gpu != NULL ? gpu : "unknown");
        return (ob_tune_origin){.device = device};
    }
    ortho_cpu_device(device, ORTHO_TUNED_DEVICE);
    return (ob_tune_origin){.device = device,
                            .threads = threads > 0 ? threads
                                       : all > 0   ? (int)all
                                                   : 0};
}

/* "1.24" times as fast as the usual way; "" where that has no time. */
static void put_gain(const ob_tune_case *c, char out[32])
{
    out[0] = '\0';
    if (c->usual >= 0 && c->way[c->usual].ns > 0)
        snprintf(out, 32, "%.3f×", c->way[c->usual].ns / c->way[c->best].ns);
}

static void put_words(const ob_tune_case *c, char out[96])
{
    out[0] = '\0';
    if (ob_tune_changes(c))
        snprintf(out, 96, "changed, was %s",
                 c->usual >= 0 ? c->way[c->usual].name : "none that works");
    else if (c->second >= 0 && c->way[c->second].ns < c->way[c->best].ns)
        snprintf(out, 96, "kept: %s is no certain gain", c->way[c->second].name);
}

static void add_case(ob_grid *grid, const ob_tune_case *c)
{
    char shape[48], group[24], density[32], m[24], time[32], second[32] = "", gain[32], words[96];
    if (c->best < 0)
        return;
    snprintf(shape, sizeof shape, "%" PRId64 "×%" PRId64, c->n, c->k);
    snprintf(group, sizeof group, "%" PRId64, c->group);
    snprintf(density, sizeof density, "%g", c->density);
    snprintf(m, sizeof m, "%" PRId64, c->m);
    ortho_text_time(c->way[c->best].ns, time, sizeof time);
    if (c->second >= 0)
        ortho_text_time(c->way[c->second].ns, second, sizeof second);
    put_gain(c, gain);
    put_words(c, words);
    const char *cells[] = {shape,   group,
                           density, c->dtype,
                           m,       c->way[c->best].name,
                           time,    c->second >= 0 ? c->way[c->second].name : "",
                           second,  gain,
                           words};
    ob_grid_add(grid, cells);
}

static ortho_status print(const ob_tune *t)
{
    static const ob_grid_column columns[] = {
        {"n×k", false, 0},     {"group", true, 0},    {"density", true, 0}, {"dtype", false, 0},
        {"m", true, 0},        {"way", false, 0},     {"time", true, 0},    {"next", false, 0},
        {"its time", true, 0}, {"of usual", true, 0}, {"", false, 0}};
    ob_grid grid = {.column = columns, .columns = sizeof columns / sizeof *columns};
    for (size_t i = 0; i < t->count; i++)
        add_case(&grid, &t->cases[i]);
    ortho_status status = grid.rows > 0 ? ob_grid_print(&grid, stdout) : ORTHO_OK;
    ob_grid_clear(&grid);
    return status;
}

/* What isn't in the table, and how much of it is new. */
static void tell(const ob_tune *t, const ob_log *log)
{
    size_t changed = 0, found = 0;
    for (size_t i = 0; i < t->count; i++) {
        const ob_tune_case *c = &t->cases[i];
        changed += ob_tune_changes(c);
        found += c->best >= 0;
        for (int w = 0; w < c->count; w++)
            if (c->way[w].status == ORTHO_CASE_FAILED)
                ob_log_error(log, "way %s is left out, it failed: %s: %s", c->way[w].name,
                             c->way[w].key, c->way[w].reason);
    }
    if (t->unfinished > 0)
        ob_log_note(log, "%zu unfinished case%s left out", t->unfinished,
                    t->unfinished == 1 ? " is" : "s are");
    ob_log_note(log, "%zu of %zu cases changed", changed, found);
}

static size_t found_cases(const ob_tune *t)
{
    size_t found = 0;
    for (size_t i = 0; i < t->count; i++)
        found += t->cases[i].best >= 0;
    return found;
}

static ortho_status save(const ob_tune *t, const json_t *results, const ob_options *o,
                         const ob_log *log)
{
    char device[ORTHO_TUNED_DEVICE], place[512];
    ob_tune_origin origin = origin_of(results, t, o->threads, device);
    ob_tune_place(t, device, place);
    if (found_cases(t) == 0) {
        ob_log_note(log, "no way was timed: there is no table");
        return ORTHO_OK;
    }
    if (o->out == NULL) {
        ob_log_note(log, "with --out %s it becomes the build's", place);
        return ORTHO_OK;
    }
    ortho_status status = ob_tune_write(t, results, &origin, o->out);
    if (status == ORTHO_OK && strcmp(o->out, "-") != 0)
        ob_log_note(log, "table: %s; as %s it is the build's", o->out, place);
    return status;
}

static ortho_status deliver(const json_t *results, const ob_options *o, const ob_log *log)
{
    ob_tune t = {0};
    ortho_status status = ob_tune_read(results, &t);
    if (status != ORTHO_OK)
        return status;
    status = save(&t, results, o, log); /* first: it mustn't be lost to a terminal */
    ortho_status printed = o->out == NULL || strcmp(o->out, "-") != 0 ? print(&t) : ORTHO_OK;
    fflush(stdout);
    tell(&t, log);
    ob_tune_clear(&t);
    return status != ORTHO_OK ? status : printed;
}

static int tune(const ob_options *options)
{
    ob_log log = ob_log_open(options);
    ob_options asked = session_options(options);
    ortho_status status = check_variant(options);
    if (status == ORTHO_OK && options->dry_run)
        return ob_session_dry_run(&asked, &log);
    if (status == ORTHO_OK && options->out != NULL)
        status = ob_outcome_check(options->out);
    if (status != ORTHO_OK) {
        ob_log_error(&log, "%s", ortho_last_message());
        return status == ORTHO_E_ARGUMENT ? OB_EXIT_USAGE : OB_EXIT_RUNTIME;
    }
    json_t *results = NULL;
    int code = ob_session_watch(&asked, &log, NULL, &results);
    if (results == NULL)
        return code;
    status = deliver(results, options, &log);
    json_decref(results);
    if (status != ORTHO_OK) {
        ob_log_error(&log, "%s", ortho_last_message());
        return code == OB_EXIT_OK ? OB_EXIT_RUNTIME : code;
    }
    return code;
}

extern const ob_command ob_command_tune;
const ob_command ob_command_tune = {
    .name = "tune",
    .bit = OB_FOR_TUNE,
    .summary = "time every way of a variant and make the table that it chooses by",
    .about =
        "A variant may have several ways of doing one product (`fused`: kernels and tiles), each "
        "the fastest somewhere. For every shape, density and batch all ways that can take it are "
        "verified against the fp64 reference, timed in turns in one process, and verified again; "
        "linears of one shape are measured once. The fastest is taken where it saves 2 % of the "
        "usual way's time and their intervals are apart, else the usual one stays. The table "
        "becomes the build's as variants/NAME/tuned/DEVICE.tsv. A way that computes a wrong "
        "result is named, left out, and makes the exit code 4. Ctrl-C keeps the cases that are "
        "done.",
    .examples = {{"ortho-bench tune --variant fused", "what would change on the model at hand"},
                 {"ortho-bench tune --variant fused --backend cuda --model "
                  "synthetic:llama-3.2-3b --density 0,0.01 --min-time 1 -o h100.tsv",
                  "a table for this GPU, at Llama-3.2-3B's shapes"},
                 {"ortho-bench tune --variant fused --proj gate --batch 4,8,16 --dry-run",
                  "which cases that would be"}},
    .run = tune,
};
