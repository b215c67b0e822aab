/* The processor, the models at hand, and the programs that a run can use. */
#define _GNU_SOURCE
#include "harness/doctor.h"

#include "common/error.h"
#include "datasets/datasets.h"
#include "harness/environment.h"
#include "kernels/cpu.h"

#include <glob.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- processor ------------------------------------------------------------------------------- */

static void add_processor(ob_findings *list)
{
    char governor[64];
    ortho_cpu_level level = ortho_cpu_detect();
    ob_finding_add(list, "cpu", level > ORTHO_CPU_PORTABLE ? OB_HEALTH_OK : OB_HEALTH_WARN,
                   "%s, %d threads", ortho_cpu_level_name(level), omp_get_max_threads());
    if (level == ORTHO_CPU_PORTABLE)
        ob_finding_cure(list, "a processor with AVX2, FMA and F16C; ORTHO_CPU unset");
    ob_environment_governor(governor);
    bool told = governor[0] != '\0', fast = strcmp(governor, "performance") == 0;
    ob_finding_add(list, "governor",
                   !told  ? OB_HEALTH_NA
                   : fast ? OB_HEALTH_OK
                          : OB_HEALTH_WARN,
                   "%s%s", told ? governor : "the kernel doesn't tell",
                   told && !fast ? ": the clock follows the load, and short samples see it low"
                                 : "");
    if (told && !fast)
        ob_finding_cure(list, "cpupower frequency-set -g performance, as root");
}

/* ---- models ---------------------------------------------------------------------------------- */

static void add_model(void *ctx, const ortho_known_model *model)
{
    ob_findings *list = ctx;
    if (model->at_hand) {
        ob_finding_add(list, "model", OB_HEALTH_OK, "%s at %.400s", model->name, model->where);
        return;
    }
    ob_finding_add(list, "model", OB_HEALTH_NA, "%s is not at hand", model->name);
    ob_finding_cure(list, "%.500s", model->where);
}

static void add_models(ob_findings *list)
{
    if (ortho_models_each(add_model, list) != ORTHO_OK)
        ob_finding_add(list, "model", OB_HEALTH_WARN, "%s", ortho_last_message());
}

/* ---- programs -------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool find_on_path(const char *program, char path[512])
{
    char candidate[512];
    const char *folders = getenv("PATH");
    while (folders != NULL && *folders != '\0') {
        size_t length = strcspn(folders, ":");
        int used = snprintf(candidate, sizeof candidate, "%.*s/%s", (int)length, folders, program);
        if (length > 0 && used < (int)sizeof candidate && is_program(candidate)) {
            memcpy(path, candidate, (size_t)used + 1);
            return true;
        }
        folders += length + (folders[length] == ':');
    }
    return false;
}

/* The last match: they are sorted, so that it is the newest version. */
static bool find_by_pattern(const char *pattern, char path[512])
{
    glob_t found = {0};
    bool any = false;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = found.gl_pathc; i-- > 0 && !any;) {
            size_t length = strlen(found.gl_pathv[i]);
            any = length < 512 && is_program(found.gl_pathv[i]);
            if (any)
                memcpy(path, found.gl_pathv[i], length + 1);
        }
    globfree(&found);
    return any;
}

bool ob_doctor_find(const char *program, const char *const *patterns, char path[512])
{
    bool any = find_on_path(program, path);
    for (; !any && *patterns != NULL; patterns++)
        any = find_by_pattern(*patterns, path);
    return any;
}

static void add_programs(ob_findings *list)
{
    static const struct {
        const char *name, *without, *cure;
        const char *patterns[4];
    } programs[] = {
        {"gnuplot",
         "--report leaves scripts and data without pictures",
         "apt install gnuplot-nox",
         {NULL}},
        {"ncu",
         "nothing is lost but a second opinion on counters",
         "Nsight Compute, of NVIDIA's "
         "developer site or the CUDA toolkit",
         {"/usr/local/cuda*/bin/ncu", "/opt/nvidia/nsight-compute/*/ncu", NULL}},
        {"nsys",
         "nothing is lost but a second opinion on timelines",
         "Nsight Systems, of NVIDIA's "
         "developer site or the CUDA toolkit",
         {"/usr/local/cuda*/bin/nsys", "/opt/nvidia/nsight-systems/*/bin/nsys",
          "/opt/nvidia/nsight-compute/*/host/target-linux-x64/nsys", NULL}},
    };
    char path[512];
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        if (ob_doctor_find(programs[i].name, programs[i].patterns, path)) {
            ob_finding_add(list, programs[i].name, OB_HEALTH_OK, "%s", path);
            continue;
        }
        ob_finding_add(list, programs[i].name, OB_HEALTH_NA, "not found: %s", programs[i].without);
        ob_finding_cure(list, "%s", programs[i].cure);
    }
}

void ob_doctor_host(ob_findings *list)
{
    add_processor(list);
    add_models(list);
    add_programs(list);
}
