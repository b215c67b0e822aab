/* model_config.h: the config.json of an artifact, by which Transformers knows that it is one. */
#ifndef ORTHO_LIB_MODEL_CONFIG_H
#define ORTHO_LIB_MODEL_CONFIG_H

#include <ortho/ortho.h>

#define ORTHO_MODEL_CONFIG_NAME "config.json"
#define ORTHO_MODEL_CONFIG_ROOM 1024 /* bytes that it may grow by */

/* Puts libortho's quantization_config into the text of the source's config.json, which `file` names
 * in messages. Every other byte stays. *text is replaced, and the old one freed; on failure it
 * stays. FORMAT: it is no JSON object; UNSUPPORTED: the source is quantised already. */
ortho_status ortho_model_config_tell(const char *file, const ortho_sieve_options *sieve,
                                     char **text, size_t *length);

#endif
