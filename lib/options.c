#include "lib/options.h"

#include "common/error.h"

#include <stddef.h>
#include <string.h>

static ortho_status fail_unknown(const char *name)
{
    return ortho_fail(ORTHO_E_UNSUPPORTED,
                      "%s asks for something that version %d.%d.%d doesn't know", name,
                      ORTHO_VERSION_MAJOR, ORTHO_VERSION_MINOR, ORTHO_VERSION_PATCH);
}

static ortho_status check_size(const ortho_form *form, size_t size)
{
    if (size >= form->least)
        return ORTHO_OK;
    return ortho_fail(ORTHO_E_ARGUMENT, "%s.size is %zu; set it to sizeof(%s), %zu", form->name,
                      size, form->name, form->bytes);
}

ortho_status ortho_options_read(const ortho_form *form, const void *from, void *to)
{
    size_t size;
    memcpy(&size, from, sizeof size);
    ortho_status status = check_size(form, size);
    for (size_t i = form->bytes; i < size && status == ORTHO_OK; i++)
        if (((const unsigned char *)from)[i] != 0)
            status = fail_unknown(form->name);
    if (status != ORTHO_OK)
        return status;
    memset(to, 0, form->bytes);
    memcpy(to, from, size < form->bytes ? size : form->bytes);
    return ORTHO_OK;
}

ortho_status ortho_info_write(const ortho_form *form, const void *from, void *to)
{
    size_t size;
    memcpy(&size, to, sizeof size);
    ortho_status status = check_size(form, size);
    if (status != ORTHO_OK)
        return status;
    memset(to, 0, size);
    memcpy(to, from, size < form->bytes ? size : form->bytes);
    memcpy(to, &size, sizeof size);
    return ORTHO_OK;
}

ortho_status ortho_activations_check(int32_t activations, int32_t unused)
{
    if (activations != ORTHO_ACTIVATIONS_EXACT && activations != ORTHO_ACTIVATIONS_INT8)
        return ortho_fail(ORTHO_E_ARGUMENT, "activations is %d, which is none", (int)activations);
    return unused == 0 ? ORTHO_OK : fail_unknown("a layer's options: `unused`");
}

/* ---- the sieve's ----------------------------------------------------------------------------- */

static const ortho_form sieve_form = {
    .name = "ortho_sieve_options",
    .least = offsetof(ortho_sieve_options, device),
    .bytes = sizeof(ortho_sieve_options),
};

static const ortho_sieve_options sieve_defaults = {
    .size = sizeof(ortho_sieve_options),
    .density = 0.01,
    .rule = ORTHO_RULE_OUTLIER,
    .group = 128,
};

static ortho_status check_sieve(const ortho_sieve_options *o)
{
    if (!(o->density >= 0.0 && o->density <= 1.0))
        return ortho_fail(ORTHO_E_ARGUMENT, "density is %g; it must be 0 to 1", o->density);
    if (o->rule != ORTHO_RULE_OUTLIER && o->rule != ORTHO_RULE_RESIDUAL &&
        o->rule != ORTHO_RULE_LEGACY)
        return ortho_fail(ORTHO_E_ARGUMENT, "rule is %d, which is none", (int)o->rule);
    if (o->group != 0 && o->group != 32 && o->group != 64 && o->group != 128)
        return ortho_fail(ORTHO_E_ARGUMENT, "group is %d; it must be 32, 64, 128, or 0 for the row",
                          (int)o->group);
    if (o->threads < 0)
        return ortho_fail(ORTHO_E_ARGUMENT, "threads is %d; it must be >= 0", (int)o->threads);
    return ortho_activations_check(o->activations, o->unused);
}

ortho_status ortho_sieve_options_read(const ortho_sieve_options *from, ortho_sieve_options *to)
{
    ortho_sieve_options o = sieve_defaults;
    ortho_status status = from != NULL ? ortho_options_read(&sieve_form, from, &o) : ORTHO_OK;
    if (status == ORTHO_OK)
        status = check_sieve(&o);
    if (status == ORTHO_OK)
        *to = o;
    return status;
}
