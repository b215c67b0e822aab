/* Names of kernels, as their source has them, and how long each ran in all. */
#include "harness/trace_internal.h"

#include "common/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of the C++ runtime (Itanium C++ ABI): malloc'd, or NULL for what is no mangled name. */
char *__cxa_demangle(const char *mangled, char *buffer, size_t *length, int *status);

static int by_name(const void *pa, const void *pb)
{
    return strcmp(*(const char *const *)pa, *(const char *const *)pb);
}

static int by_mangled(const void *pa, const void *pb)
{
    const ob_trace_kernel *a = pa, *b = pb;
    return strcmp(a->mangled, b->mangled);
}

static int by_length(const void *pa, const void *pb)
{
    const ob_trace_kernel *a = *(const ob_trace_kernel *const *)pa,
                          *b = *(const ob_trace_kernel *const *)pb;
    if (a->ns != b->ns)
        return a->ns > b->ns ? -1 : 1;
    return strcmp(a->mangled, b->mangled);
}

static ob_trace_kernel *find(const ob_trace_names *names, const char *mangled)
{
    return bsearch(&(ob_trace_kernel){.mangled = mangled}, names->items, names->count,
                   sizeof *names->items, by_mangled);
}

/* A C name could be a type's code: "f". */
char *ob_trace_plain(const char *name)
{
    return strncmp(name, "_Z", 2) == 0 ? __cxa_demangle(name, NULL, NULL, &(int){0}) : NULL;
}

/* Each name once; demangled once, since that is slow. */
static void number(ob_trace_names *names, const char **sorted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0)
            continue;
        names->items[names->count++] =
            (ob_trace_kernel){.mangled = sorted[i], .plain = ob_trace_plain(sorted[i])};
    }
}

static void add_up(ob_trace_names *names, const ob_activity_log *log)
{
    for (size_t i = 0; i < log->kernel_count; i++) {
        const ob_kernel_record *k = &log->kernels[i];
        if (!ob_trace_timed(k->start, k->end)) {
            names->untimed++;
            continue;
        }
        ob_trace_kernel *kernel = find(names, k->name);
        kernel->launches++;
        kernel->ns += k->end - k->start;
        names->launches++;
        names->ns += k->end - k->start;
    }
}

ortho_status ob_trace_names_make(const ob_activity_log *log, ob_trace_names *out)
{
    ob_trace_names names = {0};
    const char **sorted = calloc(log->kernel_count + 1, sizeof *sorted);
    names.items = calloc(log->kernel_count + 1, sizeof *names.items);
    if (sorted == NULL || names.items == NULL) {
        free(sorted);
        free(names.items);
        return ortho_fail(ORTHO_E_MEMORY, "no memory for the names of %zu kernels",
                          log->kernel_count);
    }
    for (size_t i = 0; i < log->kernel_count; i++)
        sorted[i] = log->kernels[i].name;
    qsort(sorted, log->kernel_count, sizeof *sorted, by_name);
    number(&names, sorted, log->kernel_count);
    free(sorted);
    add_up(&names, log);
    *out = names;
    return ORTHO_OK;
}

void ob_trace_names_clear(ob_trace_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].plain);
    free(names->items);
    *names = (ob_trace_names){0};
}

const char *ob_trace_names_find(const ob_trace_names *names, const char *mangled)
{
    const ob_trace_kernel *kernel = find(names, mangled);
    return kernel != NULL && kernel->plain != NULL ? kernel->plain : mangled;
}

ortho_status ob_trace_summary(FILE *out, const ob_trace_names *names)
{
    const ob_trace_kernel **longest = calloc(names->count + 1, sizeof *longest);
    if (longest == NULL)
        return ortho_fail(ORTHO_E_MEMORY, "no memory for a summary of %zu kernels", names->count);
    size_t count = 0;
    for (size_t i = 0; i < names->count; i++)
        if (names->items[i].launches > 0)
            longest[count++] = &names->items[i];
    qsort(longest, count, sizeof *longest, by_length);
    fprintf(out, "\"kernel_count\":%zu,\"kernel_ns\":%" PRIu64 ",\"kernels\":[", names->launches,
            names->ns);
    for (size_t i = 0; i < count; i++) {
        const ob_trace_kernel *k = longest[i];
        fputs(i > 0 ? ",\n{\"name\":" : "\n{\"name\":", out);
        ob_trace_text(out, k->plain != NULL ? k->plain : k->mangled);
        fprintf(out, ",\"launches\":%zu,\"ns\":%" PRIu64 "}", k->launches, k->ns);
    }
    fputs("]", out);
    if (names->untimed > 0)
        fprintf(out, ",\"untimed_kernels\":%zu", names->untimed);
    free(longest);
    return ORTHO_OK;
}
