/*
 * The config file: `name = value` a line, names of long options, # or ; before a comment. inih
 * splits the lines; our reader feeds it, so that line numbers are exact and what inih would let
 * pass is refused: sections, indented continuations, lines cut in two, NUL bytes.
 */
#define _GNU_SOURCE
#include "harness/options_load.h"

#include "common/error.h"
#include "harness/options_suggest.h"

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct config_file {
    ob_loading *loading;
    const char *path;
    FILE *stream;
    int line;
    ortho_status status; /* the first error: nothing after it is looked at */
} config_file;

static ortho_status refuse(config_file *c, const char *why)
{
    c->status = ortho_fail(ORTHO_E_ARGUMENT, "%s:%d: %s", c->path, c->line, why);
    return c->status;
}

/* Reads a line without its indentation (inih takes an indented line for more of the last value).
 * False at the end of the file or on a line that is refused. */
static bool read_line(config_file *c, char *text, int room)
{
    int n = 0, ch;
    c->line++;
    while ((ch = fgetc(c->stream)) != EOF && ch != '\n') {
        if (n == 0 && (ch == ' ' || ch == '\t'))
            continue;
        if (ch == '\0')
            return refuse(c, "a NUL byte"), false;
        if (n >= room - 2)
            return refuse(c, "this line is too long"), false;
        text[n++] = (char)ch;
    }
    if (ferror(c->stream)) {
        c->status = ortho_fail(ORTHO_E_IO, "%s: %s", c->path, strerror(errno));
        return false;
    }
    if (ch == EOF && n == 0)
        return false;
    text[n++] = '\n';
    text[n] = '\0';
    if (text[0] == '[')
        return refuse(c, "a section; options stand alone here: name = value"), false;
    return true;
}

static char *feed_line(char *text, int room, void *ctx)
{
    config_file *c = ctx;
    return c->status == ORTHO_OK && read_line(c, text, room) ? text : NULL;
}

static ortho_status unknown_key(const char *where, const char *name)
{
    const char *words[128];
    size_t n = 0;
    for (size_t i = 0; i < ob_option_count && n < 128; i++)
        if (!ob_option_table[i].flag_only)
            words[n++] = ob_option_table[i].name;
    const char *near = ob_suggest(name, words, n);
    if (near != NULL)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: unknown option '%s': did you mean '%s'?", where,
                          name, near);
    return ortho_fail(ORTHO_E_ARGUMENT, "%s: unknown option '%s'", where, name);
}

static int take_entry(void *ctx, const char *section, const char *name, const char *value)
{
    (void)section;
    config_file *c = ctx;
    char where[PATH_MAX + 64];
    snprintf(where, sizeof where, "%s:%d", c->path, c->line);
    const ob_option *option = ob_option_find(name);
    if (option == NULL) {
        c->status = unknown_key(where, name);
        return 0;
    }
    if (option->flag_only || option->offset == offsetof(ob_options, config)) {
        c->status = ortho_fail(ORTHO_E_ARGUMENT, "%s: '%s' can't be set in a file", where, name);
        return 0;
    }
    bool *given = &c->loading->given[option - ob_option_table];
    if (*given && option->type != OB_VALUE_PATHS) {
        c->status = ortho_fail(ORTHO_E_ARGUMENT, "%s: '%s' is set a second time", where, name);
        return 0;
    }
    snprintf(where, sizeof where, "%s:%d: %s", c->path, c->line, name);
    c->status = ob_loading_set(c->loading, option, value, where);
    return c->status == ORTHO_OK;
}

static ortho_status read_stream(ob_loading *loading, const char *path, FILE *stream)
{
    config_file c = {.loading = loading, .path = path, .stream = stream};
    struct stat st;
    if (fstat(fileno(stream), &st) == 0 && S_ISDIR(st.st_mode))
        return ortho_fail(ORTHO_E_IO, "%s: a folder, not a config file", path);
    int bad_line = ini_parse_stream(feed_line, &c, take_entry, &c);
    if (c.status == ORTHO_OK && bad_line > 0)
        c.status =
            ortho_fail(ORTHO_E_ARGUMENT, "%s:%d: not of the form name = value", path, bad_line);
    if (c.status == ORTHO_OK && bad_line < 0)
        c.status = ortho_fail(ORTHO_E_MEMORY, "no memory for %s", path);
    return c.status;
}

/* "" when there is no home to look in. */
static void users_own(char path[PATH_MAX])
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = 0;
    if (xdg != NULL && xdg[0] == '/') /* a relative one is invalid by its specification */
        n = snprintf(path, PATH_MAX, "%s/ortho-bench/config.ini", xdg);
    else if (home != NULL && home[0] != '\0')
        n = snprintf(path, PATH_MAX, "%s/.config/ortho-bench/config.ini", home);
    if (n <= 0 || n >= PATH_MAX)
        path[0] = '\0';
}

ortho_status ob_config_read(ob_loading *loading, const char *path)
{
    char own[PATH_MAX] = "";
    if (path == NULL) {
        users_own(own);
        if (own[0] == '\0')
            return ORTHO_OK;
    }
    const char *name = path != NULL ? path : own;
    FILE *stream = fopen(name, "re");
    if (stream == NULL) {
        if (path == NULL && (errno == ENOENT || errno == ENOTDIR))
            return ORTHO_OK;
        return ortho_fail(ORTHO_E_IO, "%s: can't read this config file: %s", name, strerror(errno));
    }
    ortho_status status = read_stream(loading, name, stream);
    fclose(stream);
    return status;
}
