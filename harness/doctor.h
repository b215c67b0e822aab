/*
 * doctor.h: what this machine has, what is missing and how to get it: findings, the variants that
 * would be skipped, and the self-test of the counters (selftest.h). Changes nothing on the machine.
 */
#ifndef ORTHO_HARNESS_DOCTOR_H
#define ORTHO_HARNESS_DOCTOR_H

#include "harness/nvml.h"
#include "harness/selftest.h"

#include <stdio.h>

typedef enum ob_health { OB_HEALTH_OK = 0, OB_HEALTH_WARN, OB_HEALTH_NA } ob_health;

typedef struct ob_finding {
    const char *name; /* static storage */
    ob_health health;
    char what[512];
    char cure[512]; /* "": none is needed, or known */
} ob_finding;

/* A list that grows. Without memory what didn't fit is `lost`. */
typedef struct ob_findings {
    ob_finding *items;
    int count, capacity;
    bool lost;
} ob_findings;

void ob_finding_add(ob_findings *list, const char *name, ob_health health, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Of the finding that was added last. */
void ob_finding_cure(ob_findings *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ob_findings_clear(ob_findings *list);

typedef struct ob_diagnosis {
    ob_findings machine; /* in the order of printing */
    ob_findings
        variants; /* name: the variant's; what: "gemm on cuda", or why it would be skipped */
    ob_selftest_result *self_test; /* [ob_selftest_count] */
} ob_diagnosis;

/* Sections, in the order of printing. */
void ob_doctor_gpu(ob_findings *list);
void ob_doctor_nvml(ob_findings *list, ob_nvml *nvml); /* its share of it */
void ob_doctor_counters(ob_findings *list);            /* CUPTI, and whether it may count */
void ob_doctor_libraries(ob_findings *list);
void ob_doctor_host(ob_findings *list); /* processor, models, tools */
/* Every variant, with the sizes of a q projection of Llama 3.2 3B and one token. */
void ob_doctor_variants(ob_findings *list);

/* Where to find an executable: on PATH, else the last of the files that a pattern (glob) matches.
 * patterns is NULL-terminated. False when there is none. */
bool ob_doctor_find(const char *program, const char *const *patterns, char path[512]);

/* Looks at everything. MEMORY with words; the caller clears. */
ortho_status ob_diagnosis_make(ob_diagnosis *out);
void ob_diagnosis_clear(ob_diagnosis *d); /* zeroed is allowed */

/* Whether the self-test read something wrong. */
bool ob_diagnosis_is_wrong(const ob_diagnosis *d);

void ob_diagnosis_print(const ob_diagnosis *d, FILE *out);
/* One JSON object (reports/schema/doctor.schema.json). MEMORY with words. */
ortho_status ob_diagnosis_print_json(const ob_diagnosis *d, FILE *out);

#endif
