/*
 * Fibers: a block's threads on one thread of the host, switched where they wait for one another. A
 * context begins one; from then on jumps switch, which unlike contexts cost no calls of the system.
 */
#include "cuda_async.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <vector>

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;
thread_local uint4 ortho_cuda_dynamic_words[16384 / 4]; /* what the sieve's largest kernel takes */

namespace
{

constexpr size_t STACK = 256 << 10;

/* Where threads wait: all have come when `generation` goes up. */
struct meeting {
    unsigned expected, arrived, generation;
};

struct fiber {
    ucontext_t context; /* as it begins */
    jmp_buf at;         /* where it waits */
    bool begun;
    std::vector<char> stack;
    emulated_end *waits; /* until it says so of these; NULL: for its turn */
    const void *of;
    unsigned value;
    bool done;
};

struct warp {
    meeting lanes;
    uint64_t slots[2][32]; /* in turn: who is a meeting ahead doesn't overwrite what others read */
};

struct block {
    std::vector<fiber> fibers;
    std::vector<warp> warps;
    meeting threads;
    jmp_buf scheduler;
    const std::function<void()> *body;
    unsigned running;
};

thread_local block *now;

/* From the fiber at work to the scheduler, until that comes back. */
void leave(fiber *f)
{
    if (_setjmp(f->at) == 0)
        _longjmp(now->scheduler, 1);
}

/* From the scheduler to a fiber, until that leaves. */
void enter(fiber *f)
{
    if (_setjmp(now->scheduler) != 0)
        return;
    if (f->begun)
        _longjmp(f->at, 1);
    f->begun = true;
    setcontext(&f->context);
}

void entry()
{
    (*now->body)();
    fiber &f = now->fibers[now->running];
    f.done = true;
    now->threads.expected--;
    now->warps[now->running / 32].lanes.expected--;
    if (now->threads.expected != 0 && now->threads.arrived == now->threads.expected) {
        now->threads.arrived = 0;
        now->threads.generation++;
    }
    for (;;)
        leave(&f);
}

void start(fiber *f)
{
    f->stack.resize(STACK);
    f->waits = nullptr;
    f->done = f->begun = false;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.data();
    f->context.uc_stack.ss_size = f->stack.size();
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
}

bool is_beyond(const void *of, unsigned generation)
{
    return static_cast<const meeting *>(of)->generation != generation;
}

void wait_at(meeting *m)
{
    const unsigned generation = m->generation;
    if (++m->arrived == m->expected) {
        m->arrived = 0;
        m->generation++;
        return;
    }
    emulated_wait(is_beyond, m, generation);
}

/* Each thread of some warps that can go on, once; false when none could. */
bool run_all_once(uint64_t warps)
{
    bool progress = false;
    for (unsigned i = 0; i < now->fibers.size(); i++) {
        fiber &f = now->fibers[i];
        if ((warps >> i / 32 & 1) == 0 || f.done || (f.waits != nullptr && !f.waits(f.of, f.value)))
            continue;
        f.waits = nullptr;
        now->running = i;
        threadIdx = {i, 0, 0};
        enter(&f);
        progress = true;
    }
    return progress;
}

void run_block()
{
    const unsigned threads = blockDim.x;
    now->threads = {threads, 0, 0};
    now->warps.assign((threads + 31) / 32, {});
    for (unsigned i = 0; i < threads; i++)
        now->warps[i / 32].lanes.expected++;
    for (fiber &f : now->fibers)
        start(&f);
    while (now->threads.expected != 0) {
        const bool some = run_all_once(emulated_warps_at_work());
        if (!emulated_copies_go_on(!some) && !some && !run_all_once(~UINT64_C(0)))
            emulated_fail("all threads wait for others");
    }
}

} // namespace

void emulated_fail(const char *what)
{
    fprintf(stderr, "emulated: block %u,%u, thread %u: %s\n", blockIdx.x, blockIdx.y, threadIdx.x,
            what);
    abort();
}

void emulated_wait(emulated_end *is_over, const void *of, unsigned value)
{
    fiber &f = now->fibers[now->running];
    f.waits = is_over;
    f.of = of;
    f.value = value;
    leave(&f);
}

void emulated_run(dim3 grid, dim3 threads, const std::function<void()> &body, size_t dynamic)
{
    thread_local block made;
    now = &made;
    now->body = &body;
    now->fibers.resize(threads.x);
    gridDim = grid;
    blockDim = threads;
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            blockIdx = {x, y, 0};
            emulated_open_block(threads.x, dynamic);
            run_block();
            emulated_close_block();
        }
}

void emulated_meet_block()
{
    wait_at(&now->threads);
}

const uint64_t *emulated_exchange(uint64_t mine)
{
    return emulated_together(mine, nullptr);
}

const uint64_t *emulated_together(uint64_t mine, void (*all)(const uint64_t left[32]))
{
    warp &w = now->warps[now->running / 32];
    if (w.lanes.expected != 32)
        emulated_fail("lanes of its warp have left before an operation of all of them");
    uint64_t *slots = w.slots[w.lanes.generation % 2];
    slots[now->running % 32] = mine;
    if (all != nullptr && w.lanes.arrived == 31)
        all(slots);
    wait_at(&w.lanes);
    return slots;
}

void emulated_require_alignment(const void *p, size_t bytes)
{
    if (reinterpret_cast<uintptr_t>(p) % bytes != 0)
        emulated_fail("a load at an address that isn't a multiple of its size");
}

void *emulated_shared_memory(uint32_t at, size_t bytes)
{
    const uintptr_t known = reinterpret_cast<uintptr_t>(&threadIdx);
    const int32_t from_known = static_cast<int32_t>(at - static_cast<uint32_t>(known));
    void *const p = reinterpret_cast<void *>(known + static_cast<uintptr_t>(intptr_t{from_known}));
    emulated_require_alignment(p, bytes);
    return p;
}
