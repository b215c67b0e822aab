/*
 * selftest.h: kernels whose counts are known beforehand, counted: whether the numbers of this
 * machine's counters can be believed. The tests are a table (selftest.c), one entry a test; judging
 * knows no GPU.
 */
#ifndef ORTHO_HARNESS_SELFTEST_H
#define ORTHO_HARNESS_SELFTEST_H

#include "harness/counters.h"
#include "harness/instructions.h"

#include <ortho/variant.h>

/* What is launched (cupti/selftest.cu). */
typedef enum ob_selftest_kernel {
    OB_SELFTEST_RAMP = 0,
    OB_SELFTEST_BANKS,
    OB_SELFTEST_COPY,
    OB_SELFTEST_SPILL,
    OB_SELFTEST_FMA,
    OB_SELFTEST_KERNELS
} ob_selftest_kernel;

typedef struct ob_selftest {
    const char *name;
    const char *metric; /* CUPTI's name; NULL: active lanes of the kernel's loop, by instruction */
    const char *unit;
    ob_selftest_kernel kernel;
    double expected;  /* of the whole launch; NAN: any number above 0 is right */
    double tolerance; /* as a share of what is expected; 0: exact */
    bool cached;      /* up to the L2's size of it needn't have happened when the kernel ends */
    const char *why;  /* why that is what must be read */
} ob_selftest;

extern const ob_selftest ob_selftests[];
extern const int ob_selftest_count;

typedef enum ob_verdict { OB_VERDICT_OK = 0, OB_VERDICT_WRONG, OB_VERDICT_NA } ob_verdict;

typedef struct ob_selftest_result {
    const ob_selftest *test;
    double least, most; /* right from here to there; most is INFINITY where there is no bound */
    double read;        /* NAN: nothing was */
    ob_verdict verdict;
    char why[256]; /* of n/a */
} ob_selftest_result;

/* Judges what was read, on a GPU whose L2 holds so many bytes. */
void ob_selftest_judge(const ob_selftest *test, size_t l2_bytes, const ob_counter_value *read,
                       ob_selftest_result *out);

/* Mean active lanes of the instructions on the loop's lines; NAN where none of them was executed.
 */
double ob_selftest_lanes(const ob_instruction_report *report, const ortho_loop *loop);

/* Runs all tests; results is [ob_selftest_count]. Where nothing can be counted, or something fails,
 * the results are n/a and say why. */
void ob_selftest_run(ob_selftest_result *results);

#endif
