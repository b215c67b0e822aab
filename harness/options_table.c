/* The option table: one entry an option, in the order in which help shows them. */
#include "harness/options_table.h"

#include "harness/counter_groups.h"
#include "reports/reports.h"
#include "variants/table.h"

#include <ctype.h>
#include <string.h>

#define FIELD(name) offsetof(ob_options, name)

static const ob_word op_words[] = {{"sieve", 1}, {"gemm", 2}, {"all", 3}, {NULL, 0}};
static const ob_word backend_words[] = {
    {"auto", OB_BACKEND_AUTO}, {"cpu", OB_BACKEND_CPU}, {"cuda", OB_BACKEND_CUDA}, {NULL, 0}};
static const ob_word proj_words[] = {{"q", 0},  {"k", 0},    {"v", 0}, {"o", 0},   {"gate", 0},
                                     {"up", 0}, {"down", 0}, {"w", 0}, {"all", 0}, {NULL, 0}};
static const ob_word rule_words[] = {{"outlier", ORTHO_RULE_OUTLIER},
                                     {"residual", ORTHO_RULE_RESIDUAL},
                                     {"legacy", ORTHO_RULE_LEGACY},
                                     {NULL, 0}};
static const ob_word group_words[] = {{"32", 32}, {"64", 64}, {"128", 128}, {"row", 0}, {NULL, 0}};
static const ob_word dtype_words[] = {{"auto", OB_DTYPE_AUTO},
                                      {"fp32", ORTHO_F32},
                                      {"fp16", ORTHO_F16},
                                      {"bf16", ORTHO_BF16},
                                      {NULL, 0}};
static const ob_word l2_words[] = {{"cold", OB_L2_COLD}, {"warm", OB_L2_WARM}, {NULL, 0}};
static const ob_word pass_words[] = {{"none", OB_PASS_NONE}, {"decode", OB_PASS_DECODE}, {NULL, 0}};
static const ob_word engine_words[] = {
    {"own", OB_ENGINE_OWN}, {"gbench", OB_ENGINE_GBENCH}, {NULL, 0}};
static const ob_word rows_words[] = {
    {"sieve", 0}, {"uniform", 0}, {"lognormal:1", 0}, {"one-full", 0}, {NULL, 0}};
static const ob_word plot_words[] = {{"tty", OB_PLOT_TTY}, {NULL, 0}};
static const ob_word color_words[] = {
    {"auto", OB_COLOR_AUTO}, {"always", OB_COLOR_ALWAYS}, {"never", OB_COLOR_NEVER}, {NULL, 0}};

const char *const ob_option_group_titles[OB_GROUP_COUNT] = {
    [OB_GROUP_WHAT] = "What to run",
    [OB_GROUP_SPLIT] = "The split and its use",
    [OB_GROUP_TIMING] = "Timing",
    [OB_GROUP_OUTPUT] = "Results",
    [OB_GROUP_COUNTERS] = "Hardware counters",
    [OB_GROUP_LISTS] = "Lists",
    [OB_GROUP_GENERAL] = "General",
};

const ob_option ob_option_table[] = {
    /* ---- what to run ---- */
    {.name = "op",
     .argument = "LIST",
     .type = OB_VALUE_OPS,
     .fallback = "all",
     .words = op_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "The operations: sieve splits W into Base and Ortho, gemm multiplies by both at once.",
     .example = "--op gemm"},
    {.name = "variant",
     .argument = "LIST",
     .type = OB_VALUE_WORDS,
     .offset = FIELD(variants),
     .fallback = "all",
     .from = OB_WORDS_VARIANTS,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "The implementations that compete. The references (null, memcpy, dense) always run "
             "beside them. `ortho-bench list` names them all.",
     .example = "--variant csr,block-csr"},
    {.name = "backend",
     .argument = "WHERE",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(backend),
     .fallback = "auto",
     .words = backend_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "Where to run: auto takes the GPU when there is one, else the CPU.",
     .example = "--backend cpu"},
    {.name = "model",
     .argument = "NAME|PATH",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(model),
     .unset = "the best at hand",
     .from = OB_WORDS_FILES,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "The weights: a safetensors or GGUF file, a folder of shards, a known model's name "
             "(`ortho-bench list --models`), a name in the local hub cache (org/name), "
             "synthetic:llama-3.2-3b[:SEED] or random:NxK.",
     .example = "--model smollm2-135m"},
    {.name = "layers",
     .argument = "LIST",
     .type = OB_VALUE_RANGES,
     .offset = FIELD(layers),
     .unset = "0",
     .max = 9999,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "The layers whose weights are used, counted from 0.",
     .example = "--layers 0-3,7"},
    {.name = "proj",
     .argument = "LIST",
     .type = OB_VALUE_WORDS,
     .offset = FIELD(projections),
     .fallback = "all",
     .words = proj_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "The projections of each layer: q, k, v, o, gate, up, down; w is a lone matrix.",
     .example = "--proj q,k"},
    {.name = "batch",
     .argument = "LIST",
     .type = OB_VALUE_WHOLES,
     .offset = FIELD(batches),
     .fallback = "1",
     .min = 1,
     .max = 1 << 20,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "Tokens that are multiplied at once (M): 1 is decoding, 2048 a long prompt.",
     .example = "--batch 1,16"},
    {.name = "case",
     .argument = "KEY",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(case_key),
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help =
         "Only the case with this key, as the results and --dry-run print it. The key holds the "
         "options that make it; a model other than the default is named beside it.",
     .example = "--case sieve/csr/cpu/L0.gate/d0.01/outlier/g128/cold"},
    {.name = "plugin",
     .argument = "FILE.so",
     .type = OB_VALUE_PATHS,
     .offset = FIELD(plugins),
     .from = OB_WORDS_FILES,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_WHAT,
     .help = "A variant built elsewhere against ortho/variant.h; may be given several times.",
     .example = "--plugin ./mine.so --variant mine"},
    {.name = "dry-run",
     .type = OB_VALUE_FLAG,
     .offset = FIELD(dry_run),
     .commands = OB_FOR_RUN | OB_FOR_VERIFY,
     .group = OB_GROUP_WHAT,
     .help = "Print the keys of the cases that would run, with the reason of each skip, and stop."},

    /* ---- the split and its use ---- */
    {.name = "density",
     .argument = "LIST",
     .type = OB_VALUE_NUMBERS,
     .offset = FIELD(densities),
     .fallback = "0.01",
     .max = 1,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_SPLIT,
     .help = "The share of the weights that goes to Ortho, 0 to 1.",
     .example = "--density 0.005,0.01"},
    {.name = "rule",
     .argument = "RULE",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(rule),
     .fallback = "outlier",
     .words = rule_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_SPLIT,
     .help = "How the sieve chooses: outlier (half by size against the row, kept out of the grid "
             "fit; half by e^2 H), residual (e^2 H), legacy (the original's e^2/H).",
     .example = "--rule residual"},
    {.name = "group",
     .argument = "SIZE",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(group),
     .fallback = "128",
     .words = group_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_SPLIT,
     .help = "Weights along a row that share one INT4 scale.",
     .example = "--group 32"},
    {.name = "hessian",
     .argument = "FILE",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(hessian),
     .unset = "from the weights",
     .from = OB_WORDS_FILES,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_SPLIT,
     .help = "H from a safetensors file that holds, under each weight's name, its diagonal [k] or "
             "activations [t, k].",
     .example = "--hessian calibration.safetensors"},
    {.name = "dtype",
     .argument = "TYPE",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(dtype),
     .fallback = "auto",
     .words = dtype_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_SPLIT,
     .help = "The type of the activations X and Y: auto is fp16 on a GPU, fp32 on the CPU.",
     .example = "--dtype bf16"},
    {.name = "alpha",
     .argument = "X",
     .type = OB_VALUE_NUMBER,
     .offset = FIELD(alpha),
     .fallback = "1",
     .min = -1e6,
     .max = 1e6,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_SPLIT,
     .help = "Y = X Base' + alpha X Ortho'. 0 is Base alone: the kill switch.",
     .example = "--alpha 0"},
    {.name = "ortho-rows",
     .argument = "SHAPE",
     .type = OB_VALUE_ROWS,
     .words = rows_words,
     .max = 4,
     .offset = FIELD(ortho_rows),
     .fallback = "sieve",
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_SPLIT,
     .help = "How Ortho's entries spread over rows: sieve keeps the real ones; uniform, "
             "lognormal:SIGMA or one-full ask how a kernel bears skew.",
     .example = "--ortho-rows lognormal:1"},

    /* ---- timing ---- */
    {.name = "l2",
     .argument = "STATE",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(l2),
     .fallback = "cold",
     .words = l2_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "cold rotates over copies larger than twice the last-level cache, as a model's layers "
             "do; warm reuses one copy.",
     .example = "--l2 warm"},
    {.name = "pass",
     .argument = "KIND",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(pass),
     .fallback = "none",
     .words = pass_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "decode runs every linear of every layer in order over distinct weights, as one token "
             "does: all layers, the GEMM alone; its time bounds the tokens a second.",
     .example = "--pass decode --layers 0-3"},
    {.name = "threads",
     .argument = "N",
     .type = OB_VALUE_WHOLE,
     .offset = FIELD(threads),
     .fallback = "0",
     .max = 4096,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "CPU threads; 0 is all of them.",
     .example = "--threads 1"},
    {.name = "seed",
     .argument = "N",
     .type = OB_VALUE_SEED,
     .offset = FIELD(seed),
     .fallback = "1",
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "Seeds activations, the bootstrap and imposed rows; it is kept in the results.",
     .example = "--seed 42"},
    {.name = "case-timeout",
     .argument = "SECONDS",
     .type = OB_VALUE_NUMBER,
     .offset = FIELD(case_timeout),
     .fallback = "5",
     .min = 1e-3,
     .max = 86400,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "Timing of one case ends here, converged or not; a case that is not says so.",
     .example = "--case-timeout 2"},
    {.name = "min-time",
     .argument = "SECONDS",
     .type = OB_VALUE_NUMBER,
     .offset = FIELD(min_time),
     .fallback = "0.2",
     .max = 3600,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "Samples are taken for at least this long before the interval is trusted.",
     .example = "--min-time 1"},
    {.name = "ci-target",
     .argument = "SHARE",
     .type = OB_VALUE_NUMBER,
     .offset = FIELD(ci_target),
     .fallback = "0.02",
     .min = 1e-6,
     .max = 1,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "A case is done when the median's 95 % interval is narrower than this share of it.",
     .example = "--ci-target 0.005"},
    {.name = "engine",
     .argument = "NAME",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(engine),
     .fallback = "own",
     .words = engine_words,
     .commands = OB_FOR_CASES,
     .group = OB_GROUP_TIMING,
     .help = "Who drives the samples: our own sampler, or Google Benchmark around it.",
     .example = "--engine gbench"},

    /* ---- results ---- */
    {.name = "out",
     .letter = 'o',
     .argument = "FILE",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(out),
     .unset = "run: out/ortho-bench-DATE-TIME.json",
     .from = OB_WORDS_FILES,
     .commands = OB_FOR_RUN | OB_FOR_REPORT,
     .group = OB_GROUP_OUTPUT,
     .help = "Where the results go: run writes native JSON with every raw sample, report writes "
             "what --format says; - is stdout.",
     .example = "--out results.json",
     .layers_for = OB_FOR_RUN},
    {.name = "report",
     .argument = "DIR",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(report),
     .from = OB_WORDS_FOLDERS,
     .commands = OB_FOR_RUN | OB_FOR_REPORT,
     .group = OB_GROUP_OUTPUT,
     .help = "A folder for every export and plot (SVG, PNG, gnuplot, TSV).",
     .example = "--report out/report"},
    {.name = "trace",
     .argument = "FILE",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(trace),
     .from = OB_WORDS_FILES,
     .commands = OB_FOR_RUN,
     .group = OB_GROUP_OUTPUT,
     .help =
         "A timeline of the GPU's kernels, copies and memory and of the host's phases, recorded "
         "in a process of its own: load it in https://ui.perfetto.dev.",
     .example = "--trace out/trace.json"},
    {.name = "format",
     .argument = "NAME",
     .type = OB_VALUE_NAME,
     .offset = FIELD(format),
     .fallback = "table",
     .from = OB_WORDS_WRITERS,
     .commands = OB_FOR_RUN | OB_FOR_REPORT,
     .group = OB_GROUP_OUTPUT,
     .help = "What stdout gets; `ortho-bench list --formats` names them all.",
     .example = "--format csv"},
    {.name = "plot",
     .argument = "WHERE",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(plot),
     .words = plot_words,
     .commands = OB_FOR_RUN | OB_FOR_REPORT,
     .group = OB_GROUP_OUTPUT,
     .help = "Draw the speed-ups in the terminal, after the table.",
     .example = "--plot tty"},
    {.name = "json",
     .type = OB_VALUE_FLAG,
     .offset = FIELD(json),
     .commands = OB_FOR_INSPECT | OB_FOR_DOCTOR,
     .group = OB_GROUP_OUTPUT,
     .help = "One JSON object instead of text.",
     .flag_only = true},

    /* ---- counters ---- */
    {.name = "counters",
     .argument = "LIST",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(counters),
     .unset = "none",
     .from = OB_WORDS_COUNTERS,
     .commands = OB_FOR_RUN,
     .group = OB_GROUP_COUNTERS,
     .help =
         "Hardware counters of every GPU case, in launches of their own after timing: groups, all "
         "of them, or single metrics by the names of CUPTI. `ortho-bench list --counters` tells "
         "what each group answers.",
     .example = "--counters divergence,dram"},
    {.name = "require-counters",
     .type = OB_VALUE_FLAG,
     .offset = FIELD(require_counters),
     .commands = OB_FOR_RUN,
     .group = OB_GROUP_COUNTERS,
     .help = "End with exit code 6 when something that --counters asks for has no value: no "
             "permission, another profiler, a metric that this chip hasn't got.",
     .example = "--counters dram --require-counters"},

    /* ---- lists ---- */
    {.name = "variants",
     .type = OB_VALUE_FLAG,
     .offset = FIELD(list_variants),
     .commands = OB_FOR_LIST,
     .group = OB_GROUP_LISTS,
     .help = "The variants of this build (what `list` shows when nothing is asked).",
     .flag_only = true},
    {.name = "models",
     .type = OB_VALUE_FLAG,
     .offset = FIELD(list_models),
     .commands = OB_FOR_LIST,
     .group = OB_GROUP_LISTS,
     .help = "The known models: which are at hand and where, and how to get the others.",
     .flag_only = true},
    {.name = "formats",
     .type = OB_VALUE_FLAG,
     .offset = FIELD(list_formats),
     .commands = OB_FOR_LIST,
     .group = OB_GROUP_LISTS,
     .help = "The writers that --format takes, and the plots of --report.",
     .flag_only = true},
    {.name = "counters", /* its namesake above stands first: it is the one for files */
     .type = OB_VALUE_FLAG,
     .offset = FIELD(list_counters),
     .commands = OB_FOR_LIST,
     .group = OB_GROUP_LISTS,
     .help = "The groups of hardware counters: what each answers and how to read it, its formulas "
             "and metrics, and how many passes it takes on which chip.",
     .flag_only = true},
    {.name = "cases",
     .type = OB_VALUE_FLAG,
     .offset = FIELD(list_cases),
     .commands = OB_FOR_LIST,
     .group = OB_GROUP_LISTS,
     .help = "The cases that a run with the same options would do.",
     .flag_only = true},

    /* ---- general ---- */
    {.name = "config",
     .argument = "FILE",
     .type = OB_VALUE_TEXT,
     .offset = FIELD(config),
     .unset = "~/.config/ortho-bench/config.ini, if there",
     .from = OB_WORDS_FILES,
     .commands = OB_FOR_ALL,
     .group = OB_GROUP_GENERAL,
     .help = "Options from a file, one `name = value` a line.",
     .example = "--config nightly.ini"},
    {.name = "color",
     .argument = "WHEN",
     .type = OB_VALUE_CHOICE,
     .offset = FIELD(color),
     .fallback = "auto",
     .words = color_words,
     .commands = OB_FOR_ALL,
     .group = OB_GROUP_GENERAL,
     .help = "auto colours a terminal unless NO_COLOR is set.",
     .example = "--color never"},
    {.name = "quiet",
     .letter = 'q',
     .type = OB_VALUE_FLAG,
     .offset = FIELD(quiet),
     .commands = OB_FOR_ALL,
     .group = OB_GROUP_GENERAL,
     .help = "Nothing on stderr but errors."},
    {.name = "verbose",
     .letter = 'v',
     .type = OB_VALUE_FLAG,
     .offset = FIELD(verbose),
     .commands = OB_FOR_ALL,
     .group = OB_GROUP_GENERAL,
     .help = "More on stderr: each phase of each case, each file made."},
};

const size_t ob_option_count = sizeof ob_option_table / sizeof *ob_option_table;

const ob_option *ob_option_find(const char *name)
{
    for (size_t i = 0; i < ob_option_count; i++)
        if (strcmp(ob_option_table[i].name, name) == 0)
            return &ob_option_table[i];
    return NULL;
}

static size_t add_word(const char **words, size_t n, size_t max, const char *word)
{
    if (n < max && (n == 0 || strcmp(words[n - 1], word) != 0))
        words[n++] = word;
    return n;
}

size_t ob_option_words(const ob_option *option, const char **words, size_t max)
{
    size_t n = 0;
    if (option->from == OB_WORDS_VARIANTS) {
        /* CPU and CUDA descriptors of one name are neighbours */
        for (const ortho_variant *const *v = ortho_variant_table; *v != NULL; v++)
            n = add_word(words, n, max, (*v)->name);
        return add_word(words, n, max, "all");
    }
    if (option->from == OB_WORDS_COUNTERS) {
        for (const ob_group_text *g = ob_group_texts; g->name != NULL; g++)
            n = add_word(words, n, max, g->name);
        return add_word(words, n, max, "all");
    }
    if (option->from == OB_WORDS_WRITERS)
        for (const ortho_writer *const *w = ortho_writers; *w != NULL; w++)
            n = add_word(words, n, max, (*w)->name);
    for (const ob_word *w = option->words; w != NULL && w->word != NULL; w++)
        n = add_word(words, n, max, w->word);
    return n;
}

void ob_option_variable(const ob_option *option, char name[64])
{
    size_t n = strlen("ORTHO_BENCH_");
    memcpy(name, "ORTHO_BENCH_", n);
    for (const char *p = option->name; *p != '\0' && n < 63; p++)
        name[n++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    name[n] = '\0';
}
