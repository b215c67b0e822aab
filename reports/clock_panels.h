/*
 * clock_panels.h: what the pictures of the plot `clocks` share: three panels, one above the other
 * on one horizontal axis: SM clock, power, temperature, each with its scale and limit.
 */
#ifndef ORTHO_REPORTS_CLOCK_PANELS_H
#define ORTHO_REPORTS_CLOCK_PANELS_H

#include "reports/model.h"

#include <stdbool.h>
#include <stdio.h>

#define ORTHO_CLOCK_PANELS  3
#define ORTHO_CLOCK_REASONS 4

/* Of the cases that are shown. Text is borrowed from the results. */
typedef struct ortho_clock_panels {
    int cases, throttled;          /* throttled: cases that something held down */
    double lo[ORTHO_CLOCK_PANELS]; /* of what is drawn; lo > hi: nothing to draw */
    double hi[ORTHO_CLOCK_PANELS];
    double limit[ORTHO_CLOCK_PANELS]; /* NAN: not told */
    const char *reasons[ORTHO_CLOCK_REASONS];
    int reason_count;
} ortho_clock_panels;

/* No case yet; the limits. */
void ortho_clock_panels_open(const json_t *results, ortho_clock_panels *out);

/* Counts a case, whether it was throttled, and why. */
void ortho_clock_panels_case(ortho_clock_panels *p, const json_t *row);

/* Widens a panel to a value; NAN doesn't. */
void ortho_clock_panels_value(ortho_clock_panels *p, int panel, double value);

bool ortho_clock_throttled(const json_t *row);

/* The number at a path: MHz, W or degrees; NAN where it is none that a device has. */
double ortho_clock_value(const json_t *node, const char *path);

/* "none throttled", or "× 2 throttled: sw-power-cap" (cases). */
void ortho_clock_panels_held(const ortho_clock_panels *p, char *out, size_t size);

/* How a picture fills the panels. */
typedef struct ortho_clock_frame {
    const char *titles[ORTHO_CLOCK_PANELS]; /* ours, not of a document */
    const char *axis;                       /* what the horizontal axis counts; ours */
    double lo, hi;                          /* of that axis; lo < hi */
    bool whole;                             /* it counts things, and few: a tic each */
    double lift; /* of the uppermost panel's title, in lines: room for what stands below it */
    /* The rest of a plot command, from the first curve on, for one panel. */
    void (*curves)(const void *ctx, int panel, FILE *gp);
    const void *ctx;
} ortho_clock_frame;

/* The panels that have something to draw. */
void ortho_clock_panels_draw(const ortho_clock_panels *p, const ortho_clock_frame *frame, FILE *gp);

/* The colour of a panel's curve, "#0072B2". */
const char *ortho_clock_color(int panel);

#endif
