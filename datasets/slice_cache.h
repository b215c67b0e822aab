/*
 * slice_cache.h: where fetched slices of a hub model lie on this machine. Nothing here needs a
 * network: `ortho-bench fetch` writes the cache (datasets/fetch), the reader `hf` reads it.
 *
 *     $CACHE/slices/org--name/refs/REVISION      the commit that a branch or tag was at
 *     $CACHE/slices/org--name/COMMIT/manifest.json
 *     $CACHE/slices/org--name/COMMIT/SHARD.slices
 *
 * SHARD.slices is a sparse file of the shard's own length: the header and the fetched tensors lie
 * at the offsets that they have on the hub, and nothing lies between. manifest.json alone says what
 * is complete (slice_manifest.h).
 */
#ifndef ORTHO_DATASETS_SLICE_CACHE_H
#define ORTHO_DATASETS_SLICE_CACHE_H

#include "datasets/hub.h"

#define ORTHO_HUB_NAME_SIZE 193
#define ORTHO_REVISION_SIZE 129
#define ORTHO_SHARD_SUFFIX  ".slices"

/* hf:org/name[@revision] */
typedef struct ortho_hub_spec {
    char name[ORTHO_HUB_NAME_SIZE];     /* org/name */
    char revision[ORTHO_REVISION_SIZE]; /* branch, tag or commit; "main" where none is named */
} ortho_hub_spec;

/* Does this text begin as such a spec does, "hf:"? */
bool ortho_hub_spec_is(const char *spec);

/* ARGUMENT when it isn't one. The prefix may be missing. */
ortho_status ortho_hub_spec_parse(const char *spec, ortho_hub_spec *out);

/* Is it 40 lower-case hex digits? */
bool ortho_commit_valid(const char *text);

/* Is this the plain name of a file beside the index that names it? */
bool ortho_shard_name_valid(const char *name);

/* $CACHE/slices/org--name. ARGUMENT when it is too long, NOT_FOUND when there is no cache folder.
 */
ortho_status ortho_slices_folder(const ortho_hub_spec *, char out[ORTHO_PATH_SIZE]);

/* The file below `folder` that says which commit this revision was at when it was fetched last. */
ortho_status ortho_slices_ref(const char *folder, const ortho_hub_spec *,
                              char out[ORTHO_PATH_SIZE]);

/* The commit: the revision itself where it is one, else what its ref says. NOT_FOUND names the
 * command that fetches it. */
ortho_status ortho_slices_commit(const ortho_hub_spec *, char commit[ORTHO_COMMIT_SIZE]);

/* Is any complete tensor of this model's main branch at hand? */
bool ortho_slices_at_hand(const char *name);

#endif
