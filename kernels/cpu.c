#include "kernels/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ortho_cpu_level hardware_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    /* F16C isn't asked for: clang 14 knows no such name, and every processor with AVX2 has it. */
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return ORTHO_CPU_PORTABLE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vnni"))
        return ORTHO_CPU_AVX512;
    return ORTHO_CPU_AVX2;
#else
    return ORTHO_CPU_PORTABLE;
#endif
}

const char *ortho_cpu_level_name(ortho_cpu_level level)
{
    static const char *const names[] = {"portable", "avx2", "avx512"};
    return (unsigned)level < 3u ? names[level] : "?";
}

ortho_cpu_level ortho_cpu_detect(void)
{
    ortho_cpu_level best = hardware_level();
    const char *asked = getenv("ORTHO_CPU");
    for (int i = 0; asked != NULL && i < (int)best; i++)
        if (strcmp(asked, ortho_cpu_level_name((ortho_cpu_level)i)) == 0)
            return (ortho_cpu_level)i;
    return best;
}

/* The text behind "model name   : " in a line of /proc/cpuinfo; NULL: it is another line. */
static char *model_of(char *line)
{
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || colon == NULL)
        return NULL;
    char *text = colon + 1 + strspn(colon + 1, " \t");
    text[strcspn(text, "\n")] = '\0';
    return text;
}

void ortho_cpu_model(char *name, size_t size)
{
    char line[256], *model = NULL;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f != NULL && model == NULL && fgets(line, sizeof line, f) != NULL)
        model = model_of(line);
    if (f != NULL)
        fclose(f);
    snprintf(name, size, "%s", model != NULL ? model : "unknown");
}

void ortho_cpu_device(char *name, size_t size)
{
    char model[256];
    ortho_cpu_model(model, sizeof model);
    snprintf(name, size, "%s, %s", model, ortho_cpu_level_name(ortho_cpu_detect()));
}
