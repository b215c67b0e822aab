/* The parent's side: starts a child a kind of observation and merges the lines that it writes. */
#define _GNU_SOURCE
#include "harness/observe.h"

#include "common/error.h"
#include "harness/child.h"
#include "harness/counter_choice.h"
#include "harness/plan.h"
#include "harness/results.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const words[] = {[OB_OBSERVE_ACTIVITY] = "activity",
                                    [OB_OBSERVE_COUNTERS] = "counters",
                                    [OB_OBSERVE_INSTRUCTIONS] = "instructions",
                                    [OB_OBSERVE_STALLS] = "stalls"};

const char *ob_observe_word(ob_observe what)
{
    return words[what];
}

/* One child at work. */
typedef struct watch {
    const ob_options *options;
    const ob_progress *progress;
    json_t *document;
    ob_observe what;
    const char *key;  /* the one case to observe; NULL: all */
    json_t *row;      /* of that case, where nobody merges it; NULL so far */
    int answered;     /* rows */
    char reason[256]; /* why it can't observe; "" so far */
} watch;

/* ---- which ----------------------------------------------------------------------------------- */

bool ob_observe_wanted(const ob_options *options)
{
    return options->counters != NULL || options->trace != NULL;
}

static bool wants_instructions(const ob_options *options)
{
    ob_counter_choice *choice = NULL;
    if (options->counters == NULL || ob_counter_choice_open(options->counters, &choice) != ORTHO_OK)
        return false;
    bool wanted = choice->instructions;
    ob_counter_choice_close(choice);
    return wanted;
}

static bool wants(const ob_options *options, ob_observe what)
{
    switch (what) {
    case OB_OBSERVE_COUNTERS:
        return options->counters != NULL;
    case OB_OBSERVE_INSTRUCTIONS:
        return wants_instructions(options);
    default:
        return ob_observe_wanted(options);
    }
}

/* Three words of our own and the flags of a run with these options; NULL when memory is short. */
static char **arguments(const watch *w)
{
    const char *const first[] = {"ortho-bench", "__observe", words[w->what]};
    json_t *echo = ob_options_echo(w->options);
    if (echo != NULL && w->key != NULL)
        json_object_set_new(echo, "case", json_string(w->key));
    char **argv = echo != NULL ? ob_child_arguments(first, 3, echo) : NULL;
    json_decref(echo);
    return argv;
}

/* ---- what it says ---------------------------------------------------------------------------- */

static json_t *row_of(const watch *w, const char *key)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(w->document, "results"), i, row)
    {
        const char *its = json_string_value(json_object_get(row, "key"));
        if (key != NULL && its != NULL && strcmp(its, key) == 0)
            return row;
    }
    return NULL;
}

static void tell(const watch *w, const char *key)
{
    char phase[64];
    int all = (int)json_array_size(json_object_get(w->document, "results"));
    snprintf(phase, sizeof phase, "%s, %d of %d", words[w->what], w->answered + 1, all);
    if (w->progress != NULL && w->progress->begin != NULL && key != NULL)
        w->progress->begin(w->progress->ctx, all, key, phase);
}

static void take_line(watch *w, const char *line)
{
    json_t *said = json_loads(line, 0, NULL);
    const json_t *row = json_object_get(said, "row");
    const char *why = json_string_value(json_object_get(said, "why"));
    json_t *cupti = json_object_get(said, "cupti");
    if (w->key == NULL)
        tell(w, json_string_value(json_object_get(said, "begin")));
    if (why != NULL) {
        snprintf(w->reason, sizeof w->reason, "%s", why);
        json_object_set_new(json_object_get(w->document, "context"), "cupti",
                            json_pack("{s:s, s:s}", "status", "n/a", "reason", why));
    }
    if (cupti != NULL && (w->what == OB_OBSERVE_COUNTERS || w->options->counters == NULL))
        json_object_set(json_object_get(w->document, "context"), "cupti", cupti);
    if (row != NULL) {
        json_t *ours = row_of(w, json_string_value(json_object_get(row, "key")));
        if (ours != NULL)
            ob_observe_merge(ours, row, w->what);
        else if (w->row == NULL)
            w->row = json_incref((json_t *)row);
        w->answered++;
    }
    json_decref(said);
}

static void read_lines(watch *w, int fd)
{
    char *line = NULL;
    size_t size = 0;
    FILE *f = fdopen(fd, "r");
    if (f == NULL) {
        close(fd);
        return;
    }
    while (getline(&line, &size, f) > 0)
        take_line(w, line);
    free(line);
    fclose(f);
}

/* Why the child ended, by what waiting for it told, where that isn't as it should. */
static void explain(watch *w, int code)
{
    if (w->reason[0] != '\0')
        return;
    if (WIFSIGNALED(code))
        snprintf(w->reason, sizeof w->reason, "the process that observes was killed by signal %d",
                 WTERMSIG(code));
    else if (WEXITSTATUS(code) == OB_EXIT_INTERRUPTED)
        snprintf(w->reason, sizeof w->reason, "interrupted");
    else if (WEXITSTATUS(code) != OB_EXIT_OK && w->answered == 0)
        snprintf(w->reason, sizeof w->reason, "the process that observes ended with code %d",
                 WEXITSTATUS(code));
    else
        snprintf(w->reason, sizeof w->reason, "the process that observes left it out");
}

static void mark_absent(watch *w)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(w->document, "results"), i, row)
        ob_observe_absent(row, w->reason, w->what);
}

static void watch_child(watch *w)
{
    int out;
    pid_t pid;
    char **argv = arguments(w);
    ortho_status status = argv != NULL
                              ? ob_child_start(argv, &out, &pid)
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for a child's arguments");
    ob_child_arguments_free(argv);
    if (status == ORTHO_OK) {
        read_lines(w, out);
        explain(w, ob_child_wait(pid));
    } else {
        snprintf(w->reason, sizeof w->reason, "%s", ortho_last_message());
    }
}

static bool predicts(const json_t *row)
{
    return json_object_get(json_object_get(row, "divergence"), "predicted") != NULL;
}

/* Instructions are counted of one kernel a process: a child a case that has something to be
 * compared with. */
static void observe_each(watch *w)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(w->document, "results"), i, row)
    {
        if (!predicts(row) || ob_session_interrupted())
            continue;
        w->key = json_string_value(json_object_get(row, "key"));
        w->reason[0] = '\0';
        tell(w, w->key);
        watch_child(w);
        ob_observe_absent(row, w->reason, w->what);
    }
}

static void observe(watch *w)
{
    if (w->what == OB_OBSERVE_INSTRUCTIONS)
        observe_each(w);
    else
        watch_child(w);
    if (w->reason[0] == '\0')
        snprintf(w->reason, sizeof w->reason, "interrupted");
    mark_absent(w);
}

ortho_status ob_observe_case(const ob_options *options, const char *key, ob_observe what,
                             json_t **row)
{
    watch w = {.options = options, .what = what, .key = key};
    watch_child(&w);
    const char *unobserved = json_string_value(json_object_get(w.row, "unobserved"));
    const char *reason = json_string_value(json_object_get(w.row, "reason"));
    if (json_object_get(w.row, "instructions") == NULL) {
        ortho_status status = ortho_fail(ORTHO_E_UNSUPPORTED, "%s",
                                         unobserved != NULL ? unobserved
                                         : reason != NULL   ? reason
                                                            : w.reason);
        json_decref(w.row);
        return status;
    }
    *row = w.row;
    return ORTHO_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool on_gpu(const json_t *document)
{
    const json_t *row = json_array_get(json_object_get(document, "results"), 0);
    const char *backend = json_string_value(json_object_get(row, "backend"));
    return backend != NULL && strcmp(backend, ob_backend_name(ORTHO_CUDA)) == 0;
}

/* Whether every row that may show a number has its counters. */
static bool counted(const json_t *document)
{
    size_t i;
    const json_t *row, *value;
    const char *name;
    json_array_foreach(json_object_get(document, "results"), i, row)
    {
        const json_t *counters = json_object_get(row, "counters");
        if (!ob_row_stands(row))
            continue;
        if (json_object_size(counters) == 0)
            return false;
        json_object_foreach((json_t *)counters, name, value)
        {
            const char *its = json_string_value(json_object_get(value, "status"));
            if (its == NULL || strcmp(its, "ok") != 0)
                return false;
        }
    }
    return true;
}

static void tell_failure(const watch *w)
{
    char text[320];
    snprintf(text, sizeof text, "no %s: %s", words[w->what], w->reason);
    if (w->progress != NULL && w->progress->note != NULL)
        w->progress->note(w->progress->ctx, text);
}

bool ob_observe_run(const ob_options *options, const ob_progress *progress, json_t *document)
{
    if (!ob_observe_wanted(options))
        return true;
    for (int what = OB_OBSERVE_ACTIVITY; what <= OB_OBSERVE_INSTRUCTIONS; what++) {
        watch w = {.options = options,
                   .progress = progress,
                   .document = document,
                   .what = (ob_observe)what};
        if (!wants(options, w.what))
            continue;
        if (on_gpu(document)) {
            observe(&w);
        } else {
            snprintf(w.reason, sizeof w.reason, "the CPU backend has no GPU counters");
            mark_absent(&w);
        }
        if (w.answered == 0)
            tell_failure(&w);
    }
    return !options->require_counters || counted(document);
}
