/* stub */
#include <ortho/variant.h>
static ortho_status prepare(void *, const ortho_sieve_problem *, const ortho_services *s)
{
    return s->fail(ORTHO_E_UNSUPPORTED, "not yet");
}
static ortho_status run(void *, const ortho_sieve_problem *, const ortho_services *)
{
    return ORTHO_E_UNSUPPORTED;
}
static ortho_status exp(const void *, ortho_split *, const ortho_services *)
{
    return ORTHO_E_UNSUPPORTED;
}
static void release(void *, const ortho_services *)
{
}
extern "C" const ortho_sieve_hooks ortho_block_csr_sieve_cuda;
const ortho_sieve_hooks ortho_block_csr_sieve_cuda = {.state_size = 0,
                                                      .supports = nullptr,
                                                      .prepare = prepare,
                                                      .run = run,
                                                      .export_split = exp,
                                                      .release = release};
