/* rss.h: the process's resident memory. */
#ifndef ORTHO_LIB_RSS_H
#define ORTHO_LIB_RSS_H

#include <stdint.h>

/* The peak from a point in time on. The kernel keeps one high-water mark for the process's whole
 * life, so that a lower peak than an earlier one is known by samples only. */
typedef struct ortho_rss {
    uint64_t before, mark; /* resident, and the high-water mark, at the beginning */
    uint64_t most;         /* of the samples */
} ortho_rss;

void ortho_rss_begin(ortho_rss *rss);
void ortho_rss_sample(ortho_rss *rss);

/* Bytes; 0 when /proc tells nothing. */
uint64_t ortho_rss_peak(ortho_rss *rss);

#endif
