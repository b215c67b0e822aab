#include "harness/environment.h"

#include "harness/backend.h"
#include "kernels/cpu.h"

#include <jansson.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef ORTHO_COMMIT
#define ORTHO_COMMIT "unknown"
#endif
#ifndef ORTHO_FLAGS
#define ORTHO_FLAGS "unknown"
#endif

/* The value after "name" and a colon in a /proc file, without the newline; false when absent. */
static bool proc_value(const char *path, const char *name, char *out, size_t size)
{
    char line[16384];
    FILE *f = fopen(path, "r");
    bool found = false;
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, name, strlen(name)) != 0)
            continue;
        colon += strspn(colon, ": \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%s", colon);
        found = true;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

static size_t proc_kilobytes(const char *path, const char *name)
{
    char text[64];
    return proc_value(path, name, text, sizeof text) ? (size_t)strtoull(text, NULL, 10) * 1024u : 0;
}

size_t ob_environment_max_rss(void)
{
    return proc_kilobytes("/proc/self/status", "VmHWM");
}

size_t ob_environment_ram(void)
{
    return proc_kilobytes("/proc/meminfo", "MemTotal");
}

/* The processor's flags that a kernel of ours could care for. */
static void vector_flags(char *out, size_t size)
{
    char flags[16384];
    out[0] = '\0';
    if (!proc_value("/proc/cpuinfo", "flags", flags, sizeof flags))
        return;
    size_t used = 0;
    char *rest = flags;
    for (char *flag; (flag = strtok_r(rest, " ", &rest)) != NULL;) {
        bool wanted = strncmp(flag, "avx", 3) == 0 || strncmp(flag, "amx", 3) == 0 ||
                      strcmp(flag, "fma") == 0 || strcmp(flag, "f16c") == 0 ||
                      strcmp(flag, "bmi2") == 0;
        if (wanted && used + strlen(flag) + 2 < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "", flag);
    }
}

void ob_environment_governor(char out[64])
{
    FILE *f = fopen("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "r");
    if (f == NULL || fscanf(f, "%63s", out) != 1)
        out[0] = '\0';
    if (f != NULL)
        fclose(f);
}

static json_t *cpu_facts(void)
{
    char model[256], mhz[64] = "", governor[64], flags[1024];
    ortho_cpu_model(model, sizeof model);
    vector_flags(flags, sizeof flags);
    ob_environment_governor(governor);
    json_t *cpu = json_pack("{s:s, s:I, s:I, s:s, s:s, s:s}", "model", model, "cores",
                            (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "threads",
                            (json_int_t)omp_get_max_threads(), "simd",
                            ortho_cpu_level_name(ortho_cpu_detect()), "flags", flags, "governor",
                            governor[0] != '\0' ? governor : "unknown");
    if (proc_value("/proc/cpuinfo", "cpu MHz", mhz, sizeof mhz))
        json_object_set_new(cpu, "mhz", json_real(strtod(mhz, NULL)));
    size_t llc = ob_backend_cpu.cache_bytes();
    if (llc > 0)
        json_object_set_new(cpu, "llc_bytes", json_integer((json_int_t)llc));
    return cpu;
}

/* The command line as the kernel has it. */
json_t *ob_environment_command(void)
{
    json_t *words = json_array();
    FILE *f = fopen("/proc/self/cmdline", "r");
    char *word = NULL;
    size_t size = 0;
    while (f != NULL && getdelim(&word, &size, '\0', f) > 0) {
        json_t *text = json_string(word); /* NULL when it isn't UTF-8 */
        json_array_append_new(words, text != NULL ? text : json_string("(not UTF-8)"));
    }
    free(word);
    if (f != NULL)
        fclose(f);
    return words;
}

static json_t *model_facts(const ortho_model_facts *m)
{
    json_t *model = json_pack("{s:s, s:s, s:s, s:b, s:b}", "name", m->name, "format", m->format,
                              "hash", m->hash, "synthetic", m->synthetic, "four_bit", m->four_bit);
    if (m->path[0] != '\0')
        json_object_set_new(model, "path", json_string(m->path));
    if (m->synthetic)
        json_object_set_new(model, "seed", json_integer((json_int_t)m->seed));
    if (m->licence[0] != '\0')
        json_object_set_new(model, "licence", json_string(m->licence));
    if (m->attribution[0] != '\0')
        json_object_set_new(model, "attribution", json_string(m->attribution));
    return model;
}

static json_t *timer_facts(const ob_timer *t)
{
    return json_pack("{s:s, s:f, s:f}", "name", t->name, "resolution_ns", t->resolution_ns,
                     "overhead_ns", t->overhead_ns);
}

json_t *ob_environment_context(const ob_options *options, const ortho_model_facts *model,
                               const char *choice, const ob_timer *timer)
{
    char date[32], binary[64], os[512], host[256] = "unknown";
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    snprintf(binary, sizeof binary, "ortho-bench %d.%d.%d", ORTHO_VERSION_MAJOR,
             ORTHO_VERSION_MINOR, ORTHO_VERSION_PATCH);
    struct utsname u;
    if (uname(&u) == 0) {
        snprintf(os, sizeof os, "%s %s", u.sysname, u.release);
        snprintf(host, sizeof host, "%s", u.nodename);
    } else {
        snprintf(os, sizeof os, "unknown");
    }
    json_t *c = json_object();
    json_object_set_new(c, "date", json_string(date));
    json_object_set_new(c, "binary", json_string(binary));
    json_object_set_new(c, "commit", json_string(ORTHO_COMMIT));
#if defined(__clang__)
    json_object_set_new(c, "compiler", json_string("clang " __clang_version__));
#else
    json_object_set_new(c, "compiler", json_string("gcc " __VERSION__));
#endif
    json_object_set_new(c, "flags", json_string(ORTHO_FLAGS));
    json_object_set_new(c, "command", ob_environment_command());
    json_object_set_new(c, "options", ob_options_echo(options));
    json_object_set_new(c, "host", json_string(host));
    json_object_set_new(c, "os", json_string(os));
    json_object_set_new(c, "cpu", cpu_facts());
    json_object_set_new(c, "gpu", json_null());
    json_object_set_new(c, "model", model_facts(model));
    if (choice != NULL)
        json_object_set_new(c, "model_choice", json_string(choice));
    json_object_set_new(c, "seed", json_integer((json_int_t)options->seed));
    json_object_set_new(c, "engine",
                        json_string(options->engine == OB_ENGINE_GBENCH ? "gbench" : "own"));
    json_object_set_new(c, "interrupted", json_false());
    json_object_set_new(c, "timer", timer_facts(timer));
    return c;
}
