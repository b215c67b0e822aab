/* hub.c: the hub's cache is <hub>/models--org--name/{blobs,refs/main,snapshots/<40 hex>/...};
 * refs/main holds the name of a snapshot, whose files are links to blobs or plain files. */
#include "datasets/hub.h"

#include "common/error.h"
#include "datasets/file.h"
#include "datasets/reject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REVISION_LENGTH (ORTHO_COMMIT_SIZE - 1)

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static bool join(char out[ORTHO_PATH_SIZE], const char *folder, const char *rest)
{
    int length = snprintf(out, ORTHO_PATH_SIZE, "%s%s", folder, rest);
    return length >= 0 && length < ORTHO_PATH_SIZE;
}

bool ortho_hub_folder(char out[ORTHO_PATH_SIZE])
{
    const char *folder;
    if ((folder = environment("HF_HUB_CACHE")))
        return join(out, folder, "");
    if ((folder = environment("HF_HOME")))
        return join(out, folder, "/hub");
    if ((folder = environment("HOME")))
        return join(out, folder, "/.cache/huggingface/hub");
    return false;
}

bool ortho_cache_folder(char out[ORTHO_PATH_SIZE])
{
    const char *folder;
    if ((folder = environment("ORTHO_CACHE")))
        return join(out, folder, "");
    if ((folder = environment("XDG_CACHE_HOME")))
        return join(out, folder, "/ortho-bench");
    if ((folder = environment("HOME")))
        return join(out, folder, "/.cache/ortho-bench");
    return false;
}

bool ortho_hub_name_valid(const char *name)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t org = strspn(name, legal);
    if (org == 0 || name[org] != '/' || strlen(name) > 192)
        return false;
    const char *rest = name + org + 1;
    return rest[0] != '\0' && rest[strspn(rest, legal)] == '\0' && !strstr(name, "..") &&
           name[0] != '.' && rest[0] != '.';
}

ortho_status ortho_hub_read_commit(const char *path, char revision[ORTHO_COMMIT_SIZE])
{
    char *text;
    size_t length;
    ortho_status status = ortho_file_slurp(path, 256, &text, &length);
    if (status != ORTHO_OK)
        return status;
    size_t digits = strspn(text, "0123456789abcdef"), end = digits;
    while (text[end] == '\n' || text[end] == '\r' || text[end] == ' ')
        end++;
    if (digits == REVISION_LENGTH && end == length) {
        memcpy(revision, text, REVISION_LENGTH);
        revision[REVISION_LENGTH] = '\0';
    } else {
        status = ortho_reject(ORTHO_E_FORMAT, (ortho_place){.file = path, .offset = digits},
                              "not a revision of 40 hex digits");
    }
    free(text);
    return status;
}

ortho_status ortho_hub_resolve(const char *name, char out[ORTHO_PATH_SIZE])
{
    char hub[ORTHO_PATH_SIZE], path[ORTHO_PATH_SIZE * 2], folder[256], revision[ORTHO_COMMIT_SIZE];
    if (!ortho_hub_name_valid(name))
        return ortho_fail(ORTHO_E_ARGUMENT, "\"%s\" is not a hub name (org/name)", name);
    if (!ortho_hub_folder(hub))
        return ortho_fail(ORTHO_E_NOT_FOUND, "%s: no hub cache: set HF_HUB_CACHE or HOME", name);
    const char *slash = strchr(name, '/');
    snprintf(folder, sizeof folder, "models--%.*s--%s", (int)(slash - name), name, slash + 1);
    snprintf(path, sizeof path, "%s/%s/refs/main", hub, folder);
    if (!ortho_path_is_file(path))
        return ortho_fail(
            ORTHO_E_NOT_FOUND,
            "%s: neither a path nor in the local hub cache: %s is missing "
            "(HF_HUB_CACHE names another cache; nothing is fetched: `ortho-bench fetch hf:%s` "
            "would)",
            name, path, name);
    ortho_status status = ortho_hub_read_commit(path, revision);
    if (status != ORTHO_OK)
        return status;
    int length = snprintf(path, sizeof path, "%s/%s/snapshots/%s", hub, folder, revision);
    if (length < 0 || length >= ORTHO_PATH_SIZE)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: its path is too long", name);
    if (!ortho_path_is_folder(path))
        return ortho_fail(ORTHO_E_NOT_FOUND, "%s: refs/main points to %s, which is missing", name,
                          path);
    memcpy(out, path, (size_t)length + 1);
    return ORTHO_OK;
}
