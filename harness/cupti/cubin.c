#include "harness/cupti/cubin.h"

#include "common/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cubin {
    uint64_t crc;
    size_t size;
    struct cubin *next;
    unsigned char bytes[];
} cubin;

/* A callback of CUPTI's gets no better place: modules are the process's. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cubin *kept;
static const ob_cupti *cupti;

static void keep(const void *bytes, size_t size)
{
    CUpti_GetCubinCrcParams crc = {
        .size = CUpti_GetCubinCrcParamsSize, .cubinSize = size, .cubin = bytes};
    cubin *made = NULL;
    if (bytes == NULL || size == 0 || cupti->GetCubinCrc(&crc) != CUPTI_SUCCESS ||
        (made = malloc(sizeof *made + size)) == NULL)
        return; /* its instructions will have no lines */
    *made = (cubin){.crc = crc.cubinCrc, .size = size};
    memcpy(made->bytes, bytes, size);
    pthread_mutex_lock(&lock);
    made->next = kept;
    kept = made;
    pthread_mutex_unlock(&lock);
}

static void CUPTIAPI on_resource(void *ctx, CUpti_CallbackDomain domain, CUpti_CallbackId id,
                                 const void *data)
{
    (void)ctx;
    if (domain != CUPTI_CB_DOMAIN_RESOURCE || id != CUPTI_CBID_RESOURCE_MODULE_LOADED)
        return;
    const CUpti_ResourceData *resource = data;
    const CUpti_ModuleResourceData *module = resource->resourceDescriptor;
    keep(module->pCubin, module->cubinSize);
}

ortho_status ob_cubins_keep(const ob_cupti *c)
{
    CUpti_SubscriberHandle subscriber;
    if (cupti != NULL)
        return ORTHO_OK;
    cupti = c;
    ortho_status status = ob_cupti_check(
        c, c->Subscribe(&subscriber, (CUpti_CallbackFunc)on_resource, NULL), "subscribing");
    if (status == ORTHO_OK)
        status = ob_cupti_check(c,
                                c->EnableCallback(1, subscriber, CUPTI_CB_DOMAIN_RESOURCE,
                                                  CUPTI_CBID_RESOURCE_MODULE_LOADED),
                                "watching modules");
    return status;
}

/* Some records have the checksum's lower half only. */
static const cubin *find(uint64_t crc)
{
    pthread_mutex_lock(&lock);
    const cubin *found = kept;
    while (found != NULL && found->crc != crc && (uint32_t)found->crc != crc)
        found = found->next;
    pthread_mutex_unlock(&lock);
    return found;
}

void ob_cubins_locate(const ob_cupti *c, uint64_t crc, const char *function, uint32_t pc,
                      ob_source_line *out)
{
    *out = (ob_source_line){.line = 0};
    const cubin *code = find(crc);
    if (code == NULL)
        return;
    CUpti_GetSassToSourceCorrelationParams p = {.size = CUpti_GetSassToSourceCorrelationParamsSize,
                                                .cubin = code->bytes,
                                                .cubinSize = code->size,
                                                .functionName = function,
                                                .pcOffset = pc};
    if (c->GetSassToSourceCorrelation(&p) != CUPTI_SUCCESS)
        return;
    bool slash = p.dirName != NULL && p.dirName[0] != '\0';
    snprintf(out->file, sizeof out->file, "%s%s%s", slash ? p.dirName : "", slash ? "/" : "",
             p.fileName != NULL ? p.fileName : "");
    out->line = (int)p.lineNumber;
    free(p.fileName);
    free(p.dirName);
}
