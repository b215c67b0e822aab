/* The hidden commands by which the build makes the manual page and the completions. */
#include "harness/help.h"

static int man(const ob_options *options)
{
    (void)options;
    ob_help_man(stdout);
    return OB_EXIT_OK;
}

static int completion(const ob_options *options)
{
    if (ob_help_completion(options->operands[0], stdout))
        return OB_EXIT_OK;
    fprintf(stderr, "%s: no completions for '%s' (known: bash, zsh, fish)\n", OB_NAME,
            options->operands[0]);
    return OB_EXIT_USAGE;
}

extern const ob_command ob_command_man, ob_command_completion;
const ob_command ob_command_man = {
    .name = "__man",
    .bit = OB_FOR_OTHER,
    .summary = "the manual page for scdoc",
    .about = "Prints the manual page in scdoc's language.",
    .hidden = true,
    .run = man,
};
const ob_command ob_command_completion = {
    .name = "__completion",
    .bit = OB_FOR_OTHER,
    .operands = "SHELL",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "a completion script",
    .about = "Prints the completion script of bash, zsh or fish.",
    .hidden = true,
    .run = completion,
};
