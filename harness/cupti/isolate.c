#include "harness/isolate.h"

#include "common/error.h"

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The driver's functions that the runtime has no counterpart of. */
typedef struct driver {
    CUresult (*params)(CUgraphNode, CUDA_KERNEL_NODE_PARAMS *);
    CUresult (*function_name)(const char **, CUfunction);
    CUresult (*kernel_name)(const char **, CUkernel);
    CUresult (*launch)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                       unsigned, CUstream, void **, void **);
} driver;

struct ob_isolated {
    driver d;
    cudaStream_t stream;
    cudaGraph_t recorded; /* owns the kernel's arguments */
    cudaGraphExec_t before;
    CUDA_KERNEL_NODE_PARAMS kernel;
};

static ortho_status check(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return ORTHO_OK;
    (void)cudaGetLastError();
    return ortho_fail(ORTHO_E_DEVICE, "%s: %s", what, cudaGetErrorString(error));
}

static ortho_status bind(driver *d)
{
    const struct {
        const char *name;
        void *at;
    } wanted[] = {{"cuGraphKernelNodeGetParams", &d->params},
                  {"cuFuncGetName", &d->function_name},
                  {"cuKernelGetName", &d->kernel_name},
                  {"cuLaunchKernel", &d->launch}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        enum cudaDriverEntryPointQueryResult found;
        void *symbol = NULL;
        if (cudaGetDriverEntryPointByVersion(wanted[i].name, &symbol, 13000, cudaEnableDefault,
                                             &found) != cudaSuccess ||
            symbol == NULL)
            return ortho_fail(ORTHO_E_UNSUPPORTED, "this driver has no %s", wanted[i].name);
        memcpy(wanted[i].at, &symbol, sizeof symbol);
    }
    return ORTHO_OK;
}

/* ---- recording ------------------------------------------------------------------------------- */

static ortho_status record(const ob_operation *o, cudaGraph_t *out)
{
    cudaStream_t stream = o->stream;
    ortho_status status = check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
                                "recording a launch");
    if (status != ORTHO_OK)
        return status;
    ortho_status launched = o->launch(o->ctx);
    status = check(cudaStreamEndCapture(stream, out), "recording a launch");
    return launched != ORTHO_OK ? launched : status;
}

static bool is_kernel(cudaGraphNode_t node)
{
    enum cudaGraphNodeType type;
    return cudaGraphNodeGetType(node, &type) == cudaSuccess && type == cudaGraphNodeTypeKernel;
}

static const char *name_of(const driver *d, const CUDA_KERNEL_NODE_PARAMS *p)
{
    const char *name = NULL;
    if (p->func != NULL && d->function_name(&name, p->func) == CUDA_SUCCESS && name != NULL)
        return name;
    if (p->kern != NULL && d->kernel_name(&name, p->kern) == CUDA_SUCCESS && name != NULL)
        return name;
    return "?";
}

/* Where among the nodes, which come in the order of their launches, the kernel is. */
static ortho_status find(ob_isolated *s, const cudaGraphNode_t *nodes, size_t count,
                         const char *kernel, size_t *at)
{
    char seen[256] = "";
    for (size_t i = 0; i < count; i++) {
        if (!is_kernel(nodes[i]) || s->d.params((CUgraphNode)nodes[i], &s->kernel) != CUDA_SUCCESS)
            continue;
        const char *name = name_of(&s->d, &s->kernel);
        if (strstr(name, kernel) != NULL) {
            *at = i;
            return ORTHO_OK;
        }
        size_t used = strlen(seen);
        snprintf(seen + used, sizeof seen - used, " %s", name);
    }
    return ortho_fail(ORTHO_E_NOT_FOUND, "the operation launches no kernel named %s, but:%s",
                      kernel, seen);
}

/* A copy of the recording without its last nodes, from number `at` on. */
static ortho_status cut(ob_isolated *s, const cudaGraphNode_t *nodes, size_t count, size_t at)
{
    cudaGraph_t head = NULL;
    ortho_status status = check(cudaGraphClone(&head, s->recorded), "copying a recording");
    for (size_t i = count; status == ORTHO_OK && i-- > at;) {
        cudaGraphNode_t node = NULL;
        status = check(cudaGraphNodeFindInClone(&node, nodes[i], head), "cutting a recording");
        if (status == ORTHO_OK)
            status = check(cudaGraphDestroyNode(node), "cutting a recording");
    }
    if (status == ORTHO_OK)
        status = check(cudaGraphInstantiate(&s->before, head, 0), "instantiating a recording");
    if (head != NULL)
        (void)cudaGraphDestroy(head);
    return status;
}

static ortho_status isolate(ob_isolated *s, const ob_operation *operation, const char *kernel)
{
    size_t count = 0, at = 0;
    cudaGraphNode_t *nodes = NULL;
    s->stream = operation->stream;
    ortho_status status = bind(&s->d);
    if (status == ORTHO_OK)
        status = record(operation, &s->recorded);
    if (status == ORTHO_OK)
        status = check(cudaGraphGetNodes(s->recorded, NULL, &count), "reading a recording");
    if (status != ORTHO_OK)
        return status;
    nodes = calloc(count + 1, sizeof *nodes);
    status = nodes != NULL
                 ? check(cudaGraphGetNodes(s->recorded, nodes, &count), "reading a recording")
                 : ortho_fail(ORTHO_E_MEMORY, "no memory for a recording's nodes");
    if (status == ORTHO_OK)
        status = find(s, nodes, count, kernel, &at);
    if (status == ORTHO_OK)
        status = cut(s, nodes, count, at);
    free(nodes);
    return status;
}

ortho_status ob_isolate(const ob_operation *operation, const char *kernel, ob_isolated **out)
{
    ob_isolated *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a recording");
    ortho_status status = isolate(s, operation, kernel);
    if (status != ORTHO_OK)
        ob_isolated_free(s);
    else
        *out = s;
    return status;
}

void ob_isolated_free(ob_isolated *s)
{
    if (s == NULL)
        return;
    if (s->before != NULL)
        (void)cudaGraphExecDestroy(s->before);
    if (s->recorded != NULL)
        (void)cudaGraphDestroy(s->recorded);
    free(s);
}

/* ---- running --------------------------------------------------------------------------------- */

ortho_status ob_isolated_before(ob_isolated *s)
{
    ortho_status status =
        check(cudaGraphLaunch(s->before, s->stream), "what comes before a kernel");
    return status == ORTHO_OK
               ? check(cudaStreamSynchronize(s->stream), "what comes before a kernel")
               : status;
}

ortho_status ob_isolated_run(ob_isolated *s)
{
    const CUDA_KERNEL_NODE_PARAMS *k = &s->kernel;
    CUfunction function = k->func != NULL ? k->func : (CUfunction)k->kern;
    if (s->d.launch(function, k->gridDimX, k->gridDimY, k->gridDimZ, k->blockDimX, k->blockDimY,
                    k->blockDimZ, k->sharedMemBytes, (CUstream)s->stream, k->kernelParams,
                    k->extra) != CUDA_SUCCESS)
        return ortho_fail(ORTHO_E_DEVICE, "a kernel can't be launched alone");
    return check(cudaStreamSynchronize(s->stream), "a kernel alone");
}
