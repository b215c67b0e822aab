#include "lib/options.h"

#include "common/error.h"

#include <string.h>

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
            status = ortho_fail(
                ORTHO_E_UNSUPPORTED, "%s asks for something that version %d.%d.%d doesn't know",
                form->name, ORTHO_VERSION_MAJOR, ORTHO_VERSION_MINOR, ORTHO_VERSION_PATCH);
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
