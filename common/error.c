#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

ORTHO_API const char *ortho_last_message(void)
{
    return message;
}

ORTHO_API const char *ortho_status_name(ortho_status status)
{
    static const char *const names[] = {
        [ORTHO_OK] = "ok",
        [ORTHO_E_ARGUMENT] = "argument",
        [ORTHO_E_MEMORY] = "memory",
        [ORTHO_E_IO] = "io",
        [ORTHO_E_FORMAT] = "format",
        [ORTHO_E_NONFINITE] = "nonfinite",
        [ORTHO_E_UNSUPPORTED] = "unsupported",
        [ORTHO_E_NOT_FOUND] = "not-found",
        [ORTHO_E_CANCELLED] = "cancelled",
        [ORTHO_E_DEVICE] = "device",
        [ORTHO_E_WRONG] = "wrong",
        [ORTHO_E_INTERNAL] = "internal",
    };
    if ((unsigned)status >= sizeof names / sizeof *names)
        return "unknown";
    return names[status];
}

ortho_status ortho_fail(ortho_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return status;
}

ortho_status ortho_fail_prefix(ortho_status status, const char *format, ...)
{
    char before[sizeof message];
    memcpy(before, message, sizeof message);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used + 3 < sizeof message) {
        size_t room = sizeof message - (size_t)used;
        snprintf(message + used, room, ": %.*s", (int)room - 3, before); /* what fits */
    }
    return status;
}
