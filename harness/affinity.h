/*
 * affinity.h: one OpenMP thread a processor while samples are taken.
 *
 * Left to itself, Linux now and then puts both threads of a region of half a millisecond on one
 * processor although another is idle, and the barrier at its end then waits for a time slice: 6 ms
 * for 0.6 ms of work. Pinned threads can't collide.
 */
#ifndef ORTHO_HARNESS_AFFINITY_H
#define ORTHO_HARNESS_AFFINITY_H

typedef struct ob_affinity ob_affinity;

/* Pins OpenMP thread i of teams of `threads` to the i-th processor that this process may use. NULL
 * when there are fewer of them than threads, or the system refuses: nothing is pinned then. */
ob_affinity *ob_affinity_pin(int threads);

/* Gives every thread its freedom back. NULL is allowed. Call it before starting other programs:
 * they inherit the caller's processor. */
void ob_affinity_release(ob_affinity *);

#endif
