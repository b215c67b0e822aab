/* file.h: a file that is read by position. pread, not mmap: a file that shrinks under us is then an
 * error, not a SIGBUS. */
#ifndef ORTHO_DATASETS_FILE_H
#define ORTHO_DATASETS_FILE_H

#include <ortho/ortho.h>
#include <stdbool.h>

typedef struct ortho_file {
    int fd;
    char *path; /* owned */
    uint64_t size;
} ortho_file;

/* Opens a regular file. NOT_FOUND, IO (with the system's words) or ARGUMENT (not a file). */
ortho_status ortho_file_open(const char *path, ortho_file *out);

/* Closes; safe on a zeroed or closed ortho_file. */
void ortho_file_close(ortho_file *);

/* Reads exactly `bytes` at `offset`. FORMAT when the file ends before. */
ortho_status ortho_file_read(const ortho_file *, uint64_t offset, void *dst, size_t bytes);

/* Reads a small text file whole, NUL-terminated, for the caller to free. FORMAT when it is longer
 * than `limit` bytes. */
ortho_status ortho_file_slurp(const char *path, size_t limit, char **out, size_t *length);

/* What lies at this path. */
bool ortho_path_is_file(const char *path);
bool ortho_path_is_folder(const char *path);

/* The part after the last '/'. */
const char *ortho_path_base(const char *path);

/* "folder/name" to be freed by the caller; NULL when out of memory. */
char *ortho_path_join(const char *folder, const char *name);

#endif
