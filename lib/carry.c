/* carry.c: the small files beside a checkpoint that make it a model: configuration, tokenizer,
 * licence. Which they are is a list of patterns; weights in any other form stay behind. All are
 * copied byte for byte, but config.json is told what it stands beside. */
#define _GNU_SOURCE
#include "common/error.h"
#include "common/output.h"
#include "datasets/file.h"
#include "lib/model_config.h"
#include "lib/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_BYTES (64u << 20)

static const char *const patterns[] = {
    ORTHO_MODEL_CONFIG_NAME,
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
    "*.jinja",
    "README.md",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "USE_POLICY*",
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
    size_t old_length, most = MOST_BYTES + ORTHO_MODEL_CONFIG_ROOM;
    *same = *differs = false;
    if (!ortho_path_is_file(path))
        return ORTHO_OK;
    ortho_status status = ortho_file_slurp(path, most, &old, &old_length);
    if (status != ORTHO_OK)
        return status;
    *same = old_length == length && memcmp(old, text, length) == 0;
    *differs = !*same;
    free(old);
    return ORTHO_OK;
}

static ortho_status sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    return synced ? ORTHO_OK
                  : ortho_fail(ORTHO_E_IO, "%s: can't be synced: %s", folder, strerror(why));
}

static ortho_status write_whole(const char *scrap, const char *to, const ortho_small *file)
{
    ortho_output output = {0};
    ortho_status status = ortho_output_begin(scrap, &output);
    if (status != ORTHO_OK)
        return status;
    fwrite(file->text, 1, file->length, output.stream); /* commit tells of an error */
    status = ortho_output_commit(&output);
    if (status == ORTHO_OK && rename(scrap, to) != 0)
        status = ortho_fail(ORTHO_E_IO, "%s: can't get its name: %s", to, strerror(errno));
    return status == ORTHO_OK ? sync_folder(file->folder) : status;
}

static ortho_status put_small(const char *scrap, const char *to, const ortho_small *file)
{
    bool same, differs;
    ortho_status status = is_there(to, file->text, file->length, &same, &differs);
    if (status != ORTHO_OK || same)
        return status;
    if (differs)
        return ortho_fail(ORTHO_E_ARGUMENT,
                          "%s is there already and isn't what belongs there: choose another folder",
                          to);
    return file->check_only ? ORTHO_OK : write_whole(scrap, to, file);
}

ortho_status ortho_put_small(const ortho_small *file)
{
    char *scrap = ortho_path_join(file->work, file->name);
    char *to = ortho_path_join(file->folder, file->name);
    ortho_status status = scrap != NULL && to != NULL
                              ? put_small(scrap, to, file)
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    free(scrap);
    free(to);
    return status;
}

static ortho_status carry_file(const char *source, const char *name,
                               const ortho_sieve_options *sieve, ortho_small *file)
{
    char *from = ortho_path_join(source, name), *text = NULL;
    ortho_status status = ORTHO_OK;
    if (from == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a file name");
    if (ortho_path_is_file(from)) {
        status = ortho_file_slurp(from, MOST_BYTES, &text, &file->length);
        if (status == ORTHO_OK && strcmp(name, ORTHO_MODEL_CONFIG_NAME) == 0)
            status = ortho_model_config_tell(from, sieve, &text, &file->length);
        file->name = name;
        file->text = text;
        if (status == ORTHO_OK)
            status = ortho_put_small(file);
        free(text);
    }
    free(from);
    return status;
}

/* The folder beside whose weights small files may lie; "" when there is none. */
static void source_folder(const char *path, char folder[PATH_MAX])
{
    snprintf(folder, PATH_MAX, "%s", path);
    if (folder[0] == '\0' || ortho_path_is_folder(path))
        return;
    char *slash = strrchr(folder, '/'), *config;
    if (slash == NULL)
        strcpy(folder, ".");
    else
        *slash = '\0';
    config = ortho_path_join(folder,
                             ORTHO_MODEL_CONFIG_NAME); /* else it is only a file in some folder */
    if (config == NULL || !ortho_path_is_file(config))
        folder[0] = '\0';
    free(config);
}

static ortho_status carry_all(const char *source, const ortho_sieve_options *sieve,
                              ortho_small *file)
{
    DIR *dir = opendir(source);
    if (dir == NULL)
        return ortho_fail(ORTHO_E_IO, "%s: %s", source, strerror(errno));
    ortho_status status = ORTHO_OK;
    for (struct dirent *e; status == ORTHO_OK && (e = readdir(dir)) != NULL;)
        if (is_carried(e->d_name))
            status = carry_file(source, e->d_name, sieve, file);
    closedir(dir);
    return status;
}

ortho_status ortho_carry(const char *path, const ortho_sieve_options *sieve, const char *folder,
                         const char *work)
{
    char source[PATH_MAX];
    ortho_small file = {.folder = folder, .work = work, .check_only = true};
    source_folder(path, source);
    if (source[0] == '\0')
        return ORTHO_OK;
    ortho_status status = carry_all(source, sieve, &file); /* none, unless all may be put there */
    file.check_only = false;
    return status == ORTHO_OK ? carry_all(source, sieve, &file) : status;
}
