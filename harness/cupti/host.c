#include "harness/cupti/host.h"

#include "common/error.h"

#include <stdlib.h>

#define CHECK(call, what) ob_cupti_check(c, c->call, what)

ortho_status ob_host_open(const ob_cupti *c, const char *chip, const uint8_t *availability,
                          ob_host **out)
{
    CUpti_Profiler_Host_Initialize_Params p = OB_CUPTI_PARAMS(
        CUpti_Profiler_Host_Initialize_Params, .profilerType = CUPTI_PROFILER_TYPE_RANGE_PROFILER,
        .pChipName = chip, .pCounterAvailabilityImage = availability);
    ortho_status status = CHECK(ProfilerHostInitialize(&p), "the metrics of a chip");
    if (status == ORTHO_OK)
        *out = p.pHostObject;
    return status;
}

void ob_host_close(const ob_cupti *c, ob_host *host)
{
    CUpti_Profiler_Host_Deinitialize_Params p =
        OB_CUPTI_PARAMS(CUpti_Profiler_Host_Deinitialize_Params, .pHostObject = host);
    if (host != NULL)
        (void)c->ProfilerHostDeinitialize(&p);
}

CUptiResult ob_host_add(const ob_cupti *c, ob_host *host, const char *const *names, int count)
{
    /* read only, as its documentation has it */
    const char **list = (const char **)(uintptr_t)names;
    CUpti_Profiler_Host_ConfigAddMetrics_Params p =
        OB_CUPTI_PARAMS(CUpti_Profiler_Host_ConfigAddMetrics_Params, .pHostObject = host,
                        .ppMetricNames = list, .numMetrics = (size_t)count);
    return c->ProfilerHostConfigAddMetrics(&p);
}

static ortho_status fill(const ob_cupti *c, ob_host *host, ob_host_config *config)
{
    CUpti_Profiler_Host_GetConfigImage_Params image =
        OB_CUPTI_PARAMS(CUpti_Profiler_Host_GetConfigImage_Params, .pHostObject = host,
                        .configImageSize = config->size, .pConfigImage = config->image);
    CUpti_Profiler_Host_GetNumOfPasses_Params passes =
        OB_CUPTI_PARAMS(CUpti_Profiler_Host_GetNumOfPasses_Params, .configImageSize = config->size,
                        .pConfigImage = config->image);
    ortho_status status = CHECK(ProfilerHostGetConfigImage(&image), "a configuration of counters");
    if (status == ORTHO_OK)
        status = CHECK(ProfilerHostGetNumOfPasses(&passes), "counting passes");
    config->passes = passes.numOfPasses;
    return status;
}

ortho_status ob_host_configure(const ob_cupti *c, ob_host *host, ob_host_config *out)
{
    CUpti_Profiler_Host_GetConfigImageSize_Params size =
        OB_CUPTI_PARAMS(CUpti_Profiler_Host_GetConfigImageSize_Params, .pHostObject = host);
    ortho_status status =
        CHECK(ProfilerHostGetConfigImageSize(&size), "the size of a configuration");
    if (status != ORTHO_OK)
        return status;
    ob_host_config made = {.image = calloc(1, size.configImageSize), .size = size.configImageSize};
    if (made.image == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a configuration of counters");
    status = fill(c, host, &made);
    if (status == ORTHO_OK)
        *out = made;
    else
        free(made.image);
    return status;
}
