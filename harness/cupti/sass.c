/* Counts by instruction: CUPTI patches the kernels and counts in software, exactly. */
#include "harness/cupti/instructions.h"

#include "common/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(call, what) ob_cupti_check(c, c->call, what)

/* Metrics, and where their values go. */
static const struct {
    const char *name;
    size_t offset;
} metrics[] = {
    {"smsp__sass_inst_executed", offsetof(ob_instruction, warps)},
    {"smsp__sass_thread_inst_executed", offsetof(ob_instruction, threads)},
    {"smsp__sass_thread_inst_executed_pred_on", offsetof(ob_instruction, enabled)},
    {"smsp__sass_branch_targets_threads_divergent", offsetof(ob_instruction, divergent)},
    {"smsp__sass_branch_targets_threads_uniform", offsetof(ob_instruction, uniform)},
};
enum { METRICS = sizeof metrics / sizeof *metrics };

/* Ids of the metrics on this chip, in their order; found by `start`. */
static CUpti_SassMetrics_Config configs[METRICS];

static ortho_status find_metrics(const ob_cupti *c)
{
    CUpti_Device_GetChipName_Params chip =
        OB_CUPTI_PARAMS(CUpti_Device_GetChipName_Params, .deviceIndex = 0);
    ortho_status status = CHECK(DeviceGetChipName(&chip), "asking for the chip");
    for (size_t i = 0; status == ORTHO_OK && i < METRICS; i++) {
        CUpti_SassMetrics_GetProperties_Params p =
            OB_CUPTI_PARAMS(CUpti_SassMetrics_GetProperties_Params, .pChipName = chip.pChipName,
                            .pMetricName = metrics[i].name);
        status = CHECK(SassMetricsGetProperties(&p), metrics[i].name);
        configs[i] = (CUpti_SassMetrics_Config){.metricId = p.metric.metricId,
                                                .outputGranularity =
                                                    CUPTI_SASS_METRICS_OUTPUT_GRANULARITY_GPU};
    }
    return status;
}

ortho_status ob_sass_start(const ob_cupti *c, CUcontext context)
{
    CUpti_Profiler_Initialize_Params init = OB_CUPTI_PARAMS(CUpti_Profiler_Initialize_Params);
    ortho_status status = CHECK(ProfilerInitialize(&init), "starting the profiler");
    if (status == ORTHO_OK)
        status = find_metrics(c);
    if (status != ORTHO_OK)
        return status;
    CUpti_SassMetricsSetConfig_Params set =
        OB_CUPTI_PARAMS(CUpti_SassMetricsSetConfig_Params, .numOfMetricConfig = METRICS,
                        .pConfigs = configs, .deviceIndex = 0);
    status = CHECK(SassMetricsSetConfig(&set), "setting the instructions' metrics");
    if (status != ORTHO_OK)
        return status;
    CUpti_SassMetricsEnable_Params enable =
        OB_CUPTI_PARAMS(CUpti_SassMetricsEnable_Params, .ctx = context, .enableLazyPatching = 1);
    return CHECK(SassMetricsEnable(&enable), "patching kernels");
}

static uint64_t *field(ob_instruction *instruction, size_t metric)
{
    return (uint64_t *)((char *)instruction + metrics[metric].offset);
}

static ortho_status add_record(const ob_cupti *c, const CUpti_SassMetrics_Data *d, size_t instances,
                               ob_instruction_report *out)
{
    ob_instruction_place place = {d->cubinCrc, d->functionName, d->pcOffset};
    ob_instruction *instruction = ob_instruction_at(c, out, &place);
    if (instruction == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for instructions");
    for (size_t i = 0; i < instances; i++)
        for (size_t m = 0; m < METRICS; m++)
            if (d->pInstanceValues[i].metricId == configs[m].metricId)
                *field(instruction, m) += d->pInstanceValues[i].value;
    return ORTHO_OK;
}

/* A record holds one metric's value of one instruction; the room for more is CUPTI's habit to
 * write `instances` a metric. */
static ortho_status read_records(const ob_cupti *c, CUcontext context, size_t records,
                                 size_t instances, ob_instruction_report *out)
{
    size_t room = instances * METRICS;
    CUpti_SassMetrics_Data *data = calloc(records + 1, sizeof *data);
    CUpti_SassMetrics_InstanceValue *values = calloc(records * room + 1, sizeof *values);
    ortho_status status = data != NULL && values != NULL
                              ? ORTHO_OK
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for instructions");
    for (size_t i = 0; status == ORTHO_OK && i < records; i++) {
        data[i].structSize = sizeof *data;
        data[i].pInstanceValues = values + i * room;
    }
    CUpti_SassMetricsFlushData_Params flush =
        OB_CUPTI_PARAMS(CUpti_SassMetricsFlushData_Params, .ctx = context,
                        .numOfPatchedInstructionRecords = records, .numOfInstances = instances,
                        .pMetricsData = data);
    if (status == ORTHO_OK && records > 0)
        status = CHECK(SassMetricsFlushData(&flush), "reading the instructions");
    for (size_t i = 0; status == ORTHO_OK && i < records; i++)
        status = add_record(c, &data[i], instances, out);
    free(values);
    free(data);
    return status;
}

ortho_status ob_sass_read(const ob_cupti *c, CUcontext context, ob_instruction_report *out)
{
    CUpti_SassMetricsGetDataProperties_Params p =
        OB_CUPTI_PARAMS(CUpti_SassMetricsGetDataProperties_Params, .ctx = context);
    ortho_status status = CHECK(SassMetricsGetDataProperties(&p), "counting the instructions");
    return status == ORTHO_OK
               ? read_records(c, context, p.numOfPatchedInstructionRecords, p.numOfInstances, out)
               : status;
}

/* CUPTI doesn't start a second time in a process: the configuration stays until it ends. */
void ob_sass_stop(const ob_cupti *c, CUcontext context)
{
    CUpti_SassMetricsDisable_Params disable =
        OB_CUPTI_PARAMS(CUpti_SassMetricsDisable_Params, .ctx = context);
    (void)c->SassMetricsDisable(&disable);
}
