#define _GNU_SOURCE
#include "harness/progress.h"

#include "common/clock.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS     24
#define REDRAW_AFTER  0.1 /* seconds: the bar must cost nothing beside what is timed */
#define STATUS_LENGTH 160

ob_progress_view ob_progress_open(const ob_log *log)
{
    return (ob_progress_view){.log = log,
                              .width = log->quiet ? 0 : ob_terminal_width(STDERR_FILENO),
                              .started = ortho_seconds()};
}

static void erase(ob_progress_view *view)
{
    if (view->line_is_dirty)
        fputs("\r\033[K", view->log->stream);
    view->line_is_dirty = false;
}

void ob_progress_close(ob_progress_view *view)
{
    erase(view);
    fflush(view->log->stream);
}

static void print_left(ob_progress_view *view, char text[32])
{
    if (view->done == 0 && view->total > 0) {
        snprintf(text, 32, "--:--");
        return;
    }
    double left = view->done > 0
                      ? (ortho_seconds() - view->started) / view->done * (view->total - view->done)
                      : 0;
    left = left > 0 ? left : 0;
    long seconds = left < 359999 ? (long)(left + 0.5) : 359999;
    if (seconds >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    else
        snprintf(text, 32, "%ld:%02ld", seconds / 60, seconds % 60);
}

static void draw(ob_progress_view *view, const char *key, const char *phase)
{
    char bar[BAR_CELLS + 1], left[32], line[512];
    int total = view->total > 0 ? view->total : 1;
    int full = (int)((long)BAR_CELLS * view->done / total);
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    print_left(view, left);
    snprintf(line, sizeof line, "[%s] %d/%d  ETA %s  %s %s", bar, view->done, view->total, left,
             key, phase);
    int room = view->width > 1 ? view->width - 1 : 0;
    if (strlen(line) > (size_t)room && room < (int)sizeof line)
        line[room] = '\0';
    fputs("\r\033[K", view->log->stream);
    ob_print_safe(view->log->stream, line);
    fflush(view->log->stream);
    view->line_is_dirty = true;
    view->drawn = ortho_seconds();
}

static void on_plan(void *ctx, int cases)
{
    ob_progress_view *view = ctx;
    view->total = cases;
    view->started = ortho_seconds();
    ob_log_detail(view->log, "%d case%s", cases, cases == 1 ? "" : "s");
}

static void on_begin(void *ctx, int index, const char *key, const char *phase)
{
    ob_progress_view *view = ctx;
    (void)index;
    if (view->width > 0) {
        if (!view->line_is_dirty || ortho_seconds() - view->drawn >= REDRAW_AFTER)
            draw(view, key, phase != NULL ? phase : "");
    } else {
        ob_log_detail(view->log, "%s: %s", key, phase != NULL ? phase : "begins");
    }
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* "ok 61.0 us (60.5 to 61.8)", "failed: ...", "skipped: ..." */
static void print_status(const json_t *row, char text[STATUS_LENGTH])
{
    const json_t *time = json_object_get(row, "time_ns");
    const char *status = text_of(row, "status"), *reason = text_of(row, "reason");
    int used = snprintf(text, STATUS_LENGTH, "%s", status);
    if (json_is_number(json_object_get(time, "median")))
        used += snprintf(text + used, STATUS_LENGTH - (size_t)used, " %.4g us (%.4g to %.4g)",
                         json_number_value(json_object_get(time, "median")) / 1e3,
                         json_number_value(json_object_get(time, "lo")) / 1e3,
                         json_number_value(json_object_get(time, "hi")) / 1e3);
    if (reason[0] != '\0' && used < STATUS_LENGTH)
        snprintf(text + used, STATUS_LENGTH - (size_t)used, ": %s", reason);
}

static void on_end(void *ctx, int index, const struct json_t *result)
{
    ob_progress_view *view = ctx;
    (void)index;
    view->done++;
    const char *key = text_of(result, "key"), *status = text_of(result, "status");
    char words[STATUS_LENGTH];
    print_status(result, words);
    bool wrong = strcmp(status, "failed") == 0;
    if (view->width > 0) {
        if (wrong || view->log->verbose) {
            erase(view);
            (wrong ? ob_log_error : ob_log_detail)(view->log, "%s: %s", key, words);
        }
        draw(view, key, "");
    } else if (wrong) {
        ob_log_error(view->log, "[%d/%d] %s: %s", view->done, view->total, key, words);
    } else {
        ob_log_note(view->log, "[%d/%d] %s: %s", view->done, view->total, key, words);
    }
}

static void on_note(void *ctx, const char *text)
{
    ob_progress_view *view = ctx;
    erase(view);
    ob_log_note(view->log, "%s", text);
}

ob_progress ob_progress_callbacks(ob_progress_view *view)
{
    return (ob_progress){
        .ctx = view, .plan = on_plan, .begin = on_begin, .end = on_end, .note = on_note};
}
