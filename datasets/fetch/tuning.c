/* tuning.c: how patient a fetch is, from the environment: tests hurry, a bad line may not. */
#include "common/error.h"
#include "datasets/fetch/fetch.h"

#include <math.h>
#include <stdlib.h>

/* A number from the environment, in [min, max]; `fallback` when it isn't set. */
static ortho_status number(const char *name, double fallback, double min, double max, double *out)
{
    const char *text = getenv(name);
    char *end;
    double value = text && text[0] ? strtod(text, &end) : fallback;
    if (text && text[0] && (*end != '\0' || !isfinite(value) || value < min || value > max))
        return ortho_fail(ORTHO_E_ARGUMENT, "%s=%.40s: a number from %g to %g", name, text, min,
                          max);
    *out = value;
    return ORTHO_OK;
}

ortho_status ortho_fetch_tuning_find(ortho_fetch_tuning *out)
{
    double piece = 0, attempts = 0, backoff = 0, timeout = 0;
    ortho_status status = number("ORTHO_FETCH_PIECE", 8 << 20, 1 << 10, 1 << 30, &piece);
    if (status == ORTHO_OK)
        status = number("ORTHO_FETCH_ATTEMPTS", 6, 1, 100, &attempts);
    if (status == ORTHO_OK)
        status = number("ORTHO_FETCH_BACKOFF", 0.5, 0.001, 30, &backoff);
    if (status == ORTHO_OK)
        status = number("ORTHO_FETCH_TIMEOUT", 30, 1, 3600, &timeout);
    if (status == ORTHO_OK)
        *out = (ortho_fetch_tuning){.piece = (uint64_t)piece,
                                    .attempts = (int)attempts,
                                    .backoff = backoff,
                                    .timeout = (long)timeout};
    return status;
}
