/* Findings, and the diagnosis they make. */
#include "harness/doctor.h"

#include "common/error.h"

#include <stdarg.h>
#include <stdlib.h>

/* ---- findings -------------------------------------------------------------------------------- */

static bool has_room(ob_findings *list)
{
    if (list->count < list->capacity)
        return true;
    int capacity = list->capacity > 0 ? 2 * list->capacity : 32;
    ob_finding *grown = realloc(list->items, (size_t)capacity * sizeof *grown);
    if (grown == NULL) {
        list->lost = true;
        return false;
    }
    list->items = grown;
    list->capacity = capacity;
    return true;
}

void ob_finding_add(ob_findings *list, const char *name, ob_health health, const char *format, ...)
{
    if (!has_room(list))
        return;
    ob_finding *f = &list->items[list->count++];
    *f = (ob_finding){.name = name, .health = health};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->what, sizeof f->what, format, arguments);
    va_end(arguments);
}

void ob_finding_cure(ob_findings *list, const char *format, ...)
{
    if (list->lost || list->count == 0)
        return;
    ob_finding *f = &list->items[list->count - 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->cure, sizeof f->cure, format, arguments);
    va_end(arguments);
}

void ob_findings_clear(ob_findings *list)
{
    free(list->items);
    *list = (ob_findings){0};
}

/* ---- the diagnosis --------------------------------------------------------------------------- */

ortho_status ob_diagnosis_make(ob_diagnosis *out)
{
    ob_diagnosis d = {.self_test = calloc((size_t)ob_selftest_count, sizeof *d.self_test)};
    if (d.self_test == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the self-test");
    ob_doctor_gpu(&d.machine);
    ob_doctor_counters(&d.machine);
    ob_doctor_libraries(&d.machine);
    ob_doctor_host(&d.machine);
    ob_doctor_variants(&d.variants);
    ob_selftest_run(d.self_test);
    if (d.machine.lost || d.variants.lost) {
        ob_diagnosis_clear(&d);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for what was found");
    }
    *out = d;
    return ORTHO_OK;
}

void ob_diagnosis_clear(ob_diagnosis *d)
{
    ob_findings_clear(&d->machine);
    ob_findings_clear(&d->variants);
    free(d->self_test);
    *d = (ob_diagnosis){0};
}

bool ob_diagnosis_is_wrong(const ob_diagnosis *d)
{
    for (int i = 0; i < ob_selftest_count; i++)
        if (d->self_test[i].verdict == OB_VERDICT_WRONG)
            return true;
    return false;
}
