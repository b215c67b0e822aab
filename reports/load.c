/* Reading a results document back. Every byte is hostile: an error says which file, where in it,
 * and what was expected there. Only what every writer relies on is checked here; the whole shape is
 * reports/schema/ortho-bench-1.schema.json. */
#include "common/error.h"
#include "reports/compare/compare.h"
#include "reports/model.h"
#include "reports/reports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static ortho_status check_version(const json_t *document, const char *path)
{
    static const char prefix[] = "ortho-bench/";
    const char *schema = ortho_model_string(document, "schema");
    if (schema == NULL)
        return ortho_fail(ORTHO_E_FORMAT,
                          "%s: schema: missing: this is not an ortho-bench results file", path);
    if (strcmp(schema, ORTHO_RESULTS_SCHEMA) == 0)
        return ORTHO_OK;
    if (strncmp(schema, prefix, sizeof prefix - 1) == 0)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "%s: schema: this file is \"%.40s\", and this binary reads \"%s\"", path,
                          schema, ORTHO_RESULTS_SCHEMA);
    return ortho_fail(ORTHO_E_FORMAT, "%s: schema: \"%.40s\" where \"%s\" should stand", path,
                      schema, ORTHO_RESULTS_SCHEMA);
}

static ortho_status check_row(const json_t *row, size_t index, const char *path)
{
    static const char *const words[] = {"key", "op", "variant", "status"};
    if (!json_is_object(row))
        return ortho_fail(ORTHO_E_FORMAT, "%s: results[%zu]: not an object", path, index);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ortho_model_string(row, words[i]) == NULL)
            return ortho_fail(ORTHO_E_FORMAT, "%s: results[%zu].%s: not a string, or missing", path,
                              index, words[i]);
    if (ortho_model_status(row) == ORTHO_CASE_UNKNOWN)
        return ortho_fail(ORTHO_E_FORMAT,
                          "%s: results[%zu].status: \"%.40s\" is none of ok, failed, skipped, "
                          "ambiguous",
                          path, index, ortho_model_string(row, "status"));
    return ORTHO_OK;
}

static ortho_status check(const json_t *document, const char *path)
{
    if (!json_is_object(document))
        return ortho_fail(ORTHO_E_FORMAT, "%s: the document is not an object", path);
    ortho_status status = check_version(document, path);
    if (status != ORTHO_OK)
        return status;
    if (!json_is_object(json_object_get(document, "context")))
        return ortho_fail(ORTHO_E_FORMAT, "%s: context: not an object, or missing", path);
    const json_t *rows = json_object_get(document, "results");
    if (!json_is_array(rows))
        return ortho_fail(ORTHO_E_FORMAT, "%s: results: not a list, or missing", path);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        status = check_row(json_array_get(rows, i), i, path);
        if (status != ORTHO_OK)
            return status;
    }
    return ORTHO_OK;
}

static ortho_status open_file(const char *path, FILE **out)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return ortho_fail(errno == ENOENT ? ORTHO_E_NOT_FOUND : ORTHO_E_IO, "%s: %s", path,
                          strerror(errno));
    if (fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(file);
        return ortho_fail(ORTHO_E_IO, "%s: this is a folder, not a results file", path);
    }
    *out = file;
    return ORTHO_OK;
}

/* What every reader of a comparison relies on. */
static ortho_status check_comparison(const json_t *document, const char *path)
{
    static const struct {
        const char *key, *what;
        json_type type;
    } parts[] = {{"context", "an object", JSON_OBJECT},
                 {"summary", "an object", JSON_OBJECT},
                 {"cases", "a list", JSON_ARRAY}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *part = json_object_get(document, parts[i].key);
        if (part == NULL || json_typeof(part) != parts[i].type)
            return ortho_fail(ORTHO_E_FORMAT, "%s: %s: not %s, or missing", path, parts[i].key,
                              parts[i].what);
    }
    return ORTHO_OK;
}

static ortho_status load(const char *path, bool comparisons, json_t **out)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "<stdin>" : path;
    FILE *file = stdin;
    ortho_status status = standard ? ORTHO_OK : open_file(path, &file);
    if (status != ORTHO_OK)
        return status;
    json_error_t error;
    json_t *document = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL)
        status = ortho_fail(ORTHO_E_FORMAT, "%s:%d:%d: %s (byte %d)", name, error.line,
                            error.column, error.text, error.position);
    else if (comparisons && ortho_is_comparison(document))
        status = check_comparison(document, name);
    else
        status = check(document, name);
    if (!standard)
        fclose(file);
    if (status == ORTHO_OK)
        *out = document;
    else
        json_decref(document);
    return status;
}

ortho_status ortho_results_load(const char *path, json_t **out)
{
    return load(path, false, out);
}

ortho_status ortho_document_load(const char *path, json_t **out)
{
    return load(path, true, out);
}
