#include "harness/nvtx.h"

#ifdef ORTHO_HAVE_CUDA

#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

/* Words that come again, as their handles: a registered string costs a tool no copy. Cases are
 * thousands and come once, phases few and often. */
enum { REGISTERED = 32 };

/* Made once, at the first range, and the process's: that is how NVTX knows domains. */
static struct {
    nvtxDomainHandle_t domain; /* NULL: nobody listens */
    uint64_t schema;           /* of ob_range_shape */
    const char *word[REGISTERED];
    nvtxStringHandle_t handle[REGISTERED];
    int words;
} at;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const nvtxPayloadSchemaEntry_t shape_entries[] = {
    {.type = NVTX_PAYLOAD_ENTRY_TYPE_INT64, .name = "n", .offset = offsetof(ob_range_shape, n)},
    {.type = NVTX_PAYLOAD_ENTRY_TYPE_INT64, .name = "k", .offset = offsetof(ob_range_shape, k)},
    {.type = NVTX_PAYLOAD_ENTRY_TYPE_INT64, .name = "m", .offset = offsetof(ob_range_shape, m)},
    {.type = NVTX_PAYLOAD_ENTRY_TYPE_DOUBLE,
     .name = "density",
     .offset = offsetof(ob_range_shape, density)},
};

static void open_domain(void)
{
    at.domain = nvtxDomainCreateA("ortho");
    if (at.domain == NULL)
        return;
    nvtxDomainNameCategoryA(at.domain, OB_RANGE_SLICE, "slice");
    nvtxDomainNameCategoryA(at.domain, OB_RANGE_PHASE, "phase");
    nvtxDomainNameCategoryA(at.domain, OB_RANGE_CASE, "case");
    const nvtxPayloadSchemaAttr_t attributes = {
        .fieldMask = NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NAME | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_TYPE |
                     NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES |
                     NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES |
                     NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_STATIC_SIZE,
        .name = "shape",
        .type = NVTX_PAYLOAD_SCHEMA_TYPE_STATIC,
        .entries = shape_entries,
        .numEntries = sizeof shape_entries / sizeof *shape_entries,
        .payloadStaticSize = sizeof(ob_range_shape)};
    at.schema = nvtxPayloadSchemaRegister(at.domain, &attributes);
}

/* NULL for a word that found no place. Phases are literals, but not the same one everywhere. */
static nvtxStringHandle_t registered(const char *word)
{
    for (int i = 0; i < at.words; i++)
        if (strcmp(at.word[i], word) == 0)
            return at.handle[i];
    if (at.words == REGISTERED)
        return NULL;
    char *kept = strdup(word); /* the process's, like the handle */
    if (kept == NULL)
        return NULL;
    at.word[at.words] = kept;
    at.handle[at.words] = nvtxDomainRegisterStringA(at.domain, word);
    return at.handle[at.words++];
}

void ob_nvtx_push(ob_range_kind kind, const char *text, const ob_range_shape *shape)
{
    pthread_once(&once, open_domain);
    if (at.domain == NULL)
        return;
    nvtxEventAttributes_t e = {.version = NVTX_VERSION,
                               .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                               .category = (uint32_t)kind,
                               .messageType = NVTX_MESSAGE_TYPE_ASCII,
                               .message.ascii = text};
    nvtxStringHandle_t handle = kind == OB_RANGE_PHASE ? registered(text) : NULL;
    if (handle != NULL) {
        e.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
        e.message.registered = handle;
    }
    nvtxPayloadData_t data = {at.schema, sizeof *shape, shape};
    if (shape != NULL && at.schema != 0) {
        e.payloadType = NVTX_PAYLOAD_TYPE_EXT;
        e.reserved0 = 1; /* payloads */
        e.payload.ullValue = (uint64_t)(uintptr_t)&data;
    }
    nvtxDomainRangePushEx(at.domain, &e);
}

void ob_nvtx_pop(void)
{
    if (at.domain != NULL)
        nvtxDomainRangePop(at.domain);
}

#else

void ob_nvtx_push(ob_range_kind kind, const char *text, const ob_range_shape *shape)
{
    (void)kind, (void)text, (void)shape;
}

void ob_nvtx_pop(void)
{
}

#endif
