#define _GNU_SOURCE /* fts */
#include "harness/commands/history_import.h"

#include "common/error.h"
#include "harness/json_set.h"
#include "reports/reports.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_fatal(ortho_status status)
{
    return status == ORTHO_E_MEMORY || status == ORTHO_E_IO;
}

/* A file that was found and not named is worth a note: a folder may hold other JSON. */
static void refuse(ob_import *import, const char *path, bool named)
{
    json_t *entry = json_object();
    ob_json_text(entry, "file", path);
    ob_json_text(entry, "reason", ortho_last_message());
    json_array_append_new(import->reasons, entry);
    import->refused++;
    import->refused_by_name += named;
    if (named)
        ob_log_error(import->log, "%s", ortho_last_message());
    else
        ob_log_note(import->log, "%s", ortho_last_message());
}

static ortho_status take_file(ob_import *import, const char *path, bool named)
{
    json_t *document = NULL;
    bool added = false, standard = strcmp(path, "-") == 0;
    ortho_status status = ortho_results_load(path, &document);
    if (status != ORTHO_OK) {
        refuse(import, path, named);
        return status == ORTHO_E_MEMORY ? status : ORTHO_OK;
    }
    char *full = standard ? NULL : realpath(path, NULL);
    status = ob_history_add(import->history, document, full, &added);
    free(full);
    json_decref(document);
    if (is_fatal(status))
        return status;
    if (status != ORTHO_OK) {
        ortho_fail_prefix(status, "%s", standard ? "<stdin>" : path);
        refuse(import, path, named);
    } else if (added) {
        import->added++;
        ob_log_detail(import->log, "%s: new", path);
    } else {
        import->known++;
        ob_log_detail(import->log, "%s: known already", path);
    }
    return ORTHO_OK;
}

static bool is_json(const FTSENT *entry)
{
    size_t n = entry->fts_namelen;
    return entry->fts_info == FTS_F && n > 5 && strcmp(entry->fts_name + n - 5, ".json") == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static ortho_status take_folder(ob_import *import, const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    char *roots[] = {copy, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    ortho_status status = ORTHO_OK;
    if (walk == NULL)
        status = ortho_fail(ORTHO_E_IO, "%s: %s", path, strerror(errno));
    for (FTSENT *e; status == ORTHO_OK && walk != NULL && (e = fts_read(walk)) != NULL;) {
        if (is_json(e))
            status = take_file(import, e->fts_path, false);
        if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR) {
            ortho_fail(ORTHO_E_IO, "%s: %s", e->fts_path, strerror(e->fts_errno));
            refuse(import, e->fts_path, true);
        }
    }
    if (walk != NULL)
        fts_close(walk);
    free(copy);
    return status;
}

ortho_status ob_import_path(ob_import *import, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return take_folder(import, path);
    if (strcmp(path, "-") != 0 && stat(path, &st) != 0 && strpbrk(path, "*?") != NULL) {
        ortho_fail(ORTHO_E_NOT_FOUND, "%s: no such file; a pattern of cases is told by --case '%s'",
                   path, path);
        refuse(import, path, true);
        return ORTHO_OK;
    }
    return take_file(import, path, true);
}
