/* cuda_async.cpp: an emulated block's barriers and copies. */
#include "cuda_async.h"

#include <vector>

namespace
{

constexpr size_t DYNAMIC_MOST = 227 << 10;
constexpr int FREE = 0xff; /* bytes that nobody has written, or that are on their way */

alignas(1024) thread_local unsigned char dynamic_bytes[DYNAMIC_MOST];

/* In the 8 bytes that a barrier has. */
struct barrier {
    int32_t bytes; /* to come */
    uint16_t pending;
    uint16_t arrivals : 15, parity : 1;
};

struct named_barrier {
    int arrived, expected;
    unsigned generation;
};

struct bulk_copy {
    void *to;
    const void *from;
    uint32_t bytes;
    barrier *whose;
    unsigned turns;
};

struct small_copy {
    void *to;
    const void *from;
    unsigned group;
};

struct thread_copies {
    std::vector<small_copy> asked;
    unsigned group;
};

struct traffic {
    std::vector<bulk_copy> bulk;
    std::vector<thread_copies> threads;
    named_barrier named[16];
    size_t dynamic;
    uint32_t random;
    uint64_t at_work;
    unsigned turn, seed;
    emulated_previous previous;
    bool waited;
};

thread_local traffic now;

uint32_t draw()
{
    now.random = now.random * 1664525u + 1013904223u;
    return now.random >> 16;
}

barrier *barrier_at(uint32_t at)
{
    static_assert(sizeof(barrier) == 8, "as on a GPU");
    return static_cast<barrier *>(emulated_shared_memory(at, sizeof(barrier)));
}

void end_phase(barrier *b)
{
    if (b->pending != 0 || b->bytes != 0)
        return;
    b->pending = b->arrivals;
    b->parity ^= 1;
}

bool is_through(const void *of, unsigned parity)
{
    return static_cast<const barrier *>(of)->parity != parity;
}

bool is_beyond(const void *of, unsigned generation)
{
    return static_cast<const named_barrier *>(of)->generation != generation;
}

void bring(const bulk_copy &c)
{
    memcpy(c.to, c.from, c.bytes);
    c.whose->bytes -= static_cast<int32_t>(c.bytes);
    end_phase(c.whose);
}

/* Those whose turn it is; false where it is nobody's. */
bool bring_some()
{
    bool some = false;
    for (size_t i = 0; i < now.bulk.size();) {
        if (now.bulk[i].turns-- > 0) {
            i++;
            continue;
        }
        bring(now.bulk[i]);
        now.bulk.erase(now.bulk.begin() + static_cast<ptrdiff_t>(i));
        some = true;
    }
    return some;
}

/* Where a copy goes, until it has come. */
void *free_place(uint32_t at, uint32_t bytes)
{
    unsigned char *const to = static_cast<unsigned char *>(emulated_shared_memory(at, 16));
    if (to < dynamic_bytes || to + bytes > dynamic_bytes + now.dynamic)
        emulated_fail("a copy to where no dynamic shared memory is");
    return memset(to, FREE, bytes);
}

} // namespace

void emulated_barrier_init(uint32_t at, uint32_t arrivals)
{
    *barrier_at(at) = {0, static_cast<uint16_t>(arrivals), static_cast<uint16_t>(arrivals & 0x7fff),
                       0};
}

void emulated_barrier_arrive(uint32_t at, uint32_t bytes)
{
    barrier *const b = barrier_at(at);
    if (b->pending == 0)
        emulated_fail("an arrival too many");
    b->bytes += static_cast<int32_t>(bytes);
    b->pending--;
    end_phase(b);
}

void emulated_barrier_wait(uint32_t at, uint32_t parity)
{
    const barrier *const b = barrier_at(at);
    if (!is_through(b, parity))
        emulated_wait(is_through, b, parity);
}

void emulated_named_arrive(int name, int threads)
{
    named_barrier &b = now.named[name];
    if (b.arrived != 0 && b.expected != threads)
        emulated_fail("threads disagree on how many meet");
    b.expected = threads;
    if (++b.arrived < threads)
        return;
    b.arrived = 0;
    b.generation++;
}

void emulated_named_sync(int name, int threads)
{
    const named_barrier &b = now.named[name];
    const unsigned generation = b.generation;
    emulated_named_arrive(name, threads);
    if (!is_beyond(&b, generation))
        emulated_wait(is_beyond, &b, generation);
}

void emulated_bulk_copy(uint32_t to, const void *from, uint32_t bytes, uint32_t at)
{
    constexpr uint32_t TURNS = 64;
    emulated_require_alignment(from, 16);
    if (bytes == 0 || bytes % 16 != 0)
        emulated_fail("a bulk copy of other than whole 16 bytes");
    now.bulk.push_back({free_place(to, bytes), from, bytes, barrier_at(at), draw() % TURNS});
}

void emulated_copy_16(uint32_t to, const void *from)
{
    thread_copies &mine = now.threads[threadIdx.x];
    emulated_require_alignment(from, 16);
    mine.asked.push_back({free_place(to, 16), from, mine.group});
}

void emulated_copies_commit()
{
    now.threads[threadIdx.x].group++;
}

void emulated_copies_wait(unsigned pending)
{
    thread_copies &mine = now.threads[threadIdx.x];
    size_t count = 0;
    for (; count < mine.asked.size() && mine.asked[count].group + pending < mine.group; count++)
        memcpy(mine.asked[count].to, mine.asked[count].from, 16);
    mine.asked.erase(mine.asked.begin(), mine.asked.begin() + static_cast<ptrdiff_t>(count));
}

unsigned char *emulated_dynamic_shared()
{
    return dynamic_bytes;
}

void emulated_uneven(unsigned seed)
{
    now.seed = seed;
}

void emulated_set_previous(const emulated_previous &previous)
{
    now.previous = previous;
}

void emulated_wait_for_previous()
{
    if (!now.waited && now.previous)
        now.previous(true);
    now.waited = true;
}

void emulated_open_block(unsigned threads, size_t dynamic)
{
    if (dynamic > DYNAMIC_MOST)
        emulated_fail("more shared memory than there is");
    now.threads.resize(threads);
    for (thread_copies &t : now.threads)
        t = {};
    memset(now.named, 0, sizeof now.named);
    now.dynamic = dynamic;
    now.random = now.seed * 2654435761u + blockIdx.x + 64 * blockIdx.y;
    now.turn = 0;
    now.at_work = ~UINT64_C(0);
    now.waited = false;
    if (dynamic > 0)
        memset(dynamic_bytes, FREE, sizeof dynamic_bytes);
    if (now.previous)
        now.previous(false);
}

void emulated_close_block()
{
    if (!now.bulk.empty())
        emulated_fail("a block has ended before its copies");
    for (size_t i = now.dynamic; now.dynamic > 0 && i < DYNAMIC_MOST; i++)
        if (dynamic_bytes[i] != FREE)
            emulated_fail("something was written behind the dynamic shared memory");
}

uint64_t emulated_warps_at_work()
{
    constexpr unsigned TURNS = 256; /* until others rest */
    if (now.seed != 0 && now.turn++ % TURNS == 0)
        now.at_work = static_cast<uint64_t>(draw()) << 32 | draw() << 16 | draw();
    return now.at_work;
}

bool emulated_copies_go_on(bool all_wait)
{
    bool some = bring_some();
    while (all_wait && !some && !now.bulk.empty())
        some = bring_some();
    return some;
}
