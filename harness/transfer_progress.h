/*
 * transfer_progress.h: what a person sees while bytes are moved: fetched, streamed, written. On a
 * terminal one line that is drawn over (a bar, how much of how much, the rate, the time left);
 * otherwise a line now and then, so that a log stays short.
 */
#ifndef ORTHO_HARNESS_TRANSFER_PROGRESS_H
#define ORTHO_HARNESS_TRANSFER_PROGRESS_H

#include "harness/log.h"

typedef struct ob_transfer_view {
    const ob_log *log;
    int width;       /* of the terminal; 0: none */
    double shown;    /* seconds, monotonic: when it was drawn or written last; 0: never */
    double rate;     /* bytes a second, smoothed; 0: not known yet */
    double measured; /* when `counted` bytes were done; 0: never */
    uint64_t counted;
    bool line_is_dirty; /* the bar is on the line now */
} ob_transfer_view;

/* `log` must outlive the view. */
ob_transfer_view ob_transfer_open(const ob_log *log);

/* `done` of `total` bytes, and what is at work. Cheap: call it as often as you like, by one thread.
 * A `done` that falls back (a retry) is fine. */
void ob_transfer_show(ob_transfer_view *view, uint64_t done, uint64_t total, const char *label);

/* A line for the user, above the bar; unless --quiet. */
void ob_transfer_note(ob_transfer_view *view, const char *text);

/* Takes the bar off the terminal. */
void ob_transfer_close(ob_transfer_view *view);

/* "1.25 GB", "831 kB": powers of ten. */
void ob_print_bytes(uint64_t bytes, char text[32]);

#endif
