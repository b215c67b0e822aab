#define _GNU_SOURCE
#include "harness/state.h"

#include "common/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The folder, without what is below it. */
static ortho_status folder(char path[PATH_MAX])
{
    const char *own = getenv(OB_STATE_VARIABLE), *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int n;
    if (own != NULL && own[0] != '\0' && own[0] != '/')
        return ortho_fail(ORTHO_E_ARGUMENT,
                          OB_STATE_VARIABLE ": '%s' is no absolute path: set it to one like /%s",
                          own, own);
    if (own != NULL && own[0] != '\0')
        n = snprintf(path, PATH_MAX, "%s", own);
    else if (xdg != NULL && xdg[0] == '/') /* a relative one is invalid by its specification */
        n = snprintf(path, PATH_MAX, "%s/ortho-bench", xdg);
    else if (home != NULL && home[0] == '/')
        n = snprintf(path, PATH_MAX, "%s/.local/state/ortho-bench", home);
    else
        return ortho_fail(
            ORTHO_E_ARGUMENT,
            "there is no HOME to keep baselines and the history in: set " OB_STATE_VARIABLE
            " to a folder");
    if (n >= PATH_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "the state folder's name is too long: set " OB_STATE_VARIABLE
                          " to a shorter one");
    return ORTHO_OK;
}

ortho_status ob_state_path(const char *name, char path[PATH_MAX])
{
    char where[PATH_MAX];
    ortho_status status = folder(where);
    if (status != ORTHO_OK)
        return status;
    size_t length = strlen(where);
    if (length + 1 + strlen(name) >= PATH_MAX)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%.60s...: this folder's name is too long: set " OB_STATE_VARIABLE
                          " to a shorter one",
                          where);
    memcpy(path, where, length + 1);
    if (name[0] != '\0') {
        path[length] = '/';
        memcpy(path + length + 1, name, strlen(name) + 1);
    }
    return ORTHO_OK;
}

static ortho_status make_folder(const char *path)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return ORTHO_OK;
    int why = errno;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return ORTHO_OK;
    return ortho_fail(
        ORTHO_E_IO,
        "%s: can't make this folder for baselines and the history: %s; set " OB_STATE_VARIABLE
        " to another one",
        path, strerror(why));
}

ortho_status ob_state_make(const char *path)
{
    char copy[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof copy)
        return ortho_fail(ORTHO_E_ARGUMENT, "a file name of %zu bytes", length);
    memcpy(copy, path, length + 1);
    ortho_status status = ORTHO_OK;
    for (char *p = copy + 1; status == ORTHO_OK && (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        status = make_folder(copy);
        *p = '/';
    }
    return status;
}
