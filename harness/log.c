#define _GNU_SOURCE
#include "harness/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool ob_color_wanted(ob_color choice, int descriptor)
{
    if (choice == OB_COLOR_ALWAYS)
        return true;
    if (choice == OB_COLOR_NEVER)
        return false;
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no_color != NULL && no_color[0] != '\0')
        return false;
    return isatty(descriptor) && term != NULL && strcmp(term, "dumb") != 0;
}

bool ob_reader_left(int descriptor)
{
    struct pollfd p = {.fd = descriptor, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

int ob_terminal_width(int descriptor)
{
    struct winsize size;
    if (!isatty(descriptor))
        return 0;
    if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void ob_print_safe(FILE *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            fprintf(out, "\\x%02x", (unsigned char)*p);
        else
            fputc(*p, out);
}

ob_log ob_log_open(const ob_options *options)
{
    return (ob_log){.stream = stderr,
                    .color = ob_color_wanted(options->color, STDERR_FILENO),
                    .quiet = options->quiet,
                    .verbose = options->verbose};
}

static void print(const ob_log *log, const char *color, const char *format, va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    fprintf(log->stream, "%sortho-bench:%s ", log->color ? color : "", log->color ? "\033[0m" : "");
    ob_print_safe(log->stream, text);
    fputc('\n', log->stream);
    fflush(log->stream);
}

void ob_log_error(const ob_log *log, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print(log, "\033[1;31m", format, args);
    va_end(args);
}

void ob_log_note(const ob_log *log, const char *format, ...)
{
    if (log->quiet)
        return;
    va_list args;
    va_start(args, format);
    print(log, "\033[1m", format, args);
    va_end(args);
}

void ob_log_detail(const ob_log *log, const char *format, ...)
{
    if (log->quiet || !log->verbose)
        return;
    va_list args;
    va_start(args, format);
    print(log, "\033[2m", format, args);
    va_end(args);
}
