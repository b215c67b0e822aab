/* The commands, in the order of help. */
#include "harness/commands/command.h"
#include "harness/options_suggest.h"

#include <string.h>

extern const ob_command ob_command_run, ob_command_list, ob_command_inspect, ob_command_verify,
    ob_command_report, ob_command_compare, ob_command_annotate, ob_command_history,
    ob_command_sieve, ob_command_tune, ob_command_fetch, ob_command_doctor, ob_command_help,
    ob_command_version, ob_command_man, ob_command_completion;

const ob_command *const ob_command_table[] = {
    &ob_command_run,
    &ob_command_list,
    &ob_command_inspect,
    &ob_command_verify,
    &ob_command_report,
    &ob_command_compare,
    &ob_command_annotate,
    &ob_command_history,
    &ob_command_sieve,
    &ob_command_tune,
    &ob_command_fetch,
    &ob_command_doctor,
    &ob_command_help,
    &ob_command_version,
    &ob_command_man,
    &ob_command_completion,
    NULL,
};

const ob_command *ob_command_default(void)
{
    return &ob_command_run;
}

const ob_command *ob_command_find(const char *name)
{
    for (const ob_command *const *c = ob_command_table; *c != NULL; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

const char *ob_command_suggest(const char *typed)
{
    const char *names[16];
    size_t n = 0;
    for (const ob_command *const *c = ob_command_table; *c != NULL && n < 16; c++)
        if (!(*c)->hidden)
            names[n++] = (*c)->name;
    return ob_suggest(typed, names, n);
}
