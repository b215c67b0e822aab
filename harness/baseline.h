/*
 * baseline.h: results kept under a name, STATE/baselines/NAME.json: what `run --baseline NAME`
 * compares with. A baseline is the native document of one complete run.
 */
#ifndef ORTHO_HARNESS_BASELINE_H
#define ORTHO_HARNESS_BASELINE_H

#include <ortho/ortho.h>

struct json_t;

#define OB_BASELINE_NAME 64 /* bytes of a name at most */

/* Whether this can be a name: 1 to 64 of A-Z a-z 0-9 . _ -, no dot first. ARGUMENT with the rule.
 */
ortho_status ob_baseline_check(const char *name);

/* Keeps a copy of the document, written whole or not at all, over one of the same name. Refuses
 * what nothing should be compared with: CANCELLED for an interrupted run, WRONG where a case
 * failed, UNSUPPORTED where no case has a time. */
ortho_status ob_baseline_save(const char *name, const struct json_t *document);

/* Reads one back; the caller owns the reference. NOT_FOUND for an unknown name, with the nearest
 * known ones and how to make one. */
ortho_status ob_baseline_load(const char *name, struct json_t **out);

/* All, by name: an array of {"name", "date", "commit", "device", "model", "synthetic", "cases"}; of
 * one that can't be read {"name", "error"}. The caller owns the reference. */
ortho_status ob_baseline_list(struct json_t **out);

#endif
