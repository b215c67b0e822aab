/* Fibers: a block's threads on one thread of the host, switched where they wait for one another. */
#include "cuda_emulated.h"

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
    ucontext_t context;
    std::vector<char> stack;
    meeting *waits; /* for this to go beyond `generation`; NULL: for its turn */
    unsigned generation;
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
    ucontext_t scheduler;
    const std::function<void()> *body;
    unsigned running;
};

thread_local block *now;

[[noreturn]] void fail(const char *what)
{
    fprintf(stderr, "emulated: block %u,%u, thread %u: %s\n", blockIdx.x, blockIdx.y, threadIdx.x,
            what);
    abort();
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
        swapcontext(&f.context, &now->scheduler);
}

void start(fiber *f)
{
    f->stack.resize(STACK);
    f->waits = nullptr;
    f->done = false;
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.data();
    f->context.uc_stack.ss_size = f->stack.size();
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
}

void wait_at(meeting *m)
{
    fiber &f = now->fibers[now->running];
    f.generation = m->generation;
    if (++m->arrived == m->expected) {
        m->arrived = 0;
        m->generation++;
        return;
    }
    f.waits = m;
    swapcontext(&f.context, &now->scheduler);
}

/* Each thread that can go on, once; false when none could. */
bool run_all_once()
{
    bool progress = false;
    for (unsigned i = 0; i < now->fibers.size(); i++) {
        fiber &f = now->fibers[i];
        if (f.done || (f.waits != nullptr && f.waits->generation == f.generation))
            continue;
        f.waits = nullptr;
        now->running = i;
        threadIdx = {i, 0, 0};
        swapcontext(&now->scheduler, &f.context);
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
    while (now->threads.expected != 0)
        if (!run_all_once())
            fail("all threads wait for others");
}

} // namespace

void emulated_run(dim3 grid, dim3 threads, const std::function<void()> &body)
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
            run_block();
        }
}

void emulated_meet_block()
{
    wait_at(&now->threads);
}

const uint64_t *emulated_exchange(uint64_t mine)
{
    warp &w = now->warps[now->running / 32];
    if (w.lanes.expected != 32)
        fail("lanes of its warp have left before an operation of all of them");
    uint64_t *slots = w.slots[w.lanes.generation % 2];
    slots[now->running % 32] = mine;
    wait_at(&w.lanes);
    return slots;
}

void emulated_require_alignment(const void *p, size_t bytes)
{
    if (reinterpret_cast<uintptr_t>(p) % bytes != 0)
        fail("a load at an address that isn't a multiple of its size");
}
