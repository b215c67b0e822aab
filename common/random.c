#include "common/random.h"

ortho_random ortho_random_seeded(uint64_t seed)
{
    ortho_random g;
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        g.s[i] = z ^ (z >> 31);
    }
    return g;
}

static uint64_t rotate_left(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

uint64_t ortho_random_next(ortho_random *g)
{
    uint64_t result = rotate_left(g->s[1] * 5, 7) * 9, t = g->s[1] << 17;
    g->s[2] ^= g->s[0];
    g->s[3] ^= g->s[1];
    g->s[1] ^= g->s[2];
    g->s[0] ^= g->s[3];
    g->s[2] ^= t;
    g->s[3] = rotate_left(g->s[3], 45);
    return result;
}

size_t ortho_random_below(ortho_random *g, size_t n)
{
    return (size_t)(((ortho_random_next(g) >> 32) * (uint64_t)n) >> 32);
}
