/*
 * nvml.h: what NVIDIA's management library tells of one GPU: clocks, power, temperature, what holds
 * the clock down, memory in use. libnvidia-ml.so.1 comes with the driver and is opened at run time;
 * where it is missing, measurements go on without these figures. Nothing here changes a setting.
 *
 * Measured on an H100 (driver 580): opening 210 ms, the first reading 2 ms, every other 1.4 to 2
 * us, idle or busy, memory 5 to 7 us; copies timed with a reading before each sample took the same.
 * At that price the driver answers from figures that it keeps up to date by itself, so a change can
 * be told a little late: beside the next sample rather than its own.
 */
#ifndef ORTHO_HARNESS_NVML_H
#define ORTHO_HARNESS_NVML_H

#include <ortho/ortho.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ob_nvml ob_nvml;

/* What stays the same during a run. */
typedef struct ob_nvml_facts {
    char name[96], uuid[96], driver[96]; /* "": not told */
    double sm_max_mhz, power_limit_w;    /* NaN: not told */
    int ecc, persistence, mig;           /* 1 on, 0 off, -1 not told */
} ob_nvml_facts;

/* One reading; NaN: not told. */
typedef struct ob_nvml_state {
    double sm_mhz, mem_mhz;
    double power_w; /* of the whole board; the driver's average over the last second */
    double temp_c;
    uint64_t throttle; /* reasons as bits; 0 also where they aren't told */
    bool throttle_told;
} ob_nvml_state;

/* Opens the GPU at a PCI address ("0000:0a:00.0", as cudaDeviceGetPCIBusId writes it). UNSUPPORTED,
 * with the reason, where the library, a function that is needed or a driver is missing; NOT_FOUND
 * where it knows no such GPU. */
ortho_status ob_nvml_open(const char *pci_bus_id, ob_nvml **out);

/* The same with a library at a path. */
ortho_status ob_nvml_open_library(const char *path, const char *pci_bus_id, ob_nvml **out);

void ob_nvml_close(ob_nvml *nvml); /* NULL is allowed */

const ob_nvml_facts *ob_nvml_facts_of(const ob_nvml *nvml);

/* False when nothing was told: *out is all absent then. */
bool ob_nvml_read(ob_nvml *nvml, ob_nvml_state *out);

/* Bytes in use on the whole device, the driver's reserve and other processes included, and all
 * there are. False when not told. */
bool ob_nvml_memory(ob_nvml *nvml, size_t *used, size_t *total);

/* Which of these bits make a sample suspect: all but an idle GPU and clocks that somebody set on
 * purpose. A bit that this program doesn't know does. */
uint64_t ob_nvml_throttled(uint64_t bits);

/* The word of bit 0 .. 63 ("sw-power-cap"); "other" for one that this program doesn't know. */
const char *ob_nvml_reason(int bit);

#endif
