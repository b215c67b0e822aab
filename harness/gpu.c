#include "harness/gpu.h"

#include "common/error.h"

#include <jansson.h>

#ifdef ORTHO_HAVE_CUDA

#include <cuda_runtime_api.h>
#include <stdio.h>

/* What isn't told is absent. */
static void set_text(json_t *object, const char *key, const char *value)
{
    json_t *text = value[0] != '\0' ? json_string(value) : NULL; /* NULL also when it isn't UTF-8 */
    if (text != NULL)
        json_object_set_new(object, key, text);
}

static void set_count(json_t *object, const char *key, double value)
{
    if (value > 0)
        json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_mode(json_t *object, const char *key, int mode)
{
    if (mode >= 0)
        json_object_set_new(object, key, json_boolean(mode));
}

/* 13020 becomes "13.2". */
static void set_version(json_t *object, const char *key, int version)
{
    char text[32];
    snprintf(text, sizeof text, "%d.%d", version / 1000, version % 1000 / 10);
    if (version > 0)
        set_text(object, key, text);
}

/* As NVML writes it. */
static void set_uuid(json_t *object, const cudaUUID_t *uuid)
{
    char text[64] = "GPU";
    size_t used = 3;
    for (int i = 0; i < 16; i++) {
        bool dash = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%02x", dash ? "-" : "",
                                 (unsigned char)uuid->bytes[i]);
    }
    set_text(object, "uuid", text);
}

static void set_cuda(json_t *gpu, const struct cudaDeviceProp *p)
{
    char cc[32];
    int runtime = 0, driver = 0;
    snprintf(cc, sizeof cc, "%d.%d", p->major, p->minor);
    set_text(gpu, "name", p->name);
    set_uuid(gpu, &p->uuid);
    set_text(gpu, "cc", cc);
    set_count(gpu, "sms", p->multiProcessorCount);
    set_count(gpu, "memory_bytes", (double)p->totalGlobalMem);
    set_count(gpu, "l2_bytes", p->l2CacheSize);
    if (cudaRuntimeGetVersion(&runtime) == cudaSuccess)
        set_version(gpu, "cuda_runtime", runtime);
    if (cudaDriverGetVersion(&driver) == cudaSuccess)
        set_version(gpu, "cuda_driver", driver);
}

static void set_managed(json_t *gpu, const ob_nvml_facts *f)
{
    set_text(gpu, "uuid", f->uuid); /* the whole GPU's, where CUDA tells that of a MIG slice */
    set_text(gpu, "driver", f->driver);
    if (f->sm_max_mhz > 0)
        json_object_set_new(gpu, "clocks", json_pack("{s:f}", "sm_max_mhz", f->sm_max_mhz));
    if (f->power_limit_w > 0)
        json_object_set_new(gpu, "power_limit_w", json_real(f->power_limit_w));
    set_mode(gpu, "ecc", f->ecc);
    set_mode(gpu, "persistence", f->persistence);
    set_mode(gpu, "mig", f->mig);
}

json_t *ob_gpu_context(int device, ob_nvml *nvml, size_t context_bytes)
{
    struct cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) {
        (void)cudaGetLastError(); /* or the next launch would be blamed for it */
        return json_null();
    }
    json_t *gpu = json_object();
    set_cuda(gpu, &properties);
    if (nvml != NULL)
        set_managed(gpu, ob_nvml_facts_of(nvml));
    set_count(gpu, "context_bytes", (double)context_bytes);
    return gpu;
}

ortho_status ob_gpu_nvml(int device, ob_nvml **out)
{
    char address[32];
    cudaError_t error = cudaDeviceGetPCIBusId(address, sizeof address, device);
    if (error != cudaSuccess) {
        (void)cudaGetLastError();
        return ortho_fail(ORTHO_E_UNSUPPORTED, "the GPU's PCI address: %s",
                          cudaGetErrorString(error));
    }
    return ob_nvml_open(address, out);
}

#else

json_t *ob_gpu_context(int device, ob_nvml *nvml, size_t context_bytes)
{
    (void)device;
    (void)nvml;
    (void)context_bytes;
    return json_null();
}

ortho_status ob_gpu_nvml(int device, ob_nvml **out)
{
    (void)device;
    (void)out;
    return ortho_fail(ORTHO_E_UNSUPPORTED, "built without CUDA");
}

#endif
