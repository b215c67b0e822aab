/* outcome.h: what is done with a results document once it is there: shared by run, verify, report.
 */
#ifndef ORTHO_HARNESS_OUTCOME_H
#define ORTHO_HARNESS_OUTCOME_H

#include "harness/log.h"

struct json_t;

#define OB_FORMAT_USUAL "table" /* where --format says nothing */

/* Prints to stdout what --format and --plot ask for. */
ortho_status ob_outcome_print(const struct json_t *results, const ob_options *options);

/* Writes every export, every plot and their page into `folder`, telling where. */
ortho_status ob_outcome_folder(const struct json_t *results, const char *folder, const ob_log *log);

/* Whether a file can be written there, found out before minutes of measuring: makes missing
 * folders.
 */
ortho_status ob_outcome_check(const char *path);

/* Writes the native document to a path ("-": stdout). */
ortho_status ob_outcome_save(const struct json_t *results, const char *path);

#endif
