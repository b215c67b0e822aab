/*
 * A library with NVML's functions and made-up figures of one GPU at 0000:0a:00.0. Built three
 * times: FAKE_CURRENT has all, FAKE_OLD calls the reasons by their older name and has nothing that
 * may be missing, FAKE_BARE lacks the clocks. The environment variable FAKE_NVML makes it fail:
 * "no-driver" on opening, "lost" in every reading, "partly" in some; "unsettled" turns persistence
 * and ECC off, MIG on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, BAD_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, NO_DRIVER = 9, LOST = 15 };

typedef struct nvml_device *device;

typedef struct memory_info {
    unsigned long long total, free, used;
} memory_info;

int fake_nvml_open_count(void);
int nvmlInit_v2(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int error);
int nvmlDeviceGetHandleByPciBusId_v2(const char *address, device *out);
int nvmlDeviceGetClockInfo(device d, int kind, unsigned *mhz);
int nvmlDeviceGetCurrentClocksEventReasons(device d, unsigned long long *bits);
int nvmlDeviceGetCurrentClocksThrottleReasons(device d, unsigned long long *bits);
int nvmlDeviceGetMaxClockInfo(device d, int kind, unsigned *mhz);
int nvmlDeviceGetTemperature(device d, int sensor, unsigned *c);
int nvmlDeviceGetPowerUsage(device d, unsigned *mw);
int nvmlDeviceGetEnforcedPowerLimit(device d, unsigned *mw);
int nvmlDeviceGetPersistenceMode(device d, unsigned *on);
int nvmlDeviceGetEccMode(device d, unsigned *now, unsigned *pending);
int nvmlDeviceGetMigMode(device d, unsigned *now, unsigned *pending);
int nvmlDeviceGetName(device d, char *out, unsigned size);
int nvmlDeviceGetUUID(device d, char *out, unsigned size);
int nvmlSystemGetDriverVersion(char *out, unsigned size);
int nvmlDeviceGetMemoryInfo(device d, memory_info *out);

static int open_count; /* a test asks whether every opening was closed */
static char gpu;

static int wish(const char *word)
{
    const char *wanted = getenv("FAKE_NVML");
    return wanted != NULL && strcmp(wanted, word) == 0;
}

static int told(device d)
{
    if (open_count <= 0 || (const char *)d != &gpu)
        return BAD_ARGUMENT;
    return wish("lost") ? LOST : SUCCESS;
}

int fake_nvml_open_count(void)
{
    return open_count;
}

int nvmlInit_v2(void)
{
    if (wish("no-driver"))
        return NO_DRIVER;
    open_count++;
    return SUCCESS;
}

int nvmlShutdown(void)
{
    open_count--;
    return SUCCESS;
}

const char *nvmlErrorString(int error)
{
    return error == NO_DRIVER ? "Driver Not Loaded" : error == NOT_FOUND ? "Not Found" : "Other";
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, device *out)
{
    if (strcmp(address, "0000:0a:00.0") != 0)
        return NOT_FOUND;
    *out = (device)(void *)&gpu;
    return SUCCESS;
}

#ifndef FAKE_BARE
int nvmlDeviceGetClockInfo(device d, int kind, unsigned *mhz)
{
    *mhz = kind == 1 ? 1755 : kind == 2 ? 2619 : 0;
    return told(d);
}
#endif

#ifdef FAKE_OLD
int nvmlDeviceGetCurrentClocksThrottleReasons(device d, unsigned long long *bits)
#else
int nvmlDeviceGetCurrentClocksEventReasons(device d, unsigned long long *bits)
#endif
{
    *bits = 1ull << 2 | 1ull << 6;
    return wish("partly") ? NOT_SUPPORTED : told(d);
}

#ifndef FAKE_OLD
int nvmlDeviceGetMaxClockInfo(device d, int kind, unsigned *mhz)
{
    *mhz = kind == 1 ? 1980 : 0;
    return told(d);
}

int nvmlDeviceGetTemperature(device d, int sensor, unsigned *c)
{
    *c = sensor == 0 ? 41 : 0;
    return told(d);
}

int nvmlDeviceGetPowerUsage(device d, unsigned *mw)
{
    *mw = 312500;
    return wish("partly") ? NOT_SUPPORTED : told(d);
}

int nvmlDeviceGetEnforcedPowerLimit(device d, unsigned *mw)
{
    *mw = 700000;
    return told(d);
}

int nvmlDeviceGetPersistenceMode(device d, unsigned *on)
{
    *on = !wish("unsettled");
    return told(d);
}

int nvmlDeviceGetEccMode(device d, unsigned *now, unsigned *pending)
{
    *now = !wish("unsettled");
    *pending = 0;
    return told(d);
}

int nvmlDeviceGetMigMode(device d, unsigned *now, unsigned *pending)
{
    *now = wish("unsettled") ? 1 : 0;
    *pending = 1;
    return told(d);
}

int nvmlDeviceGetName(device d, char *out, unsigned size)
{
    snprintf(out, size, "Made-up GPU");
    return told(d);
}

int nvmlDeviceGetUUID(device d, char *out, unsigned size)
{
    snprintf(out, size, "GPU-00000000-1111-2222-3333-444444444444");
    return told(d);
}

int nvmlSystemGetDriverVersion(char *out, unsigned size)
{
    snprintf(out, size, "580.0");
    return wish("lost") ? LOST : SUCCESS;
}

int nvmlDeviceGetMemoryInfo(device d, memory_info *out)
{
    *out = (memory_info){.total = 80ull << 30, .free = 79ull << 30, .used = 1ull << 30};
    return told(d);
}
#endif
