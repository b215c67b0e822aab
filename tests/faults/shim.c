/*
 * A call counts when it comes from libortho, by its return address; an allocation also when it
 * comes from what libortho calls: jansson and libc (strdup, open_memstream). OpenMP's run time is
 * left alone: it ends the program when it gets no memory.
 *
 * Allocators go to glibc's own names, since dlsym may allocate itself.
 */
#define _GNU_SOURCE
#include "tests/faults/shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_RANGES 8

/* Code of a library. */
typedef struct range {
    uintptr_t first, end;
    bool ours; /* libortho itself */
} range;

static struct {
    fault fault;
    long nth;
    atomic_bool armed;
    atomic_long calls, blocks;
    range ranges[MOST_RANGES];
    int count;
} shim;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

/* ---- whose call, and which ------------------------------------------------------------------- */

static int note_range(struct dl_phdr_info *info, size_t size, void *ctx)
{
    (void)size, (void)ctx;
    bool ours = strstr(info->dlpi_name, "/libortho") != NULL;
    if (!ours && strstr(info->dlpi_name, "/libjansson") == NULL &&
        strstr(info->dlpi_name, "/libc.so") == NULL)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t first = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) != 0 && shim.count < MOST_RANGES)
            shim.ranges[shim.count++] = (range){first, first + p->p_memsz, ours};
    }
    return 0;
}

void fault_arm(const fault *f, long nth)
{
    atomic_store(&shim.armed, false);
    if (f == NULL)
        return;
    if (shim.count == 0)
        dl_iterate_phdr(note_range, NULL);
    shim.fault = *f;
    shim.nth = nth;
    atomic_store(&shim.calls, 0);
    atomic_store(&shim.armed, true);
}

long fault_calls(void)
{
    return atomic_load(&shim.calls);
}

static bool comes_from(const void *caller, bool only_ours)
{
    for (int i = 0; i < shim.count; i++)
        if ((uintptr_t)caller >= shim.ranges[i].first && (uintptr_t)caller < shim.ranges[i].end)
            return shim.ranges[i].ours || !only_ours;
    return false;
}

static bool is_below(const char *path, int fd)
{
    char link[32], target[PATH_MAX];
    const char *folder = shim.fault.folder;
    if (folder == NULL || (path == NULL && fd < 0))
        return true;
    if (path == NULL) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        path = target;
    }
    return strncmp(path, folder, strlen(folder)) == 0;
}

/* Is it this call's turn? `memory`: an allocation. */
static bool is_due(const char *call, const void *caller, const char *path, int fd)
{
    bool memory = strcmp(call, "malloc") == 0;
    if (!atomic_load(&shim.armed) || strcmp(shim.fault.call, call) != 0 ||
        !comes_from(caller, !memory) || (!memory && !is_below(path, fd)))
        return false;
    long now = atomic_fetch_add(&shim.calls, 1) + 1;
    bool next = shim.fault.keep > 0 && shim.fault.error != 0 && now == shim.nth + 1;
    return now == shim.nth || next || (shim.fault.forever && now > shim.nth);
}

#define DUE(call, path, fd) is_due(call, __builtin_return_address(0), path, fd)
#define NEXT(name)          ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int refuse(void)
{
    errno = shim.fault.error;
    return -1;
}

/* A read or write whose turn it is: false when it is refused, else how much it may move. */
static bool may_move(size_t *bytes)
{
    bool first = atomic_load(&shim.calls) == shim.nth;
    if (shim.fault.keep == 0 || (!first && shim.fault.error != 0))
        return false;
    *bytes = *bytes < (size_t)shim.fault.keep ? *bytes : (size_t)shim.fault.keep;
    return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

long fault_blocks(void)
{
    return atomic_load(&shim.blocks);
}

/* memory: what was given, or NULL. */
static void *counted(void *memory)
{
    if (memory != NULL)
        atomic_fetch_add(&shim.blocks, 1);
    return memory;
}

static bool no_memory(const void *caller)
{
    bool due = is_due("malloc", caller, NULL, -1);
    if (due)
        errno = ENOMEM;
    return due;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t bytes)
{
    return no_memory(CALLER) ? NULL : counted(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes)
{
    return no_memory(CALLER) ? NULL : counted(__libc_calloc(count, bytes));
}

void *realloc(void *memory, size_t bytes)
{
    if (no_memory(CALLER))
        return NULL;
    void *moved = __libc_realloc(memory, bytes);
    return memory == NULL ? counted(moved) : moved;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return no_memory(CALLER) ? NULL : counted(__libc_memalign(alignment, bytes));
}

void *memalign(size_t alignment, size_t bytes)
{
    return no_memory(CALLER) ? NULL : counted(__libc_memalign(alignment, bytes));
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    if (no_memory(CALLER))
        return ENOMEM;
    *out = counted(__libc_memalign(alignment, bytes));
    return *out != NULL ? 0 : ENOMEM;
}

void free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&shim.blocks, 1);
    __libc_free(memory);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* open and its likes take a mode only where they may make a file. */
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;                      \
        va_end(arguments);                                                                         \
        return DUE("open", path, -1) ? refuse() : NEXT(name)(path, flags, mode);                   \
    }

OPEN(open)
OPEN(open64)

#define READ(name)                                                                                 \
    ssize_t name(int fd, void *data, size_t bytes, off_t offset)                                   \
    {                                                                                              \
        if (DUE("pread", NULL, fd) && !may_move(&bytes))                                           \
            return refuse();                                                                       \
        return NEXT(name)(fd, data, bytes, offset);                                                \
    }

READ(pread)
READ(pread64)

#define WRITE(name)                                                                                \
    ssize_t name(int fd, const void *data, size_t bytes, off_t offset)                             \
    {                                                                                              \
        if (DUE("pwrite", NULL, fd) && !may_move(&bytes))                                          \
            return refuse();                                                                       \
        return NEXT(name)(fd, data, bytes, offset);                                                \
    }

WRITE(pwrite)
WRITE(pwrite64)

ssize_t write(int fd, const void *data, size_t bytes)
{
    if (DUE("write", NULL, fd) && !may_move(&bytes))
        return refuse();
    return NEXT(write)(fd, data, bytes);
}

/* What was buffered is lost. */
int fflush(FILE *stream)
{
    return DUE("fflush", NULL, -1) ? (refuse(), EOF) : NEXT(fflush)(stream);
}

/* Closed in any case, as the kernel does. */
int fclose(FILE *stream)
{
    bool due = DUE("fclose", NULL, -1);
    int rc = NEXT(fclose)(stream);
    return due ? (refuse(), EOF) : rc;
}

int close(int fd)
{
    bool due = DUE("close", NULL, fd);
    int rc = NEXT(close)(fd);
    return due ? refuse() : rc;
}

#define ONE_FD(name)                                                                               \
    int name(int fd)                                                                               \
    {                                                                                              \
        return DUE(#name, NULL, fd) ? refuse() : NEXT(name)(fd);                                   \
    }

ONE_FD(fsync)
ONE_FD(fdatasync)

int ftruncate(int fd, off_t bytes)
{
    return DUE("ftruncate", NULL, fd) ? refuse() : NEXT(ftruncate)(fd, bytes);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    return DUE("fallocate", NULL, fd) ? refuse() : NEXT(fallocate)(fd, mode, offset, bytes);
}

int flock(int fd, int operation)
{
    return DUE("flock", NULL, fd) ? refuse() : NEXT(flock)(fd, operation);
}

int fstat(int fd, struct stat *out)
{
    return DUE("fstat", NULL, fd) ? refuse() : NEXT(fstat)(fd, out);
}

/* ---- names ----------------------------------------------------------------------------------- */

int mkdir(const char *path, mode_t mode)
{
    return DUE("mkdir", path, -1) ? refuse() : NEXT(mkdir)(path, mode);
}

int mkstemp(char *path)
{
    return DUE("mkstemp", path, -1) ? refuse() : NEXT(mkstemp)(path);
}

int rename(const char *from, const char *to)
{
    return DUE("rename", to, -1) ? refuse() : NEXT(rename)(from, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return DUE("rename", to, -1) ? refuse() : NEXT(renameat2)(from_fd, from, to_fd, to, flags);
}

int unlink(const char *path)
{
    return DUE("unlink", path, -1) ? refuse() : NEXT(unlink)(path);
}

int rmdir(const char *path)
{
    return DUE("rmdir", path, -1) ? refuse() : NEXT(rmdir)(path);
}

/* ---- threads --------------------------------------------------------------------------------- */

int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument)
{
    return DUE("pthread_create", NULL, -1) ? shim.fault.error
                                           : NEXT(pthread_create)(out, attributes, body, argument);
}
