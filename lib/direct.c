#define _GNU_SOURCE
#include "lib/direct.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* Linux 6.5; the same number on every architecture */
#endif

/* As linux/mman.h has them, which Debian 12's doesn't. */
typedef struct cache_range {
    uint64_t offset, length; /* 0: to the end */
} cache_range;
typedef struct cache_state {
    uint64_t cached, dirty, writeback, evicted, recently_evicted; /* pages */
} cache_state;

/* Is a tenth of it in the page cache? Where the kernel doesn't tell: yes. */
static bool is_cached(int fd, uint64_t bytes)
{
    cache_range all = {0};
    cache_state state = {0};
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0 || syscall(SYS_cachestat, fd, &all, &state, 0) != 0)
        return true;
    return state.cached * (uint64_t)page >= bytes / 10;
}

/* A file system may take the flag and refuse the reads. */
static bool can_read(int direct)
{
    _Alignas(ORTHO_DIRECT_UNIT) char page[ORTHO_DIRECT_UNIT];
    return pread(direct, page, sizeof page, 0) >= 0;
}

static bool is_wished(const char *wish)
{
    const char *said = getenv("ORTHO_DIRECT");
    return said != NULL && strcmp(said, wish) == 0;
}

static int open_direct(int fd, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d",
             fd); /* the same file, whatever its name is now */
    int direct = open(path, flags | O_DIRECT | O_CLOEXEC);
    if (direct >= 0 && !can_read(direct)) {
        close(direct);
        direct = -1;
    }
    return direct;
}

int ortho_direct_open(int fd, uint64_t bytes)
{
    if (is_wished("never") || (!is_wished("always") && is_cached(fd, bytes)))
        return -1;
    return open_direct(fd, O_RDONLY);
}

int ortho_direct_open_output(int fd)
{
    struct stat st;
    if (is_wished("never") || sysconf(_SC_PAGESIZE) > (long)ORTHO_DIRECT_UNIT ||
        fstat(fd, &st) != 0 || st.st_blksize > (blksize_t)ORTHO_DIRECT_UNIT)
        return -1;
    return open_direct(fd, O_RDWR);
}
