/* The layers of options with a terminal around them: --help, --version and words for an error. */
#include "harness/help.h"
#include "harness/options_load.h"

#include <string.h>

int ob_options_parse(int argc, char **argv, ob_options *out, bool *done)
{
    const ob_command *command = ob_command_find(argv[0]);
    ob_asked asked = OB_ASKED_NOTHING;
    *done = false;
    if (command == NULL) {
        const char *near = ob_command_suggest(argv[0]);
        fprintf(stderr, "%s: no command '%s'%s%s%s\n", OB_NAME, argv[0],
                near ? ": did you mean '" : "; see ", near ? near : OB_NAME " --help",
                near ? "'?" : "");
        return OB_EXIT_USAGE;
    }
    ortho_status status = ob_options_load(command, argc, argv, out, &asked);
    if (status != ORTHO_OK) {
        fprintf(stderr, "%s: %s\n", OB_NAME, ortho_last_message());
        fprintf(stderr, "`%s help%s%s` tells more.\n", OB_NAME, command->hidden ? "" : " ",
                command->hidden ? "" : command->name);
        return OB_EXIT_USAGE;
    }
    if (asked == OB_ASKED_HELP)
        ob_help_command(command, stdout);
    if (asked == OB_ASKED_VERSION)
        ob_help_version(stdout);
    *done = asked != OB_ASKED_NOTHING;
    return OB_EXIT_OK;
}
