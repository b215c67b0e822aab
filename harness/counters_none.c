/* Built where there is no CUDA: everything that needs CUPTI says so. */
#include "common/error.h"
#include "harness/activity.h"
#include "harness/counters.h"
#include "harness/cupti_about.h"
#include "harness/instructions.h"
#include "harness/isolate.h"
#include "harness/metrics.h"

#include <stdio.h>

static ortho_status none(void)
{
    return ortho_fail(ORTHO_E_UNSUPPORTED, "this ortho-bench was built without CUDA");
}

ortho_status ob_counters_open(const char *const *metrics, int count, ob_counters **out)
{
    (void)metrics, (void)count, (void)out;
    return none();
}

void ob_counters_close(ob_counters *counters)
{
    (void)counters;
}

size_t ob_counters_passes(const ob_counters *counters)
{
    (void)counters;
    return 0;
}

ortho_status ob_counters_measure(ob_counters *counters, ob_range_mode mode,
                                 const ob_counted *counted, int ranges_max,
                                 ob_counter_value *values, int *ranges)
{
    (void)counters, (void)mode, (void)counted, (void)ranges_max, (void)values, (void)ranges;
    return none();
}

bool ob_counters_available(char why[256], char cure[256])
{
    snprintf(why, 256, "this ortho-bench was built without CUDA");
    snprintf(cure, 256, "scripts/setup --cuda, then build again");
    return false;
}

ortho_status ob_activity_start(void)
{
    return none();
}

ortho_status ob_activity_take(ob_activity_log *out)
{
    (void)out;
    return none();
}

void ob_activity_stop(void)
{
}

uint64_t ob_activity_clock(void)
{
    return 0;
}

void ob_activity_catch_nvtx(void)
{
}

ortho_status ob_instructions_prepare(void)
{
    return none();
}

ortho_status ob_instructions_start(ob_instruction_source source)
{
    (void)source;
    return none();
}

ortho_status ob_instructions_read(ob_instruction_report *out)
{
    (void)out;
    return none();
}

void ob_instructions_stop(void)
{
}

void ob_instructions_clear(ob_instruction_report *report)
{
    (void)report;
}

ortho_status ob_metrics_open(const char *chip, ob_metrics **out)
{
    (void)chip, (void)out;
    return none();
}

void ob_metrics_close(ob_metrics *metrics)
{
    (void)metrics;
}

ortho_status ob_metrics_check(const ob_metrics *metrics, const char *name)
{
    (void)metrics, (void)name;
    return none();
}

ortho_status ob_metrics_passes(const ob_metrics *metrics, const char *const *names, int count,
                               size_t *passes)
{
    (void)metrics, (void)names, (void)count, (void)passes;
    return none();
}

ortho_status ob_metrics_describe(const ob_metrics *metrics, const char *name, char *out,
                                 size_t size)
{
    (void)metrics, (void)name, (void)out, (void)size;
    return none();
}

ortho_status ob_metrics_chips(const char *const **out)
{
    (void)out;
    return none();
}

ortho_status ob_cupti_tell(ob_cupti_about *out)
{
    (void)out;
    return none();
}

ortho_status ob_isolate(const ob_operation *operation, const char *kernel, ob_isolated **out)
{
    (void)operation, (void)kernel, (void)out;
    return none();
}

ortho_status ob_isolated_before(ob_isolated *isolated)
{
    (void)isolated;
    return none();
}

ortho_status ob_isolated_run(ob_isolated *isolated)
{
    (void)isolated;
    return none();
}

void ob_isolated_free(ob_isolated *isolated)
{
    (void)isolated;
}
