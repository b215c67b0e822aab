/*
 * cupti.h: libcupti bound at run time. Its headers are needed to build, the library to count; a
 * machine without it runs everything else. Only harness/cupti includes this.
 */
#ifndef ORTHO_HARNESS_CUPTI_CUPTI_H
#define ORTHO_HARNESS_CUPTI_CUPTI_H

#include <cupti.h>
#include <cupti_pcsampling.h>
#include <cupti_profiler_host.h>
#include <cupti_profiler_target.h>
#include <cupti_range_profiler.h>
#include <cupti_sass_metrics.h>
#include <cupti_target.h>
#include <ortho/ortho.h>

#define OB_CUPTI_FUNCTIONS(X)                                                                      \
    X(GetVersion)                                                                                  \
    X(GetResultString)                                                                             \
    X(GetErrorMessage)                                                                             \
    X(GetTimestamp)                                                                                \
    X(Subscribe)                                                                                   \
    X(Unsubscribe)                                                                                 \
    X(EnableCallback)                                                                              \
    X(GetCubinCrc)                                                                                 \
    X(GetSassToSourceCorrelation)                                                                  \
    X(ActivityEnable)                                                                              \
    X(ActivityDisable)                                                                             \
    X(ActivityRegisterCallbacks)                                                                   \
    X(ActivityFlushAll)                                                                            \
    X(ActivityGetNextRecord)                                                                       \
    X(ActivityGetNumDroppedRecords)                                                                \
    X(ProfilerInitialize)                                                                          \
    X(ProfilerDeInitialize)                                                                        \
    X(ProfilerDeviceSupported)                                                                     \
    X(ProfilerGetCounterAvailability)                                                              \
    X(DeviceGetChipName)                                                                           \
    X(ProfilerHostInitialize)                                                                      \
    X(ProfilerHostDeinitialize)                                                                    \
    X(ProfilerHostConfigAddMetrics)                                                                \
    X(ProfilerHostGetConfigImageSize)                                                              \
    X(ProfilerHostGetConfigImage)                                                                  \
    X(ProfilerHostGetNumOfPasses)                                                                  \
    X(ProfilerHostEvaluateToGpuValues)                                                             \
    X(ProfilerHostGetBaseMetrics)                                                                  \
    X(ProfilerHostGetMetricProperties)                                                             \
    X(ProfilerHostGetSubMetrics)                                                                   \
    X(ProfilerHostGetSupportedChips)                                                               \
    X(RangeProfilerEnable)                                                                         \
    X(RangeProfilerDisable)                                                                        \
    X(RangeProfilerSetConfig)                                                                      \
    X(RangeProfilerStart)                                                                          \
    X(RangeProfilerStop)                                                                           \
    X(RangeProfilerPushRange)                                                                      \
    X(RangeProfilerPopRange)                                                                       \
    X(RangeProfilerDecodeData)                                                                     \
    X(RangeProfilerGetCounterDataSize)                                                             \
    X(RangeProfilerCounterDataImageInitialize)                                                     \
    X(RangeProfilerGetCounterDataInfo)                                                             \
    X(RangeProfilerCounterDataGetRangeInfo)                                                        \
    X(SassMetricsGetProperties)                                                                    \
    X(SassMetricsSetConfig)                                                                        \
    X(SassMetricsUnsetConfig)                                                                      \
    X(SassMetricsEnable)                                                                           \
    X(SassMetricsDisable)                                                                          \
    X(SassMetricsGetDataProperties)                                                                \
    X(SassMetricsFlushData)                                                                        \
    X(PCSamplingEnable)                                                                            \
    X(PCSamplingDisable)                                                                           \
    X(PCSamplingGetNumStallReasons)                                                                \
    X(PCSamplingGetStallReasons)                                                                   \
    X(PCSamplingSetConfigurationAttribute)                                                         \
    X(PCSamplingGetData)

/* A parameter struct of CUPTI's newer interfaces, its size filled in as they demand. */
#define OB_CUPTI_PARAMS(type, ...)                                                                 \
    {                                                                                              \
        .structSize = type##_STRUCT_SIZE, __VA_ARGS__                                              \
    }

typedef struct ob_cupti {
#define OB_MEMBER(name) __typeof__(cupti##name) *name;
    OB_CUPTI_FUNCTIONS(OB_MEMBER)
#undef OB_MEMBER
    char path[512]; /* where the library was found */
} ob_cupti;

/* The library, loaded at the first call and kept. UNSUPPORTED, with words that say the cure, where
 * there is none, or one that lacks a function of CUDA 13's. */
ortho_status ob_cupti_open(const ob_cupti **out);

/* UNSUPPORTED where this process is profiled already (ncu and nsys inject themselves), naming the
 * variable that says so: two profilers can't share the counters. */
ortho_status ob_cupti_alone(void);

/* Leaves "what: CUPTI's words (NAME, code)" as the message; ORTHO_OK for success. */
ortho_status ob_cupti_check(const ob_cupti *c, CUptiResult result, const char *what);

/* The current context of this thread, made where there is none. */
ortho_status ob_cupti_context(CUcontext *out);

#endif
