#include "harness/cupti_about.h"

#include "harness/cupti/cupti.h"

#include <stdio.h>

ortho_status ob_cupti_tell(ob_cupti_about *out)
{
    const ob_cupti *c = NULL;
    uint32_t version = 0;
    ortho_status status = ob_cupti_open(&c);
    if (status == ORTHO_OK)
        status = ob_cupti_check(c, c->GetVersion(&version), "asking for CUPTI's version");
    if (status != ORTHO_OK)
        return status;
    out->version = version;
    snprintf(out->path, sizeof out->path, "%s", c->path);
    return ORTHO_OK;
}
