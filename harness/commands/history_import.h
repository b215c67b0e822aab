/* history_import.h: results files into the history. */
#ifndef ORTHO_HARNESS_HISTORY_IMPORT_H
#define ORTHO_HARNESS_HISTORY_IMPORT_H

#include "harness/history.h"
#include "harness/log.h"

typedef struct ob_import {
    ob_history *history;
    const ob_log *log;
    size_t added, known, refused;
    size_t refused_by_name; /* of those, named by the user and not found in a folder */
    struct json_t *reasons; /* an array of {"file", "reason"}; owned by the caller */
} ob_import;

/* Takes in a file ("-": stdin), or every *.json below a folder, links not followed. What is no
 * results document, or one that the history can't take, is counted and told, and isn't fatal.
 * Returns what is: the history itself failed, memory is short. */
ortho_status ob_import_path(ob_import *import, const char *path);

#endif
