#include <ortho/variant.h>
extern const ortho_sieve_hooks ortho_csr_sieve_cpu;
const ortho_sieve_hooks ortho_csr_sieve_cpu = {.state_size = 0};
