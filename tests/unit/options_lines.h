/* options_lines.h: options as a line of text, loaded or refused. */
#ifndef ORTHO_TESTS_OPTIONS_LINES_H
#define ORTHO_TESTS_OPTIONS_LINES_H

#include "harness/options_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const ob_command run = {.name = "run", .bit = OB_FOR_RUN};

/* Splits `line` at blanks into arguments and loads them for a command. */
static inline ortho_status load_for(const ob_command *command, const char *line, ob_options *out)
{
    static char copy[4096]; /* operands point into these two */
    static char *argv[64];
    int argc = 0;
    ob_asked asked;
    snprintf(copy, sizeof copy, "%s %s", command->name, line);
    for (char *word = strtok(copy, " "); word != NULL && argc < 63; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return ob_options_load(command, argc, argv, out, &asked);
}

static inline void load(const char *line, ob_options *out)
{
    ortho_status status = load_for(&run, line, out);
    if (status != ORTHO_OK)
        fail_msg("%s: %s", line, ortho_last_message());
}

/* The arguments are refused and the message holds these words. */
static inline void refuse_for(const ob_command *command, const char *line, const char *words)
{
    ob_options o;
    if (load_for(command, line, &o) == ORTHO_OK)
        fail_msg("accepted: %s", line);
    if (strstr(ortho_last_message(), words) == NULL)
        fail_msg("%s: '%s' lacks '%s'", line, ortho_last_message(), words);
}

static inline void refuse(const char *line, const char *words)
{
    refuse_for(&run, line, words);
}

#endif
