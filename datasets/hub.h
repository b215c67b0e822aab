/* hub.h: where models lie on this machine: the hub's local cache and our own. Nothing is fetched.
 */
#ifndef ORTHO_DATASETS_HUB_H
#define ORTHO_DATASETS_HUB_H

#include <ortho/ortho.h>
#include <stdbool.h>

#define ORTHO_PATH_SIZE   1024
#define ORTHO_COMMIT_SIZE 41 /* 40 hex digits and a NUL */

/* HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub. False when it has no name. */
bool ortho_hub_folder(char out[ORTHO_PATH_SIZE]);

/* $ORTHO_CACHE, else $XDG_CACHE_HOME/ortho-bench, else ~/.cache/ortho-bench. */
bool ortho_cache_folder(char out[ORTHO_PATH_SIZE]);

/* Is this `org/name` as the hub spells it? */
bool ortho_hub_name_valid(const char *name);

/* Reads a file that names a commit: 40 lower-case hex digits, perhaps a newline. */
ortho_status ortho_hub_read_commit(const char *path, char commit[ORTHO_COMMIT_SIZE]);

/* The snapshot's folder that refs/main of a hub name points to. NOT_FOUND says where it looked. */
ortho_status ortho_hub_resolve(const char *name, char out[ORTHO_PATH_SIZE]);

#endif
