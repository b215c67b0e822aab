/* child.h: this very binary once more, for what needs a process of its own. */
#ifndef ORTHO_HARNESS_CHILD_H
#define ORTHO_HARNESS_CHILD_H

#include <ortho/ortho.h>
#include <sys/types.h>

/* Starts it with these arguments (NULL-terminated, argv[0] included). *out is what it writes to
 * standard output, closed by the caller; it has nothing to read, and its errors go nowhere. */
ortho_status ob_child_start(char *const *argv, int *out, pid_t *pid);

/* Waits for it; what waitpid tells. */
int ob_child_wait(pid_t pid);

#endif
