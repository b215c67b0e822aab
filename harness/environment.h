/*
 * environment.h: everything about the machine, the build and the request that a number depends on.
 */
#ifndef ORTHO_HARNESS_ENVIRONMENT_H
#define ORTHO_HARNESS_ENVIRONMENT_H

#include "datasets/datasets.h"
#include "harness/options.h"
#include "harness/timer.h"

struct json_t;

/* The context object of docs/RESULTS.md, without ceilings and process, which come at the end.
 * `choice` is why the model was taken, NULL when it was named. NULL without memory. */
struct json_t *ob_environment_context(const ob_options *options, const ortho_model_facts *model,
                                      const char *choice, const ob_timer *timer);

/* The words of this process's command line. */
struct json_t *ob_environment_command(void);

/* High-water mark of this process's resident memory in bytes; 0 when it can't be told. */
size_t ob_environment_max_rss(void);

/* The CPU's frequency governor; "" where the kernel doesn't tell. */
void ob_environment_governor(char out[64]);

/* Bytes of memory that the machine has. */
size_t ob_environment_ram(void);

#endif
