/* options_load.h: the layers of options, without the printing: for ob_options_parse and for tests.
 */
#ifndef ORTHO_HARNESS_OPTIONS_LOAD_H
#define ORTHO_HARNESS_OPTIONS_LOAD_H

#include "harness/commands/command.h"
#include "harness/options_table.h"

typedef enum ob_asked { OB_ASKED_NOTHING = 0, OB_ASKED_HELP, OB_ASKED_VERSION } ob_asked;

/* Defaults < config file < environment < argv[1..argc). argv is permuted. On success the caller
 * clears *out; when *asked is set nothing was loaded. ARGUMENT (or IO for a config file that was
 * named and can't be read) with a message that names the source. */
ortho_status ob_options_load(const ob_command *command, int argc, char **argv, ob_options *out,
                             ob_asked *asked);

/* One layer of options on its way into *out. */
typedef struct ob_loading {
    const ob_command *command;
    ob_options *out;
    bool from_flags;         /* the last layer: counts whatever an option's layers_for says */
    bool *given;             /* [ob_option_count]: set in this layer already */
    char variants_from[512]; /* where --variant came from, for the check at the end */
} ob_loading;

/* Sets one option; `where` names the source and is put before a failure's message. */
ortho_status ob_loading_set(ob_loading *loading, const ob_option *option, const char *text,
                            const char *where);

/* Where --case names a case: the options that its key holds, over all layers (options_case.c). */
ortho_status ob_case_key_apply(ob_loading *loading);

/* The config file's layer (config.c). `path` NULL: the user's own, whose absence is fine. */
ortho_status ob_config_read(ob_loading *loading, const char *path);

#endif
