/* cupti_about.h: which libcupti this process uses. */
#ifndef ORTHO_HARNESS_CUPTI_ABOUT_H
#define ORTHO_HARNESS_CUPTI_ABOUT_H

#include <ortho/ortho.h>

typedef struct ob_cupti_about {
    char path[512];
    unsigned version; /* as the library tells it: 130001 */
} ob_cupti_about;

/* UNSUPPORTED with words that say the cure where there is none. Only in builds with CUDA. */
ortho_status ob_cupti_tell(ob_cupti_about *out);

#endif
