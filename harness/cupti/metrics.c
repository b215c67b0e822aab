/*
 * metrics.h over CUPTI's host objects (host.h): one that refused a name is spoilt for good, so that
 * every question gets one of its own. The first costs some 50 ms, another about 1.
 */
#define _GNU_SOURCE
#include "harness/metrics.h"

#include "common/error.h"
#include "harness/cupti/host.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHIPS_MAX 256

struct ob_metrics {
    const ob_cupti *cupti;
    ob_host *object; /* for questions that add nothing */
    char chip[32];
};

static ortho_status count_passes(const ob_cupti *c, ob_host *host, size_t *out)
{
    ob_host_config config;
    ortho_status status = ob_host_configure(c, host, &config);
    if (status != ORTHO_OK)
        return status;
    *out = config.passes;
    free(config.image);
    return ORTHO_OK;
}

/* ---- chips ----------------------------------------------------------------------------------- */

/* The library's list, which has no end mark, with one: it never changes once it was read. */
static const char *chips[CHIPS_MAX + 1];
static CUptiResult chips_result;
static pthread_once_t chips_once = PTHREAD_ONCE_INIT;

static void read_chips(void)
{
    const ob_cupti *c;
    if (ob_cupti_open(&c) != ORTHO_OK) /* not met: the caller has opened it */
        return;
    CUpti_Profiler_Host_GetSupportedChips_Params p = {
        .structSize = CUpti_Profiler_Host_GetSupportedChips_Params_STRUCT_SIZE};
    chips_result = c->ProfilerHostGetSupportedChips(&p);
    for (size_t i = 0; chips_result == CUPTI_SUCCESS && i < p.numChips && i < CHIPS_MAX; i++)
        chips[i] = p.ppChipNames[i];
}

ortho_status ob_metrics_chips(const char *const **out)
{
    const ob_cupti *c;
    ortho_status status = ob_cupti_open(&c);
    if (status != ORTHO_OK)
        return status;
    pthread_once(&chips_once, read_chips);
    status = ob_cupti_check(c, chips_result, "the chips that CUPTI knows");
    if (status == ORTHO_OK)
        *out = chips;
    return status;
}

/* ---- questions ------------------------------------------------------------------------------- */

static ortho_status check_chip(const char *chip)
{
    const char *const *known = NULL;
    ortho_status status = ob_metrics_chips(&known);
    if (status != ORTHO_OK)
        return status;
    for (; *known != NULL; known++)
        if (strcmp(*known, chip) == 0)
            return ORTHO_OK;
    return ortho_fail(ORTHO_E_NOT_FOUND, "this CUPTI knows no chip '%.40s'", chip);
}

ortho_status ob_metrics_open(const char *chip, ob_metrics **out)
{
    ortho_status status = check_chip(chip);
    if (status != ORTHO_OK)
        return status;
    ob_metrics *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for metrics");
    snprintf(m->chip, sizeof m->chip, "%s", chip);
    status = ob_cupti_open(&m->cupti);
    if (status == ORTHO_OK)
        status = ob_host_open(m->cupti, chip, NULL, &m->object);
    if (status == ORTHO_OK)
        *out = m;
    else
        free(m);
    return status;
}

void ob_metrics_close(ob_metrics *metrics)
{
    if (metrics == NULL)
        return;
    ob_host_close(metrics->cupti, metrics->object);
    free(metrics);
}

ortho_status ob_metrics_check(const ob_metrics *metrics, const char *name)
{
    ob_host *object = NULL;
    ortho_status status = ob_host_open(metrics->cupti, metrics->chip, NULL, &object);
    if (status != ORTHO_OK)
        return status;
    if (ob_host_add(metrics->cupti, object, &name, 1) != CUPTI_SUCCESS)
        status = ortho_fail(ORTHO_E_ARGUMENT, "%s has no metric '%.120s'", metrics->chip, name);
    ob_host_close(metrics->cupti, object);
    return status;
}

/* The set was refused: which of them is to blame? */
static ortho_status blame(const ob_metrics *metrics, const char *const *names, int count,
                          CUptiResult result)
{
    for (int i = 0; i < count; i++) {
        ortho_status status = ob_metrics_check(metrics, names[i]);
        if (status != ORTHO_OK)
            return status;
    }
    return ob_cupti_check(metrics->cupti, result, "these metrics together");
}

ortho_status ob_metrics_passes(const ob_metrics *metrics, const char *const *names, int count,
                               size_t *passes)
{
    ob_host *object = NULL;
    ortho_status status = ob_host_open(metrics->cupti, metrics->chip, NULL, &object);
    if (status != ORTHO_OK)
        return status;
    CUptiResult result = ob_host_add(metrics->cupti, object, names, count);
    status = result == CUPTI_SUCCESS ? count_passes(metrics->cupti, object, passes)
                                     : blame(metrics, names, count, result);
    ob_host_close(metrics->cupti, object);
    return status;
}

ortho_status ob_metrics_describe(const ob_metrics *metrics, const char *name, char *out,
                                 size_t size)
{
    CUpti_Profiler_Host_GetMetricProperties_Params p = {
        CUpti_Profiler_Host_GetMetricProperties_Params_STRUCT_SIZE,
        .pHostObject = metrics->object,
        .pMetricName = name,
    };
    if (metrics->cupti->ProfilerHostGetMetricProperties(&p) != CUPTI_SUCCESS)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s has no metric '%.120s'", metrics->chip, name);
    snprintf(out, size, "%s", p.pDescription != NULL ? p.pDescription : "");
    return ORTHO_OK;
}
