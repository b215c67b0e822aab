/*
 * command.h: a command is one file here with a constant descriptor, named in commands.c. Its words
 * feed --help, the man page and the completions; its options come from the option table.
 */
#ifndef ORTHO_HARNESS_COMMAND_H
#define ORTHO_HARNESS_COMMAND_H

#include "harness/options.h"

#define OB_EXAMPLES 4

typedef struct ob_example {
    const char *command, *what;
} ob_example;

typedef struct ob_command {
    const char *name;
    unsigned bit;         /* which options it takes: OB_FOR_* of options_table.h */
    const char *operands; /* as help writes them; NULL: it takes none */
    int operands_min, operands_max;
    const char *summary; /* one line */
    const char *about;   /* a paragraph */
    ob_example examples[OB_EXAMPLES];
    bool hidden; /* made for the build, not shown */
    /* Returns an ob_exit. Writes results to stdout only, words to stderr. */
    int (*run)(const ob_options *options);
} ob_command;

extern const ob_command *const ob_command_table[]; /* NULL-terminated, in the order of help */

const ob_command *ob_command_find(const char *name); /* NULL when there is none */
const char *ob_command_suggest(const char *typed);   /* NULL when none is near */
const ob_command *ob_command_default(void);          /* run */

#endif
