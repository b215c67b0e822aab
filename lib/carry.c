/* carry.c: the small files beside a checkpoint that make it a model: configuration, tokenizer,
 * licence. Which they are is a list of patterns; weights in any other form stay behind. */
#define _GNU_SOURCE
#include "common/error.h"
#include "common/output.h"
#include "datasets/file.h"
#include "lib/target.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES (64u << 20)

static const char *const patterns[] = {
    "config.json",       "generation_config.json",
    "tokenizer*",        "special_tokens_map.json",
    "added_tokens.json", "vocab.*",
    "merges.txt",        "chat_template*",
    "*.jinja",           "README.md",
    "LICENSE*",          "LICENCE*",
    "NOTICE*",           "USE_POLICY*",
};

static bool is_carried(const char *name)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    return false;
}

/* Is this very text there already? *differs: something else is. */
static ortho_status is_there(const char *path, const char *text, size_t length, bool *same,
                             bool *differs)
{
    char *old;
    size_t old_length;
    *same = *differs = false;
    if (!ortho_path_is_file(path))
        return ORTHO_OK;
    ortho_status status = ortho_file_slurp(path, MOST_BYTES, &old, &old_length);
    if (status != ORTHO_OK)
        return status;
    *same = old_length == length && memcmp(old, text, length) == 0;
    *differs = !*same;
    free(old);
    return ORTHO_OK;
}

static ortho_status write_whole(const char *path, const char *text, size_t length)
{
    ortho_output output = {0};
    ortho_status status = ortho_output_begin(path, &output);
    if (status != ORTHO_OK)
        return status;
    fwrite(text, 1, length, output.stream); /* commit tells of an error */
    return ortho_output_commit(&output);
}

static ortho_status carry_text(const char *from, const char *to)
{
    char *text;
    size_t length;
    bool same = false, differs = false;
    ortho_status status = ortho_file_slurp(from, MOST_BYTES, &text, &length);
    if (status != ORTHO_OK)
        return status;
    status = is_there(to, text, length, &same, &differs);
    if (status == ORTHO_OK && differs)
        status =
            ortho_fail(ORTHO_E_ARGUMENT,
                       "%s is there already and isn't the source's: choose another folder", to);
    if (status == ORTHO_OK && !same)
        status = write_whole(to, text, length);
    free(text);
    return status;
}

static ortho_status carry_file(const char *source, const char *folder, const char *name)
{
    char *from = ortho_path_join(source, name), *to = ortho_path_join(folder, name);
    ortho_status status = ORTHO_OK;
    if (from == NULL || to == NULL)
        status = ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    else if (ortho_path_is_file(from))
        status = carry_text(from, to);
    free(from);
    free(to);
    return status;
}

ortho_status ortho_carry(const char *source, const char *folder)
{
    DIR *dir = opendir(source);
    if (dir == NULL)
        return ortho_fail(ORTHO_E_IO, "%s: %s", source, strerror(errno));
    ortho_status status = ORTHO_OK;
    for (struct dirent *e; status == ORTHO_OK && (e = readdir(dir)) != NULL;)
        if (is_carried(e->d_name))
            status = carry_file(source, folder, e->d_name);
    closedir(dir);
    return status;
}
