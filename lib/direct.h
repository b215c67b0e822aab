/*
 * direct.h: reads and writes past the page cache. A checkpoint that isn't in the cache is read
 * once, and its artifact is written once: to bring their pages there costs a copy of every byte and
 * the memory of others, and on a virtual machine, whose free pages are the host's, more time than
 * the sieve of a layer. A checkpoint that is in the cache is read from there.
 *
 * ORTHO_DIRECT=always or never decides for the environment's owner.
 */
#ifndef ORTHO_LIB_DIRECT_H
#define ORTHO_LIB_DIRECT_H

#include <stdint.h>

#define ORTHO_DIRECT_UNIT 4096u /* of offsets, sizes and memory */

/* The file behind `fd` (of so many bytes), opened anew for direct reads; -1: it is in the cache,
 * its file system can't, or nobody can tell. */
int ortho_direct_open(int fd, uint64_t bytes);

/* The same for a file that is being written, open for reading and writing; -1: its file system
 * can't, or keeps the file in larger pages than ORTHO_DIRECT_UNIT: one of them would be written
 * both ways at once, and the cache's copy of it could win. */
int ortho_direct_open_output(int fd);

#endif
