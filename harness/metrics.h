/*
 * metrics.h: what the vendor's host library knows of a chip's metrics: whether a name is valid,
 * what it means, how many passes a set takes. Needs libcupti, and neither a GPU nor a driver.
 */
#ifndef ORTHO_HARNESS_METRICS_H
#define ORTHO_HARNESS_METRICS_H

#include <ortho/ortho.h>
#include <stddef.h>

typedef struct ob_metrics ob_metrics;

/* `chip` as CUPTI names it ("GH100"); NOT_FOUND for one that the library doesn't know, UNSUPPORTED
 * without a library, with words that say the cure. */
ortho_status ob_metrics_open(const char *chip, ob_metrics **out);
void ob_metrics_close(ob_metrics *metrics); /* NULL is allowed */

/* ARGUMENT, with a message, when the chip has no metric of this name, suffixes included. */
ortho_status ob_metrics_check(const ob_metrics *metrics, const char *name);

/* Passes that these metrics take together; ARGUMENT names the first that the chip hasn't got. */
ortho_status ob_metrics_passes(const ob_metrics *metrics, const char *const *names, int count,
                               size_t *passes);
/* The vendor's words for a metric, without its suffixes; "" where there are none. */
ortho_status ob_metrics_describe(const ob_metrics *metrics, const char *name, char *out,
                                 size_t size);
/* The chips that this library knows, NULL-terminated, static storage. */
ortho_status ob_metrics_chips(const char *const **out);

#endif
