/*
 * progress.h: what a person sees while a session runs. On a terminal one line that is drawn over
 * (done/total, a bar, the case at work, the time left); otherwise one line a finished case.
 */
#ifndef ORTHO_HARNESS_PROGRESS_H
#define ORTHO_HARNESS_PROGRESS_H

#include "harness/log.h"
#include "harness/session.h"

typedef struct ob_progress_view {
    const ob_log *log;
    int width; /* of the terminal; 0: none, a line a case */
    int total, done;
    double started;     /* seconds, monotonic */
    double drawn;       /* when the bar was drawn last */
    bool line_is_dirty; /* the bar is on the line now */
} ob_progress_view;

/* `log` must outlive the view. */
ob_progress_view ob_progress_open(const ob_log *log);

/* The callbacks over a view (which must outlive them); checkpoint is left to the caller. */
ob_progress ob_progress_callbacks(ob_progress_view *view);

/* Takes the bar off the terminal. */
void ob_progress_close(ob_progress_view *view);

#endif
