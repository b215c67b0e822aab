#define _GNU_SOURCE
#include "harness/baseline.h"

#include "common/error.h"
#include "harness/device_name.h"
#include "harness/json_set.h"
#include "harness/options_suggest.h"
#include "harness/state.h"
#include "reports/model.h"
#include "reports/reports.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER    "baselines"
#define EXTENSION ".json"

static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

ortho_status ob_baseline_check(const char *name)
{
    size_t length = strlen(name);
    if (length > 0 && length <= OB_BASELINE_NAME && name[0] != '.' &&
        strspn(name, allowed) == length)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_ARGUMENT,
                      "'%.80s' can't name a baseline: 1 to %d of the characters A-Z a-z 0-9 . _ -, "
                      "and no dot first",
                      name, OB_BASELINE_NAME);
}

static ortho_status path_of(const char *name, char path[PATH_MAX])
{
    char file[sizeof FOLDER + OB_BASELINE_NAME + sizeof EXTENSION];
    ortho_status status = ob_baseline_check(name);
    if (status != ORTHO_OK)
        return status;
    snprintf(file, sizeof file, FOLDER "/%s" EXTENSION, name);
    return ob_state_path(file, path);
}

/* ---- save ------------------------------------------------------------------------------------ */

static ortho_status check_worth(const char *name, const json_t *document)
{
    size_t timed = 0, failed = 0;
    for (size_t i = 0; i < ortho_model_count(document); i++) {
        const json_t *row = ortho_model_row(document, i);
        timed += row != NULL && ortho_model_timed(row);
        failed += row != NULL && ortho_model_status(row) == ORTHO_CASE_FAILED;
    }
    if (ortho_model_true(document, "context.interrupted"))
        return ortho_fail(ORTHO_E_CANCELLED,
                          "baseline '%s' is not saved: the run was interrupted, so that cases are "
                          "missing",
                          name);
    if (failed > 0)
        return ortho_fail(ORTHO_E_WRONG,
                          "baseline '%s' is not saved: %zu case%s failed, and nothing should be "
                          "compared with a wrong result",
                          name, failed, failed == 1 ? "" : "s");
    if (timed == 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "baseline '%s' is not saved: no case has a time",
                          name);
    return ORTHO_OK;
}

ortho_status ob_baseline_save(const char *name, const json_t *document)
{
    char path[PATH_MAX];
    const ortho_writer *native = ortho_writer_find("json");
    if (native == NULL)
        return ortho_fail(ORTHO_E_INTERNAL, "this build can't write native JSON");
    ortho_status status = path_of(name, path);
    if (status == ORTHO_OK)
        status = check_worth(name, document);
    if (status == ORTHO_OK)
        status = ob_state_make(path);
    if (status == ORTHO_OK)
        status = ortho_report_write(document, native, NULL, path);
    return status;
}

/* ---- names ----------------------------------------------------------------------------------- */

typedef struct names {
    char **item;
    size_t count;
} names;

static void names_free(names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->item[i]);
    free(n->item);
    *n = (names){0};
}

static bool names_add(names *n, const char *name, size_t length)
{
    char **grown = realloc(n->item, (n->count + 1) * sizeof *grown);
    if (grown == NULL)
        return false;
    n->item = grown;
    n->item[n->count] = strndup(name, length);
    return n->item[n->count] != NULL && ++n->count > 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the files of the folder that are baselines, sorted. No folder: none. */
static ortho_status names_read(names *out)
{
    char path[PATH_MAX];
    names n = {0};
    ortho_status status = ob_state_path(FOLDER, path);
    if (status != ORTHO_OK)
        return status;
    DIR *folder = opendir(path);
    if (folder == NULL && errno != ENOENT)
        return ortho_fail(ORTHO_E_IO, "%s: %s", path, strerror(errno));
    for (struct dirent *e; status == ORTHO_OK && folder != NULL && (e = readdir(folder)) != NULL;) {
        size_t length = strlen(e->d_name), tail = sizeof EXTENSION - 1;
        if (length <= tail || strcmp(e->d_name + length - tail, EXTENSION) != 0)
            continue;
        e->d_name[length - tail] = '\0';
        if (ob_baseline_check(e->d_name) == ORTHO_OK && !names_add(&n, e->d_name, length - tail))
            status = ortho_fail(ORTHO_E_MEMORY, "no memory for the names of baselines");
    }
    if (folder != NULL)
        closedir(folder);
    if (status != ORTHO_OK) {
        names_free(&n);
        return status;
    }
    if (n.count > 0)
        qsort(n.item, n.count, sizeof *n.item, by_name);
    *out = n;
    return ORTHO_OK;
}

/* "there is no baseline 'mian': did you mean 'main'? (known: a, b); ..." */
static ortho_status unknown(const char *name)
{
    static const char how[] = "`ortho-bench run --save-baseline NAME` makes one";
    names n = {0};
    ortho_status status = names_read(&n);
    if (status != ORTHO_OK)
        return status;
    char known[512] = "";
    for (size_t i = 0, used = 0; i < n.count && used < sizeof known; i++)
        used +=
            (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", n.item[i]);
    const char *near = ob_suggest(name, (const char *const *)n.item, n.count);
    if (n.count == 0)
        ortho_fail(ORTHO_E_NOT_FOUND, "there is no baseline '%s', nor any other: %s", name, how);
    else
        ortho_fail(ORTHO_E_NOT_FOUND, "there is no baseline '%s'%s%s%s (known: %s); %s", name,
                   near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "", known, how);
    names_free(&n);
    return ORTHO_E_NOT_FOUND;
}

/* ---- read ------------------------------------------------------------------------------------ */

ortho_status ob_baseline_load(const char *name, json_t **out)
{
    char path[PATH_MAX];
    ortho_status status = path_of(name, path);
    if (status == ORTHO_OK)
        status = ortho_results_load(path, out);
    return status == ORTHO_E_NOT_FOUND ? unknown(name) : status;
}

static void put_text(json_t *to, const char *key, const json_t *document, const char *path)
{
    const char *text = ortho_model_string(document, path);
    if (text != NULL)
        ob_json_text(to, key, text);
}

static json_t *describe(const char *name)
{
    json_t *document = NULL, *facts = json_pack("{s:s}", "name", name);
    char device[OB_DEVICE_NAME];
    if (facts == NULL)
        return NULL;
    if (ob_baseline_load(name, &document) != ORTHO_OK) {
        ob_json_text(facts, "error", ortho_last_message());
        return facts;
    }
    put_text(facts, "date", document, "context.date");
    put_text(facts, "commit", document, "context.commit");
    if (ob_device_of_run(document, device))
        ob_json_text(facts, "device", device);
    put_text(facts, "model", document, "context.model.name");
    json_object_set_new(facts, "synthetic", json_boolean(ortho_model_synthetic(document)));
    ob_json_int(facts, "cases", (int64_t)ortho_model_count(document));
    json_decref(document);
    return facts;
}

ortho_status ob_baseline_list(json_t **out)
{
    names n = {0};
    ortho_status status = names_read(&n);
    if (status != ORTHO_OK)
        return status;
    json_t *list = json_array();
    int failed = list == NULL;
    for (size_t i = 0; i < n.count && !failed; i++)
        failed = json_array_append_new(list, describe(n.item[i]));
    names_free(&n);
    if (failed) {
        json_decref(list);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the list of baselines");
    }
    *out = list;
    return ORTHO_OK;
}
