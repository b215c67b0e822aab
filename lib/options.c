#include "lib/options.h"

#include "common/error.h"

#include <string.h>

static const ortho_sieve_options defaults = {
    .size = sizeof(ortho_sieve_options),
    .density = 0.01,
    .rule = ORTHO_RULE_OUTLIER,
    .group = 128,
};

ortho_status ortho_options_read(const void *given, size_t size, const char *name, void *out)
{
    memset(out, 0, size);
    if (given == NULL)
        return ORTHO_OK;
    size_t theirs;
    memcpy(&theirs, given, sizeof theirs);
    if (theirs < sizeof theirs || theirs > 1u << 16)
        return ortho_fail(ORTHO_E_ARGUMENT, "%s: size is %zu; set it to sizeof(%s), %zu", name,
                          theirs, name, size);
    for (size_t i = size; i < theirs; i++)
        if (((const unsigned char *)given)[i] != 0)
            return ortho_fail(ORTHO_E_UNSUPPORTED,
                              "%s asks for something that this version doesn't know", name);
    memcpy(out, given, theirs < size ? theirs : size);
    return ORTHO_OK;
}

ortho_status ortho_sieve_options_read(const ortho_sieve_options *given, ortho_sieve_options *out)
{
    ortho_sieve_options o;
    ortho_status status =
        ortho_options_read(given != NULL ? given : &defaults, sizeof o, "ortho_sieve_options", &o);
    if (status != ORTHO_OK)
        return status;
    if (!(o.density >= 0.0 && o.density <= 1.0))
        return ortho_fail(ORTHO_E_ARGUMENT, "density is %g; it must be 0 to 1", o.density);
    if (o.rule != ORTHO_RULE_OUTLIER && o.rule != ORTHO_RULE_RESIDUAL &&
        o.rule != ORTHO_RULE_LEGACY)
        return ortho_fail(ORTHO_E_ARGUMENT, "rule is %d, which is none", (int)o.rule);
    if (o.group != 0 && o.group != 32 && o.group != 64 && o.group != 128)
        return ortho_fail(ORTHO_E_ARGUMENT, "group is %d; it must be 32, 64, 128, or 0 for the row",
                          (int)o.group);
    if (o.threads < 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "threads is %d; it must be >= 0", (int)o.threads);
    if (o.device < ORTHO_DEVICE_AUTO || o.device > ORTHO_DEVICE_CUDA)
        return ortho_fail(ORTHO_E_ARGUMENT, "device is %d, which is none", (int)o.device);
    *out = o;
    return ORTHO_OK;
}
