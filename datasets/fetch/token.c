#include "datasets/fetch/token.h"

#include "common/error.h"
#include "datasets/file.h"
#include "datasets/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

/* Blanks around it are an editor's; a byte within it that isn't printable could end the header. */
static ortho_status accept(const char *text, const char *source, char out[ORTHO_TOKEN_SIZE])
{
    text += strspn(text, " \t\r\n");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]))
        length--;
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return ortho_fail(ORTHO_E_ARGUMENT, "%s: its token holds a byte that no token has",
                              source);
    if (length >= ORTHO_TOKEN_SIZE)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: a token of %zu bytes is none", source, length);
    memcpy(out, text, length);
    out[length] = '\0';
    return ORTHO_OK;
}

/* The file that it may lie in. False: there is no name for one. */
static bool token_path(char path[ORTHO_PATH_SIZE])
{
    const char *folder;
    int length = -1;
    if ((folder = environment("HF_TOKEN_PATH")))
        length = snprintf(path, ORTHO_PATH_SIZE, "%s", folder);
    else if ((folder = environment("HF_HOME")))
        length = snprintf(path, ORTHO_PATH_SIZE, "%s/token", folder);
    else if ((folder = environment("HOME")))
        length = snprintf(path, ORTHO_PATH_SIZE, "%s/.cache/huggingface/token", folder);
    return length >= 0 && length < ORTHO_PATH_SIZE;
}

ortho_status ortho_token_find(char out[ORTHO_TOKEN_SIZE])
{
    char path[ORTHO_PATH_SIZE], *text;
    size_t length;
    const char *token = environment("HF_TOKEN");
    if (token)
        return accept(token, "HF_TOKEN", out);
    out[0] = '\0';
    if (!token_path(path) || !ortho_path_is_file(path))
        return ORTHO_OK;
    ortho_status status = ortho_file_slurp(path, 4096, &text, &length);
    if (status != ORTHO_OK)
        return status;
    status =
        strlen(text) == length
            ? accept(text, path, out)
            : ortho_fail(ORTHO_E_ARGUMENT, "%s: its token holds a byte that no token has", path);
    memset(text, 0, length);
    free(text);
    return status;
}
