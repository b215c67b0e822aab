/*
 * fused on CUDA, persistent form: a chain of linears, one token, in one launch.
 *
 * A block a multiprocessor, all of them there at once (a cooperative launch). Block i has part
 * i + turn of each linear; its ring goes on from one linear to the next, so that weights never wait
 * for x. x is handed over by the data itself: y is filled with a pattern beforehand (0xffff, a NaN
 * that no conversion makes) and who needs it as x reads until every word is another. There is no
 * counter, no fence and no barrier of the grid.
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
    uint32_t *first_command;
    int count, rounds, blocks, groups, slot_bytes, slots;
    int64_t outputs; /* of all steps */
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
    return ring_bytes(c->slots, c->slot_bytes) + CHAIN_X_BYTES + sums_bytes(CHAIN_WARPS, 1);
}

void measure(const ortho_chain_problem *p, chain *c)
{
    c->count = p->count;
    c->dtype = p->dtype;
    c->groups = state_of(p->steps[0])->w.s.groups;
    for (int i = 0; i < p->count; i++) {
        const shape &s = state_of(p->steps[i])->w.s;
        const int bytes = s.panel_images(0, 0) * s.image_bytes();
        c->outputs += p->steps[i].n;
        c->slot_bytes = bytes > c->slot_bytes ? bytes : c->slot_bytes;
        c->blocks = s.parts > c->blocks ? s.parts : c->blocks;
    }
    /* chain_bytes without slots is all the rest */
    c->slots = (BLOCK_MOST - CHAIN_STATIC - chain_bytes(c)) / ring_bytes(1, c->slot_bytes);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A linear while the tables are made: its own on the host, and where it stands in the chain. */
struct link {
    const state *s;
    const uint32_t *begin, *unit; /* host */
    int64_t y_at;
    int turn;
};

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
    std::vector<number> first_command;
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
    ortho_status status = ORTHO_OK;
    for (int i = 0; i < t->p->count && status == ORTHO_OK; i++) {
        const state *st = state_of(t->p->steps[i]);
        const size_t sections = static_cast<size_t>(st->w.s.sections()) + 1,
                     units = static_cast<size_t>(st->w.s.units);
        status = ortho_cuda_fetch(to, st->w.begin, sections * 4, s);
        if (status == ORTHO_OK)
            status = ortho_cuda_fetch(to + sections, st->w.unit, units * 4, s);
        t->links.push_back({st, to, to + sections, y_at, turn});
        to += sections + units;
        y_at += st->w.s.n;
        turn = (turn + st->w.s.extra) % t->c->blocks;
    }
    return status;
}

/* What a block does of a round: its stint, and the commands that bring its weights. */
void add_stint(tables *t, const round_of_links &r, int block)
{
    const ortho_chain_step &head = t->p->steps[r.first];
    const shape &any = t->links[r.first].s->w.s;
    stint s = {};
    s.x_at = head.x_at;
    s.k = static_cast<int>(head.k);
    s.images = any.images;
    s.staged = r.staged;
    s.linears = static_cast<uint8_t>(r.count) & 127;
    s.step = static_cast<uint16_t>(r.first);
    for (int i = 0; i < r.count; i++) {
        const link &l = t->links[r.first + i];
        const int part = (block + l.turn) % t->c->blocks;
        for (int u = 0; u < l.s->w.s.units_of_batch(part, r.batch); u++)
            for (int panel = 0; panel < any.panels_of(0); panel++) {
                const uint32_t bytes = any.panel_images(0, panel) * any.image_bytes();
                t->commands.push_back(
                    {l.s->w.base + l.s->w.s.panel_at(part, r.batch, 0, panel) + u * bytes, bytes,
                     -1});
            }
    }
    for (int i = 0; i < r.count; i++) {
        const link &l = t->links[r.first + i];
        const int part = (block + l.turn) % t->c->blocks,
                  units = l.s->w.s.units_of_batch(part, r.batch);
        s.row[i] = static_cast<uint8_t>(s.units * UNIT_ROWS);
        for (int u = 0; u < units; u++, s.units++) {
            const uint32_t unit = l.unit[l.s->w.s.first_unit(part) + r.batch * BATCH_UNITS + u];
            s.unit[s.units] = {static_cast<uint32_t>(l.y_at) + unit * UNIT_ROWS,
                               t->p->steps[r.first + i].scale};
        }
        if (units == 0)
            continue;
        const uint32_t *begin = l.begin + l.s->w.s.section(part, r.batch, 0);
        s.steps[i] = static_cast<uint16_t>(begin[1] - begin[0]);
        const uint32_t most =
            static_cast<uint32_t>(steps_of_slot(s.steps[i], t->c->slot_bytes / STEP_BYTES));
        for (uint32_t step = begin[0]; step < begin[1]; step += most)
            t->commands.push_back({l.s->w.ortho + static_cast<size_t>(step) * STEP_BYTES,
                                   std::min(most, begin[1] - step) * STEP_BYTES, r.first + i});
    }
    t->stints.push_back(s);
}

ortho_status keep_tables(const tables &t, const ortho_services *s, chain *c)
{
    const size_t stints = t.stints.size() * sizeof(stint),
                 commands = t.commands.size() * sizeof(command),
                 firsts = t.first_command.size() * sizeof(uint32_t);
    void *there = nullptr;
    char *to = static_cast<char *>(
        s->alloc(s->ctx, stints + commands + firsts, ORTHO_HOST, ORTHO_WORKING));
    if (to == nullptr)
        return ORTHO_E_MEMORY;
    memcpy(to, t.stints.data(), stints);
    memcpy(to + stints, t.commands.data(), commands);
    memcpy(to + stints + commands, t.first_command.data(), firsts);
    ortho_status status = ortho_cuda_keep(to, stints + commands + firsts, s, &there);
    const ortho_status waited = ortho_cuda_status(
        cudaStreamSynchronize(static_cast<cudaStream_t>(s->stream)), "upload of a chain");
    s->free(s->ctx, to);
    status = status != ORTHO_OK ? status : waited;
    if (status != ORTHO_OK)
        s->free(s->ctx, there);
    c->stints = static_cast<stint *>(there);
    c->commands = reinterpret_cast<command *>(static_cast<char *>(there) + stints);
    c->first_command = reinterpret_cast<uint32_t *>(static_cast<char *>(there) + stints + commands);
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
    add_rounds(&t);
    made.rounds = static_cast<int>(t.rounds.size());
    for (int block = 0; block < made.blocks; block++) {
        t.first_command.push_back({static_cast<uint32_t>(t.commands.size())});
        for (const round_of_links &r : t.rounds)
            add_stint(&t, r, block);
    }
    t.first_command.push_back({static_cast<uint32_t>(t.commands.size())});
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

ortho_status run_chain(const void *opaque, const ortho_chain_call *call)
{
    const chain *c = static_cast<const chain *>(opaque);
    if ((reinterpret_cast<uintptr_t>(call->x) | reinterpret_cast<uintptr_t>(call->y)) % 16 != 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "a chain's x and y must be aligned to 16 bytes");
    chain_fn *kernel = kernel_of(c);
    chain_launch l = {c->stints, c->commands, c->first_command, call->x,      call->y,
                      c->rounds, c->slots,    c->slot_bytes,    CHAIN_FLIGHT, {}};
    for (int i = 0; i < c->count; i++)
        l.alpha[i] = call->alpha[i];
    const cudaStream_t stream = static_cast<cudaStream_t>(call->stream);
    const int memory = chain_bytes(c);
    cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, memory);
    if (error == cudaSuccess)
        error = cudaMemsetAsync(call->y, 0xff, static_cast<size_t>(c->outputs) * 2, stream);
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
    .run = run_chain,
    .release = release_chain,
    .kernels = chain_kernels,
};

} // namespace ortho_fused
