/*
 * cuda_async.h: what goes on in an emulated block while its threads do other things: barriers of
 * shared memory, named barriers, and copies, which come as late as they may. What is on its way has
 * bytes of 0xff where it will be, NaNs: who doesn't wait finds them.
 */
#ifndef ORTHO_TESTS_CUDA_ASYNC_H
#define ORTHO_TESTS_CUDA_ASYNC_H

#include "cuda_emulated.h"

/* Says where, and ends the program. */
[[noreturn]] void emulated_fail(const char *what);

/* ---- barriers -------------------------------------------------------------------------------- */

/* At shared addresses, in phases that end once all have arrived and all bytes have come. */
void emulated_barrier_init(uint32_t barrier, uint32_t arrivals);
void emulated_barrier_arrive(uint32_t barrier, uint32_t bytes);
void emulated_barrier_wait(uint32_t barrier, uint32_t parity);

/* By name, of some of a block's threads. */
void emulated_named_arrive(int name, int threads);
void emulated_named_sync(int name, int threads);

/* ---- copies ---------------------------------------------------------------------------------- */

/* To a shared address, some turns later; then a barrier has its bytes. */
void emulated_bulk_copy(uint32_t to, const void *from, uint32_t bytes, uint32_t barrier);

/* 16 bytes of a thread, which come when it waits for them. */
void emulated_copy_16(uint32_t to, const void *from);
void emulated_copies_commit();
void emulated_copies_wait(unsigned pending);

/* ---- a launch -------------------------------------------------------------------------------- */

unsigned char *emulated_dynamic_shared();

/* Warps take turns as `seed` has it: some rest for a while. 0: all alike. */
void emulated_uneven(unsigned seed);

/* What the launch before makes: as a block begins, `there` is false, and true from where its first
 * thread waits for that. */
typedef std::function<void(bool there)> emulated_previous;
void emulated_set_previous(const emulated_previous &previous);
void emulated_wait_for_previous();

/* ---- the scheduler's ------------------------------------------------------------------------- */

/* From where a thread waits until it is over. */
typedef bool emulated_end(const void *of, unsigned value);
void emulated_wait(emulated_end *is_over, const void *of, unsigned value);

void emulated_open_block(unsigned threads, size_t dynamic);
void emulated_close_block();

/* Those that have the next turn, a bit each. */
uint64_t emulated_warps_at_work();

/* Another turn for what is on its way; as many as it takes to bring something, where all threads
 * wait. Returns whether anything came. */
bool emulated_copies_go_on(bool all_wait);

#endif
