/* error.h: one status type, one message a thread. Decide and say once, where the error is found;
 * everybody else relays the status. */
#ifndef ORTHO_COMMON_ERROR_H
#define ORTHO_COMMON_ERROR_H

#include <ortho/ortho.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Records a printf-style message for this thread and returns `status`. */
ortho_status ortho_fail(ortho_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts words before the current message ("layer 3: ...") and returns `status` unchanged. */
ortho_status ortho_fail_prefix(ortho_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
