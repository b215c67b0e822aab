/* The prototypes are our own, after NVML's public reference: a build needs no header of NVIDIA's.
 */
#include "harness/nvml.h"

#include "common/error.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libnvidia-ml.so.1"

/* Values of NVML's enumerations. */
enum { SUCCESS = 0, NO_DEVICE = 6 /* NOT_FOUND */, CLOCK_SM = 1, CLOCK_MEM = 2, SENSOR_GPU = 0 };

typedef struct nvml_device *device_handle;

typedef struct memory_info {
    unsigned long long total, free, used;
} memory_info;

typedef int get_uint_fn(device_handle, unsigned *);
typedef int get_two_fn(device_handle, unsigned *current, unsigned *pending);
typedef int get_kind_fn(device_handle, int kind, unsigned *);
typedef int get_text_fn(device_handle, char *, unsigned length);

typedef struct functions {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error)(int);
    int (*by_pci)(const char *, device_handle *);
    get_kind_fn *clock, *max_clock, *temperature;
    get_uint_fn *power, *power_limit, *persistence;
    get_two_fn *ecc, *mig;
    get_text_fn *name, *uuid;
    int (*driver)(char *, unsigned length);
    int (*memory)(device_handle, memory_info *);
    int (*reasons)(device_handle, unsigned long long *);
} functions;

struct ob_nvml {
    void *library;
    functions call;
    device_handle device;
    ob_nvml_facts facts;
};

/* ---- reasons --------------------------------------------------------------------------------- */

enum { IDLE = 1 << 0, CLOCKS_SET = 1 << 1 };

static const char *const reason_words[] = {"gpu-idle",     "applications-clocks-setting",
                                           "sw-power-cap", "hw-slowdown",
                                           "sync-boost",   "sw-thermal",
                                           "hw-thermal",   "hw-power-brake",
                                           "display",      "board-limit",
                                           "reliability"};

uint64_t ob_nvml_throttled(uint64_t bits)
{
    return bits & ~(uint64_t)(IDLE | CLOCKS_SET);
}

const char *ob_nvml_reason(int bit)
{
    bool known = bit >= 0 && bit < (int)(sizeof reason_words / sizeof *reason_words);
    return known ? reason_words[bit] : "other";
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Without clocks and reasons there is nothing to watch; every other figure may be missing. */
static ortho_status find_functions(ob_nvml *n, const char *path)
{
    functions *f = &n->call;
    const struct {
        const char *name, *older; /* what the function was called before, or NULL */
        void *address;
        bool needed;
    } symbols[] = {
        {"nvmlInit_v2", NULL, &f->init, true},
        {"nvmlShutdown", NULL, &f->shutdown, true},
        {"nvmlErrorString", NULL, &f->error, true},
        {"nvmlDeviceGetHandleByPciBusId_v2", NULL, &f->by_pci, true},
        {"nvmlDeviceGetClockInfo", NULL, &f->clock, true},
        {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons",
         &f->reasons, true},
        {"nvmlDeviceGetMaxClockInfo", NULL, &f->max_clock, false},
        {"nvmlDeviceGetTemperature", NULL, &f->temperature, false},
        {"nvmlDeviceGetPowerUsage", NULL, &f->power, false},
        {"nvmlDeviceGetEnforcedPowerLimit", NULL, &f->power_limit, false},
        {"nvmlDeviceGetPersistenceMode", NULL, &f->persistence, false},
        {"nvmlDeviceGetEccMode", NULL, &f->ecc, false},
        {"nvmlDeviceGetMigMode", NULL, &f->mig, false},
        {"nvmlDeviceGetName", NULL, &f->name, false},
        {"nvmlDeviceGetUUID", NULL, &f->uuid, false},
        {"nvmlSystemGetDriverVersion", NULL, &f->driver, false},
        {"nvmlDeviceGetMemoryInfo", NULL, &f->memory, false},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(n->library, symbols[i].name);
        if (address == NULL && symbols[i].older != NULL)
            address = dlsym(n->library, symbols[i].older);
        if (address == NULL && symbols[i].needed)
            return ortho_fail(ORTHO_E_UNSUPPORTED, "%s lacks %s: another driver is needed", path,
                              symbols[i].name);
        /* ISO C has no conversion to a function pointer; POSIX promises that the bits fit. */
        memcpy(symbols[i].address, &address, sizeof address);
    }
    return ORTHO_OK;
}

static double get_uint(const ob_nvml *n, get_uint_fn *get)
{
    unsigned value;
    return get != NULL && get(n->device, &value) == SUCCESS ? value : NAN;
}

static double get_kind(const ob_nvml *n, get_kind_fn *get, int kind)
{
    unsigned value;
    return get != NULL && get(n->device, kind, &value) == SUCCESS ? value : NAN;
}

static int get_mode(const ob_nvml *n, get_two_fn *get)
{
    unsigned now, after_reset;
    return get != NULL && get(n->device, &now, &after_reset) == SUCCESS ? now != 0 : -1;
}

static void get_text(const ob_nvml *n, get_text_fn *get, char out[96])
{
    if (get == NULL || get(n->device, out, 96) != SUCCESS)
        out[0] = '\0';
    out[95] = '\0';
}

static void gather_facts(ob_nvml *n)
{
    const functions *f = &n->call;
    ob_nvml_facts *facts = &n->facts;
    get_text(n, f->name, facts->name);
    get_text(n, f->uuid, facts->uuid);
    if (f->driver == NULL || f->driver(facts->driver, sizeof facts->driver) != SUCCESS)
        facts->driver[0] = '\0';
    facts->sm_max_mhz = get_kind(n, f->max_clock, CLOCK_SM);
    facts->power_limit_w = get_uint(n, f->power_limit) / 1e3;
    double persistence = get_uint(n, f->persistence);
    facts->persistence = isnan(persistence) ? -1 : persistence != 0;
    facts->ecc = get_mode(n, f->ecc);
    facts->mig = get_mode(n, f->mig);
}

static ortho_status start(ob_nvml *n, const char *path, const char *pci_bus_id)
{
    int error = n->call.init();
    if (error != SUCCESS)
        return ortho_fail(ORTHO_E_UNSUPPORTED, "%s: %s", path, n->call.error(error));
    error = n->call.by_pci(pci_bus_id, &n->device);
    if (error == SUCCESS)
        return ORTHO_OK;
    n->call.shutdown();
    return ortho_fail(error == NO_DEVICE ? ORTHO_E_NOT_FOUND : ORTHO_E_UNSUPPORTED,
                      "%s: GPU %s: %s", path, pci_bus_id, n->call.error(error));
}

ortho_status ob_nvml_open_library(const char *path, const char *pci_bus_id, ob_nvml **out)
{
    ob_nvml *n = calloc(1, sizeof *n);
    if (n == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory to open %s", path);
    n->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ortho_status status =
        n->library == NULL
            ? ortho_fail(ORTHO_E_UNSUPPORTED,
                         "%s can't be loaded (it comes with NVIDIA's driver): %s", path, dlerror())
            : find_functions(n, path);
    if (status == ORTHO_OK)
        status = start(n, path, pci_bus_id);
    if (status == ORTHO_OK) {
        gather_facts(n);
        *out = n;
        return ORTHO_OK;
    }
    if (n->library != NULL)
        dlclose(n->library);
    free(n);
    return status;
}

ortho_status ob_nvml_open(const char *pci_bus_id, ob_nvml **out)
{
    return ob_nvml_open_library(LIBRARY, pci_bus_id, out);
}

void ob_nvml_close(ob_nvml *nvml)
{
    if (nvml == NULL)
        return;
    nvml->call.shutdown();
    dlclose(nvml->library);
    free(nvml);
}

/* ---- reading --------------------------------------------------------------------------------- */

const ob_nvml_facts *ob_nvml_facts_of(const ob_nvml *nvml)
{
    return &nvml->facts;
}

bool ob_nvml_read(ob_nvml *nvml, ob_nvml_state *out)
{
    const functions *f = &nvml->call;
    unsigned long long bits;
    out->throttle_told = f->reasons(nvml->device, &bits) == SUCCESS;
    out->throttle = out->throttle_told ? bits : 0;
    out->sm_mhz = get_kind(nvml, f->clock, CLOCK_SM);
    out->mem_mhz = get_kind(nvml, f->clock, CLOCK_MEM);
    out->power_w = get_uint(nvml, f->power) / 1e3;
    out->temp_c = get_kind(nvml, f->temperature, SENSOR_GPU);
    return out->throttle_told || !isnan(out->sm_mhz) || !isnan(out->mem_mhz) ||
           !isnan(out->power_w) || !isnan(out->temp_c);
}

bool ob_nvml_memory(ob_nvml *nvml, size_t *used, size_t *total)
{
    memory_info m;
    if (nvml->call.memory == NULL || nvml->call.memory(nvml->device, &m) != SUCCESS)
        return false;
    *used = (size_t)m.used;
    *total = (size_t)m.total;
    return true;
}
