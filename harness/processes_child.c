/*
 * The child's side of --processes: one session, told in lines of JSON: {"plan": cases}, {"begin":
 * key, "phase": ...}, {"row": ...}, {"note": ...}, {"so_far": document}, and at the end
 * {"document":
 * ...} or {"why": ...}.
 */
#define _GNU_SOURCE
#include "harness/processes.h"

#include "common/error.h"
#include "harness/child.h"
#include "harness/commands/command.h"
#include "harness/options_load.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#define SO_FAR_SECONDS 5 /* between documents for the parent's partial file */

static void on_plan(void *ctx, int cases)
{
    (void)ctx;
    ob_child_say(json_pack("{s:i}", "plan", cases));
}

static void on_begin(void *ctx, int index, const char *key, const char *phase)
{
    (void)ctx, (void)index;
    ob_child_say(json_pack("{s:s, s:s?}", "begin", key, "phase", phase));
}

static void on_end(void *ctx, int index, const json_t *row)
{
    (void)ctx, (void)index;
    ob_child_say(json_pack("{s:O}", "row", row));
}

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    ob_child_say(json_pack("{s:s}", "note", text));
}

static void on_checkpoint(void *ctx, const json_t *document)
{
    time_t *said = ctx, now = time(NULL);
    if (now - *said < SO_FAR_SECONDS)
        return;
    *said = now;
    ob_child_say(json_pack("{s:O}", "so_far", document));
}

int ob_process_child(int argc, char **argv)
{
    ob_options options;
    ob_asked asked = OB_ASKED_NOTHING;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* without a parent nobody reads */
    /* argv[1] stands where a command's name does. */
    ortho_status status =
        ob_options_load(ob_command_default(), argc - 1, argv + 1, &options, &asked);
    if (status != ORTHO_OK || asked != OB_ASKED_NOTHING) {
        fprintf(stderr, "__process is for ortho-bench itself\n");
        ob_child_say(json_pack("{s:s}", "why", ortho_last_message()));
        return OB_EXIT_USAGE;
    }
    /* Of what takes a process of its own the parent takes care. */
    options.counters = options.trace = NULL;
    options.require_counters = false;
    ob_child_catch_signals();
    time_t said = time(NULL);
    ob_progress progress = {.ctx = &said,
                            .plan = on_plan,
                            .begin = on_begin,
                            .end = on_end,
                            .note = on_note,
                            .checkpoint = on_checkpoint};
    json_t *results = NULL;
    int code = ob_session_run(&options, &progress, &results);
    if (results == NULL || code == OB_EXIT_RUNTIME)
        ob_child_say(json_pack("{s:s}", "why", ortho_last_message()));
    if (results != NULL)
        ob_child_say(json_pack("{s:O}", "document", results));
    json_decref(results);
    ob_options_clear(&options);
    return code;
}
