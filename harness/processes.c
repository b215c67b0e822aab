/* The parent's side of --processes: children one after the other, and what becomes of what they
 * say. */
#define _GNU_SOURCE
#include "harness/processes.h"

#include "common/error.h"
#include "harness/child.h"
#include "harness/environment.h"
#include "harness/observe.h"
#include "harness/processes_merge.h"
#include "harness/results.h"
#include "harness/spread.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAKE_MS 200 /* between looks at whether Ctrl-C was pressed */

/* All of it. */
typedef struct crew {
    const ob_options *options;
    const ob_progress *progress;
    ob_process finished[OB_PROCESSES_MAX]; /* own a reference to their documents */
    size_t count;
    int cases;         /* of the plan; 0: not told yet */
    json_t *story;     /* context.processes */
    json_t *remainder; /* what one that didn't finish left, for when none does; NULL: nothing */
    int code;          /* of a child that ended in order and without a document; 0: none did */
    char reason[640];  /* of the last that didn't finish */
} crew;

/* One child at work. */
typedef struct worker {
    crew *crew;
    int number; /* from 1 on */
    json_t *document, *so_far;
    char why[512];
    char *line; /* the beginning of one that hasn't ended */
    size_t used, size;
} worker;

static void note(const crew *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const crew *c, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->progress != NULL && c->progress->note != NULL)
        c->progress->note(c->progress->ctx, text);
}

/* ---- documents ------------------------------------------------------------------------------- */

/* What the document of a child says of itself and is the parent's. */
static void take_over(const crew *c, json_t *document)
{
    json_t *context = json_object_get(document, "context");
    json_object_set_new(context, "command", ob_environment_command());
    json_object_set_new(context, "options", ob_options_echo(c->options));
    if (json_array_size(c->story) > 0)
        json_object_set_new(context, "processes", json_deep_copy(c->story));
}

/* The caller owns it; NULL: no process finished, or no memory. */
static json_t *merged(const crew *c)
{
    json_t *document = c->count > 0 ? ob_processes_merge(c->finished, c->count, c->options) : NULL;
    if (document != NULL)
        take_over(c, document);
    return document;
}

static void checkpoint(const crew *c, json_t *document)
{
    if (document != NULL && c->progress != NULL && c->progress->checkpoint != NULL)
        c->progress->checkpoint(c->progress->ctx, document);
}

/* ---- what a child says ----------------------------------------------------------------------- */

static void take_plan(worker *w, int cases)
{
    crew *c = w->crew;
    if (c->cases == 0 && c->progress != NULL && c->progress->plan != NULL)
        c->progress->plan(c->progress->ctx, cases * c->options->processes);
    c->cases = cases;
}

static void take_begin(const worker *w, const char *key, const char *phase)
{
    const ob_progress *p = w->crew->progress;
    char text[128];
    snprintf(text, sizeof text, "process %d/%d: %s", w->number, w->crew->options->processes,
             phase != NULL ? phase : "begins");
    if (p != NULL && p->begin != NULL)
        p->begin(p->ctx, 0, key, text);
}

/* Before any process has finished, what the first has so far is what a crash would cost. */
static void take_so_far(worker *w, json_t *document)
{
    json_decref(w->so_far);
    w->so_far = json_incref(document);
    if (w->crew->count > 0)
        return;
    take_over(w->crew, document);
    checkpoint(w->crew, document);
}

static void take_line(worker *w, const char *text)
{
    json_t *said = json_loads(text, 0, NULL);
    const ob_progress *p = w->crew->progress;
    json_t *plan = json_object_get(said, "plan"), *row = json_object_get(said, "row"),
           *document = json_object_get(said, "document"), *so_far = json_object_get(said, "so_far");
    const char *key = json_string_value(json_object_get(said, "begin"));
    const char *why = json_string_value(json_object_get(said, "why"));
    const char *noted = json_string_value(json_object_get(said, "note"));
    if (json_is_integer(plan))
        take_plan(w, (int)json_integer_value(plan));
    if (key != NULL)
        take_begin(w, key, json_string_value(json_object_get(said, "phase")));
    if (json_is_object(row) && p != NULL && p->end != NULL)
        p->end(p->ctx, 0, row);
    if (noted != NULL && w->number == 1) /* the others would say the same again */
        note(w->crew, "%s", noted);
    if (why != NULL)
        snprintf(w->why, sizeof w->why, "%s", why);
    if (json_is_object(so_far))
        take_so_far(w, so_far);
    if (json_is_object(document)) {
        json_decref(w->document);
        w->document = json_incref(document);
    }
    json_decref(said);
}

/* Reads what there is and takes the lines that are whole; false at the end. */
static bool read_some(worker *w, int fd)
{
    if (w->used + 4096 > w->size) {
        size_t size = w->size > 0 ? 2 * w->size : 65536;
        char *grown = realloc(w->line, size);
        if (grown == NULL)
            return false;
        w->line = grown;
        w->size = size;
    }
    ssize_t got = read(fd, w->line + w->used, w->size - w->used - 1);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    char *from = w->line, *end = w->line + w->used + got, *new = w->line + w->used, *newline;
    while ((newline = memchr(new, '\n', (size_t)(end - new))) != NULL) {
        *newline = '\0';
        take_line(w, from);
        from = new = newline + 1;
    }
    w->used = (size_t)(end - from);
    memmove(w->line, from, w->used);
    return true;
}

/* Until the child closes its end. Ctrl-C is handed on, again and again: it may come before the
 * child listens. */
static void attend(worker *w, int fd, pid_t pid)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool open = true;
    while (open) {
        int ready = poll(&wait, 1, WAKE_MS);
        if (ob_session_interrupted()) /* however much the child has to say */
            kill(pid, SIGINT);
        if (ready > 0)
            open = read_some(w, fd);
        else if (ready < 0 && errno != EINTR)
            open = false;
    }
}

/* ---- how it ended ---------------------------------------------------------------------------- */

/* Why a child isn't one that finished; NULL: it is. `text` has room for the words. */
static const char *unfinished(const worker *w, int code, char *text, size_t size)
{
    const json_t *context = json_object_get(w->document, "context");
    size_t rows = json_array_size(json_object_get(w->document, "results"));
    if (ob_session_interrupted() || json_is_true(json_object_get(context, "interrupted")))
        return "interrupted";
    if (WIFSIGNALED(code)) {
        snprintf(text, size, "killed by signal %d", WTERMSIG(code));
        return text;
    }
    if (w->document != NULL && rows == (size_t)w->crew->cases)
        return NULL;
    const char *why = w->why[0] != '\0' ? w->why : "it didn't say why";
    if (w->document != NULL)
        snprintf(text, size, "ended after %zu of %d cases: %s", rows, w->crew->cases, why);
    else
        snprintf(text, size, "ended with code %d: %s", WEXITSTATUS(code), why);
    return text;
}

static json_t *chapter(const worker *w, const char *reason)
{
    const json_t *process = json_object_get(json_object_get(w->document, "context"), "process");
    json_t *told = json_pack("{s:s}", "status",
                             reason == NULL                       ? "ok"
                             : strcmp(reason, "interrupted") == 0 ? "interrupted"
                                                                  : "failed");
    json_t *rss = json_object_get(process, "max_rss_bytes");
    if (reason != NULL)
        json_object_set_new(told, "reason", json_string(reason));
    if (rss != NULL)
        json_object_set(told, "max_rss_bytes", rss);
    return told;
}

/* Keeps what may be of use, and tells. */
static void end_worker(worker *w, int code)
{
    crew *c = w->crew;
    char text[640];
    const char *reason = unfinished(w, code, text, sizeof text);
    json_array_append_new(c->story, chapter(w, reason));
    if (reason == NULL) {
        c->finished[c->count++] =
            (ob_process){.number = w->number, .document = json_incref(w->document)};
        json_t *document = merged(c);
        checkpoint(c, document);
        json_decref(document);
        return;
    }
    json_t *left = w->document != NULL ? w->document : w->so_far;
    snprintf(c->reason, sizeof c->reason, "%s", reason);
    if (c->remainder == NULL && json_array_size(json_object_get(left, "results")) > 0)
        c->remainder = json_incref(left);
    if (WIFEXITED(code) && w->document == NULL && !ob_session_interrupted())
        c->code = WEXITSTATUS(code);
    note(c, "process %d of %d: %s; its times are left out", w->number, c->options->processes,
         reason);
}

static void work(crew *c, int number)
{
    static const char *const words[] = {"ortho-bench", "__process"};
    worker w = {.crew = c, .number = number};
    json_t *echo = ob_options_echo(c->options);
    char **argv = echo != NULL ? ob_child_arguments(words, 2, echo) : NULL;
    int out, code = W_EXITCODE(OB_EXIT_RUNTIME, 0);
    pid_t pid;
    ortho_status status = argv != NULL
                              ? ob_child_start(argv, &out, &pid)
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for a child's arguments");
    note(c, "process %d of %d", number, c->options->processes);
    if (status == ORTHO_OK) {
        attend(&w, out, pid);
        close(out);
        code = ob_child_wait(pid);
    } else {
        snprintf(w.why, sizeof w.why, "%s", ortho_last_message());
    }
    end_worker(&w, code);
    ob_child_arguments_free(argv);
    json_decref(echo);
    json_decref(w.document);
    json_decref(w.so_far);
    free(w.line);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static size_t rows_with(const json_t *document, const char *status)
{
    size_t i, count = 0;
    const json_t *row;
    json_array_foreach(json_object_get(document, "results"), i, row)
    {
        const char *its = json_string_value(json_object_get(row, "status"));
        count += its != NULL && strcmp(its, status) == 0;
    }
    return count;
}

/* By the rules of a session (exit_of_session). */
static int exit_of(const json_t *document)
{
    if (rows_with(document, "failed") > 0)
        return OB_EXIT_WRONG;
    if (ob_session_interrupted())
        return OB_EXIT_INTERRUPTED;
    bool any = rows_with(document, "ok") + rows_with(document, "ambiguous") > 0;
    return any ? OB_EXIT_OK : OB_EXIT_SKIPPED;
}

static void keep_spread(const crew *c, const json_t *document)
{
    char told[256];
    if (ob_spread_keep(document, told) != ORTHO_OK)
        snprintf(told, sizeof told, "how far processes are apart wasn't kept: %.180s",
                 ortho_last_message());
    if (told[0] != '\0')
        note(c, "%s", told);
}

/* Where at least one finished. */
static int conclude(crew *c, json_t *document)
{
    int code = exit_of(document);
    json_object_set_new(json_object_get(document, "context"), "interrupted",
                        json_boolean(ob_session_interrupted()));
    if (c->count >= 3)
        keep_spread(c, document);
    if (!ob_session_interrupted() && !ob_observe_run(c->options, c->progress, document) &&
        code == OB_EXIT_OK)
        code = OB_EXIT_COUNTERS;
    return code;
}

/* Where none did: what one of them left, which is less than a whole process. */
static int give_up(const crew *c, json_t **results)
{
    if (c->remainder != NULL) {
        take_over(c, c->remainder);
        json_object_set_new(json_object_get(c->remainder, "context"), "interrupted", json_true());
        *results = json_incref(c->remainder);
    }
    if (ob_session_interrupted())
        return c->remainder != NULL ? exit_of(c->remainder) : OB_EXIT_INTERRUPTED;
    ortho_fail(ORTHO_E_IO, "no process finished: %s", c->reason);
    return c->code != OB_EXIT_OK ? c->code : OB_EXIT_RUNTIME;
}

int ob_processes_run(const ob_options *options, const ob_progress *progress, json_t **results)
{
    crew c = {.options = options, .progress = progress, .story = json_array()};
    for (int i = 1; i <= options->processes && !ob_session_interrupted(); i++) {
        work(&c, i);
        if (c.count == 0 && c.code != OB_EXIT_OK)
            break; /* it ended in order without a row: so will the next */
    }
    json_t *document = merged(&c);
    int code = document != NULL ? conclude(&c, document) : give_up(&c, results);
    if (document != NULL)
        *results = document;
    for (size_t i = 0; i < c.count; i++)
        json_decref((json_t *)c.finished[i].document);
    json_decref(c.remainder);
    json_decref(c.story);
    return code;
}
