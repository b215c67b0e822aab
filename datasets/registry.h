/*
 * registry.h: datasets/models.json, embedded at build time: the known models, and the names that
 * checkpoints give to projections. A registry is parsed where it is needed and freed: it is small.
 */
#ifndef ORTHO_DATASETS_REGISTRY_H
#define ORTHO_DATASETS_REGISTRY_H

#include "datasets/hub.h"

#include <jansson.h>

extern const unsigned char ortho_models_json[];
extern const size_t ortho_models_json_length;

#define ORTHO_PROJ_COUNT 7
extern const char *const ortho_proj_names[ORTHO_PROJ_COUNT]; /* q k v o gate up down */

/* The caller owns *out (json_decref). */
ortho_status ortho_registry_load(json_t **out);

/* A known model, borrowed; NULL: none of that name, of that hub name, with a file of that name and
 * length. */
json_t *ortho_registry_by_name(const json_t *registry, const char *name);
json_t *ortho_registry_by_hub(const json_t *registry, const char *hub);
json_t *ortho_registry_by_file(const json_t *registry, const char *base, uint64_t bytes);

/* A string field of a model; "" when absent. */
const char *ortho_registry_text(const json_t *model, const char *field);

/* Finds a model's files: our cache, then the hub's; else slices of it that were fetched. True:
 * `where` is what a reader opens. False: `where` says how to get it. */
bool ortho_registry_locate(const json_t *model, char where[ORTHO_PATH_SIZE]);

/* Which projection of which layer a tensor's name stands for, by scheme number `scheme`. */
size_t ortho_registry_schemes(const json_t *registry);
bool ortho_registry_parse_name(const json_t *registry, size_t scheme, const char *tensor, int *proj,
                               int *layer);

/* A model's linear layer: its tensor's name and [n, k]. False: the model has no such projection. */
bool ortho_registry_linear(const json_t *registry, const json_t *model, int proj, int layer,
                           char name[256], int64_t shape[2]);

/* A number of a model's config; 0 when absent. */
int64_t ortho_registry_config(const json_t *model, const char *field);

#endif
