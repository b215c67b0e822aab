/* A listener, loaded through NVTX_INJECTION64_PATH. It appends a line an event to the file that
 * FAKE_NVTX_LOG names:
 *
 *   domain NAME | category ID NAME | schema NAME ENTRIES BYTES | register TEXT
 *   push CATEGORY ascii|registered TEXT [N K M DENSITY] | pop
 */
#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 7777 };

static char domain; /* its address is the handle */

__attribute__((format(printf, 1, 2))) static void write_line(const char *format, ...)
{
    const char *path = getenv("FAKE_NVTX_LOG");
    FILE *f = path != NULL ? fopen(path, "a") : NULL;
    if (f == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(f, format, arguments);
    va_end(arguments);
    fclose(f);
}

static nvtxDomainHandle_t NVTX_API create(const char *name)
{
    write_line("domain %s\n", name);
    return (nvtxDomainHandle_t)(void *)&domain;
}

static void NVTX_API name_category(nvtxDomainHandle_t d, uint32_t category, const char *name)
{
    (void)d;
    write_line("category %u %s\n", category, name);
}

/* The handle is the tool's own copy, as with real ones. */
static nvtxStringHandle_t NVTX_API register_string(nvtxDomainHandle_t d, const char *text)
{
    (void)d;
    write_line("register %s\n", text);
    return (nvtxStringHandle_t)(void *)strdup(text);
}

static void write_payload(const nvtxEventAttributes_t *e)
{
    struct {
        int64_t n, k, m;
        double density;
    } shape;
    if (e->payloadType != NVTX_PAYLOAD_TYPE_EXT || e->reserved0 != 1)
        return;
    const nvtxPayloadData_t *data = (const nvtxPayloadData_t *)(uintptr_t)e->payload.ullValue;
    if (data->schemaId != SCHEMA || data->size != sizeof shape)
        return;
    memcpy(&shape, data->payload, sizeof shape);
    write_line(" %lld %lld %lld %g", (long long)shape.n, (long long)shape.k, (long long)shape.m,
               shape.density);
}

static int NVTX_API push(nvtxDomainHandle_t d, const nvtxEventAttributes_t *e)
{
    (void)d;
    if (e->messageType == NVTX_MESSAGE_TYPE_REGISTERED)
        write_line("push %u registered %s", e->category,
                   (const char *)(const void *)e->message.registered);
    else
        write_line("push %u ascii %s", e->category, e->message.ascii);
    write_payload(e);
    write_line("\n");
    return 0;
}

static int NVTX_API pop(nvtxDomainHandle_t d)
{
    (void)d;
    write_line("pop\n");
    return 0;
}

static uint64_t NVTX_API register_schema(nvtxDomainHandle_t d, const nvtxPayloadSchemaAttr_t *a)
{
    (void)d;
    write_line("schema %s %zu %zu\n", a->name, a->numEntries, a->payloadStaticSize);
    return SCHEMA;
}

int NVTX_API InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table);
int NVTX_API InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get_table)
{
    unsigned size = 0;
    NvtxFunctionTable table = NULL;
    const NvtxExportTableCallbacks *callbacks = get_table(NVTX_ETID_CALLBACKS);
    if (callbacks == NULL ||
        !callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &size))
        return 0;
    *table[NVTX_CBID_CORE2_DomainCreateA] = (NvtxFunctionPointer)create;
    *table[NVTX_CBID_CORE2_DomainNameCategoryA] = (NvtxFunctionPointer)name_category;
    *table[NVTX_CBID_CORE2_DomainRegisterStringA] = (NvtxFunctionPointer)register_string;
    *table[NVTX_CBID_CORE2_DomainRangePushEx] = (NvtxFunctionPointer)push;
    *table[NVTX_CBID_CORE2_DomainRangePop] = (NvtxFunctionPointer)pop;
    return 1;
}

int NVTX_API InitializeInjectionNvtxExtension(nvtxExtModuleInfo_t *module);
int NVTX_API InitializeInjectionNvtxExtension(nvtxExtModuleInfo_t *module)
{
    module->segments->functionSlots[NVTX3EXT_CBID_nvtxPayloadSchemaRegister] =
        (intptr_t)register_schema;
    return 1;
}
