/* shim.h: what the preloaded shim is told. The shim stands before libc: calls that libortho makes
 * go through it, and the one that was chosen fails as if the system had refused it. */
#ifndef ORTHO_TESTS_FAULTS_SHIM_H
#define ORTHO_TESTS_FAULTS_SHIM_H

#include <stdbool.h>

typedef struct fault {
    const char *call;   /* "pwrite"; open, rename and malloc stand for their whole families */
    int error;          /* errno of the failure; 0: none */
    long keep;          /* > 0: the n-th moves so many bytes, and the next one fails, if any does */
    bool forever;       /* every call from the n-th on: a disk that stays full */
    const char *folder; /* only files below it, where the call has a file; NULL: any */
} fault;

/* Makes the n-th such call (from 1) fail. A shim serves one fault at a time; NULL: none. */
typedef void fault_arm_fn(const fault *fault, long nth);

/* Calls of that kind since it was armed. */
typedef long fault_calls_fn(void);

/* Blocks of memory that are allocated, by whomever. */
typedef long fault_blocks_fn(void);

fault_blocks_fn fault_blocks;
fault_arm_fn fault_arm;
fault_calls_fn fault_calls;

#endif
