/*
 * ortho-bench: finds the command, parses its options, runs it, and makes sure that what was printed
 * arrived. The one place that knows about the process: streams, signals, exit code.
 */
#define _GNU_SOURCE
#include "harness/commands/command.h"
#include "harness/log.h"
#include "harness/memory.h"
#include "harness/observe.h"
#include "harness/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A standard stream that the caller closed must not become the first file that we open: writing
 * results into it would be silent. stdin and stdout then fail when used; stderr swallows. */
static void occupy_streams(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", modes[fd]) != fd)
            return;
}

/* Makes sure that stdout took everything. A command that failed has told why already. */
static int finish(int code)
{
    bool failed_before = ferror(stdout);
    errno = 0;
    if (fflush(stdout) == 0 && !failed_before)
        return code;
    int why = errno;
    if (code != OB_EXIT_OK || why == EPIPE || ob_reader_left(STDOUT_FILENO))
        return code;
    fprintf(stderr, "ortho-bench: writing to standard output failed%s%s\n", why ? ": " : "",
            why ? strerror(why) : "");
    return OB_EXIT_RUNTIME;
}

static bool asks_overview(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* Without a command the default one gets the arguments; --help first of all is the overview.
 * `arguments` has room for argc + 2. Returns how many there are. */
static int put_command_first(int argc, char **argv, char **arguments)
{
    int n = 0, first = 1;
    if (argc >= 2 && asks_overview(argv[1])) {
        arguments[n++] = (char *)"help"; /* never written to: getopt only moves pointers */
        first = argc;
    } else if (argc < 2 || argv[1][0] == '-') {
        arguments[n++] = (char *)ob_command_default()->name;
    }
    for (int i = first; i < argc; i++)
        arguments[n++] = argv[i];
    arguments[n] = NULL;
    return n;
}

int main(int argc, char **argv)
{
    occupy_streams();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of the write, to be told */
    if (argc > 1 && strcmp(argv[1], "__memory") == 0)
        return finish(ob_memory_child(argc, argv));
    if (argc > 1 && strcmp(argv[1], "__observe") == 0)
        return finish(ob_observe_child(argc, argv));
    if (argc > 1 && strcmp(argv[1], "__process") == 0)
        return finish(ob_process_child(argc, argv));
    char **arguments = calloc((size_t)argc + 2, sizeof *arguments);
    if (arguments == NULL)
        return OB_EXIT_RUNTIME;
    ob_options options;
    bool done;
    int count = put_command_first(argc, argv, arguments);
    int code = ob_options_parse(count, arguments, &options, &done);
    if (code == OB_EXIT_OK) {
        if (!done)
            code = ob_command_find(arguments[0])->run(&options);
        ob_options_clear(&options);
    }
    free(arguments);
    return finish(code);
}
