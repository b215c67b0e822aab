/*
 * options.h: what the user asked for. One table drives parsing, --help, man page, completions,
 * config file, environment and the echo in the results: defaults < config file < ORTHO_BENCH_* <
 * flags.
 */
#ifndef ORTHO_HARNESS_OPTIONS_H
#define ORTHO_HARNESS_OPTIONS_H

#include <ortho/variant.h>

struct json_t;

#define OB_LIST_MAX      64
#define OB_PROCESSES_MAX 64

typedef enum ob_exit {
    OB_EXIT_OK = 0,
    OB_EXIT_RUNTIME = 1,
    OB_EXIT_USAGE = 2,
    OB_EXIT_REGRESSION = 3,
    OB_EXIT_WRONG = 4,
    OB_EXIT_AMBIGUOUS = 5,
    OB_EXIT_COUNTERS = 6,
    OB_EXIT_SKIPPED = 77,
    OB_EXIT_INTERRUPTED = 130
} ob_exit;

/* --dtype auto: what users of the backend have, fp16 on a GPU, fp32 on the CPU. */
#define OB_DTYPE_AUTO ORTHO_DTYPE_COUNT

typedef enum ob_backend_choice {
    OB_BACKEND_AUTO = 0,
    OB_BACKEND_CPU,
    OB_BACKEND_CUDA
} ob_backend_choice;
typedef enum ob_l2 { OB_L2_COLD = 0, OB_L2_WARM } ob_l2;
typedef enum ob_pass { OB_PASS_NONE = 0, OB_PASS_DECODE } ob_pass;
/* How a pass is launched, as bits of a set. A row has one of them. */
typedef enum ob_form {
    OB_FORM_SINGLE = 1,    /* every linear a launch of its own */
    OB_FORM_GROUPED = 2,   /* linears that share x are one launch: q, k and v; gate and up */
    OB_FORM_PERSISTENT = 4 /* one launch for all linears, each fed by those before it */
} ob_form;
#define OB_FORMS 3
typedef enum ob_engine { OB_ENGINE_OWN = 0, OB_ENGINE_GBENCH } ob_engine;

typedef enum ob_color { OB_COLOR_AUTO = 0, OB_COLOR_ALWAYS, OB_COLOR_NEVER } ob_color;
typedef enum ob_plot_place { OB_PLOT_NOWHERE = 0, OB_PLOT_TTY } ob_plot_place;

/* What a child process finds out instead of timing (observe.h). */
typedef enum ob_observe {
    OB_OBSERVE_NOTHING = 0,
    OB_OBSERVE_ACTIVITY,
    OB_OBSERVE_COUNTERS,
    OB_OBSERVE_INSTRUCTIONS,
    OB_OBSERVE_STALLS
} ob_observe;

typedef struct ob_words {
    int count;
    const char *item[OB_LIST_MAX];
} ob_words;

typedef struct ob_numbers {
    int count;
    double item[OB_LIST_MAX];
} ob_numbers;

typedef struct ob_options {
    bool do_sieve, do_gemm; /* --op */
    ob_words variants;      /* --variant; count 0: all */
    ob_backend_choice backend;
    const char *model;    /* --model; NULL: choose */
    ob_numbers layers;    /* --layers 0-3,7 expanded; count 0: the default (layer 0) */
    ob_words projections; /* --proj; count 0: all */
    ob_numbers batches;   /* --batch; default 1 */
    ob_numbers densities; /* --density; default 0.01 */
    ortho_rule rule;
    int group;         /* 32, 64, 128, 0 = row; default 128 */
    ortho_dtype dtype; /* --dtype fp16|bf16|fp32, or OB_DTYPE_AUTO */
    int activations;   /* --activations: bits, 1 << ortho_activation_mode */
    double alpha;
    ob_l2 l2;
    ob_pass pass;           /* --pass: all linears as one operation, instead of each alone */
    int forms;              /* --form: bits of ob_form; OB_FORM_SINGLE alone without a pass */
    const char *ortho_rows; /* "sieve" */
    const char *hessian;    /* file; NULL: from the weights */
    const char *held_out;   /* file; NULL: quality is judged by the sieve's own H alone */
    ob_words plugins;
    uint64_t seed;
    int threads;          /* 0: all */
    const char *case_key; /* --case: only this one */
    int processes;        /* --processes: time every case in so many, one after the other; 1 */
    double case_timeout;  /* seconds of timing for a case */
    double min_time;      /* seconds of samples wanted before the CI is trusted: default 0.2 */
    double ci_target;     /* relative width of the median's CI at which to stop: default 0.02 */
    ob_engine engine;     /* --engine own|gbench */
    bool dry_run;
    const char *out;       /* native JSON; NULL: out/<date>-<short id>.json; "-" stdout */
    const char *report;    /* folder for every export and plot; NULL: none */
    const char *format;    /* writer for stdout; NULL: "table", or report's page */
    ob_plot_place plot;    /* OB_PLOT_TTY: draw the speed-up plot in the terminal */
    const char *counters;  /* --counters GROUP,...|all|METRIC,...; NULL: none (counter_choice.h) */
    const char *trace;     /* --trace FILE; NULL: none */
    bool require_counters; /* a counter without value fails the run */
    ob_color color;
    bool quiet, verbose;
    bool profile;       /* --profile: every case once, for a profiler */
    ob_observe observe; /* not of users: what this process is there to find out */
    bool verify_only;   /* the command `verify`: every check, no more timing than they need */
    const char *config; /* --config; NULL: the user's own, if there is one */

    const char *save_baseline; /* --save-baseline NAME; NULL: none is kept */
    const char *baseline;      /* --baseline NAME; NULL: nothing to compare with */
    bool no_history;           /* --no-history: this run is not recorded */
    bool list_baselines;       /* `list` */
    const char *history_case;  /* `history --case`; NULL: the runs */
    const char *since;         /* `history`; NULL: everything */
    int limit;                 /* `history`; 0: all */
    bool import;               /* `history` */

    bool list_variants, list_models, list_formats, list_cases, list_counters; /* `list` */
    double threshold;              /* --threshold: of a ratio of times, a share */
    double process_spread;         /* --process-spread, a share; 0: what the machine is known for */
    bool strict;                   /* an ambiguous case fails a comparison */
    const char *comparison_format; /* --format of `compare`; NULL: its table */
    bool json;                     /* `inspect`, `doctor`, `annotate`, `history`, `sieve`, ... */

    double sieve_density;   /* `sieve --density`, a share */
    uint64_t memory_budget; /* `sieve`: bytes of buffers, in host and in device memory each */
    bool resume, measure;   /* `sieve` */

    bool ways;               /* not of users: a case for every way of the variants that have them */
    ob_numbers tune_batches; /* `tune --batch` */
    const char *only_ways;   /* `tune --ways`: shell patterns, joined by commas; NULL: all */

    bool fetch_all;   /* `fetch --all`: every tensor */
    bool fetch_check; /* `fetch --check`: hash what is there, fetch nothing */
    int jobs;         /* `fetch`: requests at once */

    int operand_count; /* what follows the options */
    char **operands;
    struct ob_string *strings; /* owns what the pointers above point to */
} ob_options;

/* Every option at its default. Nothing to clear. */
void ob_options_default(ob_options *out);

/* Parses a command's arguments (argv[0] is the command; argv is permuted) over config file and
 * environment. On a usage error prints it to stderr and returns OB_EXIT_USAGE; sets *done when
 * --help or --version answered. The strings in *out live until ob_options_clear. */
int ob_options_parse(int argc, char **argv, ob_options *out, bool *done);

/* Frees the strings of options that were parsed. */
void ob_options_clear(ob_options *options);

/* The effective options of a run as {"option name": "text"}, as they would be typed; what isn't set
 * is absent. The caller owns the reference; NULL when memory is short. */
struct json_t *ob_options_echo(const ob_options *options);

const char *ob_rule_name(ortho_rule rule);
const char *ob_backend_name(ortho_backend backend);
const char *ob_l2_name(ob_l2 l2);
const char *ob_pass_name(ob_pass pass);
/* "single", "grouped", "persistent" */
const char *ob_form_name(ob_form form);

#endif
