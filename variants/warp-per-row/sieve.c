#include <ortho/variant.h>
extern const ortho_sieve_hooks ortho_warp_per_row_sieve_cpu;
const ortho_sieve_hooks ortho_warp_per_row_sieve_cpu = {.state_size = 0};
