/*
 * options_table.h: the one table behind parsing, --help, the man page, completions, config file,
 * environment and the echo in the results. Adding an option is adding one entry (and its field).
 */
#ifndef ORTHO_HARNESS_OPTIONS_TABLE_H
#define ORTHO_HARNESS_OPTIONS_TABLE_H

#include "harness/options.h"

/* How a value is written and into what kind of field it goes. */
typedef enum ob_value {
    OB_VALUE_FLAG = 0, /* bool; no argument (config and environment: true or false) */
    OB_VALUE_CHOICE,   /* int or enum: one of the words, by its value */
    OB_VALUE_NAME,     /* const char *: one of the words */
    OB_VALUE_TEXT,     /* const char *: anything but nothing */
    OB_VALUE_ROWS,     /* const char *: one of the words, or lognormal:SIGMA */
    OB_VALUE_OPS,      /* do_sieve and do_gemm: words joined by commas */
    OB_VALUE_BITS,     /* int: words joined by commas, each its bit; "all" has every bit */
    OB_VALUE_WORDS,    /* ob_words: words joined by commas; "all" is the empty list */
    OB_VALUE_PATHS,    /* ob_words: paths joined by commas; a repeated flag adds */
    OB_VALUE_RANGES,   /* ob_numbers: whole numbers and ranges, 0-3,7 */
    OB_VALUE_WHOLES,   /* ob_numbers: whole numbers */
    OB_VALUE_NUMBERS,  /* ob_numbers */
    OB_VALUE_WHOLE,    /* int */
    OB_VALUE_SEED,     /* uint64_t, below 2^63: the results keep it as a signed JSON integer */
    OB_VALUE_NUMBER,   /* double */
    OB_VALUE_SHARE,    /* double: 0.02, or 2% */
    OB_VALUE_BYTES     /* uint64_t: a whole number, or with K, M, G or T behind it */
} ob_value;

typedef struct ob_word {
    const char *word; /* NULL ends a list */
    int value;
} ob_word;

/* Words that come from the build's tables, and what a shell should complete. */
typedef enum ob_words_from {
    OB_WORDS_HERE = 0, /* `words`, or none */
    OB_WORDS_VARIANTS,
    OB_WORDS_WRITERS,
    OB_WORDS_COMPARISON_WRITERS,
    OB_WORDS_COUNTERS, /* groups joined by commas, and metrics, which are checked as they are set */
    OB_WORDS_BASELINES, /* names, checked by their characters as they are set */
    OB_WORDS_FILES,
    OB_WORDS_FOLDERS
} ob_words_from;

/* Commands, as bits: which take an option. */
enum {
    OB_FOR_RUN = 1,
    OB_FOR_VERIFY = 2,
    OB_FOR_LIST = 4,
    OB_FOR_INSPECT = 8,
    OB_FOR_REPORT = 16,
    OB_FOR_OTHER = 32, /* help, version, the generators */
    OB_FOR_DOCTOR = 64,
    OB_FOR_ANNOTATE = 128,
    OB_FOR_COMPARE = 256,
    OB_FOR_HISTORY = 512,
    OB_FOR_SIEVE = 1024,
    OB_FOR_FETCH = 2048,
    OB_FOR_TUNE = 4096,
    OB_FOR_CASES = OB_FOR_RUN | OB_FOR_VERIFY | OB_FOR_LIST | OB_FOR_ANNOTATE,
    OB_FOR_GEMMS = OB_FOR_CASES | OB_FOR_TUNE,
    OB_FOR_SPLITS = OB_FOR_GEMMS | OB_FOR_SIEVE,
    OB_FOR_JSON = OB_FOR_INSPECT | OB_FOR_DOCTOR | OB_FOR_ANNOTATE | OB_FOR_HISTORY | OB_FOR_SIEVE |
                  OB_FOR_FETCH,
    OB_FOR_ALL = 8191
};

typedef enum ob_option_group {
    OB_GROUP_WHAT = 0,
    OB_GROUP_SPLIT,
    OB_GROUP_TIMING,
    OB_GROUP_OUTPUT,
    OB_GROUP_COUNTERS,
    OB_GROUP_GATE,
    OB_GROUP_LISTS,
    OB_GROUP_STREAM,
    OB_GROUP_FETCH,
    OB_GROUP_GENERAL,
    OB_GROUP_COUNT
} ob_option_group;

typedef struct ob_option {
    const char *name;     /* without dashes; the config key; ORTHO_BENCH_NAME in the environment */
    char letter;          /* short form; 0: none */
    const char *argument; /* its name in help; NULL for a flag */
    ob_value type;
    size_t offset;        /* of the field in ob_options */
    const char *fallback; /* the default, as typed; NULL: the zeroed field */
    const char *unset;    /* what the help says of a NULL fallback; NULL: nothing */
    const char *help;     /* sentences that teach */
    const char *example;  /* "--layers 0-3,7"; NULL for most flags */
    const ob_word *words;
    ob_words_from from;
    double min, max; /* of numbers */
    unsigned commands;
    ob_option_group group;
    bool flag_only;      /* asks something of one command: not in config and environment */
    unsigned layers_for; /* commands for which config and environment count; 0: all that take it */
} ob_option;

extern const ob_option ob_option_table[];
extern const size_t ob_option_count;
extern const char *const ob_option_group_titles[OB_GROUP_COUNT];

/* NULL when there is none. Two commands may each have an option of one name: the first in the table
 * is found, and only the first may stand in config and environment. */
const ob_option *ob_option_find(const char *name);

/* The words that this option takes, at most `max`; returns how many. 0: anything goes. */
size_t ob_option_words(const ob_option *option, const char **words, size_t max);

/* "ORTHO_BENCH_CASE_TIMEOUT" */
void ob_option_variable(const ob_option *option, char name[64]);

#endif
