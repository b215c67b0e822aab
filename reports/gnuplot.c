#define _GNU_SOURCE /* posix_spawn_file_actions_addchdir_np */
#include "reports/gnuplot.h"

#include "common/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define STEP_MS     5

extern char **environ;

static ortho_status spawn(const char *script, const char *folder, int streams[2], pid_t *child)
{
    /* -d: no start-up file of the user's changes the picture. */
    char *const argv[] = {"gnuplot", "-d", (char *)script, NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to run gnuplot");
    int why = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (why == 0)
        why = posix_spawn_file_actions_adddup2(&actions, streams[0], 1);
    if (why == 0)
        why = posix_spawn_file_actions_adddup2(&actions, streams[1], 2);
    if (why == 0 && folder != NULL)
        why = posix_spawn_file_actions_addchdir_np(&actions, folder);
    if (why == 0)
        why = posix_spawnp(child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (why == ENOENT)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "gnuplot is not installed (apt install gnuplot-nox): the .gp and .tsv "
                          "files can be drawn elsewhere");
    return why == 0 ? ORTHO_OK : ortho_fail(ORTHO_E_IO, "gnuplot can't be run: %s", strerror(why));
}

/* Waits for our child, at most PATIENCE_MS; ends it then. */
static ortho_status await(pid_t child, int *code)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    for (int waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
        pid_t done = waitpid(child, code, WNOHANG);
        if (done == child)
            return ORTHO_OK;
        if (done < 0 && errno != EINTR)
            return ortho_fail(ORTHO_E_IO, "gnuplot got lost: %s", strerror(errno));
        nanosleep(&step, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, code, 0);
    return ortho_fail(ORTHO_E_INTERNAL, "gnuplot took longer than %d s", PATIENCE_MS / 1000);
}

/* What it wrote on stderr, in one line. */
static ortho_status complain(FILE *words, int code)
{
    char text[400];
    rewind(words);
    size_t length = fread(text, 1, sizeof text - 1, words);
    text[length] = '\0';
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ')
            text[i] = ' ';
    return ortho_fail(ORTHO_E_INTERNAL, "gnuplot failed (status %d): %s", code, text);
}

static void copy(FILE *from, FILE *to)
{
    char block[4096];
    size_t length;
    rewind(from);
    while ((length = fread(block, 1, sizeof block, from)) > 0)
        fwrite(block, 1, length, to);
}

ortho_status ortho_gnuplot_run(const char *script, const char *folder, FILE *out)
{
    ortho_status status = ORTHO_OK;
    FILE *output = tmpfile(), *words = tmpfile();
    if (output == NULL || words == NULL) {
        status = ortho_fail(ORTHO_E_IO, "no temporary file for gnuplot: %s", strerror(errno));
        goto end;
    }
    pid_t child;
    int code = 0, streams[2] = {fileno(output), fileno(words)};
    status = spawn(script, folder, streams, &child);
    if (status == ORTHO_OK)
        status = await(child, &code);
    if (status == ORTHO_OK && !(WIFEXITED(code) && WEXITSTATUS(code) == 0))
        status = complain(words, WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code));
    if (status == ORTHO_OK && out != NULL)
        copy(output, out);
end:
    if (output != NULL)
        fclose(output);
    if (words != NULL)
        fclose(words);
    return status;
}
