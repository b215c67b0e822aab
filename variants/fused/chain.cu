/*
 * fused on CUDA, persistent form: a chain of linears, one token, in one launch.
 *
 * A block a multiprocessor, all of them there at once (a cooperative launch). Block i has part
 * i + turn of each linear; its ring goes on from one linear to the next, so that weights never wait
 * for x. x is handed over by the data itself: the workspace is filled with a pattern beforehand
 * (0xffff, a NaN that no conversion makes), outputs are written there as well as to y, and who
 * needs them as x reads until every word is another. There is no counter, no fence and no barrier
 * of the grid.
 *
 * Expected to limit it: DRAM, as long as the ring bridges the way from the last sum of one linear
 * to the first x of the next.
 */
#include "common/dtype.h"
#include "kernels/cuda/base_gemm.h"
#include "kernels/cuda/csr_gemm.h"
#include "kernels/cuda/status.h"
#include "variants/fused/chain.cuh"

#include <algorithm>
#include <string.h>
#include <vector>

namespace ortho_fused
{

namespace
{

/* The state of a chain. One allocation, at stints. */
struct chain {
    stint *stints;
    command *commands;
    bundle_command *bundles;
    uint32_t *first_command, *first_bundle, *maps;
    int count, rounds, blocks, groups, slot_bytes, slots;
    uint32_t hand_units; /* of the workspace */
    ortho_dtype dtype;
};

const state *state_of(const ortho_chain_step &step)
{
    return static_cast<const state *>(step.state);
}

ortho_status refuse(const ortho_services *s, int step, const char *why)
{
    return s->fail(ORTHO_E_UNSUPPORTED, "step %d of the chain: %s", step, why);
}

ortho_status check(const ortho_chain_problem *p, const ortho_services *s)
{
    if (p->dtype != ORTHO_F16 && p->dtype != ORTHO_BF16)
        return s->fail(ORTHO_E_UNSUPPORTED, "a chain takes fp16 and bf16, not %s",
                       ortho_dtype_name(p->dtype));
    if (p->count < 1 || p->count > ORTHO_CHAIN_MAX)
        return s->fail(ORTHO_E_UNSUPPORTED, "a chain has 1 to %d steps, not %d", ORTHO_CHAIN_MAX,
                       p->count);
    if (!state_of(p->steps[0])->bulk)
        return s->fail(ORTHO_E_UNSUPPORTED, "a chain needs a GPU of compute capability 9.0, and "
                                            "code compiled for it");
    for (int i = 0; i < p->count; i++)
        if (p->steps[i].n % 8 != 0 || p->steps[i].k % 8 != 0 ||
            (p->steps[i].x_at >= 0 && p->steps[i].x_at % 8 != 0))
            return refuse(s, i, "rows, columns and x_at must be multiples of 8");
        else if (p->steps[i].k > WINDOW_COLUMNS)
            return refuse(s, i, "more than 8192 columns");
    for (int i = 1; i < p->count; i++)
        if (state_of(p->steps[i])->w.s.groups != state_of(p->steps[0])->w.s.groups)
            return refuse(s, i, "its groups are others than the first step's");
    return ORTHO_OK;
}

/* Dynamic shared memory of a block. */
int chain_bytes(const chain *c)
{
    return TASKS_BYTES + ring_bytes(c->slots, c->slot_bytes) + chain_sums::BYTES + CHAIN_X_BYTES;
}

void measure(const ortho_chain_problem *p, chain *c)
{
    c->count = p->count;
    c->dtype = p->dtype;
    c->groups = state_of(p->steps[0])->w.s.groups;
    for (int i = 0; i < p->count; i++) {
        const shape &s = state_of(p->steps[i])->w.s;
        const int bytes = s.panel_images(0, 0) * s.image_bytes();
        c->slot_bytes = bytes > c->slot_bytes ? bytes : c->slot_bytes;
        c->blocks = s.parts > c->blocks ? s.parts : c->blocks;
    }
    /* chain_bytes without slots is all the rest */
    c->slots = (BLOCK_MOST - CHAIN_STATIC - chain_bytes(c)) / ring_bytes(1, c->slot_bytes);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A line of the L2 is never written by two blocks: see add_map. */
constexpr uint32_t LINE_UNITS = 128 / (UNIT_ROWS * 2), HAND_UNITS_MOST = 1u << (32 - PLACE_BITS);

/* A linear while the tables are made: its own on the host, and where it stands in the chain. */
struct link {
    const state *s;
    const uint32_t *begin, *unit; /* host */
    int64_t y_at;
    int turn;
    uint32_t hand_at, hand_units; /* units handed over by the links before; by a part */
};

/* Where a unit's outputs are handed over, in units. */
uint32_t hand_of(const link &l, int part, int local)
{
    return l.hand_at + static_cast<uint32_t>(part) * l.hand_units + static_cast<uint32_t>(local);
}

/* A round: `count` linears from `first` on; one of several batches stands alone. */
struct round_of_links {
    int first, count, batch;
    bool staged;
};

/* A number of a table. Not uint32_t itself: a vector of that would be a symbol of the library's. */
struct number {
    uint32_t value;
};

struct tables {
    const ortho_chain_problem *p;
    const chain *c;
    std::vector<link> links;
    std::vector<number> numbers; /* of all links: begin, unit */
    std::vector<round_of_links> rounds;
    std::vector<stint> stints;
    std::vector<command> commands;
    std::vector<bundle_command> bundles;
    std::vector<number> first_command, first_bundle, maps;
    std::vector<number> map_of_round; /* where its map begins */
};

bool same_x(const ortho_chain_step &a, const ortho_chain_step &b)
{
    return a.x_at == b.x_at && a.k == b.k;
}

/* Steps that share x follow each other in rounds; the first of them brings x. */
void add_rounds(tables *t)
{
    const ortho_chain_step *steps = t->p->steps;
    for (int i = 0; i < t->p->count;) {
        int end = i + 1, units[ORTHO_CHAIN_MAX], sizes[ORTHO_CHAIN_MAX];
        while (end < t->p->count && same_x(steps[i], steps[end]))
            end++;
        for (int j = i; j < end; j++)
            units[j] = t->links[j].s->w.s.units_of(0);
        mark_rounds(units + i, end - i, sizes + i);
        for (int first = i; i < end; i += sizes[i])
            for (int batch = 0; batch < t->links[i].s->w.s.batches; batch++)
                t->rounds.push_back({i, sizes[i], batch, i > first || batch > 0});
    }
}

ortho_status read_links(tables *t, const ortho_services *s)
{
    size_t all = 0;
    for (int i = 0; i < t->p->count; i++) {
        const shape &of = state_of(t->p->steps[i])->w.s;
        all += static_cast<size_t>(of.sections()) + 1 + static_cast<size_t>(of.units);
    }
    t->numbers.resize(all);
    uint32_t *to = &t->numbers.data()->value;
    int64_t y_at = 0;
    int turn = 0;
    uint32_t hand = 0;
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < t->p->count && status == ORTHO_OK; i++) {
        const state *st = state_of(t->p->steps[i]);
        const size_t sections = static_cast<size_t>(st->w.s.sections()) + 1,
                     units = static_cast<size_t>(st->w.s.units);
        status = ortho_cuda_fetch(to, st->w.begin, sections * 4, s);
        if (status == ORTHO_OK)
            status = ortho_cuda_fetch(to + sections, st->w.unit, units * 4, s);
        const uint32_t each =
            (static_cast<uint32_t>(st->w.s.units_of(0)) + LINE_UNITS - 1) / LINE_UNITS * LINE_UNITS;
        t->links.push_back({st, to, to + sections, y_at, turn, hand, each});
        hand += each * static_cast<uint32_t>(st->w.s.parts);
        to += sections + units;
        y_at += st->w.s.n;
        turn = (turn + st->w.s.extra) % t->c->blocks;
    }
    return status;
}

/* Outputs are handed over in the order of the blocks that write them, each block's on lines of its
 * own, not in that of y: there a line has up to eight writers, at eight times, while all blocks
 * read it, which makes every round wait longer. A map lists the vectors of one x in the order in
 * which they are handed over. */
void add_map(tables *t, const ortho_chain_step &step)
{
    std::vector<number> &maps = t->maps;
    const size_t first = maps.size(), vectors = static_cast<size_t>(step.k / 8);
    t->map_of_round.push_back({static_cast<uint32_t>(first)});
    for (uint32_t i = 0; step.x_at < 0 && i < vectors; i++)
        maps.push_back({i << PLACE_BITS | i});
    for (size_t i = 0; step.x_at >= 0 && i < t->links.size(); i++) {
        const link &l = t->links[i];
        const shape &of = l.s->w.s;
        for (int part = 0; part < of.parts; part++)
            for (int u = 0; u < of.units_of(part); u++) {
                const int64_t place = (l.y_at - step.x_at) / 8 + l.unit[of.first_unit(part) + u];
                if (place >= 0 && place < static_cast<int64_t>(vectors))
                    maps.push_back(
                        {hand_of(l, part, u) << PLACE_BITS | static_cast<uint32_t>(place)});
            }
    }
}

/* What a block does of a round: its stint, and the commands that bring its weights. */
void add_stint(tables *t, const round_of_links &r, int block)
{
    const ortho_chain_step &head = t->p->steps[r.first];
    const shape &any = t->links[r.first].s->w.s;
    stint s = {};
    s.callers = head.x_at < 0;
    s.map = t->map_of_round[static_cast<size_t>(&r - t->rounds.data())].value;
    s.k = static_cast<int>(head.k);
    s.images = any.images;
    s.staged = r.staged;
    for (int i = 0; i < r.count; i++) {
        const link &l = t->links[r.first + i];
        const int part = (block + l.turn) % t->c->blocks;
        for (int u = 0; u < l.s->w.s.units_of_batch(part, r.batch); u++)
            for (int panel = 0; panel < any.panels_of(0); panel++) {
                const uint32_t bytes = any.panel_images(0, panel) * any.image_bytes();
                t->commands.push_back(
                    {l.s->w.base + l.s->w.s.panel_at(part, r.batch, 0, panel) + u * bytes, bytes,
                     0});
            }
    }
    for (int i = 0; i < r.count; i++) {
        const link &l = t->links[r.first + i];
        const int part = (block + l.turn) % t->c->blocks,
                  units = l.s->w.s.units_of_batch(part, r.batch);
        for (int u = 0; u < units; u++, s.units++) {
            const uint32_t unit = l.unit[l.s->w.s.first_unit(part) + r.batch * BATCH_UNITS + u];
            s.unit[s.units] = {static_cast<uint32_t>(l.y_at + unit * UNIT_ROWS),
                               hand_of(l, part, r.batch * BATCH_UNITS + u) * UNIT_ROWS,
                               t->p->steps[r.first + i].scale};
        }
    }
    t->stints.push_back(s);
}

/* The bundles of a block's round, every CHAIN_ORTHO-th of them a warp's; `next`: whose turn it is.
 */
void add_bundles(tables *t, int round, int block, int warp, int *next)
{
    const round_of_links &r = t->rounds[static_cast<size_t>(round)];
    int row = 0;
    for (int i = 0; i < r.count; i++) {
        const link &l = t->links[r.first + i];
        const int part = (block + l.turn) % t->c->blocks,
                  units = l.s->w.s.units_of_batch(part, r.batch);
        const uint32_t *begin = l.begin + (units > 0 ? l.s->w.s.section(part, r.batch, 0) : 0);
        const uint32_t end = units > 0 ? begin[1] : begin[0];
        const uint32_t each = static_cast<uint32_t>(bundle_steps(static_cast<int>(end - begin[0])));
        for (uint32_t step = begin[0]; step < end; step += each, (*next)++)
            if (*next % CHAIN_ORTHO == warp)
                t->bundles.push_back({l.s->w.ortho + static_cast<size_t>(step) * STEP_BYTES,
                                      static_cast<uint8_t>(std::min(each, end - step)),
                                      static_cast<uint8_t>(row), static_cast<uint16_t>(r.first + i),
                                      static_cast<uint32_t>(round)});
        row += units * UNIT_ROWS;
    }
}

void add_block(tables *t, int block)
{
    t->first_command.push_back({static_cast<uint32_t>(t->commands.size())});
    for (const round_of_links &r : t->rounds)
        add_stint(t, r, block);
    for (int warp = 0; warp < CHAIN_ORTHO; warp++) {
        int next = 0;
        t->first_bundle.push_back({static_cast<uint32_t>(t->bundles.size())});
        for (size_t i = 0; i < t->rounds.size(); i++)
            add_bundles(t, static_cast<int>(i), block, warp, &next);
    }
}

ortho_status keep_tables(const tables &t, const ortho_services *s, chain *c)
{
    const size_t stints = t.stints.size() * sizeof(stint),
                 commands = t.commands.size() * sizeof(command),
                 bundles = t.bundles.size() * sizeof(bundle_command),
                 firsts = t.first_command.size() * sizeof(uint32_t),
                 seconds = t.first_bundle.size() * sizeof(uint32_t),
                 all = stints + commands + bundles + firsts + seconds +
                       t.maps.size() * sizeof(uint32_t);
    void *there = nullptr;
    char *to = static_cast<char *>(s->alloc(s->ctx, all, ORTHO_HOST, ORTHO_WORKING));
    if (to == nullptr)
        return ORTHO_E_MEMORY;
    memcpy(to, t.stints.data(), stints);
    memcpy(to + stints, t.commands.data(), commands);
    if (bundles > 0)
        memcpy(to + stints + commands, t.bundles.data(), bundles);
    memcpy(to + stints + commands + bundles, t.first_command.data(), firsts);
    memcpy(to + stints + commands + bundles + firsts, t.first_bundle.data(), seconds);
    memcpy(to + stints + commands + bundles + firsts + seconds, t.maps.data(),
           t.maps.size() * sizeof(uint32_t));
    ortho_status status = ortho_cuda_keep(to, all, s, &there);
    const ortho_status waited = ortho_cuda_status(
        cudaStreamSynchronize(static_cast<cudaStream_t>(s->stream)), "upload of a chain");
    s->free(s->ctx, to);
    status = status != ORTHO_OK ? status : waited;
    if (status != ORTHO_OK)
        s->free(s->ctx, there);
    char *at = static_cast<char *>(there);
    c->stints = reinterpret_cast<stint *>(at);
    c->commands = reinterpret_cast<command *>(at += stints);
    c->bundles = reinterpret_cast<bundle_command *>(at += commands);
    c->first_command = reinterpret_cast<uint32_t *>(at += bundles);
    c->first_bundle = reinterpret_cast<uint32_t *>(at += firsts);
    c->maps = reinterpret_cast<uint32_t *>(at + seconds);
    return status;
}

ortho_status prepare_chain(void *opaque, const ortho_chain_problem *p, const ortho_services *s)
{
    chain made = {};
    tables t = {};
    ortho_status status = check(p, s);
    if (status != ORTHO_OK)
        return status;
    measure(p, &made);
    t.p = p;
    t.c = &made;
    status = read_links(&t, s);
    if (status != ORTHO_OK)
        return status;
    made.hand_units = hand_of(t.links.back(), t.links.back().s->w.s.parts, 0);
    if (made.hand_units > HAND_UNITS_MOST)
        return refuse(s, p->count - 1, "more outputs than a map can number");
    add_rounds(&t);
    for (const round_of_links &r : t.rounds)
        add_map(&t, p->steps[r.first]);
    made.rounds = static_cast<int>(t.rounds.size());
    for (int block = 0; block < made.blocks; block++)
        add_block(&t, block);
    t.first_command.push_back({static_cast<uint32_t>(t.commands.size())});
    t.first_bundle.push_back({static_cast<uint32_t>(t.bundles.size())});
    status = keep_tables(t, s, &made);
    if (status == ORTHO_OK)
        *static_cast<chain *>(opaque) = made;
    return status;
}

void release_chain(void *opaque, const ortho_services *s)
{
    chain *c = static_cast<chain *>(opaque);
    s->free(s->ctx, c->stints);
    *c = chain{};
}

typedef void chain_fn(const chain_launch);

template <typename A> chain_fn *kernel_of_groups(int groups)
{
    return groups == 1 ? chain_kernel<A, 1> : groups == 2 ? chain_kernel<A, 2> : chain_kernel<A, 4>;
}

chain_fn *kernel_of(const chain *c)
{
    return c->dtype == ORTHO_F16 ? kernel_of_groups<half_activations>(c->groups)
                                 : kernel_of_groups<bfloat_activations>(c->groups);
}

size_t chain_workspace(const void *opaque)
{
    return static_cast<size_t>(static_cast<const chain *>(opaque)->hand_units) * UNIT_ROWS * 2;
}

ortho_status run_chain(const void *opaque, const ortho_chain_call *call)
{
    const chain *c = static_cast<const chain *>(opaque);
    if ((reinterpret_cast<uintptr_t>(call->x) | reinterpret_cast<uintptr_t>(call->y)) % 16 != 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "a chain's x and y must be aligned to 16 bytes");
    chain_fn *kernel = kernel_of(c);
    chain_launch l = {c->stints,       c->commands, c->bundles, c->first_command,
                      c->first_bundle, c->maps,     call->x,    call->y,
                      call->workspace, c->rounds,   c->slots,   c->slot_bytes,
                      CHAIN_FLIGHT,    {}};
    for (int i = 0; i < c->count; i++)
        l.alpha[i] = call->alpha[i];
    const cudaStream_t stream = static_cast<cudaStream_t>(call->stream);
    const int memory = chain_bytes(c);
    cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
    if (error == cudaSuccess)
        error = cudaMemsetAsync(call->workspace, 0xff, chain_workspace(c), stream);
    if (error != cudaSuccess)
        return ortho_cuda_status(error, "preparing chain_kernel");
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(c->blocks));
    config.blockDim = dim3(CHAIN_THREADS);
    config.dynamicSmemBytes = static_cast<size_t>(memory);
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
    return ortho_cuda_status(cudaLaunchKernelEx(&config, kernel, l), "chain_kernel");
}

void chain_kernels(const void *opaque, const ortho_kernel_sink *sink)
{
    const chain *c = static_cast<const chain *>(opaque);
    ortho_cuda_kernel_report("chain_kernel", reinterpret_cast<const void *>(kernel_of(c)),
                             CHAIN_THREADS, static_cast<size_t>(chain_bytes(c)), sink);
}

} // namespace

const ortho_chain_hooks chain_hooks = {
    .state_size = sizeof(chain),
    .prepare = prepare_chain,
    .workspace = chain_workspace,
    .run = run_chain,
    .release = release_chain,
    .kernels = chain_kernels,
};

} // namespace ortho_fused
