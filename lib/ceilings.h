/*
 * ceilings.h: what the parts of a stream can do alone, on this machine, now: the reads of this
 * source, the copies to this device, synced writes to this folder, and the sieve over weights that
 * are in memory already. A pipeline can be no faster than the slowest of them.
 */
#ifndef ORTHO_LIB_CEILINGS_H
#define ORTHO_LIB_CEILINGS_H

#include "lib/stream.h"

typedef struct ortho_ceilings {
    double read_rate, copy_rate, write_rate, sieve_rate; /* bytes a second; 0: not measured */
    double both_rate; /* read and written at once, where one device holds source and target */
} ortho_ceilings;

/* Measures over the stream's own buffers, before it runs. The target's folder holds a scratch file
 * meanwhile. The source is asked to leave the page cache before and after. */
ortho_status ortho_ceilings_measure(ortho_stream *stream, const ortho_target *target,
                                    ortho_ceilings *out);

/* Seconds that the slowest part needs for a run's bytes. */
double ortho_ceilings_floor(const ortho_ceilings *ceilings, const ortho_stream *stream);

#endif
