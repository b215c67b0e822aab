#include "harness/help.h"

static int version(const ob_options *options)
{
    (void)options;
    ob_help_version(stdout);
    return OB_EXIT_OK;
}

extern const ob_command ob_command_version;
const ob_command ob_command_version = {
    .name = "version",
    .bit = OB_FOR_OTHER,
    .summary = "tell the version",
    .about = "Prints the name and the version.",
    .run = version,
};
