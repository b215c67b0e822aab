/* The GPU, its driver, its settings, and whether it may be counted on. */
#include "harness/doctor.h"

#include "common/error.h"
#include "harness/backend.h"
#include "harness/gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings, as NVML tells them ------------------------------------------------------------ */

static void add_settings(ob_findings *list, const ob_nvml_facts *f)
{
    if (f->persistence == 0) {
        ob_finding_add(list, "persistence", OB_HEALTH_WARN,
                       "off: the driver starts anew with each process, which takes seconds");
        ob_finding_cure(list, "nvidia-smi -pm 1, as root");
    } else {
        ob_finding_add(list, "persistence", f->persistence > 0 ? OB_HEALTH_OK : OB_HEALTH_NA,
                       f->persistence > 0 ? "on" : "not told");
    }
    ob_finding_add(list, "ecc", f->ecc >= 0 ? OB_HEALTH_OK : OB_HEALTH_NA,
                   f->ecc > 0    ? "on"
                   : f->ecc == 0 ? "off: compare times only with runs that had it off too"
                                 : "not told");
    if (f->mig > 0)
        ob_finding_add(list, "mig", OB_HEALTH_WARN,
                       "on: this is a slice of a GPU, whose neighbours share its power, and DRAM "
                       "can't be counted");
    else
        ob_finding_add(list, "mig", f->mig == 0 ? OB_HEALTH_OK : OB_HEALTH_NA,
                       f->mig == 0 ? "off" : "not told");
    if (isnan(f->power_limit_w))
        ob_finding_add(list, "power limit", OB_HEALTH_NA, "not told");
    else
        ob_finding_add(list, "power limit", OB_HEALTH_OK, "%.0f W", f->power_limit_w);
}

/* What holds the clock down now; empty when nothing does. */
static void held_by(uint64_t bits, char out[256])
{
    size_t used = 0;
    out[0] = '\0';
    for (int bit = 0; bit < 64 && used < 200; bit++)
        if (bits >> bit & 1)
            used += (size_t)snprintf(out + used, 256 - used, "%s%s", used > 0 ? ", " : "",
                                     ob_nvml_reason(bit));
}

static void add_clocks(ob_findings *list, ob_nvml *nvml)
{
    ob_nvml_state now;
    double most = ob_nvml_facts_of(nvml)->sm_max_mhz;
    char held[256], limit[64] = "the most isn't told";
    if (!ob_nvml_read(nvml, &now) || isnan(now.sm_mhz)) {
        ob_finding_add(list, "clocks", OB_HEALTH_NA, "not told");
        return;
    }
    if (!isnan(most))
        snprintf(limit, sizeof limit, "%.0f MHz at most", most);
    held_by(ob_nvml_throttled(now.throttle), held);
    ob_finding_add(list, "clocks", held[0] != '\0' ? OB_HEALTH_WARN : OB_HEALTH_OK,
                   "SM at %.0f MHz now, %s; whether they are locked can't be told%s%s", now.sm_mhz,
                   limit, held[0] != '\0' ? "; held down by " : "", held);
    if (held[0] != '\0')
        ob_finding_cure(list, "wait until the GPU is idle and cool; the results tell it by sample");
}

void ob_doctor_nvml(ob_findings *list, ob_nvml *nvml)
{
    add_clocks(list, nvml);
    add_settings(list, ob_nvml_facts_of(nvml));
}

/* ---- CUDA ------------------------------------------------------------------------------------ */

#ifdef ORTHO_HAVE_CUDA

#include "harness/cupti_about.h"

#include <cuda_runtime_api.h>

static void add_driver(ob_findings *list, const char *driver)
{
    int runs = 0, wants = 0;
    if (cudaDriverGetVersion(&runs) != cudaSuccess ||
        cudaRuntimeGetVersion(&wants) != cudaSuccess) {
        ob_finding_add(list, "driver", OB_HEALTH_NA, "CUDA doesn't tell its version");
        return;
    }
    bool older = runs < wants;
    ob_finding_add(list, "driver", older ? OB_HEALTH_WARN : OB_HEALTH_OK,
                   "%s, for CUDA %d.%d; this ortho-bench has the runtime of %d.%d",
                   driver[0] != '\0' ? driver : "version not told", runs / 1000, runs % 1000 / 10,
                   wants / 1000, wants % 1000 / 10);
    if (older)
        ob_finding_cure(list, "a driver as new as the runtime: kernels in PTX can't be loaded");
}

void ob_doctor_gpu(ob_findings *list)
{
    char why[256];
    struct cudaDeviceProp p;
    ob_nvml *nvml = NULL;
    if (!ob_backend_cuda.available(why)) {
        ob_finding_add(list, "gpu", OB_HEALTH_NA, "%s: everything runs on the CPU", why);
        ob_finding_cure(list, "NVIDIA's driver, and access to /dev/nvidia* (in a container: --gpus "
                              "all)");
        return;
    }
    if (cudaGetDeviceProperties(&p, 0) == cudaSuccess)
        ob_finding_add(list, "gpu", OB_HEALTH_OK,
                       "%s, compute capability %d.%d, %d SMs, %.1f GiB, L2 %.0f MiB", p.name,
                       p.major, p.minor, p.multiProcessorCount, (double)p.totalGlobalMem / 0x1p30,
                       p.l2CacheSize / 0x1p20);
    (void)cudaGetLastError();
    bool managed = ob_gpu_nvml(0, &nvml) == ORTHO_OK;
    char reason[256];
    snprintf(reason, sizeof reason, "%s", managed ? "" : ortho_last_message());
    add_driver(list, managed ? ob_nvml_facts_of(nvml)->driver : "");
    if (managed)
        ob_doctor_nvml(list, nvml);
    else
        ob_finding_add(list, "nvml", OB_HEALTH_WARN,
                       "no clocks, power and temperature beside the times: %s", reason);
    ob_nvml_close(nvml);
}

static void add_profiler(ob_findings *list)
{
    static const char *const signs[] = {"CUDA_INJECTION64_PATH", "NV_TPS_LAUNCH_TOKEN"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (getenv(signs[i]) != NULL) {
            ob_finding_add(list, "profiler", OB_HEALTH_WARN,
                           "one runs this process (%s is set): it has the counters, and times are "
                           "not to be believed",
                           signs[i]);
            ob_finding_cure(list, "run without ncu and nsys");
            return;
        }
    ob_finding_add(list, "profiler", OB_HEALTH_OK, "none runs this process");
}

/* The driver's own word; absent in some containers. */
static void add_admin_only(ob_findings *list)
{
    char line[128], word[8] = "";
    FILE *f = fopen("/proc/driver/nvidia/params", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, "RmProfilingAdminOnly: %7s", word);
    if (f != NULL)
        fclose(f);
    if (word[0] == '\0')
        ob_finding_add(list, "who may count", OB_HEALTH_NA,
                       "/proc/driver/nvidia/params doesn't tell");
    else
        ob_finding_add(list, "who may count", OB_HEALTH_OK, "%s (RmProfilingAdminOnly is %s)",
                       word[0] == '0' ? "everybody" : "root only", word);
}

void ob_doctor_counters(ob_findings *list)
{
    ob_cupti_about about;
    char why[256], cure[256];
    if (ob_cupti_tell(&about) == ORTHO_OK)
        ob_finding_add(list, "libcupti", OB_HEALTH_OK, "%u at %s", about.version, about.path);
    else
        ob_finding_add(list, "libcupti", OB_HEALTH_NA, "%s", ortho_last_message());
    add_profiler(list);
    add_admin_only(list);
    if (ob_counters_available(why, cure)) {
        ob_finding_add(list, "counters", OB_HEALTH_OK, "this process can count");
        return;
    }
    ob_finding_add(list, "counters", OB_HEALTH_NA, "%s", why);
    ob_finding_cure(list, "%s", cure);
}

#else

void ob_doctor_gpu(ob_findings *list)
{
    ob_finding_add(list, "gpu", OB_HEALTH_NA,
                   "this ortho-bench was built without CUDA: everything runs on the CPU");
    ob_finding_cure(list, "scripts/setup --cuda, then build again");
}

void ob_doctor_counters(ob_findings *list)
{
    char why[256], cure[256];
    if (ob_counters_available(why, cure))
        return;
    ob_finding_add(list, "counters", OB_HEALTH_NA, "%s", why);
    ob_finding_cure(list, "%s", cure);
}

#endif
