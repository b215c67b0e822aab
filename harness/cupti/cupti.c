#define _GNU_SOURCE
#include "harness/cupti/cupti.h"

#include "common/error.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library's functions never change once bound, so that they may live at file scope. */
static ob_cupti bound;
static char failure[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Beside the toolkit that built us, and where the wheels of PyPI and distributions put it. */
static const char *const places[] = {
    "libcupti.so.13",
    "/usr/local/cuda/lib64/libcupti.so.13",
    "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so.13",
    ORTHO_CUPTI_BUILT_WITH,
};

static void *load(void)
{
    const char *asked = getenv("ORTHO_CUPTI");
    if (asked != NULL && *asked != '\0') {
        void *library = dlopen(asked, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            snprintf(failure, sizeof failure, "ORTHO_CUPTI=%.120s can't be loaded: %.80s", asked,
                     dlerror());
        return library;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        void *library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL)
            return library;
    }
    snprintf(failure, sizeof failure,
             "no libcupti.so.13 on this machine: install the CUDA toolkit's CUPTI, or name it in "
             "ORTHO_CUPTI");
    return NULL;
}

/* libcupti loads libnvperf_host by its bare name, which the loader doesn't look for beside it. */
static void load_companion(void)
{
    char folder[sizeof bound.path], path[sizeof bound.path + 32];
    snprintf(folder, sizeof folder, "%s", bound.path);
    snprintf(path, sizeof path, "%s/libnvperf_host.so", dirname(folder));
    (void)dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void bind(void)
{
    void *library = load();
    if (library == NULL)
        return;
    const char *missing = NULL;
#define OB_BIND(name)                                                                              \
    *(void **)&bound.name = dlsym(library, "cupti" #name);                                         \
    if (bound.name == NULL && missing == NULL)                                                     \
        missing = "cupti" #name;
    OB_CUPTI_FUNCTIONS(OB_BIND)
#undef OB_BIND
    Dl_info info;
    if (dladdr(*(void **)&bound.GetVersion, &info) != 0 && info.dli_fname != NULL)
        snprintf(bound.path, sizeof bound.path, "%s", info.dli_fname);
    if (missing != NULL)
        snprintf(failure, sizeof failure, "%.160s lacks %s: CUPTI of CUDA 13 is needed", bound.path,
                 missing);
    else
        load_companion();
}

ortho_status ob_cupti_open(const ob_cupti **out)
{
    pthread_once(&once, bind);
    if (failure[0] != '\0')
        return ortho_fail(ORTHO_E_UNSUPPORTED, "%s", failure);
    *out = &bound;
    return ORTHO_OK;
}

ortho_status ob_cupti_alone(void)
{
    static const char *const signs[] = {"CUDA_INJECTION64_PATH", "NV_TPS_LAUNCH_TOKEN"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (getenv(signs[i]) != NULL)
            return ortho_fail(ORTHO_E_UNSUPPORTED,
                              "a profiler runs this process (%s is set): run without ncu or nsys",
                              signs[i]);
    return ORTHO_OK;
}

ortho_status ob_cupti_check(const ob_cupti *c, CUptiResult result, const char *what)
{
    const char *name = "?", *words = NULL;
    if (result == CUPTI_SUCCESS)
        return ORTHO_OK;
    (void)c->GetResultString(result, &name);
    if (c->GetErrorMessage(result, &words) != CUPTI_SUCCESS || words == NULL || *words == '\0' ||
        strcmp(words, name) == 0)
        words = "CUPTI failed";
    if (result == CUPTI_ERROR_INSUFFICIENT_PRIVILEGES)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "no permission to count (%s, %d): as root, or with the driver's option "
                          "NVreg_RestrictProfilingToAdminUsers=0",
                          name, (int)result);
    if (result == CUPTI_ERROR_HARDWARE_BUSY)
        return ortho_fail(ORTHO_E_UNSUPPORTED,
                          "another process is profiling this GPU (%s, %d): try again when it ends",
                          name, (int)result);
    return ortho_fail(ORTHO_E_DEVICE, "%s: %.160s (%s, %d)", what, words, name, (int)result);
}

ortho_status ob_cupti_context(CUcontext *out)
{
    CUresult (*current)(CUcontext *) = NULL;
    void *symbol = NULL;
    enum cudaDriverEntryPointQueryResult found;
    int devices = 0;
    /* Asked first, since CUPTI crashes where there is no driver. */
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0 ||
        cudaFree(NULL) != cudaSuccess)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "no GPU here");
    if (cudaGetDriverEntryPointByVersion("cuCtxGetCurrent", &symbol, 12000, cudaEnableDefault,
                                         &found) != cudaSuccess ||
        symbol == NULL)
        return ortho_fail(ORTHO_E_DEVICE, "the driver has no cuCtxGetCurrent");
    *(void **)&current = symbol;
    *out = NULL;
    if (current(out) != CUDA_SUCCESS || *out == NULL)
        return ortho_fail(ORTHO_E_DEVICE, "no context on the GPU");
    return ORTHO_OK;
}
