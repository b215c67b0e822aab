#include "harness/help.h"

static int help(const ob_options *options)
{
    if (options->operand_count == 0) {
        ob_help_overview(stdout);
        return OB_EXIT_OK;
    }
    const char *name = options->operands[0];
    const ob_command *command = ob_command_find(name);
    if (command != NULL) {
        ob_help_command(command, stdout);
        return OB_EXIT_OK;
    }
    const char *near = ob_command_suggest(name);
    fprintf(stderr, "%s: no command '%s'%s%s%s\n", OB_NAME, name, near ? ": did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    return OB_EXIT_USAGE;
}

extern const ob_command ob_command_help;
const ob_command ob_command_help = {
    .name = "help",
    .bit = OB_FOR_OTHER,
    .operands = "[COMMAND]",
    .operands_max = 1,
    .summary = "tell what a command does and takes",
    .about = "Without a command: an overview.",
    .examples = {{"ortho-bench help inspect", "what inspect does and takes"}},
    .run = help,
};
