/* device_name.h: one name for what a result ran on: results of two names aren't put in one line. */
#ifndef ORTHO_HARNESS_DEVICE_NAME_H
#define ORTHO_HARNESS_DEVICE_NAME_H

#include <stdbool.h>

struct json_t;

#define OB_DEVICE_NAME 256

/* The GPU's name for a row of the backend cuda, else the CPU's with its number of cores: many
 * hypervisors call all of their processors the same. False where the document doesn't tell. */
bool ob_device_of_row(const struct json_t *document, const struct json_t *row,
                      char out[OB_DEVICE_NAME]);

/* The GPU's where a row ran on it, else the CPU's. */
bool ob_device_of_run(const struct json_t *document, char out[OB_DEVICE_NAME]);

#endif
