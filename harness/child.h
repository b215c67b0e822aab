/* child.h: this very binary once more, for what needs a process of its own. */
#ifndef ORTHO_HARNESS_CHILD_H
#define ORTHO_HARNESS_CHILD_H

#include <ortho/ortho.h>
#include <sys/types.h>

struct json_t;

/* Words, and then options, as ob_options_echo gives them, as flags: NULL-terminated, for
 * ob_child_arguments_free. NULL when memory is short. */
char **ob_child_arguments(const char *const *words, size_t count, const struct json_t *options);
void ob_child_arguments_free(char **argv); /* NULL is allowed */

/* Starts it with these arguments (NULL-terminated, argv[0] included). *out is what it writes to
 * standard output, closed by the caller; it has nothing to read, and its errors go nowhere. */
ortho_status ob_child_start(char *const *argv, int *out, pid_t *pid);

/* Of the child: writes a line of JSON to standard output, at once; takes the reference. */
void ob_child_say(struct json_t *line);
/* Of the child: SIGINT and SIGTERM end its session after the sample at work. */
void ob_child_catch_signals(void);

/* Waits for it; what waitpid tells. */
int ob_child_wait(pid_t pid);

#endif
