#define _GNU_SOURCE
#include "harness/child.h"

#include "common/error.h"
#include "harness/options_table.h"
#include "harness/session.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void ob_child_arguments_free(char **argv)
{
    for (char **a = argv; a != NULL && *a != NULL; a++)
        free(*a);
    free(argv);
}

/* One option as a flag; false when memory is short. */
static bool put_flag(const char *name, const char *text, char **out)
{
    const ob_option *option = ob_option_find(name);
    bool flag = option != NULL && option->type == OB_VALUE_FLAG;
    if (asprintf(out, flag ? "--%s" : "--%s=%s", name, text) >= 0)
        return true;
    *out = NULL;
    return false;
}

char **ob_child_arguments(const char *const *words, size_t count, const json_t *options)
{
    char **argv = calloc(json_object_size(options) + count + 1, sizeof *argv);
    const char *name;
    const json_t *value;
    size_t n = 0;
    bool whole = argv != NULL;
    for (; whole && n < count; n++)
        whole = (argv[n] = strdup(words[n])) != NULL;
    json_object_foreach((json_t *)options, name, value) whole =
        whole && put_flag(name, json_string_value(value), &argv[n++]);
    if (whole)
        return argv;
    ob_child_arguments_free(argv);
    return NULL;
}

ortho_status ob_child_start(char *const *argv, int *out, pid_t *pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ortho_fail(ORTHO_E_IO, "no pipe for a child: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawn(pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error == 0) {
        *out = ends[0];
        return ORTHO_OK;
    }
    close(ends[0]);
    return ortho_fail(ORTHO_E_IO, "can't start a child: %s", strerror(error));
}

void ob_child_say(json_t *line)
{
    (void)json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(line);
}

static void on_signal(int number)
{
    (void)number;
    ob_session_interrupt();
}

void ob_child_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int ob_child_wait(pid_t pid)
{
    int code = 0;
    while (waitpid(pid, &code, 0) < 0 && errno == EINTR) {
    }
    return code;
}
