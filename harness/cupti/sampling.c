/* Stalls by instruction: CUPTI samples where warps stand, and why. */
#include "harness/cupti/instructions.h"

#include "common/error.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(call, what) ob_cupti_check(c, c->call, what)

enum {
    PCS = 4096,
    PERIOD = 13, /* 2^PERIOD cycles between samples of an SM's quarter */
    DECODED_MS =
        10,       /* CUPTI's thread decodes what the hardware wrote, and sleeps so long between */
    PATIENCE = 40 /* such times without anything new: all was decoded */
};

/* CUPTI writes into these from `start` to `stop`. One recording a process. */
static struct {
    size_t reasons;
    uint32_t *index;
    char **name;
    CUpti_PCSamplingPCData *pcs;
    CUpti_PCSamplingStallReason *stalls; /* [PCS][reasons] */
    CUpti_PCSamplingData data;
} at;

static void clear(void)
{
    for (size_t i = 0; at.name != NULL && i < at.reasons; i++)
        free(at.name[i]);
    free(at.name);
    free(at.index);
    free(at.pcs);
    free(at.stalls);
    memset(&at, 0, sizeof at);
}

static ortho_status allocate(void)
{
    at.index = calloc(at.reasons, sizeof *at.index);
    at.name = calloc(at.reasons, sizeof *at.name);
    at.pcs = calloc(PCS, sizeof *at.pcs);
    at.stalls = calloc(PCS * at.reasons, sizeof *at.stalls);
    bool whole = at.index != NULL && at.name != NULL && at.pcs != NULL && at.stalls != NULL;
    for (size_t i = 0; whole && i < at.reasons; i++)
        whole = (at.name[i] = calloc(1, CUPTI_STALL_REASON_STRING_SIZE)) != NULL;
    if (!whole)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for samples");
    for (size_t i = 0; i < PCS; i++) {
        at.pcs[i].size = sizeof at.pcs[i];
        at.pcs[i].stallReason = at.stalls + i * at.reasons;
    }
    at.data.size = sizeof at.data;
    at.data.collectNumPcs = PCS;
    at.data.pPcData = at.pcs;
    return ORTHO_OK;
}

static ortho_status ask_reasons(const ob_cupti *c, CUcontext context)
{
    CUpti_PCSamplingGetNumStallReasonsParams count = {
        .size = CUpti_PCSamplingGetNumStallReasonsParamsSize,
        .ctx = context,
        .numStallReasons = &at.reasons};
    ortho_status status = CHECK(PCSamplingGetNumStallReasons(&count), "counting stall reasons");
    if (status == ORTHO_OK)
        status = allocate();
    if (status != ORTHO_OK)
        return status;
    CUpti_PCSamplingGetStallReasonsParams p = {.size = CUpti_PCSamplingGetStallReasonsParamsSize,
                                               .ctx = context,
                                               .numStallReasons = at.reasons,
                                               .stallReasonIndex = at.index,
                                               .stallReasons = at.name};
    return CHECK(PCSamplingGetStallReasons(&p), "asking for stall reasons");
}

static ortho_status configure(const ob_cupti *c, CUcontext context)
{
    CUpti_PCSamplingConfigurationInfo info[] = {
        {.attributeType = CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_COLLECTION_MODE,
         .attributeData.collectionModeData.collectionMode =
             CUPTI_PC_SAMPLING_COLLECTION_MODE_CONTINUOUS},
        {.attributeType = CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_SAMPLING_PERIOD,
         .attributeData.samplingPeriodData.samplingPeriod = PERIOD},
        {.attributeType = CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_STALL_REASON,
         .attributeData.stallReasonData = {at.reasons, at.index}},
        {.attributeType = CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_SAMPLING_DATA_BUFFER,
         .attributeData.samplingDataBufferData.samplingDataBuffer = &at.data},
        {.attributeType =
             CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_WORKER_THREAD_PERIODIC_SLEEP_SPAN,
         .attributeData.workerThreadPeriodicSleepSpanData.workerThreadPeriodicSleepSpan =
             DECODED_MS},
        {.attributeType = CUPTI_PC_SAMPLING_CONFIGURATION_ATTR_TYPE_ENABLE_START_STOP_CONTROL,
         .attributeData.enableStartStopControlData.enableStartStopControl = 0},
    };
    CUpti_PCSamplingConfigurationInfoParams p = {.size =
                                                     CUpti_PCSamplingConfigurationInfoParamsSize,
                                                 .ctx = context,
                                                 .numAttributes = sizeof info / sizeof *info,
                                                 .pPCSamplingConfigurationInfo = info};
    return CHECK(PCSamplingSetConfigurationAttribute(&p), "configuring the sampler");
}

static void disable(const ob_cupti *c, CUcontext context)
{
    CUpti_PCSamplingDisableParams p = {.size = CUpti_PCSamplingDisableParamsSize, .ctx = context};
    (void)c->PCSamplingDisable(&p);
}

ortho_status ob_sampling_start(const ob_cupti *c, CUcontext context)
{
    CUpti_PCSamplingEnableParams enable = {.size = CUpti_PCSamplingEnableParamsSize,
                                           .ctx = context};
    ortho_status status = CHECK(PCSamplingEnable(&enable), "enabling the sampler");
    if (status != ORTHO_OK)
        return status;
    status = ask_reasons(c, context);
    if (status == ORTHO_OK)
        status = configure(c, context);
    if (status != ORTHO_OK) {
        disable(c, context);
        clear();
    }
    return status;
}

static const char *reason_name(uint32_t index)
{
    for (size_t i = 0; i < at.reasons; i++)
        if (at.index[i] == index)
            return at.name[i];
    return "";
}

/* A warp that was issued from, or was ready and not chosen, doesn't stall. */
static bool stalls(const char *reason)
{
    return strstr(reason, "selected") == NULL;
}

static ortho_status add_pc(const ob_cupti *c, const CUpti_PCSamplingPCData *pc,
                           ob_instruction_report *out)
{
    ob_instruction_place place = {pc->cubinCrc, pc->functionName, (uint32_t)pc->pcOffset};
    ob_instruction *instruction = ob_instruction_at(c, out, &place);
    if (instruction == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for instructions");
    for (size_t i = 0; i < pc->stallReasonCount && i < at.reasons; i++) {
        const char *reason = reason_name(pc->stallReason[i].pcSamplingStallReasonIndex);
        uint64_t samples = pc->stallReason[i].samples;
        instruction->stalls += stalls(reason) ? samples : 0;
        if (strstr(reason, "long_scoreboard") != NULL)
            instruction->stalls_long += samples;
    }
    return ORTHO_OK;
}

/* What is decoded by now. */
static ortho_status take(const ob_cupti *c, CUcontext context, ob_instruction_report *out,
                         size_t *taken)
{
    CUpti_PCSamplingGetDataParams get = {
        .size = CUpti_PCSamplingGetDataParamsSize, .ctx = context, .pcSamplingData = &at.data};
    CUptiResult result = c->PCSamplingGetData(&get);
    ortho_status status =
        at.data.hardwareBufferFull
            ? ortho_fail(ORTHO_E_DEVICE, "the hardware's buffer of samples overflowed")
            : ob_cupti_check(c, result, "reading samples");
    *taken = status == ORTHO_OK ? at.data.totalNumPcs : 0;
    for (size_t i = 0; status == ORTHO_OK && i < *taken && i < PCS; i++)
        status = add_pc(c, &at.pcs[i], out);
    return status;
}

ortho_status ob_sampling_read(const ob_cupti *c, CUcontext context, ob_instruction_report *out)
{
    const struct timespec nap = {.tv_nsec = DECODED_MS * 1000000L};
    ortho_status status = ORTHO_OK;
    for (int idle = 0; status == ORTHO_OK && idle < PATIENCE;) {
        size_t taken = 0;
        status = take(c, context, out, &taken);
        idle = taken > 0 ? 0 : idle + 1;
        if (taken == 0)
            (void)nanosleep(&nap, NULL);
    }
    return status;
}

void ob_sampling_stop(const ob_cupti *c, CUcontext context)
{
    disable(c, context);
    clear();
}
