/* The child's side: a session that observes, and its rows as lines of JSON. */
#define _GNU_SOURCE
#include "harness/observe.h"

#include "common/error.h"
#include "harness/child.h"
#include "harness/commands/command.h"
#include "harness/counters.h"
#include "harness/options_load.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void on_begin(void *ctx, int index, const char *key, const char *phase)
{
    (void)ctx, (void)index;
    ob_child_say(json_pack("{s:s, s:s}", "begin", key, "phase", phase));
}

static void on_end(void *ctx, int index, const json_t *row)
{
    (void)ctx, (void)index;
    ob_child_say(json_pack("{s:O}", "row", row));
}

static bool parse_what(const char *word, ob_observe *what)
{
    for (int i = OB_OBSERVE_ACTIVITY; i <= OB_OBSERVE_STALLS; i++)
        if (strcmp(word, ob_observe_word((ob_observe)i)) == 0) {
            *what = (ob_observe)i;
            return true;
        }
    return false;
}

int ob_observe_child(int argc, char **argv)
{
    ob_options options;
    ob_asked asked = OB_ASKED_NOTHING;
    ob_observe what;
    if (argc < 3 || !parse_what(argv[2], &what)) {
        fprintf(stderr, "__observe is for ortho-bench itself\n");
        return OB_EXIT_USAGE;
    }
    /* argv[2] stands where a command's name does. */
    ortho_status status =
        ob_options_load(ob_command_default(), argc - 2, argv + 2, &options, &asked);
    if (status != ORTHO_OK) {
        ob_child_say(json_pack("{s:s}", "why", ortho_last_message()));
        return OB_EXIT_USAGE;
    }
    options.observe = what;
    ob_child_catch_signals();
    ob_progress progress = {.begin = on_begin, .end = on_end};
    json_t *results = NULL;
    int code = ob_session_run(&options, &progress, &results);
    json_t *about = json_object_get(json_object_get(results, "context"), "cupti");
    if (results == NULL)
        ob_child_say(json_pack("{s:s}", "why", ortho_last_message()));
    else if (about != NULL)
        ob_child_say(json_pack("{s:O}", "cupti", about));
    json_decref(results);
    ob_options_clear(&options);
    return code;
}
