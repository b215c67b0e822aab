/* instructions.h: the report, and who fills it. */
#include "harness/cupti/instructions.h"

#include "common/error.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

/* Strings of a report: each once. Functions and files are few, so that a list serves. */
typedef struct name {
    struct name *next;
    char text[];
} name;

static const char *intern(ob_instruction_report *report, const char *text)
{
    for (const name *n = report->names; n != NULL; n = n->next)
        if (strcmp(n->text, text) == 0)
            return n->text;
    size_t length = strlen(text) + 1;
    name *made = malloc(sizeof *made + length);
    if (made == NULL)
        return NULL;
    memcpy(made->text, text, length);
    made->next = report->names;
    report->names = made;
    return made->text;
}

static ob_instruction *add(const ob_cupti *c, ob_instruction_report *report,
                           const ob_instruction_place *place, const char *function)
{
    ob_source_line line;
    ob_cubins_locate(c, place->crc, place->function, place->pc, &line);
    const char *file = intern(report, line.file);
    ob_instruction *grown =
        realloc(report->instructions, (report->count + 1) * sizeof *report->instructions);
    if (grown != NULL)
        report->instructions = grown;
    if (file == NULL || grown == NULL)
        return NULL;
    grown[report->count] =
        (ob_instruction){.function = function, .file = file, .line = line.line, .pc = place->pc};
    return &grown[report->count++];
}

/* Records of one instruction come close to one another, so the search goes backwards. */
ob_instruction *ob_instruction_at(const ob_cupti *c, ob_instruction_report *report,
                                  const ob_instruction_place *place)
{
    const char *function = intern(report, place->function != NULL ? place->function : "");
    if (function == NULL)
        return NULL;
    for (size_t i = report->count; i-- > 0;)
        if (report->instructions[i].function == function && report->instructions[i].pc == place->pc)
            return &report->instructions[i];
    return add(c, report, place, function);
}

static int by_place(const void *a, const void *b)
{
    const ob_instruction *x = a, *y = b;
    int order = strcmp(x->function, y->function);
    return order != 0 ? order : (x->pc > y->pc) - (x->pc < y->pc);
}

void ob_instruction_sort(ob_instruction_report *report)
{
    if (report->count > 0)
        qsort(report->instructions, report->count, sizeof *report->instructions, by_place);
}

void ob_instructions_clear(ob_instruction_report *report)
{
    for (name *n = report->names, *next; n != NULL; n = next) {
        next = n->next;
        free(n);
    }
    free(report->instructions);
    *report = (ob_instruction_report){0};
}

/* ---- who fills it ---------------------------------------------------------------------------- */

/* What is at work: CUPTI has one of it a process. */
static ob_instruction_source at_work;

ortho_status ob_instructions_prepare(void)
{
    const ob_cupti *c = NULL;
    ortho_status status = ob_cupti_alone();
    if (status == ORTHO_OK)
        status = ob_cupti_open(&c);
    return status == ORTHO_OK ? ob_cubins_keep(c) : status;
}

ortho_status ob_instructions_start(ob_instruction_source source)
{
    const ob_cupti *c = NULL;
    CUcontext context;
    ortho_status status = ob_instructions_prepare();
    if (status == ORTHO_OK)
        status = ob_cupti_open(&c);
    if (status == ORTHO_OK)
        status = ob_cupti_context(&context);
    if (status != ORTHO_OK)
        return status;
    at_work = source;
    return source == OB_INSTRUCTIONS_COUNTED ? ob_sass_start(c, context)
                                             : ob_sampling_start(c, context);
}

ortho_status ob_instructions_read(ob_instruction_report *out)
{
    const ob_cupti *c = NULL;
    CUcontext context;
    ortho_status status = ob_cupti_open(&c);
    if (status == ORTHO_OK)
        status = ob_cupti_context(&context);
    cudaError_t error = status == ORTHO_OK ? cudaDeviceSynchronize() : cudaSuccess;
    if (status == ORTHO_OK)
        status = at_work == OB_INSTRUCTIONS_COUNTED ? ob_sass_read(c, context, out)
                                                    : ob_sampling_read(c, context, out);
    if (status == ORTHO_OK && error != cudaSuccess)
        status = ortho_fail(ORTHO_E_DEVICE, "while instructions were counted: %s",
                            cudaGetErrorString(error));
    if (status == ORTHO_OK)
        ob_instruction_sort(out);
    else
        ob_instructions_clear(out);
    return status;
}

void ob_instructions_stop(void)
{
    const ob_cupti *c = NULL;
    CUcontext context;
    if (ob_cupti_open(&c) != ORTHO_OK || ob_cupti_context(&context) != ORTHO_OK)
        return;
    if (at_work == OB_INSTRUCTIONS_COUNTED)
        ob_sass_stop(c, context);
    else
        ob_sampling_stop(c, context);
}
