/*
 * counters.h over CUPTI's range profiler: user replay, so that each pass launches the operation
 * anew, in auto ranges (one a kernel) or one user range. The profiler object is kept while its mode
 * stays the same: the first start after enabling takes 0.2 s, the next ones milliseconds.
 */
#include "harness/counters.h"
#include "harness/cupti/host.h"

#include "common/error.h"

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More passes than any set of metrics needs: an endless replay is a bug of someone's. */
enum { PASSES_MAX = 256, RANGES_MAX = 64 };

struct ob_counters {
    const ob_cupti *cupti;
    CUcontext context;
    const char *const *asked; /* the caller's */
    int count;
    int *codes;         /* [count] why a metric was left out; 0: it is in */
    const char **names; /* the valid ones */
    int valid;
    uint8_t *availability, *data;
    size_t data_size;
    ob_host_config config;
    ob_host *host;
    CUpti_RangeProfiler_Object *profiler; /* NULL: not enabled */
    ob_range_mode mode;                   /* of the profiler */
};

#define CHECK(call, what) ob_cupti_check(c->cupti, c->cupti->call, what)

/* ---- opening --------------------------------------------------------------------------------- */

static ortho_status read_availability(ob_counters *c)
{
    CUpti_Profiler_GetCounterAvailability_Params p =
        OB_CUPTI_PARAMS(CUpti_Profiler_GetCounterAvailability_Params, .ctx = c->context);
    ortho_status status = CHECK(ProfilerGetCounterAvailability(&p), "asking for counters");
    if (status != ORTHO_OK)
        return status;
    c->availability = calloc(1, p.counterAvailabilityImageSize);
    if (c->availability == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the counters' availability");
    p.pCounterAvailabilityImage = c->availability;
    return CHECK(ProfilerGetCounterAvailability(&p), "asking for counters");
}

static ortho_status open_host(const ob_counters *c, ob_host **out)
{
    CUpti_Device_GetChipName_Params chip =
        OB_CUPTI_PARAMS(CUpti_Device_GetChipName_Params, .deviceIndex = 0);
    ortho_status status = CHECK(DeviceGetChipName(&chip), "asking for the chip");
    return status == ORTHO_OK ? ob_host_open(c->cupti, chip.pChipName, c->availability, out)
                              : status;
}

/* Each alone, so that a metric that this chip hasn't got costs only itself. An object that refused
 * one metric refuses every other from then on: each gets a new one. */
static ortho_status sift(ob_counters *c)
{
    for (int i = 0; i < c->count; i++) {
        ob_host *host = NULL;
        ortho_status status = open_host(c, &host);
        if (status != ORTHO_OK)
            return status;
        c->codes[i] = (int)ob_host_add(c->cupti, host, &c->asked[i], 1);
        ob_host_close(c->cupti, host);
        if (c->codes[i] == 0)
            c->names[c->valid++] = c->asked[i];
    }
    return c->valid > 0
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_UNSUPPORTED, "this GPU has none of the metrics asked for");
}

static ortho_status add_metrics(ob_counters *c)
{
    ortho_status status = open_host(c, &c->host);
    if (status != ORTHO_OK || c->count == 0)
        return status;
    if (ob_host_add(c->cupti, c->host, c->asked, c->count) == CUPTI_SUCCESS) {
        memcpy(c->names, c->asked, (size_t)c->count * sizeof *c->names);
        c->valid = c->count;
        return ORTHO_OK;
    }
    ob_host_close(c->cupti, c->host);
    c->host = NULL;
    status = sift(c);
    if (status == ORTHO_OK)
        status = open_host(c, &c->host);
    return status == ORTHO_OK
               ? ob_cupti_check(c->cupti, ob_host_add(c->cupti, c->host, c->names, c->valid),
                                "adding metrics")
               : status;
}

static ortho_status open_counters(ob_counters *c)
{
    CUpti_Profiler_Initialize_Params init = OB_CUPTI_PARAMS(CUpti_Profiler_Initialize_Params);
    ortho_status status = ob_cupti_alone();
    if (status == ORTHO_OK)
        status = ob_cupti_open(&c->cupti);
    if (status == ORTHO_OK)
        status = ob_cupti_context(&c->context);
    if (status == ORTHO_OK)
        status = CHECK(ProfilerInitialize(&init), "starting the profiler");
    if (status == ORTHO_OK)
        status = read_availability(c);
    if (status == ORTHO_OK)
        status = add_metrics(c);
    return status == ORTHO_OK && c->valid > 0 ? ob_host_configure(c->cupti, c->host, &c->config)
                                              : status;
}

ortho_status ob_counters_open(const char *const *metrics, int count, ob_counters **out)
{
    ob_counters *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
    c->asked = metrics;
    c->count = count;
    c->codes = calloc((size_t)count + 1, sizeof *c->codes);
    c->names = calloc((size_t)count + 1, sizeof *c->names);
    ortho_status status = c->codes != NULL && c->names != NULL
                              ? open_counters(c)
                              : ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
    if (status != ORTHO_OK)
        ob_counters_close(c);
    else
        *out = c;
    return status;
}

static void disable(ob_counters *c)
{
    CUpti_RangeProfiler_Disable_Params p =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_Disable_Params, .pRangeProfilerObject = c->profiler);
    if (c->profiler != NULL)
        (void)c->cupti->RangeProfilerDisable(&p);
    c->profiler = NULL;
    free(c->data);
    c->data = NULL;
}

void ob_counters_close(ob_counters *c)
{
    if (c == NULL)
        return;
    disable(c);
    ob_host_close(c->cupti, c->host);
    free(c->config.image);
    free(c->availability);
    free(c->names);
    free(c->codes);
    free(c);
}

size_t ob_counters_passes(const ob_counters *c)
{
    return c->config.passes;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static ortho_status enable(ob_counters *c, ob_range_mode mode)
{
    if (c->profiler != NULL && c->mode == mode)
        return ORTHO_OK;
    disable(c);
    CUpti_RangeProfiler_Enable_Params p =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_Enable_Params, .ctx = c->context);
    ortho_status status = CHECK(RangeProfilerEnable(&p), "enabling the profiler");
    if (status != ORTHO_OK)
        return status;
    c->profiler = p.pRangeProfilerObject;
    c->mode = mode;
    CUpti_RangeProfiler_GetCounterDataSize_Params size = OB_CUPTI_PARAMS(
        CUpti_RangeProfiler_GetCounterDataSize_Params, .pRangeProfilerObject = c->profiler,
        .pMetricNames = c->names, .numMetrics = (size_t)c->valid, .maxNumOfRanges = RANGES_MAX,
        .maxNumRangeTreeNodes = RANGES_MAX);
    status = CHECK(RangeProfilerGetCounterDataSize(&size), "sizing the counters");
    if (status != ORTHO_OK)
        return status;
    c->data_size = size.counterDataSize;
    c->data = calloc(1, c->data_size);
    return c->data != NULL ? ORTHO_OK : ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
}

static ortho_status configure(ob_counters *c)
{
    CUpti_RangeProfiler_CounterDataImage_Initialize_Params clear = OB_CUPTI_PARAMS(
        CUpti_RangeProfiler_CounterDataImage_Initialize_Params, .pRangeProfilerObject = c->profiler,
        .counterDataSize = c->data_size, .pCounterData = c->data);
    ortho_status status =
        CHECK(RangeProfilerCounterDataImageInitialize(&clear), "clearing the counters");
    if (status != ORTHO_OK)
        return status;
    bool kernels = c->mode == OB_RANGE_KERNELS;
    CUpti_RangeProfiler_SetConfig_Params set =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_SetConfig_Params, .pRangeProfilerObject = c->profiler,
                        .configSize = c->config.size, .pConfig = c->config.image,
                        .counterDataImageSize = c->data_size, .pCounterDataImage = c->data,
                        .range = kernels ? CUPTI_AutoRange : CUPTI_UserRange,
                        .replayMode = CUPTI_UserReplay, .maxRangesPerPass = RANGES_MAX,
                        .numNestingLevels = 1, .minNestingLevel = 1, .targetNestingLevel = 1);
    return CHECK(RangeProfilerSetConfig(&set), "setting the metrics");
}

static ortho_status wait_for_device(const char *what)
{
    cudaError_t error = cudaDeviceSynchronize();
    return error == cudaSuccess
               ? ORTHO_OK
               : ortho_fail(ORTHO_E_DEVICE, "%s: %s", what, cudaGetErrorString(error));
}

static ortho_status launch_in_range(ob_counters *c, const ob_counted *counted)
{
    CUpti_RangeProfiler_PushRange_Params push =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_PushRange_Params, .pRangeProfilerObject = c->profiler,
                        .pRangeName = "operation");
    CUpti_RangeProfiler_PopRange_Params pop =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_PopRange_Params, .pRangeProfilerObject = c->profiler);
    bool range = c->mode == OB_RANGE_OPERATION;
    ortho_status status =
        range ? CHECK(RangeProfilerPushRange(&push), "opening a range") : ORTHO_OK;
    if (status == ORTHO_OK)
        status = counted->launch(counted->ctx);
    if (status == ORTHO_OK && range)
        status = CHECK(RangeProfilerPopRange(&pop), "closing a range");
    return status == ORTHO_OK ? wait_for_device("counting") : status;
}

/* One pass: what `before` does stays outside of start and stop, and so out of the counts. */
static ortho_status run_pass(ob_counters *c, const ob_counted *counted, bool *last)
{
    CUpti_RangeProfiler_Start_Params start =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_Start_Params, .pRangeProfilerObject = c->profiler);
    CUpti_RangeProfiler_Stop_Params stop =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_Stop_Params, .pRangeProfilerObject = c->profiler);
    ortho_status status = counted->before != NULL ? counted->before(counted->ctx) : ORTHO_OK;
    if (status == ORTHO_OK)
        status = wait_for_device("before counting");
    if (status == ORTHO_OK)
        status = CHECK(RangeProfilerStart(&start), "starting a pass");
    if (status != ORTHO_OK)
        return status;
    ortho_status launched = launch_in_range(c, counted);
    if (launched != ORTHO_OK) { /* its message is the one to keep */
        (void)c->cupti->RangeProfilerStop(&stop);
        return launched;
    }
    status = CHECK(RangeProfilerStop(&stop), "ending a pass");
    *last = stop.isAllPassSubmitted != 0;
    return status;
}

static ortho_status decode(ob_counters *c, int *ranges)
{
    CUpti_RangeProfiler_DecodeData_Params p =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_DecodeData_Params, .pRangeProfilerObject = c->profiler);
    ortho_status status = CHECK(RangeProfilerDecodeData(&p), "decoding the counters");
    if (status != ORTHO_OK)
        return status;
    CUpti_RangeProfiler_GetCounterDataInfo_Params info =
        OB_CUPTI_PARAMS(CUpti_RangeProfiler_GetCounterDataInfo_Params, .pCounterDataImage = c->data,
                        .counterDataImageSize = c->data_size);
    status = CHECK(RangeProfilerGetCounterDataInfo(&info), "reading the counters");
    *ranges = (int)(info.numTotalRanges + p.numOfRangeDropped);
    return status;
}

static const char *reason_of(int code)
{
    return code == CUPTI_ERROR_INVALID_METRIC_NAME || code == CUPTI_ERROR_INVALID_PARAMETER
               ? "this GPU has no such metric"
               : "the metric can't be counted here";
}

static ortho_status evaluate(ob_counters *c, int range, ob_counter_value *values)
{
    double *numbers = calloc((size_t)c->valid + 1, sizeof *numbers);
    if (numbers == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for counters");
    CUpti_Profiler_Host_EvaluateToGpuValues_Params p =
        OB_CUPTI_PARAMS(CUpti_Profiler_Host_EvaluateToGpuValues_Params, .pHostObject = c->host,
                        .pCounterDataImage = c->data, .counterDataImageSize = c->data_size,
                        .ppMetricNames = c->names, .numMetrics = (size_t)c->valid,
                        .rangeIndex = (size_t)range, .pMetricValues = numbers);
    ortho_status status = CHECK(ProfilerHostEvaluateToGpuValues(&p), "evaluating the metrics");
    for (int i = 0, v = 0; status == ORTHO_OK && i < c->count; i++) {
        values[i] = (ob_counter_value){.value = NAN, .code = c->codes[i]};
        if (c->codes[i] != 0) {
            values[i].reason = reason_of(c->codes[i]);
            continue;
        }
        values[i].value = numbers[v++];
        if (!isfinite(values[i].value)) {
            values[i].code = CUPTI_ERROR_UNKNOWN;
            values[i].reason = "the hardware gave no number";
        }
    }
    free(numbers);
    return status;
}

ortho_status ob_counters_measure(ob_counters *c, ob_range_mode mode, const ob_counted *counted,
                                 int ranges_max, ob_counter_value *values, int *ranges)
{
    int found = 0;
    bool last = false;
    ortho_status status = enable(c, mode);
    if (status == ORTHO_OK)
        status = configure(c);
    for (int pass = 0; status == ORTHO_OK && !last; pass++)
        status = pass < PASSES_MAX ? run_pass(c, counted, &last)
                                   : ortho_fail(ORTHO_E_DEVICE,
                                                "counting doesn't end after %d "
                                                "passes",
                                                PASSES_MAX);
    if (status == ORTHO_OK)
        status = decode(c, &found);
    int told = found < ranges_max ? found : ranges_max;
    for (int i = 0; status == ORTHO_OK && i < told && i < RANGES_MAX; i++)
        status = evaluate(c, i, values + (size_t)i * (size_t)c->count);
    if (status != ORTHO_OK)
        disable(c); /* what state it is in nobody knows */
    else
        *ranges = found;
    return status;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* One line of the driver's own answer, which needs no context: only root may count. */
static bool admin_only(void)
{
    char line[128];
    bool only = false;
    FILE *f = fopen("/proc/driver/nvidia/params", "re");
    if (f == NULL)
        return false;
    while (fgets(line, sizeof line, f) != NULL)
        only = only || strncmp(line, "RmProfilingAdminOnly: 1", 23) == 0;
    fclose(f);
    return only;
}

static ortho_status nothing(void *ctx)
{
    (void)ctx;
    return ORTHO_OK;
}

bool ob_counters_available(char why[256], char cure[256])
{
    static const char *const metric[] = {"smsp__inst_executed.sum"};
    ob_counter_value value[1];
    ob_counters *c = NULL;
    int ranges = 0;
    why[0] = cure[0] = '\0';
    ob_counted counted = {.launch = nothing};
    ortho_status status = ob_counters_open(metric, 1, &c);
    if (status == ORTHO_OK)
        status = ob_counters_measure(c, OB_RANGE_OPERATION, &counted, 1, value, &ranges);
    ob_counters_close(c);
    if (status == ORTHO_OK)
        return true;
    snprintf(why, 256, "%s", ortho_last_message());
    if (admin_only())
        snprintf(cure, 256,
                 "run as root, or load the driver with NVreg_RestrictProfilingToAdminUsers=0");
    return false;
}
