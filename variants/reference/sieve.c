#include <ortho/variant.h>
extern const ortho_sieve_hooks ortho_reference_sieve_cpu;
const ortho_sieve_hooks ortho_reference_sieve_cpu = {.state_size = 0};
