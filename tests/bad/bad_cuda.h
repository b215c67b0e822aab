/* bad_cuda.h: what is wrong with a deliberately broken CUDA variant. Each plug-in is bad_gemm.cu or
 * bad_sieve.cu, compiled once, and bad_cuda.c, whose one constant names the defect. */
#ifndef ORTHO_TESTS_BAD_CUDA_H
#define ORTHO_TESTS_BAD_CUDA_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bad_defect {
    BAD_NOT = 0, /* right: proves that it is the defect that is caught */
    /* on the device, after a right result */
    BAD_ROW,       /* one row holds its neighbour's result */
    BAD_ELEMENT,   /* one element of the middle token, off by a little */
    BAD_SHORT,     /* the last element isn't written */
    BAD_HALF,      /* sums in half precision */
    BAD_BOUNDS,    /* one element beyond y; a sieve: one byte beyond its output */
    BAD_BEFORE,    /* one element before y */
    BAD_WORKSPACE, /* one byte beyond the workspace */
    BAD_WEIGHTS,   /* one byte beyond a buffer of its own */
    BAD_INPUT,     /* changes x; a sieve: changes W */
    BAD_STALE,     /* computes with the x of the launch before */
    BAD_SECOND,    /* right in its first launch only */
    BAD_LATER,     /* right while it is looked at first, wrong once it is timed */
    BAD_LEAK,      /* a NaN of Ortho reaches y though alpha is 0 */
    BAD_MUTE,      /* the same NaN, and Ortho isn't read at alpha 0: right */
    /* on the host */
    BAD_NOTHING,   /* launches nothing, yet claims to compute */
    BAD_ERROR,     /* returns an error without a message */
    BAD_SYNC,      /* waits for the stream */
    BAD_ALLOC,     /* allocates device memory in run */
    BAD_POOL,      /* allocates from the stream-ordered pool in run */
    BAD_HOST,      /* has alpha copied from host memory that is gone when the copy is replayed */
    BAD_DEFAULT,   /* launches on the default stream */
    BAD_OWN,       /* launches on a stream of its own */
    BAD_CHEAT,     /* launches nothing while it is recorded */
    BAD_LAUNCH,    /* a launch that CUDA refuses, told */
    BAD_UNCHECKED, /* the same, not looked at */
    BAD_FAULT,     /* writes to an address that is nobody's */
    /* right in what it computes: only compute-sanitizer sees these (scripts/check-gpu) */
    BAD_READ,    /* reads one element beyond a buffer of its own: memcheck */
    BAD_RACE,    /* warps read shared memory that others write: racecheck */
    BAD_UNINIT,  /* reads a workspace that nobody wrote: initcheck */
    BAD_BARRIER, /* a barrier that half a warp doesn't reach: synccheck */
    /* a sieve's */
    BAD_FEW,   /* one entry is missing */
    BAD_ENTRY, /* one value, by its last bit */
    BAD_NAN    /* takes a NaN in W for 0 */
} bad_defect;

extern const bad_defect bad_cuda_defect;

#ifdef __cplusplus
}
#endif
#endif
