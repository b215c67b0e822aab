#define _GNU_SOURCE
#include "harness/transfer_progress.h"

#include "common/clock.h"

#include <string.h>
#include <unistd.h>

#define BAR_CELLS     24
#define REDRAW_AFTER  0.1  /* seconds, on a terminal */
#define WRITE_AFTER   10.0 /* seconds, elsewhere */
#define MEASURE_AFTER 0.5  /* seconds over which a rate is taken */
#define SMOOTHING     0.3  /* the share of the newest rate */

void ob_print_bytes(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 999.5 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1000;
    snprintf(text, 32, unit == 0 || value >= 99.95 ? "%.0f %s" : "%.3g %s", value, units[unit]);
}

ob_transfer_view ob_transfer_open(const ob_log *log)
{
    return (ob_transfer_view){.log = log,
                              .width = log->quiet ? 0 : ob_terminal_width(STDERR_FILENO)};
}

static void erase(ob_transfer_view *view)
{
    if (view->line_is_dirty)
        fputs("\r\033[K", view->log->stream);
    view->line_is_dirty = false;
}

void ob_transfer_close(ob_transfer_view *view)
{
    erase(view);
    fflush(view->log->stream);
}

void ob_transfer_note(ob_transfer_view *view, const char *text)
{
    erase(view);
    ob_log_note(view->log, "%s", text);
}

static void measure(ob_transfer_view *view, uint64_t done, double t)
{
    double span = t - view->measured;
    if (view->measured > 0 && done >= view->counted && span < MEASURE_AFTER)
        return;
    if (view->measured > 0 && done >= view->counted) {
        double rate = (double)(done - view->counted) / span;
        view->rate = view->rate > 0 ? SMOOTHING * rate + (1 - SMOOTHING) * view->rate : rate;
    }
    view->measured = t;
    view->counted = done;
}

/* "  12.5 MB/s  ETA 1:05"; "" while nothing is known. */
static void print_rate(const ob_transfer_view *view, uint64_t left, char text[96])
{
    char rate[32];
    text[0] = '\0';
    if (view->rate < 1)
        return;
    ob_print_bytes((uint64_t)view->rate, rate);
    double eta = (double)left / view->rate;
    long seconds = eta < 359999 ? (long)(eta + 0.5) : 359999;
    if (seconds >= 3600)
        snprintf(text, 96, "  %s/s  ETA %ld:%02ld:%02ld", rate, seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
    else
        snprintf(text, 96, "  %s/s  ETA %ld:%02ld", rate, seconds / 60, seconds % 60);
}

static void draw(ob_transfer_view *view, double share, const char *words)
{
    char bar[BAR_CELLS + 1], line[512];
    int full = (int)(BAR_CELLS * share);
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)full);
    bar[BAR_CELLS] = '\0';
    snprintf(line, sizeof line, "[%s] %s", bar, words);
    size_t room = view->width > 1 ? (size_t)view->width - 1 : 0;
    if (strlen(line) > room)
        line[room < sizeof line ? room : sizeof line - 1] = '\0';
    fputs("\r\033[K", view->log->stream);
    ob_print_safe(view->log->stream, line);
    fflush(view->log->stream);
    view->line_is_dirty = true;
}

void ob_transfer_show(ob_transfer_view *view, uint64_t done, uint64_t total, const char *label)
{
    double t = ortho_seconds();
    char some[32], all[32], rate[96], words[448];
    measure(view, done, t);
    if (view->shown == 0 && view->width == 0)
        view->shown = t; /* what is over at once needs no line */
    if (t - view->shown < (view->width > 0 ? REDRAW_AFTER : WRITE_AFTER))
        return;
    view->shown = t;
    ob_print_bytes(done, some);
    ob_print_bytes(total, all);
    print_rate(view, total > done ? total - done : 0, rate);
    snprintf(words, sizeof words, "%s of %s%s  %.250s", some, all, rate, label);
    double share = total > 0 ? (double)done / (double)total : 1;
    if (view->width > 0)
        draw(view, share < 1 ? share : 1, words);
    else
        ob_log_note(view->log, "%3.0f %%  %s", 100 * share, words);
}
