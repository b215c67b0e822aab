/*
 * plugin.h: variants that were built elsewhere. A shared object exports `ortho_plugin`; its
 * descriptor is checked before anything of it is called, and so are the built-in ones.
 */
#ifndef ORTHO_HARNESS_PLUGIN_H
#define ORTHO_HARNESS_PLUGIN_H

#include <ortho/variant.h>

typedef struct ob_plugin {
    void *handle;
    const char *path; /* as given; the caller's string */
    const ortho_variant *variant;
} ob_plugin;

/* Checks a descriptor: ABI, size, name, backend, role, at least one operation, every required
 * hook. ARGUMENT says which is wrong and what was expected. `from` stands before the message. */
ortho_status ob_variant_check(const ortho_variant *variant, const char *from);

/* Loads FILE.so. NOT_FOUND, ARGUMENT with a clear word. */
ortho_status ob_plugin_load(const char *path, ob_plugin *out);

/* Unloads. Nothing of the variant may be used afterwards. Safe on a zeroed one. */
void ob_plugin_unload(ob_plugin *plugin);

#endif
