/*
 * host.h: CUPTI's host objects, which turn names of metrics into a configuration of counters, for a
 * chip that is here or any that the library knows. An object adds and can't take back, and one that
 * refused a name refuses every other from then on. Only harness/cupti includes this.
 */
#ifndef ORTHO_HARNESS_CUPTI_HOST_H
#define ORTHO_HARNESS_CUPTI_HOST_H

#include "harness/cupti/cupti.h"

typedef struct CUpti_Profiler_Host_Object ob_host;

/* `availability` of the device that is here; NULL offline. */
ortho_status ob_host_open(const ob_cupti *c, const char *chip, const uint8_t *availability,
                          ob_host **out);
void ob_host_close(const ob_cupti *c, ob_host *host); /* NULL is allowed */
CUptiResult ob_host_add(const ob_cupti *c, ob_host *host, const char *const *names, int count);

typedef struct ob_host_config {
    uint8_t *image; /* the caller's, to free */
    size_t size, passes;
} ob_host_config;

/* Of what was added. */
ortho_status ob_host_configure(const ob_cupti *c, ob_host *host, ob_host_config *out);

#endif
